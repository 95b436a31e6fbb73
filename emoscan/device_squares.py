"""Squares of pictures on a device, as `squares.cut_square` cuts them in the main memory.

The same steps with the same whole levels between them, for many squares at once: they differ by a
level where a rounding falls otherwise.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from emoscan.scripted import scripted
from emoscan.squares import LONGEST_STEP_PX, MARGIN, REDUCED_TO

# So many pixels of pictures are cut out at once: 4 bytes each, several times.
MOST_CUT_PX = 2**24


class Kind(NamedTuple):
    """What squares have in common that are cut together."""

    picture_size: tuple[int, int]
    factor: int
    fineness: int
    is_cubic: bool


def cut_squares(
    pictures: Sequence[Tensor],
    *,
    frames: NDArray[np.int64],
    squares: NDArray[np.float64],
    out_px: int,
    gray: bool = False,
    turns_deg: NDArray[np.float64] | None = None,
) -> Tensor:
    """(N, C, out_px, out_px) float32 of whole levels in 0..255, C 3 or, with `gray`, 1.

    `squares` (N, 3) are left, top and side in px in those of the `pictures`, (H, W, 3) uint8 on one
    device, that `frames` (N,) counts; `turns_deg` (N,) turns them clockwise.
    """
    turns = np.zeros(len(squares)) if turns_deg is None else turns_deg
    grids = grids_of(squares, turns, out_px=out_px)
    device = pictures[0].device
    out = torch.empty(len(squares), 1 if gray else 3, out_px, out_px, device=device)
    for kind, rows in _by_kind(pictures, frames, grids).items():
        for part in _parts(np.array(rows), grids.cells * kind.factor):
            levels = sampled(
                *_stacked(pictures, frames[part], grids.of(part)),
                kind=kind,
                cells=int(grids.cells[part].max()),
                out_px=out_px,
                gray=gray,
            )
            if len(part) == len(out):
                return levels
            out[torch.from_numpy(part).to(device)] = levels
    return out


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
) -> dict[Kind, list[int]]:
    """Rows of each kind."""
    kinds: dict[Kind, list[int]] = defaultdict(list)
    sizes = [(picture.shape[0], picture.shape[1]) for picture in pictures]
    alike = zip(
        frames.tolist(),
        grids.factor.tolist(),
        grids.fineness.tolist(),
        grids.is_cubic.tolist(),
        strict=True,
    )
    for row, (frame, *settings) in enumerate(alike):
        kinds[Kind(sizes[frame], *settings)].append(row)
    return kinds


def _parts(rows: NDArray[np.int64], sides_px: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows that are cut at once: alike in size, and within MOST_CUT_PX."""
    rows = rows[np.argsort(-sides_px[rows], kind="stable")]
    borders, first = [], 0
    sides = sides_px[rows].tolist()
    for place, side in enumerate(sides):
        largest = sides[first]
        if place > first and (2 * side < largest or (place - first + 1) * largest**2 > MOST_CUT_PX):
            borders.append(place)
            first = place
    return [np.sort(part) for part in np.split(rows, borders)]


def _stacked(
    pictures: Sequence[Tensor], frames: NDArray[np.int64], grids: Grids
) -> tuple[Tensor, Tensor]:
    """The pictures, of one size, that are looked at, and of each square its picture and its grid.

    (B, H, W, 3) and (N, 7), in one array, for each copy waits for the device; whole numbers are
    exact in it.
    """
    used, counted = np.unique(frames, return_inverse=True)
    numbers = np.column_stack(
        [counted, grids.x0, grids.y0, grids.x, grids.y, grids.right, grids.down]
    )
    stack = torch.stack([pictures[frame] for frame in used.tolist()])
    return stack, torch.from_numpy(numbers.astype(np.float32)).to(stack.device)


@scripted
def sampled(
    stack: Tensor, numbers: Tensor, kind: Kind, cells: int, out_px: int, gray: bool
) -> Tensor:
    """(N, C, out_px, out_px) whole levels of squares with grids of one kind, see `squares.Grid`.

    Written, as what it calls, in TorchScript's Python.
    """
    pixels = _cut(stack, numbers[:, :3].long(), cells * kind.factor)
    levels = _reduced(_luma(pixels) if gray else pixels.permute(0, 3, 1, 2), kind.factor)
    at = _places(numbers[:, 3:], kind.fineness * out_px)
    samples = functional.grid_sample(
        levels,
        at * (2 / (cells - 1)) - 1,
        mode="bicubic" if kind.is_cubic else "bilinear",
        padding_mode="border",
        align_corners=True,
    )
    samples = samples.round().clamp(0, 255)
    if kind.fineness == 1:
        return samples
    return functional.avg_pool2d(samples, kind.fineness).round()


def _cut(stack: Tensor, corners: Tensor, side: int) -> Tensor:
    """(N, side, side, 3) pixels from `corners` on, (N, 3): which picture, x and y."""
    along = torch.arange(side, device=stack.device)
    # What lies outside repeats the picture's edge.
    x = (corners[:, 1:2] + along).clamp(0, stack.shape[2] - 1)
    y = (corners[:, 2:3] + along).clamp(0, stack.shape[1] - 1)
    return stack[corners[:, 0, None, None], y[:, :, None], x[:, None, :]]


def _places(numbers: Tensor, count: int) -> Tensor:
    """(N, count, count, 2) x and y of samples: the first one, and how far right and down the next
    one of its row is, (N, 4)."""
    steps = torch.arange(count, device=numbers.device).float()
    column, row = steps[None, None, :], steps[None, :, None]
    x, y, right, down = numbers[:, :, None, None].unbind(1)
    return torch.stack([x + right * column - down * row, y + down * column + right * row], dim=-1)


def _luma(pixels: Tensor) -> Tensor:
    """(N, 1, H, W) BT.601's luma of (N, H, W, 3) uint8 RGB, in 2^14ths as OpenCV computes it."""
    whole = pixels.int()
    levels = 4899 * whole[..., 0] + 9617 * whole[..., 1] + 1868 * whole[..., 2] + 8192
    return (levels >> 14).unsqueeze(1)


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
