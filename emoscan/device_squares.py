"""Squares of pictures on a device, as `squares.cut_square` cuts them in the main memory.

The same steps with the same whole levels between them, for many squares at once: they differ by a
level where a rounding falls otherwise.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from emoscan.graphs import SIZES, ReplayedBatches, size_for
from emoscan.lanes import Lane, turn
from emoscan.runtime import halving_on_out_of_memory
from emoscan.squares import LONGEST_STEP_PX, MARGIN, REDUCED_TO
from emoscan.uploads import Upload, on_its_way_back

# So many pixels of pictures are cut out at once: 4 bytes each, several times.
MOST_CUT_PX = 2**24
# Around squares so many cells more are cut out as make a whole number of these: few sizes.
CELLS_STEP = 16
# Of one kind and of as many squares each; those of a video are of few kinds at a time.
KEPT_VIEWS = 32
# BT.601's luma as OpenCV computes it, in 2^14ths.
LUMA, LUMA_BITS = (4899, 9617, 1868), 14


class _Kind(NamedTuple):
    """What squares have in common that are cut together."""

    picture_size: tuple[int, int]
    factor: int
    fineness: int
    is_cubic: bool


class SquareViewer:
    """A network that looks at squares of pictures on a device.

    It maps (N, C, out_px, out_px) float32 of whole levels in 0..255, C 3 or, with `gray`, 1, to
    (N, …). What a GPU does for so many squares of one kind is recorded.
    """

    def __init__(
        self, network: Callable[[Tensor], Tensor], *, out_px: int, gray: bool = False
    ) -> None:
        self._network = network
        self._out_px = out_px
        self._gray = gray
        self._replayed = ReplayedBatches(kept=KEPT_VIEWS)

    def __call__(
        self,
        pictures: Sequence[Tensor],
        *,
        frames: NDArray[np.int64],
        squares: NDArray[np.float64],
        turns_deg: NDArray[np.float64] | None = None,
    ) -> Tensor:
        """(N, …) of what it sees there.

        `squares` (N, 3) are left, top and side in px in those of the `pictures`, (H, W, 3) uint8 on
        one device, that `frames` (N,) counts; `turns_deg` (N,) turns them clockwise. Calls come in
        turns in the lane FACES.
        """
        turns = np.zeros(len(squares)) if turns_deg is None else turns_deg
        grids = grids_of(squares, turns, out_px=self._out_px)
        if not len(squares):
            side, channels = self._out_px, 1 if self._gray else 3
            return self._network(pictures[0].new_zeros(0, channels, side, side).float())
        rows, found = [], []
        for kind, its_rows in _by_kind(pictures, frames, grids).items():
            for part in _parts(np.array(its_rows), grids.cells * kind.factor):
                cut = _Cut.of(pictures, frames[part], grids.of(part), factor=kind.factor)
                seen = self._replayed(self._see, cut.pixels, cut.places, settings=kind)
                rows.append(part)
                found.append(seen[: len(part)])
        if len(rows) == 1:
            return found[0]
        order = _there(np.argsort(np.concatenate(rows)), found[0].device)
        return torch.cat(found)[order]

    def look(
        self,
        uploads: Sequence[Upload],
        *,
        frames: NDArray[np.int64],
        squares: NDArray[np.float64],
        turns_deg: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float32]:
        """The same, in a turn of its own and brought here; in halves where memory runs out."""
        device = uploads[0].pixels.device
        turns = np.zeros(len(squares)) if turns_deg is None else turns_deg

        def part_of(pictures: Sequence[Tensor], part: slice) -> Tensor:
            its_turns = turns[part]
            return self(pictures, frames=frames[part], squares=squares[part], turns_deg=its_turns)

        def seen(size: int) -> Callable[[], NDArray[np.float32]]:
            parts = (slice(first, first + size) for first in range(0, max(1, len(squares)), size))
            with turn(device, Lane.FACES):
                pictures = [upload.taken() for upload in uploads]
                return on_its_way_back(torch.cat([part_of(pictures, part) for part in parts]))

        return halving_on_out_of_memory(seen, max(1, len(squares)))()

    def _see(self, pixels: Tensor, places: Tensor, *settings: Any) -> Tensor:
        kind = _Kind(*settings)
        levels = _sampled(
            _Cut(pixels, places), kind, count=kind.fineness * self._out_px, gray=self._gray
        )
        return self._network(_averaged(levels, kind.fineness))


@dataclass(frozen=True, slots=True)
class Grids:
    """As `squares.Grid`, of N squares: arrays (N,), of whole numbers and of others."""

    x0: NDArray[np.float64]
    y0: NDArray[np.float64]
    cells: NDArray[np.int64]
    factor: NDArray[np.int64]
    fineness: NDArray[np.int64]
    is_cubic: NDArray[np.bool_]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    right: NDArray[np.float64]
    down: NDArray[np.float64]

    def of(self, rows: NDArray[np.int64]) -> "Grids":
        """Those of these rows."""
        return Grids(*(getattr(self, field.name)[rows] for field in fields(self)))


def grids_of(squares: NDArray[np.float64], turns_deg: NDArray[np.float64], *, out_px: int) -> Grids:
    """What `squares.grid_of` says of each, of all at once."""
    left, top, side = squares.T
    cos, sin = np.cos(np.radians(turns_deg)), np.sin(np.radians(turns_deg))
    beyond = side * (np.abs(cos) + np.abs(sin) - 1) / 2
    factor = np.maximum(1, side // (REDUCED_TO * out_px))
    x0 = np.floor(left - beyond) - MARGIN * factor
    y0 = np.floor(top - beyond) - MARGIN * factor
    cells = np.ceil((side + 2 * beyond) / factor) + 2 * MARGIN + 1
    left, top, side = (left - x0) / factor, (top - y0) / factor, side / factor
    fineness = np.maximum(1, np.ceil(side / out_px / LONGEST_STEP_PX))
    step = side / (fineness * out_px)
    reach = (side - step) / 2
    return Grids(
        x0,
        y0,
        cells.astype(np.int64),
        factor.astype(np.int64),
        fineness.astype(np.int64),
        (fineness == 1) & (side < out_px),
        x=left + (step - 1) / 2 + reach * (1 - cos + sin),
        y=top + (step - 1) / 2 + reach * (1 - cos - sin),
        right=step * cos,
        down=step * sin,
    )


def _by_kind(
    pictures: Sequence[Tensor], frames: NDArray[np.int64], grids: Grids
) -> dict[_Kind, list[int]]:
    """Rows of each kind."""
    kinds: dict[_Kind, list[int]] = defaultdict(list)
    sizes = [(picture.shape[0], picture.shape[1]) for picture in pictures]
    alike = zip(
        frames.tolist(),
        grids.factor.tolist(),
        grids.fineness.tolist(),
        grids.is_cubic.tolist(),
        strict=True,
    )
    for row, (frame, *settings) in enumerate(alike):
        kinds[_Kind(sizes[frame], *settings)].append(row)
    return kinds


def _parts(rows: NDArray[np.int64], sides_px: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows that are cut at once: alike in size, and within MOST_CUT_PX."""
    rows = rows[np.argsort(-sides_px[rows], kind="stable")]
    borders, first = [], 0
    sides = sides_px[rows].tolist()
    for place, side in enumerate(sides):
        largest = sides[first]
        count = place - first
        is_full = count == SIZES[-1] or (count + 1) * largest**2 > MOST_CUT_PX
        if count and (2 * side < largest or is_full):
            borders.append(place)
            first = place
    return [np.sort(part) for part in np.split(rows, borders)]


