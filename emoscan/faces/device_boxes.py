"""Boxes on their way through the cascade on a device: `candidates`, in torch.

Boxes are (N, 4) float32 x0 y0 x1 y1 in px. What is written here is in TorchScript's Python.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from emoscan.scripted import scripted

# Pairs of boxes that are compared at once: about 100 bytes each.
MOST_PAIRS = 2**23
# After so many rounds it is looked whether anything still changes: most chains are shorter.
ROUNDS = 4


class Found(NamedTuple):
    """Boxes of many frames, sorted by frame, and what a network says of each.

    `frames` (N,) int64, `boxes` (N, 4) as the network saw them, `out` (N, 6) or (N, 16).
    """

    frames: Tensor
    boxes: Tensor
    out: Tensor


@scripted
def proposed(
    out: Tensor,
    boxes: Tensor,
    level_of: Tensor,
    levels: int,
    threshold: float,
    level_iou: float,
    frame_iou: float,
) -> Found:
    """P-Net's boxes, of what it says, (B, 6, S), of the same S places in each frame.

    `boxes` (S, 4) are the places and `level_of` (S,) their `levels` of the pyramid. Those are kept
    that no better one of their level and then none of their frame overlaps by more than these.
    """
    sure = (face_scores(out) >= threshold).nonzero()
    frames, places = sure[:, 0], sure[:, 1]
    found = Found(frames, boxes[places], out[frames, :, places])
    on_level = frames * levels + level_of[places]
    found = those(found, _suppressed(found.boxes, face_scores(found.out), on_level, level_iou))
    kept = _suppressed(found.boxes, face_scores(found.out), found.frames, frame_iou)
    return those(found, kept)


@scripted
def refined(found: Found, threshold: float, iou: float) -> Found:
    """Of R-Net's boxes those whose score is above `threshold`, after suppression."""
    found = those(found, (face_scores(found.out) > threshold).nonzero()[:, 0])
    return those(found, _suppressed(found.boxes, face_scores(found.out), found.frames, iou))


@scripted
def settled(found: Found, threshold: float, overlap: float) -> Found:
    """Of O-Net's boxes those whose score is above `threshold` and that lie in no better one."""
    found = those(found, (face_scores(found.out) > threshold).nonzero()[:, 0])
    boxes = moved(found, 1)
    return those(found, _not_inside_better(boxes, face_scores(found.out), found.frames, overlap))


@scripted
def windows(found: Found, inclusive_px: int, width: int, height: int) -> tuple[Found, Tensor]:
    """The squares around the moved boxes that the next network is to see, without its numbers yet.

    And what of them lies inside of a picture of this size, (N, 4) int64 whole pixels; those of
    which nothing does are left out.
    """
    boxes = squares(moved(found, inclusive_px))
    pixels = rectangles(boxes, width, height)
    inside = (pixels[:, :2] < pixels[:, 2:]).all(1).nonzero()[:, 0]
    return those(Found(found.frames, boxes, found.out), inside), pixels[inside]


def face_scores(out: Tensor) -> Tensor:
    """The softmax of the logits "no face" and "face", the first two of dimension 1."""
    return torch.sigmoid(out[:, 1] - out[:, 0])


def those(found: Found, rows: Tensor) -> Found:
    """Of these rows."""
    return Found(found.frames[rows], found.boxes[rows], found.out[rows])


def moved(found: Found, inclusive_px: int) -> Tensor:
    """(N, 4) boxes after their offsets; sides count `inclusive_px` more than x1 - x0."""
    sides = found.boxes[:, 2:] - found.boxes[:, :2] + inclusive_px
    return found.boxes + found.out[:, 2:6] * sides.repeat(1, 2)


