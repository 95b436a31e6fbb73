"""From files to lists of rows: decoding beside the analysis, then `Analyzer`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Protocol

from emoscan.ahead import mapped, read_ahead
from emoscan.analyzer import Analyzer
from emoscan.errors import MediaError
from emoscan.faces.track import Tracker
from emoscan.media.find import MediaFile
from emoscan.media.source import VideoSource
from emoscan.options import MinFace, ScanOptions
from emoscan.outcome import Problem, ProblemKind
from emoscan.timeline.records import FaceRecord
from emoscan.types import Frame, Unreadable

# Where a video is decoded in this process, so many frames are read ahead, in a thread.
AHEAD_PX = 2**24
FULL = 1 + 1e-9  # shares such as 1/6 do not add up to 1 exactly


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
    frame_px = video.info.width * video.info.height
    depth = 0 if video.decodes_ahead else max(1, AHEAD_PX // frame_px)
    frames = video.frames(options, first=first)
    with (
        closing(read_ahead(frames, depth=depth) if depth else frames) as items,
        closing(
            analyzer.video_rows(items, tracker or Tracker(), borders=video.info.segment_starts)
        ) as batches,
    ):
        yield batches


@contextmanager
def photo_rows(
    files: Iterable[MediaFile], analyzer: Analyzer, *, problems: list[Problem], fail_fast: bool
) -> Iterator[Iterator[list[FaceRecord]]]:
    """Lists of rows of photos; one that cannot be read is a row and one more problem.

    Each of the analyzer's `photo_threads` reads a batch of files and looks at it before it takes
    the next one: none waits for another, and few photos are in memory at once.
    """

    def look(batch: Sequence[MediaFile]) -> tuple[list[FaceRecord], list[Problem]]:
        broken: list[Problem] = []
        photos = [*_photos(batch, analyzer.min_face, broken, fail_fast=fail_fast)]
        return analyzer.photo_rows(photos), broken

    looks = mapped(look, _batches(files, analyzer), threads=analyzer.photo_threads)
    with closing(read_ahead(looks, depth=1)) as looked:
        yield _in_turn(looked, problems, fail_fast=fail_fast)


def _in_turn(
    looked: Iterable[tuple[list[FaceRecord], list[Problem]]],
    problems: list[Problem],
    *,
    fail_fast: bool,
) -> Iterator[list[FaceRecord]]:
    """The rows, and the problems beside them, in the order of the photos."""
    for rows, broken in looked:
        problems += broken
        yield rows
        if broken and fail_fast:
            return


def _batches(files: Iterable[MediaFile], analyzer: Analyzer) -> Iterator[list[MediaFile]]:
    """Files that are looked at together: each takes its share, by its size, of one batch."""
    from emoscan.media.images import photo_size  # Pillow, which videos do without

    batch: list[MediaFile] = []
    filled = 0.0
    for file in files:
        share = 1 / analyzer.batch_frames(*photo_size(file, min_face=analyzer.min_face))
        if batch and filled + share > FULL:
            yield batch
            batch, filled = [], 0.0
        batch.append(file)
        filled += share
    if batch:
        yield batch


def _photos(
    files: Iterable[MediaFile], min_face: MinFace, problems: list[Problem], *, fail_fast: bool
) -> Iterator[Frame | Unreadable]:
    from emoscan.media.images import read_photo  # as above

    for file in files:
        try:
            yield read_photo(file, min_face=min_face)
        except MediaError as error:
            problems.append(Problem(file.source, ProblemKind.FAILED, str(error)))
            yield Unreadable(file.source, 0, None)
            if fail_fast:
                return
