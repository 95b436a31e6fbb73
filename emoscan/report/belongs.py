"""Whether a timeline was made from a video or from these photos: names do not tell, contents do."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.errors import UsageError
from emoscan.media.find import counted
from emoscan.media.source import VideoInfo
from emoscan.report.marks import boxes, face_table

# A copy in another container may round its times, and count them from the start of its sound.
MOST_APART_S = 0.03
# Containers round durations, and some leave out that of the last frame.
MOST_DURATION_APART_S = 0.25


def rows_of_video(timeline: pd.DataFrame, *, table: str, name: str) -> pd.DataFrame:
    """The rows of the one video of a timeline, or of several the one of that name.

    Raises UsageError where there are none, or those of photos.
    """
    _refuse_unusable(timeline, table)
    if timeline["time_s"].isna().all():
        raise UsageError(f"{table} is the timeline of photos: name their folder, not {name}.")
    sources = timeline["source"].astype(str).unique()
    if len(sources) == 1:
        return timeline
    named = [source for source in sources if source.rsplit("/", 1)[-1] == name]
    if len(named) != 1:
        raise UsageError(
            f"{table} holds the rows of {counted(len(sources), 'file')}, and of them "
            f"{len(named) or 'none'} called {name}: scan this video alone."
        )
    rows: pd.DataFrame = timeline[timeline["source"] == named[0]]
    return rows


def check_video(
    rows: pd.DataFrame, info: VideoInfo, time_s: NDArray[np.float64], *, table: str, name: str
) -> None:
    """Raise UsageError where a timeline's rows cannot be those of a video.

    `time_s` (N,) are the times of the video's frames.
    """
    differs = _metadata_differ(rows.attrs.get("media"), info) or _rows_differ(rows, info, time_s)
    if differs:
        raise UsageError(
            f"{table} was made from another video than {name}: {differs}; "
            "name the video that was scanned, or scan this one."
        )


def rows_of_photos(timeline: pd.DataFrame, *, table: str) -> pd.DataFrame:
    """The rows of a timeline of photos. Raises UsageError where they are none or a video's."""
    _refuse_unusable(timeline, table)
    if timeline["time_s"].notna().any():
        raise UsageError(f"{table} is the timeline of a video: name that video, not a folder.")
    return timeline


def fits_in(rows: pd.DataFrame, *, width: int, height: int) -> bool:
    """Whether some of each face lies in a picture of a size in px: one that leaves is half out."""
    corners = boxes(face_table(rows))
    begins = (corners[:, :2] < (width, height)).all()
    return bool(begins and (corners[:, 2:] > 0).all())


def _refuse_unusable(timeline: pd.DataFrame, table: str) -> None:
    if timeline.empty:
        raise UsageError(f"{table} has no rows: there is nothing to show.")
    if face_table(timeline)["emotion"].isna().any():
        raise UsageError(f"{table} has faces without a class: scan once more.")


def _metadata_differ(media: Any, info: VideoInfo) -> str | None:
    """What the timeline's own record of its video contradicts, in words."""
    media = media if isinstance(media, dict) else {}
    width, height, packets = (media.get(name) for name in ("width", "height", "packets"))
    if width and height and (width, height) != (info.width, info.height):
        of_table = f"{width} × {height}"
        return f"its pictures were {of_table} px, and these are {info.width} × {info.height}"
    if isinstance(packets, int) and packets != info.packets:
        return f"it had {counted(packets, 'frame')}, and this one has {info.packets:,}"
    its_s, this_s = media.get("duration_s"), info.duration_s
    if not isinstance(its_s, int | float) or this_s is None:
        return None
    if abs(its_s - this_s) > MOST_DURATION_APART_S:
        return f"it lasted {its_s:.2f} s, and this one {this_s:.2f} s"
    return None


def _rows_differ(rows: pd.DataFrame, info: VideoInfo, time_s: NDArray[np.float64]) -> str | None:
    """What its frames, times and boxes contradict, in words."""
    frames = rows["frame"].to_numpy(np.int64)
    if frames.max() >= len(time_s) or frames.min() < 0:
        return f"it has a frame {frames.max():,}, and this one ends with {len(time_s) - 1:,}"
    apart_s = np.abs(rows["time_s"].to_numpy(np.float64) - time_s[frames])
    worst = int(np.nanargmax(apart_s))
    if apart_s[worst] > MOST_APART_S:
        its_s, this_s = rows["time_s"].iloc[worst], time_s[frames[worst]]
        return f"its frame {frames[worst]:,} is at {its_s:.3f} s, and here it is at {this_s:.3f} s"
    if not fits_in(rows, width=info.width, height=info.height):
        return f"some of its faces lie outside of {info.width} × {info.height} px"
    return None
