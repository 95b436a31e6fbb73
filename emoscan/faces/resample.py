"""Pyramids and crops: the pixels that MTCNN's networks look at."""

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.float32]

# The crops of a video have a few hundred sides, of which each is met again and again.
KEPT_BINS = 2048
# Halves of a picture are sampled so finely, in samples a pixel of a crop, before they are averaged:
# with one, which may be 2 px from the next, a box in 400 is lost. Squares of 2 are averaged as
# pictures are halved, on a device by the same function.
FINENESS = 2
# Before 5.0 OpenCV warped nothing larger.
MOST_WARPED_PX = 2**15 - 2
# What linear samples need around a box, and one more.
MARGIN_PX = 2


class Fidelity(StrEnum):
    """How near the cascade keeps to stock MTCNN.

    STOCK averages each level of the pyramid from the full picture, and each crop, as stock does,
    and finds its boxes. QUICK halves the picture again and again, takes the first level and the
    crops from a half that is large enough and each further level from the one above, bilinearly,
    and passes over candidates for O-Net that lie on a face which it saw in a surer one: on a CPU in
    two thirds to three quarters of STOCK's time.
    """

    STOCK = "stock"
    QUICK = "quick"


class Picture:
    """One (H, W, 3) uint8 picture, and what is made of it for the cascade."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        self.height, self.width = pixels.shape[:2]
        self._halves: list[NDArray[np.uint8]] = []
        self._table: NDArray[np.int32] | None = None

    def forget(self) -> None:
        """Free what is kept for further crops; whoever asks again has it made again."""
        self._halves, self._table = [], None

    def pyramid(self, sizes: Sequence[tuple[int, int]], fidelity: Fidelity) -> list[Pixels]:
        """One (height, width, 3) level a size, largest first, in 0..255."""
        if fidelity is Fidelity.STOCK:
            return [self._averaged(*size) for size in sizes]
        levels: list[NDArray[np.uint8]] = []
        for size in sizes:
            if levels:
                levels.append(_resized(levels[-1], size, cv2.INTER_LINEAR))
            else:
                levels.append(self._from_half(*size))
        return [_in_rgb(level) for level in levels]

    def crops(self, boxes: NDArray[np.int64], *, side: int, fidelity: Fidelity) -> Pixels:
        """(N, side, side, 3) of `boxes`, (N, 4) x0 y0 x1 y1 in whole pixels, in 0..255.

        QUICK samples them. Else they are the averages of torch's `adaptive_avg_pool2d`
        (`interpolate(mode="area")`), which stock MTCNN takes of each crop by itself. Their bins
        are whole pixels, so a summed-area table (Crow 1984) gives them for all crops at once.
        """
        if fidelity is Fidelity.QUICK:
            sampled = np.empty((len(boxes), side, side, 4), np.uint8)
            for crop, box in zip(sampled, boxes.tolist(), strict=True):
                self._sample(box, crop)
            return _in_rgb(sampled.reshape(-1, side, 4)).reshape(-1, side, side, 3)
        averages = np.empty((len(boxes), side, side, 3), np.float32)
        for average, (x0, y0, x1, y1) in zip(averages, boxes.tolist(), strict=True):
            _average(self._sums()[y0 : y1 + 1, x0 : x1 + 1], average)
        return averages

    def _averaged(self, height: int, width: int) -> NDArray[np.float32]:
        """(height, width, 3) averages over the whole picture, as of crops."""
        out = np.empty((height, width, 3), np.float32)
        _average(self._sums(), out)
        return out

    def _sums(self) -> NDArray[np.int32]:
        """(H + 1, W + 1, 3) sums over all that lies above and left; over large pictures they wrap
        around, and the differences that are looked up are right."""
        # No cached_property: until Python 3.12 all pictures would wait for each other's.
        if self._table is None:
            self._table = np.asarray(cv2.integral(self.pixels, sdepth=cv2.CV_32S), np.int32)
        return self._table

    def _halved(self, times: int) -> NDArray[np.uint8]:
        """Means over squares of 2 px, so many times; an odd row or column at the end is left out.

        (H, W, 3) where it is 0 times, else (h, w, 4): four channels are sampled in less than half
        the time of three, but a large picture is not copied for that.
        """
        while len(self._halves) < times:
            last = self._halves[-1] if self._halves else self.pixels
            height, width = last.shape[0] // 2, last.shape[1] // 2
            half = _resized(last[: 2 * height, : 2 * width], (height, width), cv2.INTER_AREA)
            self._halves.append(_in_rgba(half))
        return self._halves[times - 1] if times else self.pixels

    def _from_half(self, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width, C) of the smallest half that is not smaller than this."""
        times = times_halved(min(self.height // height, self.width // width))
        half, size = self._halved(times), (FINENESS * height, FINENESS * width)
        if is_spread(self.height, self.width, times=times):
            fine = np.empty((*size, 4), np.uint8)
            _spread(half, (0, 0, self.width / 2**times, self.height / 2**times), fine)
        else:
            fine = _resized(half, size, cv2.INTER_LINEAR)
        return _resized(fine, (height, width), cv2.INTER_AREA)

    def _sample(self, box: Sequence[int], crop: NDArray[np.uint8]) -> None:
        """Fill `crop` (side, side, 4) with a box, x0 y0 x1 y1 in whole pixels."""
        longer, side = max(box[2] - box[0], box[3] - box[1]), len(crop)
        if longer <= side:
            _spread(self.pixels, box, crop)
            return
        fine = np.empty((FINENESS * side, FINENESS * side, 4), np.uint8)
        times = times_halved(longer // len(fine))
        _spread(self._halved(times), [end / 2**times for end in box], fine)
        cv2.resize(fine, (side, side), dst=crop, interpolation=cv2.INTER_AREA)


def times_halved(ratio: int) -> int:
    """How often a length may be halved that is so many times as long as it has to be."""
    return max(0, ratio.bit_length() - 1)


def is_spread(height: int, width: int, *, times: int) -> bool:
    """Whether a level is sampled from where a half has its pixels, and not resized from it.

    Where rows or columns were left out of the half, it would be stretched over their places.
    """
    is_whole = height % 2**times == width % 2**times == 0
    return not is_whole and max(height, width) >> times <= MOST_WARPED_PX


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int], how: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=how), np.uint8)


