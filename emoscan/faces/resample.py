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
        sides = boxes[:, 2:] - boxes[:, :2]
        if FEW * sides.prod(axis=1).sum() < self.height * self.width:
            return self._few_crops(boxes, side)
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

    def _few_crops(self, boxes: NDArray[np.int64], side: int) -> NDArray[np.float32]:
        """The same, each from a table of its own."""
        parts = [Picture(self.pixels[y0:y1, x0:x1]).resized(side, side) for x0, y0, x1, y1 in boxes]
        return np.stack(parts) if parts else np.zeros((0, side, side, 3), np.float32)

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
