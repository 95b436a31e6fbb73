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
    turn = _Turn.by(turn_deg)
    beyond = turn.beyond(side)
    factor = max(1, int(side // (REDUCED_TO * out_px)))
    x0 = math.floor(left - beyond) - MARGIN * factor
    y0 = math.floor(top - beyond) - MARGIN * factor
    cells = math.ceil((side + 2 * beyond) / factor) + 2 * MARGIN + 1
    part = _cut(pixels, left=x0, top=y0, side=cells * factor)
    if gray:
        part = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8)
    part = _reduced(part, factor)
    left, top, side = (left - x0) / factor, (top - y0) / factor, side / factor
    fineness = max(1, math.ceil(side / out_px / LONGEST_STEP_PX))
    if fineness == 1:
        how = cv2.INTER_CUBIC if side < out_px else cv2.INTER_LINEAR
        return _sampled(part, left, top, side, turn=turn, count=out_px, how=how)
    if part.ndim == 3:  # four channels are sampled in less than half the time of three
        part = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2RGBA), np.uint8)
    count, how = fineness * out_px, cv2.INTER_LINEAR
    samples = _sampled(part, left, top, side, turn=turn, count=count, how=how)
    out = cv2.resize(samples, (out_px, out_px), interpolation=cv2.INTER_AREA)
    return np.asarray(out[..., :3] if out.ndim == 3 else out, np.uint8)


def _sampled(
    pixels: Levels, left: float, top: float, side: float, *, turn: _Turn, count: int, how: int
) -> Levels:
    """`count` samples a side, each in the middle of its cell of the turned square."""
    step = side / count
    # OpenCV counts from the middle of the first pixel. Written as what a turn adds to the place of
    # the first sample, nothing is rounded differently where nothing is turned.
    x, y = turn.first_sample_moves((side - step) / 2)
    x, y = left + (step - 1) / 2 + x, top + (step - 1) / 2 + y
    along, across = step * turn.cos, step * turn.sin
    grid = np.array([[along, -across, x], [across, along, y]])
    flags, repeat = cv2.WARP_INVERSE_MAP | how, cv2.BORDER_REPLICATE
    sampled = cv2.warpAffine(pixels, grid, (count, count), flags=flags, borderMode=repeat)
    return np.asarray(sampled, np.uint8)


def _reduced(pixels: Levels, factor: int) -> Levels:
    """Averages over `factor` by `factor` pixels each; halves are by far the fastest.

    OpenCV rounds fractions of one half up. Each second step is of the negative, where up is down:
    else a large face would be lighter than a small one.
    """
    is_negative = False
    while factor > 1:
        step = 2 if factor % 2 == 0 else factor
        size = (pixels.shape[1] // step, pixels.shape[0] // step)
        pixels = ~np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        factor, is_negative = factor // step, not is_negative
    return ~pixels if is_negative else pixels


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
