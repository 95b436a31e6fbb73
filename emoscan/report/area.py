"""Rectangles of whole pixels, and where beside another one they may be put."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from emoscan.report.marks import Boxes

Pixels = NDArray[np.uint8]


class Anchor(Enum):
    """Where something lies along one axis of something else: before it, within it, behind it."""

    BEFORE = "before"
    START = "start"
    MIDDLE = "middle"
    END = "end"
    AFTER = "after"

    @property
    def is_outside(self) -> bool:
        """Whether there is nothing in common along the axis."""
        return self in (Anchor.BEFORE, Anchor.AFTER)


# An anchor along x, and one along y.
Side = tuple[Anchor, Anchor]

BESIDE: tuple[Side, ...] = (
    (Anchor.AFTER, Anchor.START),
    (Anchor.BEFORE, Anchor.START),
    (Anchor.AFTER, Anchor.END),
    (Anchor.BEFORE, Anchor.END),
)
ABOVE_OR_BELOW: tuple[Side, ...] = (
    (Anchor.MIDDLE, Anchor.BEFORE),
    (Anchor.MIDDLE, Anchor.AFTER),
    (Anchor.START, Anchor.BEFORE),
    (Anchor.START, Anchor.AFTER),
    (Anchor.END, Anchor.BEFORE),
    (Anchor.END, Anchor.AFTER),
)
CORNERS: tuple[Side, ...] = (
    (Anchor.START, Anchor.START),
    (Anchor.END, Anchor.START),
    (Anchor.START, Anchor.END),
    (Anchor.END, Anchor.END),
)


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of whole pixels, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, box: Boxes, pixels: Pixels) -> "Area":
        """A box's (4,) whole pixels within a picture (H, W, 3), at least one of them."""
        height, width = pixels.shape[:2]
        left, top, right, bottom = np.rint(box).astype(int).tolist()
        left, top = max(0, min(left, width - 1)), max(0, min(top, height - 1))
        return cls(left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height)))

    @property
    def width(self) -> int:
        """In px."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In px."""
        return self.bottom - self.top

    def on(self, pixels: Pixels) -> Pixels:
        """What lies there in (H, W, 3), to draw on."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def grown(self, px: int) -> "Area":
        """By so much on each side; below 0 it shrinks."""
        return Area(self.left - px, self.top - px, self.right + px, self.bottom + px)

    def meets(self, other: "Area") -> bool:
        """Whether they have a pixel in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def is_on(self, pixels: Pixels) -> bool:
        """Whether all of it lies on a picture (H, W, 3)."""
        height, width = pixels.shape[:2]
        return min(self.left, self.top) >= 0 and self.right <= width and self.bottom <= height

    def moved_onto(self, pixels: Pixels) -> "Area":
        """Moved into a picture (H, W, 3), and cut where it is larger than that."""
        height, width = pixels.shape[:2]
        left = max(0, min(self.left, width - self.width))
        top = max(0, min(self.top, height - self.height))
        return Area(left, top, min(left + self.width, width), min(top + self.height, height))


def beside(face: Area, side: Side, size: tuple[int, int], *, gap: int, pixels: Pixels) -> Area:
    """Where a rectangle of a size (width, height) comes to lie at a side of a face.

    Along that side it is moved into the picture (H, W, 3), away from the face it is not.
    """
    height, width = pixels.shape[:2]
    left = _start(side[0], face.left, face.right, length=size[0], gap=gap, limit=width)
    top = _start(side[1], face.top, face.bottom, length=size[1], gap=gap, limit=height)
    return Area(left, top, left + size[0], top + size[1])


def _start(anchor: Anchor, low: int, high: int, *, length: int, gap: int, limit: int) -> int:
    start = {
        Anchor.BEFORE: low - gap - length,
        Anchor.START: low,
        Anchor.MIDDLE: (low + high - length) // 2,
        Anchor.END: high - length,
        Anchor.AFTER: high + gap,
    }[anchor]
    return start if anchor.is_outside else max(0, min(start, limit - length))
