"""How long each frame was to be seen, and where a track is unbroken.

Frames of a video do not all last equally long, so a mean over rows is not a mean over time: what
is summed, averaged or smoothed is weighted by these durations.
"""

import numpy as np
import pandas as pd

from emoscan.errors import UsageError
from emoscan.timeline.schema import Status

FRAME = ["source", "frame"]


def frame_durations(timeline: pd.DataFrame) -> pd.DataFrame:
    """The frames that were looked at, a row each, by source and time.

    Columns: `source`, `frame`, `time_s`, `status` (`face` where there is at least one) and
    `duration_s`, the time until the next frame that was looked at; the last frame of a source
    lasts as long as its median frame, 0 if it is the only one. Raises UsageError for photos.
    """
    if timeline["time_s"].isna().any():
        raise UsageError("Photos have no time; this needs the timeline of a video.")
    frames = (
        timeline[[*FRAME, "time_s", "status"]]
        .drop_duplicates(FRAME)
        .sort_values(FRAME, kind="stable", ignore_index=True)
    )
    source = frames.groupby("source", observed=True)
    step_s = -source["time_s"].diff(-1)
    typical_s = step_s.groupby(frames["source"], observed=True).transform("median")
    frames["duration_s"] = step_s.fillna(typical_s).fillna(0.0)
    return frames


def face_rows(timeline: pd.DataFrame) -> pd.DataFrame:
    """The rows with a face and their `duration_s`, by source, track and time.

    Raises UsageError for photos.
    """
    durations = frame_durations(timeline)[[*FRAME, "duration_s"]]
    faces = timeline[timeline["status"] == Status.FACE].merge(durations, on=FRAME, how="left")
    return faces.sort_values(["source", "track", "frame"], kind="stable", ignore_index=True)


def stretch_numbers(faces: pd.DataFrame, gap_s: float) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """(N,) for rows as `face_rows` gives them: which unbroken stretch of a track each lies in.

    A track that is missing for more than `gap_s` between two rows, from the end of one to the
    beginning of the next, is broken there: frames that were not looked at are no gap.
    """
    same = (faces["source"].cat.codes.diff() == 0) & (faces["track"].diff() == 0).fillna(False)
    ends_s = faces["time_s"] + faces["duration_s"]
    missing_s = faces["time_s"] - ends_s.shift()
    unbroken = same.to_numpy(bool) & (missing_s <= gap_s + 1e-9).to_numpy(bool)
    return np.cumsum(~unbroken) - 1
