"""Pyramids and crops on a device: what `resample` makes of a picture, of many of one size at once.

Levels are to the bit what they are there but where pixels are left out of halves; there, and in
crops, few differ by one, where a rounding falls otherwise. That is with OpenCV 5: before, it placed
samples on a grid of 1/32 px, and a tenth of the gray levels differ.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from emoscan.faces.device_pyramid import HalvesPlan, Places, Plan, Taps, places_in
from emoscan.faces.resample import FINENESS

# So many samples are taken at once, for crops or for the largest levels: up to 60 bytes each.
MOST_SAMPLES = 2**23


class Resampled(Protocol):
    """What networks look at, of B pictures of one size."""

    @property
    def height(self) -> int:
        """In px."""
        ...

    @property
    def width(self) -> int:
        """In px."""
        ...

    def levels(self) -> Iterator[Tensor]:
        """(B, 3, h, w) float32 levels of the pyramids, largest first, in 0..255."""
        ...

    def crops(self, frames: Tensor, boxes: Tensor, *, side: int) -> Tensor:
        """(N, 3, side, side) float32 of `boxes`, (N, 4) in whole pixels, of the `frames` (N,)."""
        ...


def resampled(pixels: Tensor, its_plan: Plan) -> Resampled:
    """Of (B, H, W, 3) uint8 pictures, as the plan's fidelity says."""
    if its_plan.halves is None:
        return Averages(pixels, its_plan)
    return Halves(pixels, its_plan, its_plan.halves)


class Averages:
    """Fidelity.STOCK: levels and crops by averages over areas of the full pictures."""

    def __init__(self, pixels: Tensor, its_plan: Plan) -> None:
        self.height, self.width = pixels.shape[1:3]
        self._planes = pixels.permute(0, 3, 1, 2).contiguous()
        self._sizes = its_plan.sizes
        # Over all that lies above and left, (B, 3, H + 1, W + 1); they may wrap around.
        padded = functional.pad(self._planes, (1, 0, 1, 0))
        self._sums = padded.cumsum(3, dtype=torch.int32).cumsum_(2)

    def levels(self) -> Iterator[Tensor]:
        """As `Resampled.levels`."""
        for size in self._sizes:
            yield functional.interpolate(self._planes.float(), size, mode="area")

    def crops(self, frames: Tensor, boxes: Tensor, *, side: int) -> Tensor:
        """As `Resampled.crops`: averages over bins of torch's `adaptive_avg_pool2d`."""
        left, right = _bins(boxes[:, 0], boxes[:, 2], side)
        top, bottom = _bins(boxes[:, 1], boxes[:, 3], side)

        def above_left(y: Tensor, x: Tensor) -> Tensor:
            return self._sums[frames[:, None, None], :, y[:, :, None], x[:, None, :]]

        found = above_left(bottom, right) - above_left(top, right)
        found += above_left(top, left) - above_left(bottom, left)
        areas = (bottom - top)[:, :, None] * (right - left)[:, None, :]
        return (found / areas[..., None]).permute(0, 3, 1, 2)


