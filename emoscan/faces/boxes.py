"""Overlaps of boxes, and who belongs to whom by them; boxes are (N, 4) x0 y0 x1 y1 in px."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Pairs = list[tuple[int, int]]

# Rows and columns, (K,) each, of the pairs in a matrix.
Assignment = tuple[NDArray[np.intp], NDArray[np.intp]]
NONE = np.zeros(0, np.intp)


def iou(a: Boxes, b: Boxes) -> Boxes:
    """(N, M) intersections over unions of (N, 4) and (M, 4) boxes."""
    first = np.maximum(a[:, None, :2], b[None, :, :2])
    last = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (last - first).clip(min=0).prod(axis=2)
    unions = areas(a)[:, None] + areas(b)[None, :] - shared
    overlaps: Boxes = shared / np.maximum(unions, np.finfo(np.float32).tiny)
    return overlaps


def paired_iou(a: Boxes, b: Boxes) -> Boxes:
    """(N,) intersections over unions of each of (N, 4) boxes with its own one."""
    first, last = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = (last - first).clip(min=0).prod(axis=1)
    overlaps: Boxes = shared / np.maximum(areas(a) + areas(b) - shared, np.finfo(np.float32).tiny)
    return overlaps


def areas(boxes: Boxes) -> Boxes:
    """(N,) in square pixels."""
    sizes: Boxes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return sizes


def grown(boxes: Boxes, share: float) -> Boxes:
    """Larger by this share of their sides on each of the four sides."""
    more = share * (boxes[:, 2:] - boxes[:, :2])
    larger: Boxes = np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], axis=1)
    return larger.astype(np.float32)


def centres(boxes: Boxes) -> Boxes:
    """(…, 2) of (…, 4) boxes."""
    middle: Boxes = (boxes[..., :2] + boxes[..., 2:]) / np.float32(2)
    return middle


def best_pairs(similarity: Boxes, *, least: float) -> Pairs:
    """The assignment with the largest sum, without pairs below `least`."""
    rows, columns = assignment(np.where(similarity >= least, similarity, 0))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def assignment(worth: Boxes) -> Assignment:
    """The one with the largest sum in (N, M), none negative, without pairs worth 0; rows ascend."""
    if not np.count_nonzero(worth):
        return NONE, NONE
    if 1 in worth.shape:  # so one face does without what takes a third of a second to load
        row, column = divmod(int(worth.argmax()), worth.shape[1])
        return np.array([row]), np.array([column])
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(worth, maximize=True)
    real = worth[rows, columns] > 0
    return rows[real], columns[real]


def nearest_pairs(predicted: Boxes, last: Boxes, boxes: Boxes) -> Pairs:
    """Which of (N, 4) known boxes is which of (M, 4) new ones, as pairs of their indices.

    First by overlap with the `predicted` places; what is left, by overlap of boxes that are grown
    around the `last` places (Yang et al. 2023, arXiv 2211.14317), which holds on where a face has
    moved by its own width.
    """
    if not len(predicted) or not len(boxes):
        return []
    pairs = best_pairs(iou(predicted, boxes), least=LEAST_IOU)
    nearby = iou(grown(last, BUFFER), grown(boxes, BUFFER))
    nearby[[known for known, _ in pairs], :] = 0
    nearby[:, [new for _, new in pairs]] = 0
    return pairs + best_pairs(nearby, least=LEAST_BUFFERED_IOU)


# Boxes of one face in neighbouring frames overlap far more, those of neighbours in a crowd less.
LEAST_IOU = 0.3

# The second look grows both boxes by half a side each way: a face may have moved by its own width.
BUFFER = 0.5
LEAST_BUFFERED_IOU = 0.3
