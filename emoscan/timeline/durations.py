"""How long each frame was to be seen, and where a track is unbroken.

Frames of a video do not all last equally long, so a mean over rows is not a mean over time: what
is summed, averaged or smoothed is weighted by these durations.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from emoscan.errors import UsageError
from emoscan.timeline.schema import Status

FRAME = ["source", "frame"]

# In `.attrs` of several timelines as one: what `source_ends_s` gives of each.
ENDS_S = "source_ends_s"

# Times that differ by less are the same: below a video's time base, above rounding.
SAME_S = 1e-6


def are_photos(timeline: pd.DataFrame) -> bool:
    """Whether there are rows without a time; of unreadable frames that alone tells nothing."""
    return bool((timeline["time_s"].isna() & (timeline["status"] != Status.UNREADABLE)).any())


def frame_durations(timeline: pd.DataFrame) -> pd.DataFrame:
    """The frames that were looked at, a row each, by source and time.

    Columns: `source`, `frame`, `time_s`, `status` (`face` where there is at least one) and
    `duration_s`, the time until the next frame that was looked at; the last frame of a source
    lasts as long as its median frame, 0 if it is the only one, but not beyond `source_ends_s`;
    frames of one time share it, all but the last with 0. An unreadable frame whose time nobody
    knows is left out. Raises UsageError for photos.
    """
    if are_photos(timeline):
        raise UsageError("Photos have no time; this needs the timeline of a video.")
    frames = (
        timeline.loc[timeline["time_s"].notna(), [*FRAME, "time_s", "status"]]
        .drop_duplicates(FRAME)
        .sort_values(["source", "time_s", "frame"], kind="stable", ignore_index=True)
    )
    source = frames.groupby("source", observed=True)
    step_s = source["time_s"].shift(-1) - frames["time_s"]
    typical_s = (
        step_s.where(step_s > 0).groupby(frames["source"], observed=True).transform("median")
    )
    last_s = typical_s.clip(upper=_left_s(frames, source_ends_s(timeline)))
    frames["duration_s"] = step_s.fillna(last_s).fillna(0.0)
    return frames


def source_ends_s(timeline: pd.DataFrame) -> dict[str, float]:
    """Where the metadata say that each source ends, or where it was no longer looked at.

    A source of which nothing is said is left out.
    """
    about = timeline.attrs
    if ENDS_S in about:
        return dict(about[ENDS_S])
    sources = [str(name) for name in timeline["source"].unique()]
    ends_s = [_number(about.get("options"), "end_s")]
    if len(sources) == 1:  # the media's metadata are of one video
        ends_s.append(_declared_end_s(about.get("media")))
    end_s = min((end_s for end_s in ends_s if end_s is not None), default=None)
    return {} if end_s is None else dict.fromkeys(sources, end_s)


def _declared_end_s(media: Any) -> float | None:
    """On the clock of `time_s`, which is 0 where the first stream begins, be it sound."""
    duration_s = _number(media, "duration_s")
    if duration_s is None:
        return None
    late_s = (_number(media, "video_start_s") or 0.0) - (_number(media, "start_s") or 0.0)
    return late_s + duration_s


def _number(about: Any, name: str) -> float | None:
    value = about.get(name) if isinstance(about, dict) else None
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if value is not None and is_number else None


def _left_s(frames: pd.DataFrame, ends_s: dict[str, float]) -> pd.Series:
    """From each frame to its source's end; no limit where it lies behind that: it is wrong then."""
    left_s = frames["source"].astype(str).map(ends_s).astype(np.float64) - frames["time_s"]
    return left_s.where(left_s > SAME_S, np.inf)


def face_rows(timeline: pd.DataFrame) -> pd.DataFrame:
    """The rows with a face and their `duration_s`, by source, track and time.

    Raises UsageError for photos.
    """
    durations = frame_durations(timeline)[[*FRAME, "duration_s"]]
    faces = timeline[timeline["status"] == Status.FACE].merge(durations, on=FRAME, how="left")
    return faces.sort_values(
        ["source", "track", "time_s", "frame"], kind="stable", ignore_index=True
    )


def stretch_numbers(faces: pd.DataFrame, gap_s: float) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """(N,) for rows as `face_rows` gives them: which unbroken stretch of a track each lies in.

    A track that is missing for more than `gap_s` between two rows, from the end of one to the
    beginning of the next, is broken there: frames that were not looked at are no gap. Rows
    without a track are a stretch each.
    """
    sources, _ = pd.factorize(faces["source"])
    same_source = np.diff(sources, prepend=-1) == 0
    same_track = (faces["track"].diff() == 0).fillna(False).to_numpy(bool)
    ends_s = faces["time_s"] + faces["duration_s"]
    missing_s = faces["time_s"] - ends_s.shift()
    unbroken = same_source & same_track & (missing_s <= gap_s + SAME_S).to_numpy(bool)
    return np.cumsum(~unbroken) - 1
