"""Pixels that are made once, when someone asks, and kept."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Of the shorter side, so many pixels are in a sample at least.
SAMPLED_SIDE = 48

# Above, a small file may unpack to more than the memory holds: Pillow's limit for photos.
MAX_PIXELS = 178_956_970


class OnDemand:
    """A Picture from a function that decodes; what that function holds is freed after use."""

    __slots__ = ("__weakref__", "_decode", "_gray", "_rgb", "_sample")

    def __init__(self, decode: Callable[[], Pixels]) -> None:
        self._decode: Callable[[], Pixels] | None = decode
        self._rgb: Pixels | None = None
        self._gray: Pixels | None = None
        self._sample: Pixels | None = None

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

    def sample(self) -> Pixels:
        """(h, w, 3) uint8 of `rgb()`, as `sampled`."""
        if self._sample is None:
            self._sample = sampled(self.rgb())
        return self._sample

    def hand_over(self, fetch: Callable[[], Pixels]) -> None:
        """Let go of the pixels, which `fetch` gets from where they are now; the sample stays."""
        self.sample()
        self._decode, self._rgb = fetch, None


def sampled(pixels: Pixels) -> Pixels:
    """Each n-th pixel of each n-th row of (H, W, 3), which may be freed afterwards."""
    step = max(1, min(pixels.shape[:2]) // SAMPLED_SIDE)
    return pixels[::step, ::step].copy()


def resized(pixels: Pixels, scale: float) -> Pixels:
    """`pixels` (H, W, 3) at `scale` times their size, rounded, at least 1 px a side."""
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
