"""From files to lists of rows: decoding ahead in a thread, then `Analyzer`."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from emoscan.analyzer import Analyzer
from emoscan.errors import MediaError
from emoscan.faces.track import Tracker
from emoscan.media.ahead import read_ahead
from emoscan.media.find import MediaFile
from emoscan.media.source import VideoSource
from emoscan.options import ScanOptions
from emoscan.outcome import Problem, ProblemKind
from emoscan.timeline.records import FaceRecord
from emoscan.types import Frame, Unreadable

PHOTOS_AHEAD = 2  # a photo may take half a gigabyte


class Opener(Protocol):
    """What opens videos, one after the other."""

    def open(self, file: MediaFile) -> VideoSource:
        """Open one, which ends the one before. Raises MediaError."""
        ...

    def abort(self) -> None:
        """Have whoever waits for a frame wait no more; for another thread."""


class InThisProcess:
    """Opens videos without a process of their own."""

    def __init__(self, hwaccel: str) -> None:
        self._hwaccel = hwaccel

    def open(self, file: MediaFile) -> VideoSource:
        """As `open_video`. Raises MediaError."""
        from emoscan.media.video import open_video

        return open_video(file, hwaccel=self._hwaccel)

    def abort(self) -> None:
        """A frame that is being decoded here cannot be cut short."""


@contextmanager
def video_rows(
    video: VideoSource,
    analyzer: Analyzer,
    options: ScanOptions,
    *,
    tracker: Tracker | None = None,
    first: int = 0,
) -> Iterator[Iterator[list[FaceRecord]]]:
    """Lists of rows of an open video from frame `first` on, each within one of its segments."""
    depth = 2 * analyzer.batch_frames(video.info.width, video.info.height)
    frames = video.frames(options, first=first)
    with (
        closing(read_ahead(frames, depth=depth)) as ahead,
        closing(
            analyzer.video_rows(ahead, tracker or Tracker(), borders=video.info.segment_starts)
        ) as batches,
    ):
        yield batches


@contextmanager
def photo_rows(
    files: Iterable[MediaFile], analyzer: Analyzer, *, problems: list[Problem], fail_fast: bool
) -> Iterator[Iterator[list[FaceRecord]]]:
    """Lists of rows of photos; one that cannot be read is a row and one more problem."""
    photos = _photos(files, problems, fail_fast=fail_fast)
    with (
        closing(read_ahead(photos, depth=PHOTOS_AHEAD)) as ahead,
        closing(analyzer.photo_rows(ahead)) as batches,
    ):
        yield batches


def _photos(
    files: Iterable[MediaFile], problems: list[Problem], *, fail_fast: bool
) -> Iterator[Frame | Unreadable]:
    from emoscan.media.images import read_photo  # Pillow, which videos do without

    for file in files:
        try:
            yield read_photo(file)
        except MediaError as error:
            problems.append(Problem(file.source, ProblemKind.FAILED, str(error)))
            yield Unreadable(file.source, 0, None)
            if fail_fast:
                return
