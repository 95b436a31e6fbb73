"""How long each frame was to be seen, and where a track is unbroken.

Frames of a video do not all last equally long, so a mean over rows is not a mean over time: what
is summed, averaged or smoothed is weighted by these durations.
"""

import numpy as np
import pandas as pd

from emoscan.errors import UsageError
from emoscan.timeline.schema import Status

FRAME = ["source", "frame"]

# Times that differ by less are the same: below a video's time base, above rounding.
SAME_S = 1e-6


def are_photos(timeline: pd.DataFrame) -> bool:
    """Whether there are rows without a time; of unreadable frames that alone tells nothing."""
    return bool((timeline["time_s"].isna() & (timeline["status"] != Status.UNREADABLE)).any())


def frame_durations(timeline: pd.DataFrame) -> pd.DataFrame:
    """The frames that were looked at, a row each, by source and time.

    Columns: `source`, `frame`, `time_s`, `status` (`face` where there is at least one) and
    `duration_s`, the time until the next frame that was looked at; the last frame of a source
    lasts as long as its median frame, 0 if it is the only one; frames of one time share it, all
    but the last with 0. An unreadable frame whose time
    nobody knows is left out. Raises UsageError for photos.
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
    frames["duration_s"] = step_s.fillna(typical_s).fillna(0.0)
    return frames


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
