"""Boxes on their way through the cascade on a device: `candidates`, with room for so many a frame.

Nothing here waits for the device or asks it how many boxes there are, so that all of it can be
recorded. Boxes are (..., 4) float32 x0 y0 x1 y1 in px.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from emoscan.faces.candidates import NO_SCORE

# Boxes of a frame are compared with each other, so many pairs at once: about 20 bytes each.
MOST_PAIRS = 2**24


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """Boxes of B frames in K slots each, and what a network says of them.

    `boxes` (B, K, 4) as the network saw them, `out` (B, K, 6) or (B, K, 16); of slots that are not
    `filled`, (B, K), anything.
    """

    boxes: Tensor
    out: Tensor
    filled: Tensor

    @property
    def scores(self) -> Tensor:
        """(B, K) of a face; NO_SCORE where there is none."""
        return torch.where(self.filled, face_scores(self.out, dim=2), NO_SCORE)

    def moved(self, *, inclusive_px: int) -> Tensor:
        """(B, K, 4) boxes after their offsets; sides count `inclusive_px` more than x1 - x0."""
        sides = self.boxes[..., 2:] - self.boxes[..., :2] + inclusive_px
        return self.boxes + self.out[..., 2:6] * sides.repeat(1, 1, 2)

    def where(self, kept: Tensor) -> "Slots":
        """Those that are `kept` as well, (B, K), in the slots that they have."""
        return Slots(self.boxes, self.out, self.filled & kept)

    def packed(self, room: int) -> "Slots":
        """The first `room` of each frame, in slots without gaps."""
        places, filled = first_places(self.filled, room)
        return Slots(_taken(self.boxes, places), _taken(self.out, places), filled)

    def best_first(self, *, later_first: bool = False) -> Tensor:
        """(B, K) the slots by score; of equal ones the earlier, or the later, is the better.

        They lie as the network before scored them, where the host has them by their places.
        """
        scores = self.scores
        if not later_first:
            return scores.argsort(dim=1, descending=True, stable=True)
        turned = scores.flip(1).argsort(dim=1, descending=True, stable=True)
        return scores.shape[1] - 1 - turned

    def at(self, places: Tensor) -> "Slots":
        """Those in the slots that `places` (B, K) names."""
        return Slots(
            _taken(self.boxes, places), _taken(self.out, places), self.filled.gather(1, places)
        )


def first_places(filled: Tensor, room: int) -> tuple[Tensor, Tensor]:
    """(B, room) where in (B, S) the first ones lie that are `filled`, and which of these there are.

    Those that do not exist lie at 0.
    """
    count = filled.cumsum(1, dtype=torch.int64)
    # What is not wanted goes to one place more, which is cut off.
    slot = torch.where(filled & (count <= room), count - 1, room)
    index = torch.arange(filled.shape[1], device=filled.device)
    places = count.new_zeros(len(filled), room + 1)
    places.scatter_(1, slot, index.expand_as(slot))
    there = torch.arange(room, device=filled.device) < count[:, -1:]
    return torch.where(there, places[:, :room], 0), there


def face_scores(out: Tensor, *, dim: int) -> Tensor:
    """The softmax of the logits "no face" and "face", the first two of this dimension."""
    return torch.sigmoid(out.select(dim, 1) - out.select(dim, 0))


def squares(boxes: Tensor) -> Tensor:
    """Squares around the boxes' centres with their longer sides."""
    sides = boxes[..., 2:] - boxes[..., :2]
    longer = sides.amax(-1, keepdim=True)
    first = boxes[..., :2] + sides * 0.5 - longer * 0.5
    return torch.cat([first, first + longer], -1)


def rectangles(boxes: Tensor, *, width: int, height: int) -> Tensor:
    """(..., 4) int64 whole pixels x0 y0 x1 y1, clipped to the picture."""
    x0, y0, x1, y1 = boxes.trunc().long().unbind(-1)
    first = (x0.clamp(min=1) - 1, y0.clamp(min=1) - 1)
    return torch.stack([*first, x1.clamp(max=width), y1.clamp(max=height)], -1)


def greedy(
    filled: Tensor, suppresses: Callable[[slice], Tensor], *, rounds: int
) -> tuple[Tensor, Tensor]:
    """(B, K) what greedy suppression keeps of slots, best first, and () whether that is settled.

    `suppresses` says of some of the frames, (b, K, K), whether the second of two boxes, if it is
    kept, leaves no room for the first: only those before it count.
    """
    found = [_greedy(filled[part], suppresses(part), rounds=rounds) for part in _parts(filled)]
    kept, settled = zip(*found, strict=True)
    return torch.cat(kept), torch.stack(settled).all()


def beside_any(chosen: Tensor, overlaps: Callable[[slice], Tensor]) -> Tensor:
    """(B, K) which boxes overlap any of the `chosen` ones, (B, K), by (b, K, K) of some frames."""
    return torch.cat([(overlaps(part) & chosen[part, None]).any(2) for part in _parts(chosen)])


def _parts(filled: Tensor) -> list[slice]:
    """Frames of (B, K) whose pairs of boxes are compared at once."""
    step = max(1, MOST_PAIRS // filled.shape[1] ** 2)
    return [slice(first, first + step) for first in range(0, len(filled), step)]


def _greedy(filled: Tensor, suppresses: Tensor, *, rounds: int) -> tuple[Tensor, Tensor]:
    """Each round decides at least those whose betters are all decided.

    After as many rounds as the longest chain of boxes, and one more, nothing changes.
    """
    # A product counts the kept ones among them: numbers that halves hold, in less time than bools.
    numbers = torch.float16 if suppresses.is_cuda else torch.float32
    better = suppresses.tril(-1).to(numbers)
    kept = before = filled
    for _ in range(rounds):
        before = kept
        kept = filled & (torch.bmm(better, before.to(numbers)[..., None])[..., 0] == 0)
    return kept, (kept == before).all()


def paired_iou(boxes: Tensor) -> Tensor:
    """(B, K, K) intersections over unions of each two of (B, K, 4) boxes."""
    shared, area = _shared(boxes, inclusive_px=0), _areas(boxes, inclusive_px=0)
    return shared / (area[:, :, None] + area[:, None] - shared)


def shares_of_smaller(boxes: Tensor) -> Tensor:
    """(B, K, K) intersections over the smaller of each two of (B, K, 4) boxes."""
    area = _areas(boxes, inclusive_px=1)
    return _shared(boxes, inclusive_px=1) / torch.minimum(area[:, :, None], area[:, None])


def _shared(boxes: Tensor, *, inclusive_px: int) -> Tensor:
    x0, y0, x1, y1 = boxes.unbind(-1)
    wide = _common(x0, x1, inclusive_px=inclusive_px)
    return wide.mul_(_common(y0, y1, inclusive_px=inclusive_px))


def _common(first: Tensor, last: Tensor, *, inclusive_px: int) -> Tensor:
    """(B, K, K) lengths that each two of (B, K) stretches have in common."""
    ends = torch.minimum(last[:, :, None], last[:, None])
    begins = torch.maximum(first[:, :, None], first[:, None])
    return ends.sub_(begins).add_(inclusive_px).clamp_(min=0)


def _areas(boxes: Tensor, *, inclusive_px: int) -> Tensor:
    sides = boxes[..., 2:] - boxes[..., :2] + inclusive_px
    return sides[..., 0] * sides[..., 1]


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """(B, N, C) of (B, K, C) values at (B, N) places."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))
