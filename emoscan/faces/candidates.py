"""Boxes on their way through MTCNN's cascade: arrays in, arrays out.

Boxes are (N, 4) float32 x0 y0 x1 y1 in px. The arithmetic is that of facenet-pytorch 2.5.3, its
inclusive pixels included, for equal boxes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emoscan.faces.networks import PROPOSAL_SIDE_PX, PROPOSAL_STRIDE_PX

NO_SCORE = -1.0  # below all, for a threshold that lets everything pass

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes of many frames, sorted by frame, and what a network says of each.

    `frames` (N,), `boxes` (N, 4) as the network saw them, `scores` (N,), `offsets` (N, 4) of the
    boxes' sides and `landmarks` (N, 10), x then y, both in shares of the boxes' sides; (N, 0)
    from networks that give none.
    """

    frames: Integers
    boxes: Floats
    scores: Floats
    offsets: Floats
    landmarks: Floats

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: NDArray[np.generic] | slice) -> "Candidates":
        return Candidates(
            self.frames[index],
            self.boxes[index],
            self.scores[index],
            self.offsets[index],
            self.landmarks[index],
        )

    def of_frames(self, frames: Integers) -> "Candidates":
        """The same, where frame 0 until now is the first of `frames`, and so on."""
        return replace(self, frames=frames[self.frames])

    @classmethod
    def read(cls, frames: Integers, boxes: Floats, out: Floats) -> "Candidates":
        """From a network's output, (N, 6) or (N, 16)."""
        return cls(frames, boxes, face_scores(out), out[:, 2:6], out[:, 6:])


def no_candidates(*, outputs: int) -> Candidates:
    """None, as a network that gives so many numbers would."""
    none = np.zeros(0, np.int64)
    return Candidates.read(none, np.zeros((0, 4), np.float32), np.zeros((0, outputs), np.float32))


def joined(parts: Sequence[Candidates]) -> Candidates:
    """All candidates in one, sorted by frame."""
    order = np.argsort(np.concatenate([part.frames for part in parts]), kind="stable")
    return Candidates(
        np.concatenate([part.frames for part in parts])[order],
        np.concatenate([part.boxes for part in parts])[order],
        np.concatenate([part.scores for part in parts])[order],
        np.concatenate([part.offsets for part in parts])[order],
        np.concatenate([part.landmarks for part in parts])[order],
    )


def by_frame(found: Candidates, count: int) -> Iterator[Candidates]:
    """Those of each of so many frames."""
    ends = np.searchsorted(found.frames, np.arange(count + 1))
    return (found[start:end] for start, end in pairwise(ends))


def face_scores(out: Floats) -> Floats:
    """The softmax of the logits "no face" and "face", the first two of the last axis."""
    scores: Floats = 1 / (1 + np.exp(out[..., 0] - out[..., 1]))
    return scores


def proposals(out: Floats, frames: Integers, *, scale: float, threshold: float) -> Candidates:
    """P-Net's (N, rows, columns, 6) maps of a level at this scale, as boxes in the full frames."""
    # By the difference of the logits: of the tens of thousands of places few are above.
    least = np.float32(math.log(threshold / (1 - threshold)))
    frame, row, column = np.nonzero(out[..., 1] - out[..., 0] >= least)
    corner = PROPOSAL_STRIDE_PX * np.stack([column, row], axis=1).astype(np.float32)
    first = np.floor((corner + 1) / np.float32(scale))
    last = np.floor((corner + PROPOSAL_SIDE_PX) / np.float32(scale))
    boxes = np.concatenate([first, last], axis=1)
    return Candidates.read(frames[frame], boxes, out[frame, row, column])


def suppressed(candidates: Candidates, iou: float) -> Candidates:
    """Greedy non-maximum suppression within each frame."""
    return candidates[best_of_each(candidates, iou)]


def best_of_each(candidates: Candidates, iou: float) -> Integers:
    """(K,) which candidates it keeps, in their order."""
    if not len(candidates):
        return np.zeros(0, np.int64)
    # In float64 the offsets that keep frames apart do not blur the boxes.
    boxes = candidates.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    suppress: Any = cv2.dnn.NMSBoxesBatched  # its types know lists alone
    kept = suppress(boxes, candidates.scores, candidates.frames.astype(np.int32), NO_SCORE, iou)
    return np.sort(np.asarray(kept, np.int64))


def not_inside_a_better(boxes: Floats, scores: Floats, *, overlap: float) -> NDArray[np.bool_]:
    """Greedy suppression where overlap is measured against the smaller box; (N,) what is kept.

    Each round decides at least the best box that is still open, so rounds are as many as the
    longest chain of boxes that suppress each other: two or three.
    """
    suppresses = _share_of_smaller(boxes) > overlap
    suppresses &= _ranks(scores)[:, None] < _ranks(scores)[None, :]
    kept: NDArray[np.bool_] = np.ones(len(boxes), np.bool_)
    while True:
        again = np.logical_not((suppresses & kept[:, None]).any(axis=0))
        if (again == kept).all():
            return kept
        kept = again


def _ranks(scores: Floats) -> Integers:
    """The place of each score, best first; of equal ones the later first, as facenet-pytorch."""
    return np.argsort(np.argsort(scores, kind="stable")[::-1])


def _share_of_smaller(boxes: Floats) -> Floats:
    """(N, N) intersections over the smaller of two boxes."""
    first = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    last = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    shared = (last - first + 1).clip(min=0).prod(axis=2)
    shares: Floats = shared / np.minimum(areas[:, None], areas[None, :])
    return shares


def moved(candidates: Candidates, *, inclusive_px: int) -> Floats:
    """The boxes after their offsets; sides count `inclusive_px` more than x1 - x0."""
    sides = candidates.boxes[:, 2:] - candidates.boxes[:, :2] + inclusive_px
    return candidates.boxes + candidates.offsets * np.tile(sides, 2)


def squares(boxes: Floats) -> Floats:
    """Squares around the boxes' centres with their longer sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.max(axis=1, keepdims=True)
    first = boxes[:, :2] + sides * np.float32(0.5) - longer * np.float32(0.5)
    return np.concatenate([first, first + longer], axis=1)


def rectangles(boxes: Floats, sizes: Integers) -> Integers:
    """(N, 4) whole pixels x0 y0 x1 y1, clipped to frames of `sizes` (N, 2), width and height."""
    whole = np.trunc(boxes).astype(np.int64)
    first = np.maximum(whole[:, :2], 1) - 1
    return np.concatenate([first, np.minimum(whole[:, 2:], sizes)], axis=1)


def landmark_points(candidates: Candidates) -> Floats:
    """(N, 5, 2) landmarks in px of the frame."""
    sides = candidates.boxes[:, None, 2:] - candidates.boxes[:, None, :2] + 1
    shares = candidates.landmarks.reshape(-1, 2, 5).transpose(0, 2, 1)
    points: Floats = shares * sides + candidates.boxes[:, None, :2] - 1
    return points
