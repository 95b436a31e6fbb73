"""Frames in, rows out: detection, tracking and classification, side by side."""

from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import chain, takewhile
from threading import Event, Lock

from emoscan.ahead import read_ahead
from emoscan.emotion.checkpoint import LoadedCheckpoint, load_weights, require_ranges
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.faces.follow import FaceFollower, Item, Looked, LookedAt, look_at
from emoscan.faces.mtcnn import FaceDetector, Fidelity
from emoscan.faces.track import Tracker
from emoscan.faces.view import NO_VIEW, view_of
from emoscan.heap import give_back_memory
from emoscan.options import Precision, RunOptions, ScanOptions
from emoscan.runtime import Runtime, photo_workers, serving_runtime
from emoscan.timeline.records import FaceRecord, frame_records, unreadable_record
from emoscan.types import Unreadable
from emoscan.uploads import UPLOADS

# How many batches of `uploads.TOGETHER` frames go to a device before somebody looks at them: more
# than make a block of FaceFollower's, or some of each block would be waited for.
UPLOADS_AHEAD = 8


def as_run(options: ScanOptions, runtime: Runtime) -> ScanOptions:
    """The options of a scan of videos, where `auto` has become what it is on this device.

    A CUDA GPU detects on every frame in less time than the host takes to follow.
    """
    if runtime.keeps_pictures and options.detector_stride is None:
        return replace(options, detector_stride=1)
    return options


def runtime_for(weights: LoadedCheckpoint, options: ScanOptions, run: RunOptions) -> Runtime:
    """Where and how these weights run.

    Raises what `serving_runtime` raises, and MissingPartError for int8 without ranges.
    """
    runtime = serving_runtime(
        run.device,
        options.precision,
        run.backend,
        workers=run.workers,
        has_ranges=bool(weights.ranges),
    )
    if runtime.precision is Precision.INT8:
        require_ranges(weights)
    return runtime


class Analyzer:
    """The networks, loaded once for many files."""

    def __init__(self, options: ScanOptions, run: RunOptions) -> None:
        """Load the networks. Raises UsageError for the device, MissingPartError for weights."""
        weights = load_weights(options.weights)
        self.runtime = runtime_for(weights, options, run)
        self.classifier = EmotionClassifier(self.runtime, weights, tta=options.tta)
        self._detector = FaceDetector(
            self.runtime,
            threshold=options.threshold,
            min_face=options.min_face,
            max_faces=options.max_faces,
        )
        self._stride = as_run(options, self.runtime).detector_stride
        # A GPU looks at one batch of photos at a time, while other threads read the next ones.
        self._one_batch = nullcontext() if self.runtime.device.type == "cpu" else Lock()
        self.photo_threads = photo_workers()
        self._batch_size = run.batch_size
        self.min_face = options.min_face
        give_back_memory()

    def batch_frames(self, width_px: int, height_px: int) -> int:
        """How many frames of this size make one batch: so many photos are analysed together."""
        return self._batch_size or self.runtime.batch_frames(width_px, height_px)

    @property
    def fidelity(self) -> Fidelity:
        """The detector's."""
        return self._detector.fidelity

    def video_rows(
        self, items: Iterable[Item], tracker: Tracker, *, borders: Sequence[int] = ()
    ) -> Generator[list[FaceRecord]]:
        """Lists of rows in the order of the items.

        At each of the `borders`, indices of frames, detection starts anew: whoever starts there
        with the tracker's mark of that segment finds the same faces and tracks.
        """
        if self.runtime.keeps_pictures:
            return self._rows_of_uploaded(items, tracker, borders)
        return self._rows(items, tracker, borders)

    def _rows_of_uploaded(
        self, items: Iterable[Item], tracker: Tracker, borders: Sequence[int]
    ) -> Generator[list[FaceRecord]]:
        """The same, by a GPU that where nothing is followed looks at the next block meanwhile.

        One thread gives it all of a video's work, for two would wait for each other at each step of
        Python. Another one brings the pictures there.
        """
        uploads = UPLOADS.ahead(items, self.runtime.device)
        with closing(read_ahead(uploads, depth=UPLOADS_AHEAD)) as ahead:
            blocks = self._faces_of_video(chain.from_iterable(ahead), borders)
            with closing(blocks):
                yield from self._rows_of(blocks, tracker, borders)

    def _rows(
        self, items: Iterable[Item], tracker: Tracker, borders: Sequence[int]
    ) -> Generator[list[FaceRecord]]:
        """Faces are found and followed by other threads, while those before are classified here."""
        stopped = Event()
        looked_at = takewhile(lambda _: not stopped.is_set(), items)
        blocks = self._faces_of_video(looked_at, borders)
        with closing(read_ahead(blocks, depth=1, wake=stopped.set)) as ahead:
            yield from self._rows_of(ahead, tracker, borders)

    def _faces_of_video(
        self, items: Iterable[Item], borders: Sequence[int]
    ) -> Generator[list[Looked]]:
        return FaceFollower(self._detector, stride=self._stride, borders=borders).find(items)

    def _rows_of(
        self, blocks: Iterable[list[Looked]], tracker: Tracker, borders: Sequence[int]
    ) -> Iterator[list[FaceRecord]]:
        marked: int | None = None
        for block in blocks:
            segment = bisect_right(borders, block[0].index)
            if segment != marked:
                tracker.mark(segment)
                marked = segment
            rows = self._classified([_tracked(looked, tracker) for looked in block])
            del block  # or it would be kept until the next one is there
            yield rows

    def photo_rows(self, items: Sequence[Item]) -> list[FaceRecord]:
        """Rows of one batch of photos, in their order; `photo_threads` threads may ask at once."""
        with self._one_batch:
            return self._classified(look_at(items, self._detector.detect_frames))

    def _classified(self, block: Sequence[Looked]) -> list[FaceRecord]:
        seen = [looked for looked in block if isinstance(looked, LookedAt)]
        emotions = self.classifier.classify(
            [looked.frame for looked in seen], [looked.faces for looked in seen]
        )
        found = zip(seen, emotions, strict=True)
        rows: list[FaceRecord] = []
        for item in block:
            if isinstance(item, Unreadable):
                rows.append(unreadable_record(item))
            else:
                looked, its_emotions = next(found)
                rows += frame_records(looked.frame, looked.faces, its_emotions)
        return rows


def _tracked(item: Looked, tracker: Tracker) -> Looked:
    if isinstance(item, Unreadable):
        return item
    view = view_of(item.frame) if len(item.faces) else NO_VIEW
    faces = tracker.update(item.faces, time_s=item.frame.time_s or 0.0, view=view)
    return LookedAt(item.frame, faces)
