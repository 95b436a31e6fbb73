"""Squares of a picture, at any place and of any size, as small pictures."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]

# From one sample to the next so much of a pixel at most: sampled more thinly, a picture aliases.
LONGEST_STEP_PX = 1.25
# Whole pixels are averaged first while at least so many samples a side are left to one output's.
REDUCED_TO = 2
# The factors by which means over all neighbourhoods, of which few are kept, take OpenCV less time
# than means over areas: 110 instead of 144 µs for a face of 300 px, on an Intel Xeon.
NEIGHBOURHOODS = (3, 5)
# Around the square so much is cut out too, of which cubic curves need all.
MARGIN = 2


class _Turn(NamedTuple):
    """Of a square about its middle, clockwise as one looks at the picture."""

    cos: float
    sin: float

    @classmethod
    def by(cls, deg: float) -> "_Turn":
        return cls(math.cos(math.radians(deg)), math.sin(math.radians(deg)))

    def beyond(self, side: float) -> float:
        """How far the turned square reaches beyond each edge of the one that is not turned."""
        return side * (abs(self.cos) + abs(self.sin) - 1) / 2

    def first_sample_moves(self, reach: float) -> tuple[float, float]:
        """Right and down, where it lies `reach` left of and above the middle."""
        return reach * (1 - self.cos + self.sin), reach * (1 - self.cos - self.sin)


def cut_square(
    pixels: Levels,
    *,
    left: float,
    top: float,
    side: float,
    out_px: int,
    gray: bool = False,
    turn_deg: float = 0.0,
) -> Levels:
    """The square of `pixels` (H, W) or (H, W, 3) as (out_px, out_px) or (out_px, out_px, 3).

    `left` and `top` are its edges and `side` its length in px, with fractions: rounded to whole
    pixels, a square around a small face would jump by some per cent as the face moves. What lies
    outside repeats the picture's edge. Enlarging is cubic, shrinking averages over areas. With
    `gray`, RGB becomes its BT.601 luma first, of no more pixels than are looked at. `turn_deg`
    turns the square clockwise about its middle, so that what it shows turns counter-clockwise;
    at 0 every bit is as without it.
    """
    grid = grid_of(left=left, top=top, side=side, out_px=out_px, turn_deg=turn_deg)
    part = _cut(pixels, left=grid.x0, top=grid.y0, side=grid.cells * grid.factor)
    if gray:
        part = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8)
    part = _reduced(part, grid.factor)
    if grid.fineness == 1:
        how = cv2.INTER_CUBIC if grid.is_cubic else cv2.INTER_LINEAR
        return _sampled(part, grid, count=out_px, how=how)
    if part.ndim == 3:  # four channels are sampled in less than half the time of three
        part = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2RGBA), np.uint8)
    samples = _sampled(part, grid, count=grid.fineness * out_px, how=cv2.INTER_LINEAR)
    out = cv2.resize(samples, (out_px, out_px), interpolation=cv2.INTER_AREA)
    return np.asarray(out[..., :3] if out.ndim == 3 else out, np.uint8)


class Grid(NamedTuple):
    """Which pixels a square needs, and where in them its samples lie.

    From `x0`, `y0` on, whole pixels that may lie outside of the picture, `cells` times `factor` a
    side are averaged over `factor` by `factor` each. In what they give, counted from the middle of
    the first, the first sample lies at `x`, `y`; the next one of its row `right` and `down` from
    it, the next one of its column as far down and left. `fineness` samples a side make one pixel;
    `is_cubic` says how they lie between pixels.
    """

    x0: int
    y0: int
    cells: int
    factor: int
    fineness: int
    is_cubic: bool
    x: float
    y: float
    right: float
    down: float


def grid_of(*, left: float, top: float, side: float, out_px: int, turn_deg: float) -> Grid:
    """Of the square that `cut_square` is asked for."""
    turn = _Turn.by(turn_deg)
    beyond = turn.beyond(side)
    factor = max(1, int(side // (REDUCED_TO * out_px)))
    x0 = math.floor(left - beyond) - MARGIN * factor
    y0 = math.floor(top - beyond) - MARGIN * factor
    cells = math.ceil((side + 2 * beyond) / factor) + 2 * MARGIN + 1
    left, top, side = (left - x0) / factor, (top - y0) / factor, side / factor
    fineness = max(1, math.ceil(side / out_px / LONGEST_STEP_PX))
    step = side / (fineness * out_px)
    # OpenCV counts from the middle of the first pixel. Written as what a turn adds to the place of
    # the first sample, nothing is rounded differently where nothing is turned.
    x, y = turn.first_sample_moves((side - step) / 2)
    x, y = left + (step - 1) / 2 + x, top + (step - 1) / 2 + y
    is_cubic = fineness == 1 and side < out_px
    return Grid(x0, y0, cells, factor, fineness, is_cubic, x, y, step * turn.cos, step * turn.sin)


def _sampled(pixels: Levels, grid: Grid, *, count: int, how: int) -> Levels:
    """`count` samples a side, each in the middle of its cell of the turned square."""
    places = np.array([[grid.right, -grid.down, grid.x], [grid.down, grid.right, grid.y]])
    flags, repeat = cv2.WARP_INVERSE_MAP | how, cv2.BORDER_REPLICATE
    sampled = cv2.warpAffine(pixels, places, (count, count), flags=flags, borderMode=repeat)
    return np.asarray(sampled, np.uint8)


def _reduced(pixels: Levels, factor: int) -> Levels:
    """Averages over `factor` by `factor` pixels each; halves are by far the fastest.

    OpenCV rounds fractions of one half up. Each second step is of the negative, where up is down:
    else a large face would be lighter than a small one.
    """
    is_negative = False
    while factor > 1:
        step = 2 if factor % 2 == 0 else factor
        pixels = ~_means(pixels, step)
        factor, is_negative = factor // step, not is_negative
    return ~pixels if is_negative else pixels


def _means(pixels: Levels, step: int) -> Levels:
    """Over areas of `step` by `step` pixels, to the same bits in whichever way."""
    if step in NEIGHBOURHOODS:
        border = cv2.BORDER_REPLICATE | cv2.BORDER_ISOLATED
        of_all = cv2.boxFilter(pixels, -1, (step, step), borderType=border)
        return np.asarray(of_all[step // 2 :: step, step // 2 :: step], np.uint8)
    size = (pixels.shape[1] // step, pixels.shape[0] // step)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _cut(pixels: Levels, *, left: int, top: int, side: int) -> Levels:
    height, width = pixels.shape[:2]
    # At least one row and one column stay inside the frame, for their pixels to be repeated.
    left, top = min(max(left, 1 - side), width - 1), min(max(top, 1 - side), height - 1)
    right, bottom = left + side, top + side
    inside = pixels[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    if inside.shape[:2] == (side, side):
        return inside
    padded = cv2.copyMakeBorder(
        inside,
        top=max(-top, 0),
        bottom=max(bottom - height, 0),
        left=max(-left, 0),
        right=max(right - width, 0),
        borderType=cv2.BORDER_REPLICATE,
    )
    return np.asarray(padded, np.uint8)
