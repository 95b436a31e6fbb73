"""Squares of a picture, at any place and of any size, as small pictures."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]

# From one sample to the next so much of a pixel at most: sampled more thinly, a picture aliases.
LONGEST_STEP_PX = 1.25
# Whole pixels are averaged first while at least so many samples a side are left to one output's.
REDUCED_TO = 2


def cut_square(pixels: Levels, *, left: float, top: float, side: float, out_px: int) -> Levels:
    """The square of `pixels` (H, W) or (H, W, 3) as (out_px, out_px) or (out_px, out_px, 3).

    `left` and `top` are its edges and `side` its length in px, with fractions: rounded to whole
    pixels, a square around a small face would jump by some per cent as the face moves. What lies
    outside repeats the picture's edge. Enlarging is cubic, shrinking averages over areas.
    """
    factor = int(side // (REDUCED_TO * out_px))
    if factor > 1:
        x0, y0 = math.floor(left) - factor, math.floor(top) - factor
        pixels = _reduced(pixels, x0, y0, cells=math.ceil(side / factor) + 3, factor=factor)
        left, top, side = (left - x0) / factor, (top - y0) / factor, side / factor
    fineness = max(1, math.ceil(side / out_px / LONGEST_STEP_PX))
    samples = _sampled(pixels, left, top, side, count=fineness * out_px)
    if fineness == 1:
        return samples
    return np.asarray(cv2.resize(samples, (out_px, out_px), interpolation=cv2.INTER_AREA), np.uint8)


def _sampled(pixels: Levels, left: float, top: float, side: float, *, count: int) -> Levels:
    """`count` samples a side, each in the middle of its cell of the square."""
    step = side / count
    # OpenCV counts from the middle of the first pixel.
    grid = np.array([[step, 0, left + (step - 1) / 2], [0, step, top + (step - 1) / 2]])
    how = cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if step < 1 else cv2.INTER_LINEAR)
    repeat = cv2.BORDER_REPLICATE
    sampled = cv2.warpAffine(pixels, grid, (count, count), flags=how, borderMode=repeat)
    return np.asarray(sampled, np.uint8)


def _reduced(pixels: Levels, left: int, top: int, *, cells: int, factor: int) -> Levels:
    """`cells` averages a side over `factor` by `factor` pixels each, from a corner on."""
    part = _cut(pixels, left=left, top=top, side=cells * factor)
    return np.asarray(cv2.resize(part, (cells, cells), interpolation=cv2.INTER_AREA), np.uint8)


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
