"""Frames in, rows out: detection, tracking and classification of one batch after another."""

from collections.abc import Iterable, Iterator, Sequence

from emoscan.emotion.classifier import EmotionClassifier
from emoscan.faces.mtcnn import FaceDetector
from emoscan.faces.track import Tracker
from emoscan.options import RunOptions, ScanOptions
from emoscan.runtime import choose_runtime
from emoscan.timeline.records import FaceRecord, frame_records, unreadable_record
from emoscan.types import Faces, Frame, Unreadable

Item = Frame | Unreadable


class Analyzer:
    """The networks, loaded once for many files."""

    def __init__(self, options: ScanOptions, run: RunOptions) -> None:
        """Load the networks. Raises UsageError for the device, MissingPartError for weights."""
        self.runtime = choose_runtime(run.device, options.precision)
        self.classifier = EmotionClassifier(self.runtime, options.weights, tta=options.tta)
        self._detector = FaceDetector(
            device=self.runtime.device, threshold=options.threshold, max_faces=options.max_faces
        )
        self._min_face = options.min_face
        self._batch_size = run.batch_size

    def batch_frames(self, width_px: int, height_px: int) -> int:
        """How many frames of this size are analysed together."""
        return self._batch_size or self.runtime.batch_frames(width_px, height_px)

    def rows(self, items: Iterable[Item], tracker: Tracker | None) -> Iterator[list[FaceRecord]]:
        """One list of rows a batch, in the order of the items; without a tracker no tracks."""
        for batch in self._batches(items):
            yield self._analyze(batch, tracker)

    def _batches(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        batch: list[Item] = []
        limit = 1
        for item in items:
            batch.append(item)
            if isinstance(item, Frame):
                limit = self.batch_frames(item.width, item.height)
            if len(batch) >= limit:
                yield batch
                batch = []
        if batch:
            yield batch

    def _analyze(self, batch: Sequence[Item], tracker: Tracker | None) -> list[FaceRecord]:
        frames = [item for item in batch if isinstance(item, Frame)]
        faces = self._find_faces(frames, tracker)
        emotions = self.classifier.classify(frames, faces)
        found = zip(faces, emotions, strict=True)
        rows: list[FaceRecord] = []
        for item in batch:
            if isinstance(item, Frame):
                rows += frame_records(item, *next(found))
            else:
                rows.append(unreadable_record(item))
        return rows

    def _find_faces(self, frames: Sequence[Frame], tracker: Tracker | None) -> list[Faces]:
        faces = self._detector.detect(
            [frame.rgb() for frame in frames],
            min_faces_px=[self._min_face.in_px(frame.height) for frame in frames],
        )
        if tracker is None:
            return faces
        return [
            tracker.update(its_faces, time_s=frame.time_s or 0.0)
            for frame, its_faces in zip(frames, faces, strict=True)
        ]
