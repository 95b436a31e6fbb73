"""The pyramids that P-Net looks at, on a device: what is resampled from where."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from emoscan.faces.networks import (
    PROPOSAL_SIDE_PX,
    PROPOSAL_STRIDE_PX,
    REFINEMENT_SIDE_PX,
    places_along,
)
from emoscan.faces.pyramid import pyramid_levels
from emoscan.faces.resample import FINENESS, MARGIN_PX, Fidelity, is_spread, times_halved

# Plans for so many sizes of pictures are remembered.
KEPT_PLANS = 32

# For each output place: which pixels, (n,) int64, and their weights in 2048ths, (n,).
Taps = list[tuple[Tensor, Tensor]]


class Places(NamedTuple):
    """Between pixels: (N, n) int64 the one before each, and its (N, n) shares in the next one."""

    pixels: Tensor
    shares: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class HalvesPlan:
    """Of pictures that are halved H times, and lie one behind the other, the full one first.

    `powers` (H,) are 2, 4 and so on; `sizes` the H + 1 heights and widths, which `heights` and
    `widths` (H + 1,) have on the device, and `starts` (H + 1,) where each begins. The largest level
    comes from the one that is halved `first_times` times, where FINENESS samples a pixel of it lie
    each way, `fine_px` in all: by the taps of `first` down and across or, where rows or columns
    were left out, at `spread` places.
    """

    powers: Tensor
    sizes: list[tuple[int, int]]
    heights: Tensor
    widths: Tensor
    starts: Tensor
    first_times: int
    fine_px: int
    first: tuple[Taps, Taps] | None
    spread: tuple[Places, Places] | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Plan:
    """Of the pyramids of pictures of one size: everything but their pixels, on the device.

    `sizes` are the levels' heights and widths, `others` the taps down and across each level for the
    next smaller one. P-Net's maps have S places in all, level by level and row by row: `ends` (L,)
    of the levels, their `columns` (L,) and `scales` (L,). For STOCK there are no `others` and no
    `halves`. Two are never equal, so whoever keeps one keeps its tensors.
    """

    sizes: list[tuple[int, int]]
    others: list[tuple[Taps, Taps]]
    halves: HalvesPlan | None
    ends: Tensor
    columns: Tensor
    scales: Tensor

    def boxes(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 4) boxes in the picture of N of the S places, and (N,) which level each is on."""
        level = torch.bucketize(places, self.ends, right=True)
        before = functional.pad(self.ends, (1, 0))[level]
        columns = self.columns[level]
        row = torch.div(places - before, columns, rounding_mode="floor")
        column = places - before - row * columns
        corner = PROPOSAL_STRIDE_PX * torch.stack([column, row], 1).float()
        ends = torch.cat([corner + 1, corner + PROPOSAL_SIDE_PX], 1)
        return (ends / self.scales[level, None]).floor(), level


@lru_cache(KEPT_PLANS)
def plan(
    height: int, width: int, min_face_px: float, fidelity: Fidelity, device: torch.device
) -> Plan:
    """Of pictures of this size where faces from `min_face_px` on are looked for."""
    levels = pyramid_levels(height, width, min_face_px)
    sizes = [level.size for level in levels]
    maps = [(places_along(high), places_along(wide)) for high, wide in sizes]
    ends = torch.tensor([rows * columns for rows, columns in maps], dtype=torch.int64).cumsum(0)
    is_quick = fidelity is Fidelity.QUICK and bool(sizes)
    return Plan(
        sizes=sizes,
        others=[
            (_linear(above[0], below[0], device), _linear(above[1], below[1], device))
            for above, below in pairwise(sizes if is_quick else [])
        ],
        halves=_halves_plan(height, width, sizes[0], device) if is_quick else None,
        ends=ends.to(device),
        columns=_whole([columns for _, columns in maps], device),
        scales=torch.tensor([level.scale for level in levels], dtype=torch.float32).to(device),
    )


def _halves_plan(
    height: int, width: int, largest: tuple[int, int], device: torch.device
) -> HalvesPlan:
    """Of pictures whose largest level is as high and wide as `largest`."""
    first_times = times_halved(min(height // largest[0], width // largest[1]))
    halves = range(max(first_times, _most_halved(height, width)) + 1)
    sizes = [(height >> times, width >> times) for times in halves]
    sizes_px = [math.prod(size) for size in sizes]
    fine = [FINENESS * side for side in largest]
    first = spread = None
    if is_spread(height, width, times=first_times):
        spread = (
            _over(height / 2**first_times, fine[0], device, rounds_twice=True),
            _over(width / 2**first_times, fine[1], device, rounds_twice=False),
        )
    else:
        high, wide = sizes[first_times]
        first = _linear(high, fine[0], device), _linear(wide, fine[1], device)
    return HalvesPlan(
        powers=_whole([2**times for times in halves[1:]], device),
        sizes=sizes,
        heights=_whole([high for high, _ in sizes], device),
        widths=_whole([wide for _, wide in sizes], device),
        starts=_whole([sum(sizes_px[:times]) for times in halves], device),
        first_times=first_times,
        fine_px=math.prod(fine),
        first=first,
        spread=spread,
    )


def _whole(numbers: list[int], device: torch.device) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int64).to(device)


def _most_halved(height: int, width: int) -> int:
    """How often crops want pictures to be halved, while anything is left of them."""
    wanted = times_halved(max(height, width) // (FINENESS * REFINEMENT_SIDE_PX))
    return min(wanted, min(height, width).bit_length() - 1)


def _linear(length_px: int, count: int, device: torch.device) -> Taps:
    """The pixels before and behind `count` places along so many, and their weights."""
    index = torch.arange(count, dtype=torch.float64)
    places = ((index + 0.5) * (length_px / count) - 0.5).float()
    before = places.floor()
    share = places - before
    return [
        (
            pixels.long().clamp(0, length_px - 1).to(device),
            (2048 * weights).round().int().to(device),
        )
        for pixels, weights in ((before, 1 - share), (before + 1, share))
    ]


def _over(length_px: float, count: int, device: torch.device, *, rounds_twice: bool) -> Places:
    """(1, count) places over all of a length."""
    ends, once = torch.tensor([[0, length_px]]), torch.ones(1, dtype=torch.int64)
    its = places_in(ends, count, once, rounds_twice=rounds_twice)
    return Places(*(each.to(device) for each in its))


def places_in(ends: Tensor, count: int, repeats: Tensor, *, rounds_twice: bool) -> Places:
    """Evenly over (N, 2) first and last ends of stretches in px, `repeats` (N,) at each place.

    As `cv2.warpAffine` computes them in float32, of the part of a picture that it is given: down
    the picture with the product rounded before the sum, across it only once. Else some samples that
    lie exactly between two levels would be rounded to the other one.
    """
    first, last = ends.double().unbind(1)
    start = (first.trunc() - MARGIN_PX).clamp(min=0)
    step = (last - first) / torch.div(count, repeats, rounding_mode="floor")
    numbers = torch.float32 if rounds_twice else torch.float64
    origin, step = (first - start + step / 2 - 0.5).float(), step.float()
    index = torch.arange(count, device=ends.device) // repeats[:, None]
    places = (step.to(numbers)[:, None] * index + origin.to(numbers)[:, None]).float()
    before = places.floor()
    return Places((start[:, None] + before).long(), places - before)
