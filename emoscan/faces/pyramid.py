"""The levels of a pyramid, and how several are put on one sheet for P-Net to look at at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emoscan.faces.networks import PROPOSAL_SIDE_PX, PROPOSAL_STRIDE_PX, places_along
from emoscan.faces.resample import Pixels

# facenet-pytorch's, for equal boxes.
PYRAMID_FACTOR = 0.709
# Larger levels are looked at alone: what P-Net keeps in memory of a sheet is 100 bytes a pixel.
LARGE_LEVEL_PX = 2**18
# Layouts for so many sizes of pictures are remembered.
KEPT_LAYOUTS = 128


@dataclass(frozen=True, slots=True)
class Level:
    """One of a pyramid's: its size, height and width in px, and the scale of its boxes."""

    scale: float
    size: tuple[int, int]


def pyramid_levels(height: int, width: int, min_face_px: float) -> list[Level]:
    """Those at which P-Net's 12 px look at faces of `min_face_px` and larger."""
    scale = PROPOSAL_SIDE_PX / min_face_px
    side_px, levels = min(height, width) * scale, []
    while side_px >= PROPOSAL_SIDE_PX:
        levels.append(Level(scale, (int(height * scale + 1), int(width * scale + 1))))
        scale, side_px = scale * PYRAMID_FACTOR, side_px * PYRAMID_FACTOR
    return levels


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture (height, width), `size`, on which levels lie; each begins at its place, y and x.

    Places are even, as P-Net takes every second pixel, and levels do not overlap: for places inside
    a level it says what it says of the level alone. Where a side is odd it takes the last row or
    column with one that is not there, for which the last one is repeated.
    """

    size: tuple[int, int]
    levels: tuple[Level, ...]
    places: tuple[tuple[int, int], ...]

    def filled(self, pixels: Sequence[Pixels]) -> Pixels:
        """(height, width, 3), of one picture's (h, w, 3) for each level."""
        if len(pixels) == 1 and pixels[0].shape[:2] == self.size:
            return pixels[0]
        sheet = np.zeros((*self.size, 3), pixels[0].dtype)
        for its, (y, x) in zip(pixels, self.places, strict=True):
            height, width = its.shape[:2]
            sheet[y : y + height, x : x + width] = its
            sheet[y + height : y + _even(height), x : x + width] = its[-1:]
            sheet[y : y + _even(height), x + width : x + _even(width)] = sheet[
                y : y + _even(height), x + width - 1 : x + width
            ]
        return sheet

    def maps(self, out: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """For each level (N, rows, columns, K) of what P-Net says of N sheets, (N, R, C, K)."""
        maps = []
        for level, (y, x) in zip(self.levels, self.places, strict=True):
            row, column = y // PROPOSAL_STRIDE_PX, x // PROPOSAL_STRIDE_PX
            rows, columns = map(places_along, level.size)
            maps.append(out[:, row : row + rows, column : column + columns])
        return maps


def one_each(levels: tuple[Level, ...]) -> tuple[Sheet, ...]:
    """Each level on a sheet of its own."""
    return tuple(Sheet(level.size, (level,), ((0, 0),)) for level in levels)


@lru_cache(KEPT_LAYOUTS)
def on_few_sheets(levels: tuple[Level, ...]) -> tuple[Sheet, ...]:
    """Large levels on sheets of their own, the rest of a pyramid on one; levels come largest first.

    A call of a network on another size than the last one costs as much as thousands of pixels.
    """
    large = sum(math.prod(level.size) > LARGE_LEVEL_PX for level in levels)
    return one_each(levels[:large]) + ((_on_one(levels[large:]),) if levels[large:] else ())


def _on_one(levels: tuple[Level, ...]) -> Sheet:
    """A sheet as high as the first level, an eighth of which stays empty in the mean.

    Each level goes to the first room beside or below another one where it fits, or to the end.
    """
    height, end = _even(levels[0].size[0]), 0
    places: list[tuple[int, int]] = []
    rooms: list[tuple[int, int, int, int]] = []  # y, x, height, width
    for level in levels:
        high, wide = map(_even, level.size)
        room = next((room for room in rooms if room[2] >= high and room[3] >= wide), None)
        if room is None:
            room = 0, end, height, wide
            end += wide
        else:
            rooms.remove(room)
        y, x, room_high, room_wide = room
        places.append((y, x))
        rooms += [(y, x + wide, room_high, room_wide - wide), (y + high, x, room_high - high, wide)]
    return Sheet((height, end), levels, tuple(places))


def _even(side_px: int) -> int:
    return side_px + side_px % PROPOSAL_STRIDE_PX
