"""A frame's faces drawn onto its RGB pixels: what is written stands beside them, never on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from emoscan.palette import rgb
from emoscan.report.area import CORNERS, Area, Side, beside
from emoscan.report.marks import Mark
from emoscan.report.panel import (
    BEHIND,
    WHITE,
    Colour,
    LargePanel,
    NamePanel,
    Panel,
    SmallPanel,
    blend,
    darken,
)
from emoscan.report.text import text_mask

Pixels = NDArray[np.uint8]

BLACK: Colour = (0, 0, 0)

# Of a frame's shorter side: the letters of a large panel, those of a small one, and lines.
LETTERS_SHARE, SMALL_LETTERS_SHARE, LINE_SHARE = 1 / 40, 1 / 60, 1 / 240
LEAST_LETTERS_PX, LEAST_SMALL_LETTERS_PX, LEAST_LINE_PX = 11, 10, 2
NOTICE_SHARE = 1 / 20

# A face has a large panel from this share of the panel's height on, and keeps it down to that.
LARGE_FROM, LARGE_UNTIL = 0.8, 0.65
# A panel that is smaller than it might be has another chance after so many frames.
PATIENCE_FRAMES = 20
# The part of a box, off each of its sides, in which there is more hair than face.
RIM_SHARE = 0.2

FOOTER = "apparent expression"
FOOTER_BETWEEN = "apparent expression · dashed: frame not looked at"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large things are drawn, in px: in the same proportion from 336p to 4K."""

    letters: int
    small_letters: int
    line: int

    @classmethod
    def on(cls, pixels: Pixels) -> "Sizes":
        """For pictures (H, W, 3)."""
        side = min(pixels.shape[:2])
        return cls(
            letters=max(LEAST_LETTERS_PX, round(side * LETTERS_SHARE)),
            small_letters=max(LEAST_SMALL_LETTERS_PX, round(side * SMALL_LETTERS_SHARE)),
            line=max(LEAST_LINE_PX, round(side * LINE_SHARE)),
        )


@dataclass(slots=True)
class _Place:
    """Which panel a track had, on which side, and for how many frames a larger one was due."""

    panel: int
    side: Side
    waiting: int = 0


