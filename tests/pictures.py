"""Pictures for tests that need no file."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from emoscan.media.picture import sampled


@dataclass(frozen=True)
class ArrayPicture:
    """A Picture from an (H, W, 3) uint8 RGB array."""

    pixels: NDArray[np.uint8]

    def rgb(self, scale: float = 1) -> NDArray[np.uint8]:
        return cv2.resize(self.pixels, None, fx=scale, fy=scale)

    def gray(self) -> NDArray[np.uint8]:
        return cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY)

    def sample(self) -> NDArray[np.uint8]:
        return sampled(self.pixels)

    def hand_over(self, fetch: Callable[[], NDArray[np.uint8]]) -> None:
        """It keeps its own."""
