"""Words to coverage masks, in whatever script a font on the machine has."""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

Mask = NDArray[np.uint8]

LONGEST_TEXT = 24
DEJAVU = "fonts/ttf/DejaVuSans.ttf"


def one_line(text: str) -> str:
    """A label as it is drawn: no line breaks or control characters, and not endless."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"


def drawable_line(text: str) -> str:
    """As `one_line`; empty where no font has all its letters."""
    line = one_line(text)
    return line if is_drawable(line) else ""


def is_drawable(text: str) -> bool:
    """Whether one font on this machine has all letters of the text."""
    return _font_with(text) is not None


@lru_cache(maxsize=2048)
def text_mask(text: str, size_px: int) -> Mask:
    """(H, W) uint8, 255 where the text covers all of a pixel; H is the same for all of a size.

    Letters that no font has become empty boxes.
    """
    font = _font(_font_with(text) or _dejavu(), size_px)
    ascent, descent = font.getmetrics()
    left, top, right, bottom = font.getbbox(text, direction=_direction())
    width, above = round(right - min(left, 0)), round(max(0, -top))
    height = max(ascent + descent, round(bottom)) + above
    image = Image.new("L", (max(1, width), max(1, height)))
    ImageDraw.Draw(image).text(
        (-min(left, 0), above), text, fill=255, font=font, direction=_direction()
    )
    mask = np.asarray(image)
    mask.flags.writeable = False  # it is shared
    return mask


@cache
def _direction() -> str | None:
    """What is on the left in lines of several scripts: the first; where Pillow can tell them."""
    return "ltr" if features.check("raqm") else None


@cache
def _font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px)


@cache
def _dejavu() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / DEJAVU


@lru_cache(maxsize=2048)
def _font_with(text: str) -> Path | None:
    """The first font that has all letters: DejaVu Sans, else what the machine has, by name."""
    needed = {ord(letter) for letter in text if not letter.isspace()}
    if needed <= _letters(_dejavu()):
        return _dejavu()
    return next((path for path in _system_fonts() if needed <= _letters(path)), None)


@cache
def _system_fonts() -> list[Path]:
    from matplotlib.font_manager import findSystemFonts

    return sorted(map(Path, findSystemFonts()))


@cache
def _letters(path: Path) -> frozenset[int]:
    """The code points that a font has; none where it cannot be used at any size."""
    from matplotlib.ft2font import FT2Font

    try:
        _font(path, 20)
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()
