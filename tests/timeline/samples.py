"""Frames, faces and records that the tests of the timeline share."""

import numpy as np

from emoscan.emotions import EMOTIONS
from emoscan.media.picture import OnDemand
from emoscan.timeline.records import FaceRecord, frame_records, unreadable_record
from emoscan.types import Emotions, Faces, Frame, Unreadable

SOURCE = "Aufnahmen/Jörg, “früh”\n映像.mp4"  # quotes, a comma, a line break


def no_pixels():
    raise AssertionError("records need no pixels")


def frame(index=3, time_s=0.12, source=SOURCE):
    return Frame(source, index, time_s, 640, 360, OnDemand(no_pixels))


def faces(count, first_track=1):
    corners = np.arange(count * 2, dtype=np.float32).reshape(count, 2) + np.float32(0.3)
    return Faces(
        boxes=np.hstack([corners, corners + np.float32([40, 50])]),
        scores=np.linspace(0.99, 0.7, count, dtype=np.float32),
        landmarks=np.arange(count * 10, dtype=np.float32).reshape(count, 5, 2) / 7,
        tracks=np.arange(first_track, first_track + count, dtype=np.int32),
        followed=np.zeros(count, np.bool_),
    )


def emotions(count):
    odds = np.random.default_rng(count).random((count, len(EMOTIONS)), np.float32)
    return Emotions(odds / odds.sum(axis=1, keepdims=True))


def records(frame_count=4, source=SOURCE) -> list[FaceRecord]:
    """Frames with 0, 1, 2, 0, 1, 2, … faces, then one that could not be read."""
    rows = []
    for index in range(frame_count):
        count = index % 3
        rows += frame_records(frame(index, index / 30, source), faces(count), emotions(count))
    return [*rows, unreadable_record(Unreadable(source, frame_count, None))]
