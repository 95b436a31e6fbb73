"""What is written beside a face: its name, its class and the seven scores, in three sizes."""

from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS, Emotion
from emoscan.palette import rgb
from emoscan.report.area import ABOVE_OR_BELOW, BESIDE, CORNERS, Side
from emoscan.report.marks import Mark
from emoscan.report.text import Mask, text_mask

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
RAIL: Colour = (70, 70, 70)  # the part of a bar that is not filled
COLOURS = [rgb(emotion) for emotion in Emotion]
# What is behind a panel stays visible this much.
BEHIND = 0.25


class Panel(Protocol):
    """Something to put beside a face; `size` is its width and height in px.

    `gap` px are between them, `sides` are tried in this order.
    """

    size: tuple[int, int]
    gap: int
    sides: tuple[Side, ...]

    def draw(self, pixels: Pixels) -> None:
        """Draw it on pixels of its size, in place."""
        ...


class LargePanel:
    """The title, the class and its score, and under them seven bars with their names."""

    sides = (*BESIDE, *ABOVE_OR_BELOW)

    def __init__(self, mark: Mark, letters_px: int) -> None:
        self._mark = mark
        self._row, self._thick = round(1.15 * letters_px), max(2, round(0.55 * letters_px))
        self._pad, self._bar = round(0.45 * letters_px), 5 * letters_px
        self._names = _names(round(0.85 * letters_px), self._row)
        self._head = text_mask(f"{mark.title}  {mark.emotion} {mark.confidence:.2f}", letters_px)
        below = self._names.shape[1] + self._pad + self._bar
        width = max(self._head.shape[1], below) + 3 * self._pad
        self.size = width, self._head.shape[0] + self._names.shape[0] + 3 * self._pad
        self.gap = self._pad

    def draw(self, pixels: Pixels) -> None:
        """Draw it."""
        pad, (names_height, names_width) = self._pad, self._names.shape
        _ground(pixels, self._mark, stripe_px=pad // 2 + 1)
        blend(pixels[pad:, 2 * pad :], self._head, WHITE)
        below = pixels[self._head.shape[0] + 2 * pad :]
        blend(below[:, 2 * pad :], self._names, WHITE)
        rows = below[:names_height, 3 * pad + names_width :][:, : self._bar]
        for place, (score, colour) in enumerate(zip(self._mark.scores, COLOURS, strict=True)):
            top = place * self._row + (self._row - self._thick) // 2
            bar = rows[top : top + self._thick]
            bar[:] = RAIL
            bar[:, : round(float(score) * self._bar)] = colour


class SmallPanel:
    """The title and the class, and under them seven columns without names."""

    sides = (*ABOVE_OR_BELOW, *BESIDE)

    def __init__(self, mark: Mark, letters_px: int) -> None:
        self._mark, self._pad = mark, max(2, round(0.25 * letters_px))
        self._head = text_mask(f"{mark.title} {mark.emotion}", letters_px)
        self._height = round(1.3 * letters_px)
        width = max(self._head.shape[1], 7 * letters_px // 2) + 3 * self._pad
        self.size = width, self._head.shape[0] + self._height + 2 * self._pad
        self.gap = max(1, self._pad // 2)

    def draw(self, pixels: Pixels) -> None:
        """Draw it."""
        pad = self._pad
        _ground(pixels, self._mark, stripe_px=pad // 2 + 1)
        blend(pixels[pad // 2 :, 2 * pad :], self._head, WHITE)
        columns = pixels[self._head.shape[0] + pad : -pad, 2 * pad : -pad]
        edges = np.linspace(0, columns.shape[1], len(COLOURS) + 1).round().astype(int)
        for place, (score, colour) in enumerate(zip(self._mark.scores, COLOURS, strict=True)):
            column = columns[:, edges[place] : edges[place + 1] - max(1, pad // 3)]
            column[:] = RAIL
            column[self._height - round(float(score) * self._height) :] = colour


class NamePanel:
    """The title alone, for where nothing else has a place; a corner of the face's box will do."""

    sides = (*ABOVE_OR_BELOW, *BESIDE, *CORNERS)

    def __init__(self, mark: Mark, letters_px: int) -> None:
        self._mark, self._pad = mark, max(2, round(0.25 * letters_px))
        self._head = text_mask(mark.title, letters_px)
        self.size = self._head.shape[1] + 3 * self._pad, self._head.shape[0] + self._pad
        self.gap = 1

    def draw(self, pixels: Pixels) -> None:
        """Draw it."""
        _ground(pixels, self._mark, stripe_px=self._pad // 2 + 1)
        blend(pixels[self._pad // 2 :, 2 * self._pad :], self._head, WHITE)


def blend(pixels: Pixels, mask: Mask, colour: Colour) -> None:
    """Lay a colour over the upper left of (H, W, 3) as far as the mask covers it, in place."""
    height, width = min(pixels.shape[0], mask.shape[0]), min(pixels.shape[1], mask.shape[1])
    region = pixels[:height, :width]
    share = mask[:height, :width, None] / np.float32(255)
    shade = np.array(colour, np.float32)
    region[:] = np.rint(region + (shade - region) * share).astype(np.uint8)


def darken(pixels: Pixels) -> None:
    """Make a ground for letters of (H, W, 3), in place."""
    pixels[:] = cv2.convertScaleAbs(pixels, alpha=BEHIND).reshape(pixels.shape)


def _ground(pixels: Pixels, mark: Mark, *, stripe_px: int) -> None:
    darken(pixels)
    pixels[:, :stripe_px] = rgb(mark.emotion)


@lru_cache(maxsize=16)
def _names(letters_px: int, row_px: int) -> Mask:
    """The seven names below each other, each in a row of its own, at the right."""
    masks = [text_mask(name, letters_px) for name in EMOTIONS]
    column = np.zeros((row_px * len(masks), max(mask.shape[1] for mask in masks)), np.uint8)
    for place, mask in enumerate(masks):
        top = place * row_px + max(0, (row_px - mask.shape[0]) // 2)
        area = column[top : top + mask.shape[0], column.shape[1] - mask.shape[1] :]
        np.maximum(area, mask[: len(area)], out=area)
    return column
