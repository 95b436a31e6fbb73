"""The face at the apex of each episode, cut from the video."""

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from emoscan.events import FileStarted, FramesDone, Listener
from emoscan.media.find import MediaFile
from emoscan.media.process import DecoderProcess
from emoscan.media.source import VideoSource
from emoscan.options import ScanOptions
from emoscan.report.belongs import check_video
from emoscan.squares import cut_square
from emoscan.types import Frame

# A face's number of track and frame, to its picture as a data URI.
FacePictures = dict[tuple[int, int], str]

SIDE_PX = 96
# Around the box, which ends at the chin and the forehead.
ENLARGED = 1.4
JPEG_QUALITY = 82
# Frames that lie no further apart are decoded in one go: to begin anew costs as much.
TOGETHER_S = 2.0
# A twentieth of a millisecond: less than any two frames of a video are apart.
JUST_AFTER_S = 5e-5


def apex_faces(
    timeline: pd.DataFrame,
    apexes: Iterable[tuple[int, int]],
    *,
    video: Path,
    table: str = "The timeline",
    listener: Listener,
) -> FacePictures:
    """A picture for each (track, frame) whose frame can be read; `table` names the timeline.

    Raises MediaError for what is no video, UsageError for one that is not the timeline's.
    """
    wanted = set(apexes)
    pairs = zip(timeline["track"], timeline["frame"], strict=True)
    faces = timeline[[pair in wanted for pair in pairs]].sort_values("frame", kind="stable")
    by_frame: dict[Any, pd.DataFrame] = dict(list(faces.groupby("frame")))
    pictures: FacePictures = {}
    with DecoderProcess() as decoder, decoder.open(MediaFile(video, video.name)) as source:
        check_video(timeline, source.info, source.time_s, table=table, name=video.name)
        listener(FileStarted(video.name, len(by_frame)))
        for done, frame in enumerate(_frames(source, faces), start=1):
            pictures |= _pictures(frame, by_frame[frame.index])
            listener(FramesDone(video.name, done, len(pictures)))
    return pictures


def _frames(source: VideoSource, faces: pd.DataFrame) -> Iterator[Frame]:
    """Every frame with one of the faces, by seeking from group to group."""
    frames = faces.drop_duplicates("frame")
    indices = set(frames["frame"].tolist())
    for start_s, end_s in _ranges(frames["time_s"].tolist()):
        options = ScanOptions(start_s=start_s if start_s > 0 else None, end_s=end_s)
        for frame in source.frames(options):
            if frame.index in indices and isinstance(frame, Frame):
                yield frame


def _ranges(times_s: Sequence[float]) -> list[tuple[float, float]]:
    """Times that are close together as ranges that hold them, ends excluded."""
    ranges: list[tuple[float, float]] = []
    for time_s in times_s:
        if ranges and time_s - ranges[-1][1] < TOGETHER_S:
            ranges[-1] = (ranges[-1][0], time_s + JUST_AFTER_S)
        else:
            ranges.append((time_s - JUST_AFTER_S, time_s + JUST_AFTER_S))
    return ranges


def _pictures(frame: Frame, faces: pd.DataFrame) -> FacePictures:
    columns = ("track", "x", "y", "width", "height")
    boxes = zip(*(faces[name].tolist() for name in columns), strict=True)
    return {
        (int(track), frame.index): _data_uri(frame, x=x, y=y, width=width, height=height)
        for track, x, y, width, height in boxes
    }


def _data_uri(frame: Frame, *, x: float, y: float, width: float, height: float) -> str:
    side = ENLARGED * max(width, height, 1.0)
    left, top = x + (width - side) / 2, y + (height - side) / 2
    pixels = cut_square(frame.rgb(), left=left, top=top, side=side, out_px=SIDE_PX)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
