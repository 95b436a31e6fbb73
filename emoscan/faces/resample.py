"""Pyramids and crops: the pixels that MTCNN's networks look at."""

import threading
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.float32]


# A larger picture gets no table of all (12 bytes a pixel): beyond what caches hold, that takes more
# time than all of its crops by themselves.
MOST_TABLE_PX = 2**20
# Of a crop with more pixels whole rows are summed first: its table would cost more.
MOST_CROP_PX = 2**18
# The crops of a video have a few hundred sides, of which each is met again and again.
KEPT_BINS = 2048


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
        self._table: NDArray[np.int32] | None = None

    def _sums(self) -> NDArray[np.int32]:
        # No cached_property: until Python 3.12 all pictures would wait for each other's.
        if self._table is None:
            into = _SPARE.taken((self.height + 1, self.width + 1, 3))
            self._table = _sums(self.pixels, into=into)
        return self._table

    def forget_sums(self) -> None:
        """Leave the table to this thread's next picture; whoever asks again has it made again."""
        if self._table is not None:
            _SPARE.table, self._table = self._table, None

    def resized(self, height: int, width: int) -> NDArray[np.float32]:
        """(height, width, 3) averages over the whole picture."""
        out = np.empty((height, width, 3), np.float32)
        _average(_rows_of_table(self._sums(), height), out, height=self.height)
        return out

    def crops(self, boxes: NDArray[np.int64], *, side: int) -> NDArray[np.float32]:
        """(N, side, side, 3) averages over `boxes`, (N, 4) x0 y0 x1 y1 in whole pixels."""
        out = np.empty((len(boxes), side, side, 3), np.float32)
        by_table = self._is_worth_a_table(boxes)
        for crop, (x0, y0, x1, y1) in zip(out, boxes.tolist(), strict=True):
            if by_table:
                rows = _rows_of_table(self._sums()[y0 : y1 + 1, x0 : x1 + 1], side)
            else:
                rows = _rows_of_pixels(self.pixels[y0:y1, x0:x1], side)
            _average(rows, crop, height=y1 - y0)
        return out

    def _is_worth_a_table(self, boxes: NDArray[np.int64]) -> bool:
        """Where crops cover less than the picture, a table for each costs less than one for all."""
        covered_px = int((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).sum())
        whole_px: int = self.height * self.width
        return whole_px <= MOST_TABLE_PX and covered_px >= whole_px

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


class _Spare(threading.local):
    """One table of each thread that nobody needs any more.

    Memory in pieces of this size that is given back and taken again leaves gaps, which grow.
    """

    table: NDArray[np.int32] | None = None

    def taken(self, shape: tuple[int, ...]) -> NDArray[np.int32] | None:
        """It, if it has this shape; in any case it is not kept any longer."""
        table, self.table = self.table, None
        return table if table is not None and table.shape == shape else None


_SPARE = _Spare()


def _sums(pixels: NDArray[np.uint8], *, into: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """(H + 1, W + 1, 3) sums over all that lies above and left."""
    return np.asarray(cv2.integral(pixels, sum=into, sdepth=cv2.CV_32S), np.int32)


def _rows_of_table(sums: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """(count, W + 1, 3) sums over the rows of each bin, and over all columns before each.

    Sums over large pictures wrap around; the differences that are looked up are right.
    """
    top, bottom, _ = _bins(len(sums) - 1, count)
    rows: NDArray[np.int32] = sums[bottom]
    rows -= sums[top]
    return rows


def _rows_of_pixels(pixels: NDArray[np.uint8], count: int) -> NDArray[np.int32]:
    """The same from (H, W, 3) pixels."""
    if pixels.shape[0] * pixels.shape[1] <= MOST_CROP_PX:
        return _rows_of_table(_sums(pixels), count)
    top, bottom, _ = _bins(len(pixels), count)
    rows = np.zeros((count, pixels.shape[1] + 1, 3), np.int32)
    for row, first, past in zip(rows, top.tolist(), bottom.tolist(), strict=True):
        part = cv2.reduce(pixels[first:past], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
        np.cumsum(part[0], axis=0, out=row[1:])
    return rows


def _average(rows: NDArray[np.int32], out: NDArray[np.float32], *, height: int) -> None:
    """Fill `out` (h, w, 3) with averages, by `rows` (h, W + 1, 3) of a part of this height."""
    left, right, widths = _bins(rows.shape[1] - 1, out.shape[1])
    heights = _bins(height, len(out))[2]
    found = rows.take(right, axis=1)
    found -= rows.take(left, axis=1)
    np.divide(found, (heights[:, None] * widths)[:, :, None], out=out, dtype=np.float32)


@lru_cache(KEPT_BINS)
def _bins(
    length: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """First pixels, ends and sizes, (count,) each, of adaptive pooling's bins over a length."""
    index = np.arange(count)
    first, past = index * length // count, -(-(index + 1) * length // count)
    return first, past, (past - first).astype(np.float32)