def squares(boxes: Tensor) -> Tensor:
    """Squares around the boxes' centres with their longer sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.amax(1, keepdim=True)
    first = boxes[:, :2] + sides * 0.5 - longer * 0.5
    return torch.cat([first, first + longer], 1)


def rectangles(boxes: Tensor, width: int, height: int) -> Tensor:
    """(N, 4) int64 whole pixels x0 y0 x1 y1, clipped to the picture."""
    whole = boxes.trunc().long()
    first = whole[:, :2].clamp(min=1) - 1
    return torch.cat([first, whole[:, 2:3].clamp(max=width), whole[:, 3:].clamp(max=height)], 1)


@scripted
def suppressed(
    boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most_pairs: int = MOST_PAIRS
) -> Tensor:
    """(M,) int64, ascending: what greedy non-maximum suppression within each group keeps.

    `scores` and `groups` are (N,). A box goes if a better one of its group, which stays itself,
    overlaps it by more than `iou`. Waits for the device a few times.
    """
    return _suppressed(boxes, scores, groups, iou, most_pairs)


@scripted
def not_inside_better(boxes: Tensor, scores: Tensor, groups: Tensor, overlap: float) -> Tensor:
    """As `suppressed`, where overlap is measured against the smaller box, inclusive pixels.

    Of equal scores the later is the better, as in `candidates.not_inside_a_better`.
    """
    return _not_inside_better(boxes, scores, groups, overlap)


def _suppressed(
    boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most_pairs: int = MOST_PAIRS
) -> Tensor:
    order = scores.argsort(stable=True, dim=0, descending=True)
    return _kept(boxes, groups, order, iou, False, most_pairs)


def _not_inside_better(boxes: Tensor, scores: Tensor, groups: Tensor, overlap: float) -> Tensor:
    order = scores.flip(0).argsort(stable=True, dim=0, descending=True)
    return _kept(boxes, groups, boxes.shape[0] - 1 - order, overlap, True)


def _kept(
    boxes: Tensor,
    groups: Tensor,
    order: Tensor,
    overlap: float,
    of_smaller: bool,
    most_pairs: int = MOST_PAIRS,
    rounds: int = ROUNDS,
) -> Tensor:
    """What is kept of boxes, of which `order` (N,) names the best first.

    Which of them overlap is asked once; then each round decides at least those whose betters are
    all decided.
    """
    order = order[groups[order].argsort(stable=True, dim=0, descending=False)]
    better, worse = _overlapping(boxes[order], groups[order], overlap, of_smaller, most_pairs)
    kept = torch.ones_like(boxes[:, 0])  # as numbers: CUDA scatters no booleans
    is_changing = True
    while is_changing:
        before = kept
        for _ in range(rounds):
            before = kept
            kept = 1 - torch.zeros_like(kept).index_add_(0, worse, kept[better]).clamp_(max=1)
        is_changing = not torch.equal(kept, before)
    return order[kept > 0].sort()[0]


def _overlapping(
    boxes: Tensor, groups: Tensor, overlap: float, of_smaller: bool, most_pairs: int
) -> tuple[Tensor, Tensor]:
    """Places of all pairs of a group, which lies together, that overlap: the first and the later.

    Waits for the device to know how many there are.
    """
    places = torch.arange(boxes.shape[0], device=boxes.device)
    behind = torch.searchsorted(groups, groups, right=True) - places - 1
    ends = behind.cumsum(0)
    count = int(behind.sum())
    firsts, laters = [places[:0]], [places[:0]]
    for start in range(0, count, most_pairs):
        pairs = torch.arange(start, min(start + most_pairs, count), device=boxes.device)
        first = torch.searchsorted(ends, pairs, right=True)
        later = first + 1 + pairs - (ends - behind)[first]
        over = (_overlaps(boxes[first], boxes[later], of_smaller) > overlap).nonzero()[:, 0]
        firsts.append(first[over])
        laters.append(later[over])
    return torch.cat(firsts), torch.cat(laters)


def _overlaps(a: Tensor, b: Tensor, of_smaller: bool) -> Tensor:
    """(N,) intersections of (N, 4) boxes with others over their unions or the smaller of both.

    Over the smaller, pixels are inclusive.
    """
    inclusive_px = int(of_smaller)
    first, last = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (last - first + inclusive_px).clamp(min=0).prod(1)
    areas_a = (a[:, 2:] - a[:, :2] + inclusive_px).prod(1)
    areas_b = (b[:, 2:] - b[:, :2] + inclusive_px).prod(1)
    over = torch.minimum(areas_a, areas_b) if of_smaller else areas_a + areas_b - shared
    return shared / over
