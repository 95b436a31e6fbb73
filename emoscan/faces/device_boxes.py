"""Boxes on their way through the cascade on a device: `candidates`, in torch.

Boxes are (N, 4) float32 x0 y0 x1 y1 in px. Whoever suppresses waits for the device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Overlaps = Callable[[Tensor, Tensor], Tensor]

# Pairs of boxes that are compared at once: about 100 bytes each.
MOST_PAIRS = 2**23
# After so many rounds it is looked whether anything still changes: most chains are shorter.
ROUNDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class DeviceCandidates:
    """Boxes of many frames, sorted by frame, and what a network says of each.

    `frames` (N,) int64, `boxes` (N, 4) as the network saw them, `out` (N, 6) or (N, 16).
    """

    frames: Tensor
    boxes: Tensor
    out: Tensor

    def __getitem__(self, index: Tensor) -> "DeviceCandidates":
        return DeviceCandidates(self.frames[index], self.boxes[index], self.out[index])

    @property
    def scores(self) -> Tensor:
        """(N,) of a face."""
        return face_scores(self.out)

    def moved(self, *, inclusive_px: int) -> Tensor:
        """(N, 4) boxes after their offsets; sides count `inclusive_px` more than x1 - x0."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2] + inclusive_px
        return self.boxes + self.out[:, 2:6] * sides.repeat(1, 2)


def face_scores(out: Tensor) -> Tensor:
    """The softmax of the logits "no face" and "face", the first two of dimension 1."""
    return torch.sigmoid(out[:, 1] - out[:, 0])


def squares(boxes: Tensor) -> Tensor:
    """Squares around the boxes' centres with their longer sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.amax(1, keepdim=True)
    first = boxes[:, :2] + sides * 0.5 - longer * 0.5
    return torch.cat([first, first + longer], 1)


def rectangles(boxes: Tensor, *, width: int, height: int) -> Tensor:
    """(N, 4) int64 whole pixels x0 y0 x1 y1, clipped to the picture."""
    whole = boxes.trunc().long()
    first = whole[:, :2].clamp(min=1) - 1
    return torch.cat([first, whole[:, 2:3].clamp(max=width), whole[:, 3:].clamp(max=height)], 1)


def suppressed(boxes: Tensor, scores: Tensor, groups: Tensor, *, iou: float) -> Tensor:
    """(M,) int64, ascending: what greedy non-maximum suppression within each group keeps.

    `scores` and `groups` are (N,). A box goes if a better one of its group, which stays itself,
    overlaps it by more than `iou`. Waits for the device a few times.
    """
    order = scores.argsort(descending=True, stable=True)
    return _kept(boxes, groups, order, lambda better, worse: _paired_iou(better, worse) > iou)


def not_inside_better(boxes: Tensor, scores: Tensor, groups: Tensor, *, overlap: float) -> Tensor:
    """As `suppressed`, where overlap is measured against the smaller box, inclusive pixels.

    Of equal scores the later is the better, as in `candidates.not_inside_a_better`.
    """
    order = len(scores) - 1 - scores.flip(0).argsort(descending=True, stable=True)
    return _kept(
        boxes, groups, order, lambda better, worse: _share_of_smaller(better, worse) > overlap
    )


def _kept(boxes: Tensor, groups: Tensor, order: Tensor, overlaps: Overlaps) -> Tensor:
    """What is kept of boxes, of which `order` (N,) names the best first.

    Which of them overlap is asked once; then each round decides at least those whose betters are
    all decided.
    """
    order = order[groups[order].argsort(stable=True)]
    better, worse = _overlapping(boxes[order], groups[order], overlaps)
    kept = boxes.new_ones(len(boxes))  # as numbers: CUDA scatters no booleans
    while True:
        for _ in range(ROUNDS):
            before = kept
            kept = 1 - kept.new_zeros(len(boxes)).index_add_(0, worse, kept[better]).clamp_(max=1)
        if torch.equal(kept, before):
            return order[kept > 0].sort().values


def _overlapping(boxes: Tensor, groups: Tensor, overlaps: Overlaps) -> tuple[Tensor, Tensor]:
    """Places of all pairs of a group, which lies together, that overlap: the first and the later.

    Waits for the device to know how many there are.
    """
    places = torch.arange(len(boxes), device=boxes.device)
    behind = torch.searchsorted(groups, groups, right=True) - places - 1
    ends = behind.cumsum(0)
    count = int(ends[-1]) if len(boxes) else 0
    found = [(places[:0], places[:0])]
    for start in range(0, count, MOST_PAIRS):
        pairs = torch.arange(start, min(start + MOST_PAIRS, count), device=boxes.device)
        first = torch.searchsorted(ends, pairs, right=True)
        later = first + 1 + pairs - (ends - behind)[first]
        over = overlaps(boxes[first], boxes[later]).nonzero()[:, 0]
        found.append((first[over], later[over]))
    firsts, laters = zip(*found, strict=True)
    return torch.cat(firsts), torch.cat(laters)


def _paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """(N,) intersections over unions of each of (N, 4) boxes with its own one."""
    shared = _shared(a, b, inclusive_px=0)
    return shared / (_areas(a, inclusive_px=0) + _areas(b, inclusive_px=0) - shared)


def _share_of_smaller(a: Tensor, b: Tensor) -> Tensor:
    """(N,) intersections over the smaller of each of (N, 4) boxes and its own one."""
    smaller = torch.minimum(_areas(a, inclusive_px=1), _areas(b, inclusive_px=1))
    return _shared(a, b, inclusive_px=1) / smaller


def _shared(a: Tensor, b: Tensor, *, inclusive_px: int) -> Tensor:
    first, last = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    return (last - first + inclusive_px).clamp(min=0).prod(1)


def _areas(boxes: Tensor, *, inclusive_px: int) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2] + inclusive_px).prod(1)