class Halves:
    """Fidelity.QUICK: levels and crops by samples of pictures that are halved again and again."""

    def __init__(self, pixels: Tensor, its_plan: Plan, halves_plan: HalvesPlan) -> None:
        self.height, self.width = pixels.shape[1:3]
        self._others, self._plan = its_plan.others, halves_plan
        # The full pictures and their halves, one behind the other: each crop takes its pixels from
        # the one that it wants. The three channels of a pixel and a zero lie side by side, to be
        # fetched as one number.
        self._pixels_each = sum(map(math.prod, halves_plan.sizes))
        in_a_row = pixels.new_zeros(len(pixels), self._pixels_each, 4)
        half, first = pixels, 0
        for times, (high, wide) in enumerate(halves_plan.sizes):
            half = _halved(half) if times else half
            in_a_row[:, first : first + high * wide, :3] = half.flatten(1, 2)
            first += high * wide
            if times == halves_plan.first_times:
                self._first = half
        self._pixels = in_a_row.view(torch.int32).flatten()

    def levels(self) -> Iterator[Tensor]:
        """As `Resampled.levels`."""
        level = torch.cat([self._first_level(part) for part in self._parts()])
        yield level.float()
        for taps in self._others:
            level = _between(level, *taps)
            yield level.float()

    def crops(self, frames: Tensor, boxes: Tensor, *, side: int) -> Tensor:
        """As `Resampled.crops`."""
        most = max(1, MOST_SAMPLES // (FINENESS * side) ** 2)
        parts = zip(frames.split(most), boxes.split(most), strict=True)
        return torch.cat([self._crops(*part, side=side) for part in parts])

    def _crops(self, frames: Tensor, boxes: Tensor, *, side: int) -> Tensor:
        count = FINENESS * side
        longer = (boxes[:, 2:] - boxes[:, :2]).amax(1)
        times = ((longer // count)[:, None] >= self._plan.powers).sum(1)
        # Small crops have one sample a pixel: the same one where others have several.
        repeats = torch.where(longer <= side, FINENESS, 1)
        ends = boxes.double() / (1 << times)[:, None]
        y = places_in(ends[:, 1::2], count, repeats, rounds_twice=True)
        x = places_in(ends[:, 0::2], count, repeats, rounds_twice=False)
        fine = self._sampled(frames, times, y, x)
        return _halved(fine)[..., :3].permute(0, 3, 1, 2).float()

    def _parts(self) -> Iterator[slice]:
        """Pictures whose largest levels are made at once."""
        step = max(1, MOST_SAMPLES // self._plan.fine_px)
        return (slice(first, first + step) for first in range(0, len(self._first), step))

    def _first_level(self, part: slice) -> Tensor:
        """(b, 3, h, w) int32 of some of the pictures."""
        half = self._first[part]
        if self._plan.first is not None:
            fine = _between(half.permute(0, 3, 1, 2).int(), *self._plan.first)
            return _halved(fine.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).int()
        assert self._plan.spread is not None
        frames = torch.arange(len(self._first), device=half.device)[part]
        times = torch.full_like(frames, self._plan.first_times)
        y, x = (Places(*(its.expand(len(frames), -1) for its in a)) for a in self._plan.spread)
        fine = self._sampled(frames, times, y, x)
        return _halved(fine)[..., :3].permute(0, 3, 1, 2).int()

    def _sampled(self, frames: Tensor, times: Tensor, y: Places, x: Places) -> Tensor:
        """(N, n, m, 4) uint8 at N times n rows and m columns, bilinearly, of the pictures `frames`
        (N,) that are halved so many `times` (N,); edges repeat."""
        its = self._plan
        height, width = its.heights[times, None], its.widths[times, None]
        rows, columns = (
            [(places.pixels + step).clamp(min=0).minimum(length - 1) for step in (0, 1)]
            for places, length in ((y, height), (x, width))
        )
        starts = (self._pixels_each * frames + its.starts[times])[:, None]

        def across(row: Tensor) -> Tensor:
            left, right = (
                _channels(self._pixels.take((starts + row * width)[:, :, None] + column[:, None]))
                for column in columns
            )
            return right.sub_(left).mul_(x.shares[:, None, :, None]).add_(left)

        upper, lower = map(across, rows)
        sampled = lower.sub_(upper).mul_(y.shares[:, :, None, None]).add_(upper)
        return sampled.round_().to(torch.uint8)


def _channels(pixels: Tensor) -> Tensor:
    """(N, n, m, 4) float32 of (N, n, m) int32."""
    channels: Tensor = pixels.view(torch.uint8).unflatten(2, (-1, 4))
    return channels.float()


def _halved(pixels: Tensor) -> Tensor:
    """(B, h, w, C) uint8 means over squares of 2 px, without an odd row or column at the end."""
    rows, columns = (side // 2 * 2 for side in pixels.shape[1:3])
    pairs = pixels[:, 0:rows:2].short() + pixels[:, 1:rows:2].short()
    sums = pairs[:, :, 0:columns:2] + pairs[:, :, 1:columns:2]
    return ((sums + 2) >> 2).to(torch.uint8)


def _between(levels: Tensor, down: Taps, across: Taps) -> Tensor:
    """(B, 3, h, w) int32 between neighbours, in the whole numbers of OpenCV."""
    (left, of_left), (right, of_right) = across
    rows = levels[..., left].mul_(of_left).add_(levels[..., right].mul_(of_right))
    rows.bitwise_right_shift_(4)
    (top, of_top), (bottom, of_bottom) = down
    upper = rows[:, :, top].mul_(of_top[:, None]).bitwise_right_shift_(16)
    lower = rows[:, :, bottom].mul_(of_bottom[:, None]).bitwise_right_shift_(16)
    return upper.add_(lower).add_(2).bitwise_right_shift_(2)


def _bins(first: Tensor, last: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, count) first pixels and ends of the bins from (N,) `first` up to `last`."""
    index = torch.arange(count, device=first.device)
    length = (last - first)[:, None]
    starts = index * length // count
    ends = ((index + 1) * length + count - 1) // count
    return first[:, None] + starts, first[:, None] + ends
