"""Pixels that are made once, when someone asks, and kept."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Above, a small file may unpack to more than the memory holds: Pillow's limit for photos.
MAX_PIXELS = 178_956_970


class OnDemand:
    """A Picture from a function that decodes; what that function holds is freed after use."""

    __slots__ = ("__weakref__", "_decode", "_gray", "_rgb")

    def __init__(self, decode: Callable[[], Pixels]) -> None:
        self._decode: Callable[[], Pixels] | None = decode
        self._rgb: Pixels | None = None
        self._gray: Pixels | None = None

    def rgb(self, scale: float = 1) -> Pixels:
        """(H, W, 3) uint8 RGB, resampled by area where `scale` is not 1."""
        if self._rgb is None and self._decode is not None:
            self._rgb = self._decode()
            self._decode = None
        assert self._rgb is not None
        return self._rgb if scale == 1 else resized(self._rgb, scale)

    def gray(self) -> Pixels:
        """(H, W) uint8 full-range BT.601 luma of `rgb()`."""
        if self._gray is None:
            self._gray = np.asarray(cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2GRAY), np.uint8)
        return self._gray


def resized(pixels: Pixels, scale: float) -> Pixels:
    """`pixels` (H, W, 3) at `scale` times their size, rounded, at least 1 px a side."""
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