@dataclass(frozen=True, slots=True)
class _Cut:
    """Pixels around squares, (N, P, P, 3) uint8, and where in them the samples lie.

    `places` (N, 4): x and y of the first sample, how far right and down the next one of its row is,
    all in px after averaging over the factor.
    """

    pixels: Tensor
    places: Tensor

    @classmethod
    def of(
        cls,
        pictures: Sequence[Tensor],
        frames: NDArray[np.int64],
        grids: Grids,
        *,
        factor: int,
    ) -> "_Cut":
        """What the grids, all of this factor, need of pictures of one size."""
        device = pictures[0].device
        cells = -(-int(grids.cells.max()) // CELLS_STEP) * CELLS_STEP
        used, counted = np.unique(frames, return_inverse=True)
        stack = torch.stack([pictures[frame] for frame in used.tolist()])
        height, width = stack.shape[1:3]
        # One array, for each copy waits for the device; whole numbers are exact in it.
        numbers = np.column_stack(
            [counted, grids.x0, grids.y0, grids.x, grids.y, grids.right, grids.down]
        )
        there = _sent(numbers.astype(np.float32), device)
        frame, x0, y0 = there[:, :3].long().T
        along = torch.arange(cells * factor, device=device)
        # What lies outside repeats the picture's edge.
        x = (x0[:, None] + along).clamp(0, width - 1)
        y = (y0[:, None] + along).clamp(0, height - 1)
        pixels = stack[frame[:, None, None], y[:, :, None], x[:, None, :]]
        return cls(pixels, places=there[:, 3:])


def _sent(numbers: NDArray[np.float32], device: torch.device) -> Tensor:
    """(M, …) there, of (N, …): the last one again and again, so that few sizes are recorded."""
    if device.type == "cuda":
        beyond = np.repeat(numbers[-1:], size_for(len(numbers)) - len(numbers), axis=0)
        numbers = np.concatenate([numbers, beyond])
    return _there(numbers, device)


def _there(numbers: NDArray[Any], device: torch.device) -> Tensor:
    """On the device, for what it does next; the host goes on before they have arrived."""
    here = torch.from_numpy(numbers)
    return here.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else here


def _sampled(cut: _Cut, kind: _Kind, *, count: int, gray: bool) -> Tensor:
    """(N, C, count, count) whole levels at the samples."""
    levels = _reduced(_luma(cut.pixels) if gray else cut.pixels.permute(0, 3, 1, 2), kind.factor)
    cells = levels.shape[-1]
    x, y, right, down = cut.places[:, :, None, None].unbind(1)
    steps = torch.arange(count, dtype=torch.float32, device=levels.device)
    column, row = steps[None, None, :], steps[None, :, None]
    at = torch.stack([x + right * column - down * row, y + down * column + right * row], dim=-1)
    samples = functional.grid_sample(
        levels,
        at * (2 / (cells - 1)) - 1,
        mode="bicubic" if kind.is_cubic else "bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return samples.round().clamp(0, 255)


def _luma(pixels: Tensor) -> Tensor:
    """(N, 1, H, W) int32 of (N, H, W, 3) uint8 RGB."""
    red, green, blue = pixels.int().unbind(-1)
    half = 1 << (LUMA_BITS - 1)
    levels = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + half
    return (levels >> LUMA_BITS).unsqueeze(1)


def _reduced(pixels: Tensor, factor: int) -> Tensor:
    """(N, C, P / factor, P / factor) float32: averages in the steps of `squares`, rounded as there.

    Fractions of one half go up and, in each second step, down.
    """
    levels, rounds_up = pixels.float(), True
    while factor > 1:
        step = 2 if factor % 2 == 0 else factor
        levels = functional.avg_pool2d(levels, step)
        levels = (levels + 0.5).floor() if rounds_up else (levels - 0.5).ceil()
        factor, rounds_up = factor // step, not rounds_up
    return levels


def _averaged(samples: Tensor, fineness: int) -> Tensor:
    """Whole levels of so many samples a side.

    OpenCV rounds a quarter of four up where it ends in one half; of more, to the even one.
    """
    if fineness == 1:
        return samples
    levels = functional.avg_pool2d(samples, fineness)
    return (levels + 0.5).floor() if fineness == 2 else levels.round()
