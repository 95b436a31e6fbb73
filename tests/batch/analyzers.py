"""An analyzer without networks: rows that depend on the frames alone, in no time."""

from bisect import bisect_right
from itertools import groupby

import numpy as np

from emoscan.analyzer import _tracked
from emoscan.emotion.checkpoint import load_weights
from emoscan.faces.follow import LookedAt
from emoscan.faces.mtcnn import Fidelity
from emoscan.runtime import choose_runtime
from emoscan.timeline.records import frame_records, unreadable_record
from emoscan.types import NO_TRACK, Emotions, Faces, Unreadable

BLOCK = 4


class QuickAnalyzer:
    """As `Analyzer`, but a face is wherever a frame's index says, and leaves now and then."""

    def __init__(self, options, run) -> None:
        self.runtime = choose_runtime("cpu")
        self.fidelity = Fidelity.QUICK
        self.classifier = load_weights(None)
        self.min_face = options.min_face
        self.photo_threads = 2

    def batch_frames(self, width_px: int, height_px: int) -> int:
        return 1

    def video_rows(self, items, tracker, *, borders=()):
        for number, segment in groupby(items, lambda item: bisect_right(borders, item.index)):
            tracker.mark(number)
            for _, block in groupby(enumerate(segment), lambda numbered: numbered[0] // BLOCK):
                yield [row for _, item in block for row in _rows(item, tracker)]

    def photo_rows(self, items):
        return [row for item in items for row in _rows(item, None)]


def _rows(item, tracker):
    if isinstance(item, Unreadable):
        return [unreadable_record(item)]
    index, seed = item.index, int(item.rgb().mean() * 100) + item.index
    faces = _faces(index, np.random.default_rng(seed), count=0 if index % 11 == 7 else 2)
    tracked = _tracked(LookedAt(item, faces), tracker).faces if tracker else faces
    odds = np.random.default_rng(seed).random((len(faces), 7)).astype(np.float32) + 0.01
    emotions = Emotions(odds / odds.sum(axis=1, keepdims=True))
    return frame_records(item, tracked, emotions)


def _faces(index, random, *, count):
    corners = np.array([[3, 5], [30, 20]][:count], np.float32).reshape(-1, 2)
    corners = corners + random.random((count, 2)).astype(np.float32) + index % 5
    return Faces(
        boxes=np.hstack([corners, corners + 17.3]).astype(np.float32),
        scores=random.random(count).astype(np.float32),
        landmarks=random.random((count, 5, 2)).astype(np.float32),
        tracks=np.full(count, NO_TRACK, np.int32),
        followed=np.arange(count) % 2 == 1,
    )
