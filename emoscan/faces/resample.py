"""Pyramids and crops: the pixels that MTCNN's networks look at."""

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.float32]


# Where crops cover less than this part of a picture, a table for each costs less than one for all.
FEW = 4
# A larger picture gets no table of all: it would take more memory (12 bytes a pixel) than caches
# hold, and more time than all of its crops.
MOST_TABLE_PX = 2**22
# Of a crop with more pixels whole rows are summed first: its table would cost more.
MOST_CROP_PX = 2**18


class Resampling(StrEnum):
    """How the levels of a pyramid are made.

    AREA averages each level from the full picture, as stock MTCNN does. CHAINED makes the first
    so and each other one from the level above, bilinearly: several times faster.
    """

    AREA = "area"
    CHAINED = "chained"


class Picture:
    """One (H, W, 3) uint8 picture and the averages of any of its rectangles.

    The averages are those of torch's `adaptive_avg_pool2d` (`interpolate(mode="area")`), which
    stock MTCNN takes of each crop by itself. Their bins are whole pixels, so a summed-area table
    (Crow 1984) gives them for all crops at once.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        self.height, self.width = pixels.shape[:2]

    @cached_property
    def _sums(self) -> NDArray[np.int32]:
        # Sums over large pictures wrap around; the differences that are looked up are right.
        return np.asarray(cv2.integral(self.pixels, sdepth=cv2.CV_32S), np.int32)

    def resized(self, height: int, width: int) -> NDArray[np.float32]:
        """(height, width, 3) averages over the whole picture."""
        top, bottom = _bins(np.zeros(1, np.int64), np.array([self.height]), height)
        left, right = _bins(np.zeros(1, np.int64), np.array([self.width]), width)
        rows = self._sums[bottom[0]] - self._sums[top[0]]
        sums = rows.take(right[0], axis=1) - rows.take(left[0], axis=1)
        counts = (bottom - top).T * (right - left)
        return _quotients(sums, counts)

    def crops(self, boxes: NDArray[np.int64], *, side: int) -> NDArray[np.float32]:
        """(N, side, side, 3) averages over `boxes`, (N, 4) x0 y0 x1 y1 in whole pixels."""
        if not self._is_worth_a_table(boxes):
            return self._single_crops(boxes, side)
        left, right = _bins(boxes[:, 0], boxes[:, 2], side)
        top, bottom = _bins(boxes[:, 1], boxes[:, 3], side)
        flat, stride = self._sums.reshape(-1, 3), self.width + 1

        def corners(y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.int32]:
            found: NDArray[np.int32] = flat.take(y[:, :, None] * stride + x[:, None, :], axis=0)
            return found

        sums = corners(bottom, right) - corners(top, right)
        sums -= corners(bottom, left) - corners(top, left)
        counts = (bottom - top)[:, :, None] * (right - left)[:, None, :]
        return _quotients(sums, counts)

    def _is_worth_a_table(self, boxes: NDArray[np.int64]) -> bool:
        covered_px = int((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).sum())
        whole_px: int = self.height * self.width
        return whole_px <= MOST_TABLE_PX and bool(FEW * covered_px >= whole_px)

    def _single_crops(self, boxes: NDArray[np.int64], side: int) -> NDArray[np.float32]:
        """The same, each from its own pixels."""
        corner, (widths, heights) = np.zeros(len(boxes), np.int64), (boxes[:, 2:] - boxes[:, :2]).T
        left, right = _bins(corner, widths, side)
        top, bottom = _bins(corner, heights, side)
        sums = np.empty((len(boxes), side, side, 3), np.int32)
        for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            rows = _sums_of_rows(self.pixels[y0:y1, x0:x1], top[index], bottom[index])
            columns = rows.take(right[index], axis=1)
            np.subtract(columns, rows.take(left[index], axis=1), out=sums[index])
        counts = (bottom - top)[:, :, None] * (right - left)[:, None, :]
        return _quotients(sums, counts)

    def pyramid(self, sizes: Sequence[tuple[int, int]], resampling: Resampling) -> list[Pixels]:
        """One (height, width, 3) level a size, largest first, in 0..255."""
        if resampling is Resampling.AREA:
            return [self.resized(*size) for size in sizes]
        levels: list[Pixels] = []
        for size in sizes:
            above = levels[-1] if levels else self.pixels
            how = cv2.INTER_LINEAR if levels else cv2.INTER_AREA
            levels.append(np.asarray(cv2.resize(above, size[::-1], interpolation=how), np.uint8))
        return levels


def _sums_of_rows(
    pixels: NDArray[np.uint8], top: NDArray[np.int64], bottom: NDArray[np.int64]
) -> NDArray[np.int32]:
    """(N, W + 1, 3) sums of the rows from each `top` to its `bottom`, and of all columns before."""
    if pixels.shape[0] * pixels.shape[1] <= MOST_CROP_PX:
        table = np.asarray(cv2.integral(pixels, sdepth=cv2.CV_32S), np.int32)
        below: NDArray[np.int32] = table.take(bottom, axis=0)
        below -= table.take(top, axis=0)
        return below
    sums = np.zeros((len(top), pixels.shape[1] + 1, 3), np.int32)
    for row, first, past in zip(sums, top.tolist(), bottom.tolist(), strict=True):
        part = cv2.reduce(pixels[first:past], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
        np.cumsum(part[0], axis=0, out=row[1:])
    return sums


def _bins(
    start: NDArray[np.int64], end: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First pixels and ends, both (N, count), of adaptive pooling's bins over start..end, (N,)."""
    length, index = (end - start)[:, None], np.arange(count)
    first = start[:, None] + index * length // count
    past = start[:, None] - -(index + 1) * length // count
    return first, past


def _quotients(sums: NDArray[np.int32], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Averages of all channels, the last axis of `sums`."""
    averages: NDArray[np.float32] = np.divide(sums, counts[..., None], dtype=np.float32)
    return averages
