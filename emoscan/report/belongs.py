"""Whether a video is the one that a timeline was made from."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from emoscan.errors import UsageError
from emoscan.media.source import VideoInfo
from emoscan.timeline.schema import Status

# Another build of FFmpeg may round a declared duration otherwise.
DURATION_TOLERANCE_S = 0.1
# A box may reach over the frame's edge, by no more than a face.
OUTSIDE_SHARE = 0.5


def refuse_other_video(timeline: pd.DataFrame, info: VideoInfo) -> None:
    """Compare what the timeline knows of its video with the one that is at hand.

    The name does not count: files are renamed. Without metadata the frames' numbers, their times
    and the boxes must be possible in this video. Raises UsageError with the first difference.
    """
    media = timeline.attrs.get("media")
    if isinstance(media, dict) and isinstance(media.get("packets"), int):
        found = _recorded(media, info)
    else:
        found = _impossible(timeline, info)
    difference = next(found, None)
    if difference:
        raise UsageError(f"This is not the video of the timeline: {difference}.")


def _recorded(media: dict[str, Any], info: VideoInfo) -> Iterator[str]:
    if media["packets"] != info.packets:
        yield f"it has {info.packets:,} frames, and the timeline's has {media['packets']:,}"
    size = (media.get("width"), media.get("height"))
    if size != (info.width, info.height):
        yield (
            f"its frames are {info.width} × {info.height} px, and the timeline's are "
            f"{size[0]} × {size[1]} px"
        )
    its_s, lasts_s = media.get("duration_s"), info.duration_s
    if not isinstance(its_s, int | float) or lasts_s is None:
        return
    if abs(its_s - lasts_s) > DURATION_TOLERANCE_S:
        yield f"it lasts {lasts_s:.2f} s, and the timeline's {its_s:.2f} s"


def _impossible(timeline: pd.DataFrame, info: VideoInfo) -> Iterator[str]:
    last_frame, last_s = timeline["frame"].max(), timeline["time_s"].max()
    if not pd.isna(last_frame) and last_frame >= info.packets:
        yield f"it has {info.packets:,} frames, and the timeline goes on to frame {last_frame:,}"
    if info.duration_s is not None and last_s > info.duration_s + info.video_start_s + 1:
        yield f"it lasts {info.duration_s:.2f} s, and the timeline goes on to {last_s:.2f} s"
    faces = timeline[timeline["status"] == Status.FACE]
    for start, extent, side in (("x", "width", info.width), ("y", "height", info.height)):
        beyond = (faces[start] + faces[extent] * OUTSIDE_SHARE).max()
        if not math.isnan(beyond) and beyond > side:
            yield f"its frames are {info.width} × {info.height} px, and a face lies beyond"