class Drawing:
    """Draws on the frames of one video, in their order: a panel stays on its side of a face."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}

    def draw(self, pixels: Pixels, marks: Sequence[Mark]) -> None:
        """Draw all marks of a frame on (H, W, 3) uint8 RGB, in place."""
        sizes = Sizes.on(pixels)
        for mark in marks:
            draw_box(pixels, mark, line_px=sizes.line)
        faces = [Area.of(mark.box, pixels) for mark in marks]
        taken = [face.grown(2 * sizes.line) for face in faces]
        for own in sorted(range(len(marks)), key=lambda own: marks[own].key):
            area = self._draw_panel(pixels, marks[own], own=own, taken=taken)
            taken += [area] if area else []
        if marks:
            between = not all(mark.looked_at for mark in marks)
            _draw_footer(pixels, FOOTER_BETWEEN if between else FOOTER, taken)

    def _draw_panel(
        self, pixels: Pixels, mark: Mark, *, own: int, taken: Sequence[Area]
    ) -> Area | None:
        """Draw the first panel that has a place; `taken[own]` is the face that it belongs to."""
        sizes, face = Sizes.on(pixels), taken[own]
        panels: tuple[Panel, ...] = (
            LargePanel(mark, sizes.letters),
            SmallPanel(mark, sizes.small_letters),
            NamePanel(mark, sizes.small_letters),
        )
        had = self._places.get(mark.key)
        largest = _largest(panels[0], face, had)
        others = [*taken[:own], *taken[own + 1 :]]
        for number, side in _tries(panels, largest, had):
            panel = panels[number]
            area = beside(face, side, panel.size, gap=panel.gap, pixels=pixels)
            kept_free = (*others, _middle(face) if side in CORNERS else face)
            if area.is_on(pixels) and not any(area.meets(other) for other in kept_free):
                self._remember(mark.key, number, side, largest=largest)
                panel.draw(area.on(pixels))
                return area
        return None

    def _remember(self, key: int, panel: int, side: Side, *, largest: int) -> None:
        place = self._places.get(key)
        if place is None or (place.panel, place.side) != (panel, side):
            place = self._places[key] = _Place(panel, side)
        place.waiting = place.waiting + 1 if panel > largest else 0


def draw_box(pixels: Pixels, mark: Mark, *, line_px: int) -> None:
    """Draw a face's outline, around its box, in its class's colour between two dark lines.

    Dashed where the frame was not looked at.
    """
    area, rim_px = Area.of(mark.box, pixels), max(1, line_px // 3)
    dark = _outline(area.grown(line_px + 2 * rim_px), line_px + 2 * rim_px)
    bright = _outline(area.grown(line_px + rim_px), line_px)
    for colour, sides in ((BLACK, dark), (rgb(mark.emotion), bright)):
        for side in sides:
            # Where a face is cut by the picture's edge, the line runs along that edge.
            shown = side.moved_onto(pixels)
            for stroke in [shown] if mark.looked_at else _dashes(shown, 4 * line_px):
                stroke.on(pixels)[:] = colour


def draw_notice(pixels: Pixels, text: str) -> None:
    """Darken a picture (H, W, 3) and write across it, in place."""
    height, width = pixels.shape[:2]
    cv2.convertScaleAbs(pixels, dst=pixels, alpha=BEHIND)
    mask = text_mask(text, max(LEAST_LETTERS_PX, round(min(width, height) * NOTICE_SHARE)))
    top, left = max(0, (height - mask.shape[0]) // 2), max(0, (width - mask.shape[1]) // 2)
    blend(pixels[top:, left:], mask, WHITE)


def _largest(large: Panel, face: Area, had: _Place | None) -> int:
    """The number of the largest panel that does not look too large beside a face."""
    share = LARGE_UNTIL if had and had.panel == 0 else LARGE_FROM
    return 0 if face.height >= share * large.size[1] else 1


def _tries(panels: Sequence[Panel], largest: int, had: _Place | None) -> Iterator[tuple[int, Side]]:
    """Which panel to try on which side: first what was there before."""
    if had and had.panel >= largest and had.waiting < PATIENCE_FRAMES:
        yield had.panel, had.side
    for number in range(largest, len(panels)):
        for side in panels[number].sides:
            yield number, side


def _middle(face: Area) -> Area:
    """The part of a face's box that nothing may cover."""
    across, down = round(RIM_SHARE * face.width), round(RIM_SHARE * face.height)
    return Area(face.left + across, face.top + down, face.right - across, face.bottom - down)


def _draw_footer(pixels: Pixels, text: str, taken: Sequence[Area]) -> None:
    """In the first corner of the picture that is free."""
    letters_px = Sizes.on(pixels).small_letters
    mask, pad = text_mask(text, letters_px), max(2, letters_px // 4)
    height, width = pixels.shape[:2]
    size = mask.shape[1] + 2 * pad, mask.shape[0] + pad
    whole = Area(0, 0, width, height)
    for corner in (CORNERS[2], CORNERS[3], CORNERS[0], CORNERS[1]):
        area = beside(whole, corner, size, gap=0, pixels=pixels)
        if area.is_on(pixels) and not any(area.meets(other) for other in taken):
            darken(area.on(pixels))
            blend(area.on(pixels)[pad // 2 :, pad:], mask, WHITE)
            return


def _outline(area: Area, line_px: int) -> list[Area]:
    """The four sides of a rectangle, within it."""
    left, top, right, bottom = area.left, area.top, area.right, area.bottom
    return [
        Area(left, top, right, top + line_px),
        Area(left, bottom - line_px, right, bottom),
        Area(left, top, left + line_px, bottom),
        Area(right - line_px, top, right, bottom),
    ]


def _dashes(area: Area, length_px: int) -> Iterator[Area]:
    if area.width >= area.height:
        for left in range(area.left, area.right, 2 * length_px):
            yield Area(left, area.top, min(left + length_px, area.right), area.bottom)
    else:
        for top in range(area.top, area.bottom, 2 * length_px):
            yield Area(area.left, top, area.right, min(top + length_px, area.bottom))
