"""The pyramids that P-Net looks at, on a device: what is resampled from where, and the pixels.

To the bit what `resample` makes of each picture in the main memory, but for Fidelity.QUICK.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from emoscan.faces.networks import PROPOSAL_SIDE_PX, PROPOSAL_STRIDE_PX, places_along
from emoscan.faces.pyramid import pyramid_levels
from emoscan.faces.resample import Fidelity

# Plans for so many sizes of pictures are remembered.
KEPT_PLANS = 32

# For each output place: which pixels, (n,) int64, and their shares or weights, (n,).
Taps = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Plan:
    """Of the pyramids of pictures of one size: everything but their pixels, on the device.

    `sizes` are the levels' heights and widths; `first` the taps down and across the picture for the
    largest, `others` those of each level for the next smaller one. P-Net's maps have S places in
    all, level by level and row by row: `ends` (L,) of the levels, their `columns` (L,) and `scales`
    (L,). Two are never equal, so whoever keeps one keeps its tensors.
    """

    sizes: list[tuple[int, int]]
    enlarges: bool
    first: tuple[Taps, Taps]
    others: list[tuple[Taps, Taps]]
    fidelity: Fidelity
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
    enlarges = bool(sizes) and (sizes[0][0] > height or sizes[0][1] > width)
    shares = _enlarging if enlarges else _shrinking
    chained = sizes if fidelity is Fidelity.CHAINED else []
    return Plan(
        sizes=sizes,
        enlarges=enlarges,
        first=(
            shares(height, sizes[0][0], device) if chained else [],
            shares(width, sizes[0][1], device) if chained else [],
        ),
        others=[
            (_linear(above[0], below[0], device), _linear(above[1], below[1], device))
            for above, below in pairwise(chained)
        ],
        fidelity=fidelity,
        ends=ends.to(device),
        columns=torch.tensor([columns for _, columns in maps], dtype=torch.int64).to(device),
        scales=torch.tensor([level.scale for level in levels], dtype=torch.float32).to(device),
    )


def levels_of(planes: Tensor, its_plan: Plan) -> Iterator[Tensor]:
    """(B, 3, h, w) float32 levels, largest first, in 0..255, of (B, 3, H, W) uint8 pictures."""
    if its_plan.fidelity is Fidelity.STOCK:
        for size in its_plan.sizes:
            yield functional.interpolate(planes.float(), size, mode="area")
        return
    if not its_plan.sizes:
        return
    shrink = _between if its_plan.enlarges else _averaged
    level = shrink(planes.int() if its_plan.enlarges else planes, *its_plan.first)
    yield level.float()
    for down, across in its_plan.others:
        level = _between(level, down, across)
        yield level.float()


def _averaged(planes: Tensor, down: Taps, across: Taps) -> Tensor:
    """(B, 3, h, w) int32 averages over areas, shares of pixels included."""
    rows = torch.zeros(1, device=planes.device)
    for pixels, shares in down:
        rows = rows + planes[:, :, pixels] * shares[:, None]
    out = torch.zeros(1, device=planes.device)
    for pixels, shares in across:
        out = out + rows[..., pixels] * shares
    return out.round().int()


def _between(levels: Tensor, down: Taps, across: Taps) -> Tensor:
    """(B, 3, h, w) int32 between neighbours, in the whole numbers of OpenCV."""
    (left, of_left), (right, of_right) = across
    rows = (levels[..., left] * of_left + levels[..., right] * of_right) >> 4
    (top, of_top), (bottom, of_bottom) = down
    upper = (rows[:, :, top] * of_top[:, None]) >> 16
    lower = (rows[:, :, bottom] * of_bottom[:, None]) >> 16
    return (upper + lower + 2) >> 2


def _shrinking(length_px: int, count: int, device: torch.device) -> Taps:
    """The first pixels of `count` equal parts and their shares in them, the second ones, and so
    on."""
    length = length_px / count
    borders = torch.arange(count + 1, dtype=torch.float64) * length
    first = borders[:-1].floor()
    taps = []
    for step in range(math.ceil(length) + 1):
        pixels = first + step
        inside = torch.minimum(borders[1:], pixels + 1) - torch.maximum(borders[:-1], pixels)
        share = (inside.clamp(min=0) / length).float()
        taps.append((pixels.long().clamp(max=length_px - 1).to(device), share.to(device)))
    return taps


def _linear(length_px: int, count: int, device: torch.device) -> Taps:
    """The pixels before and behind `count` places along so many, and their weights in 2048ths."""
    index = torch.arange(count, dtype=torch.float64)
    places = ((index + 0.5) * (length_px / count) - 0.5).float().clamp(0, length_px - 1)
    return _weighted(places.floor(), places - places.floor(), length_px, device)


def _enlarging(length_px: int, count: int, device: torch.device) -> Taps:
    """As OpenCV enlarges where it is asked for averages over areas: only places whose area reaches
    into the next pixel lie between two."""
    index = torch.arange(count, dtype=torch.float64)
    before = (index * (length_px / count)).floor()
    share = ((index + 1) - (before + 1) * (count / length_px)).float().clamp(min=0)
    return _weighted(before, share - share.floor(), length_px, device)


def _weighted(before: Tensor, share: Tensor, length_px: int, device: torch.device) -> Taps:
    pixels = before.long()
    weights = ((1 - share) * 2048).round().int(), (share * 2048).round().int()
    behind = (pixels + 1).clamp(max=length_px - 1)
    return [(pixels.to(device), weights[0].to(device)), (behind.to(device), weights[1].to(device))]