def _in_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) of (h, w, 4), or the same."""
    if pixels.shape[2] == 3 or not len(pixels):
        return pixels[..., :3]
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB), np.uint8)


def _in_rgba(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 4) of (h, w, 3), or the same."""
    if pixels.shape[2] == 4:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA), np.uint8)


def _spread(pixels: NDArray[np.uint8], box: Sequence[float], out: NDArray[np.uint8]) -> None:
    """Fill `out` (h, w, 4) with samples of a box, bilinearly, each from the middle of its cell.

    Of the pixels only those around are handed over, for MOST_WARPED_PX.
    """
    x0, y0, x1, y1 = box
    left, top = max(0, int(x0) - MARGIN_PX), max(0, int(y0) - MARGIN_PX)
    part = pixels[top : math.ceil(y1) + MARGIN_PX, left : math.ceil(x1) + MARGIN_PX]
    right, down = (x1 - x0) / out.shape[1], (y1 - y0) / out.shape[0]
    # OpenCV counts from the middle of the first pixel.
    x, y = x0 - left + right / 2 - 0.5, y0 - top + down / 2 - 0.5
    places = np.array([[right, 0, x], [0, down, y]])
    flags, repeat = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    size = out.shape[1], out.shape[0]
    cv2.warpAffine(_in_rgba(part), places, size, dst=out, flags=flags, borderMode=repeat)


def _average(sums: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """Fill `out` (h, w, 3) with averages, by the table (H + 1, W + 1, 3) of a part."""
    top, bottom, heights = _bins(sums.shape[0] - 1, out.shape[0])
    left, right, widths = _bins(sums.shape[1] - 1, out.shape[1])
    rows = sums[bottom]
    rows -= sums[top]
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
