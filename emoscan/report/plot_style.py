"""How figures look: fit for print, readable in grayscale, and the same file for the same input."""

from typing import Any

from matplotlib import font_manager

from emoscan.emotions import Emotion
from emoscan.palette import COLOURS, rgb

GRAY = "#555555"
FONT_PT, SMALL_PT = 8.0, 7.0
CM_PER_INCH = 2.54
PT_PER_CM = 72 / CM_PER_INCH

# For labels that matplotlib's own font cannot write, where one of them is installed.
_OTHER_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew"),
    *("Hiragino Sans", "Arial Unicode MS", "Microsoft YaHei", "Malgun Gothic", "Segoe UI"),
)


def _fonts() -> list[str]:
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_FONTS if name in installed)]


STYLE: dict[Any, Any] = {
    "axes.edgecolor": GRAY,
    "axes.labelsize": FONT_PT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": FONT_PT,
    "font.family": _fonts(),
    "font.size": FONT_PT,
    "hatch.linewidth": 0.5,
    "legend.fontsize": SMALL_PT,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # fonts embedded as TrueType, which journals ask for
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "emoscan",
    "text.parse_math": False,  # labels may hold dollar signs
    "xtick.labelsize": SMALL_PT,
    "xtick.major.width": 0.6,
    "ytick.labelsize": SMALL_PT,
    "ytick.major.width": 0.6,
}

# From the bottom of a stack to its top, and in the legend.
ORDER: tuple[Emotion, ...] = (
    Emotion.NEUTRAL,
    Emotion.HAPPY,
    Emotion.SURPRISE,
    Emotion.SAD,
    Emotion.FEAR,
    Emotion.DISGUST,
    Emotion.ANGRY,
)

# In grayscale some colours are alike: areas differ by these, lines by their dashes.
HATCHES: dict[Emotion, str] = {
    Emotion.NEUTRAL: "",
    Emotion.HAPPY: "",
    Emotion.SURPRISE: "----",
    Emotion.SAD: "",
    Emotion.FEAR: "....",
    Emotion.DISGUST: "\\\\\\\\",
    Emotion.ANGRY: "////",
}
DASHES: dict[Emotion, Any] = {
    Emotion.NEUTRAL: "-",  # thinner than the others
    Emotion.HAPPY: "-",
    Emotion.SURPRISE: (0, (5, 1.2)),
    Emotion.SAD: (0, (4, 1, 1, 1)),
    Emotion.FEAR: (0, (1, 1)),
    Emotion.DISGUST: (0, (1, 2.5)),
    Emotion.ANGRY: (0, (2, 1)),
}
UNREADABLE: dict[str, Any] = {
    "facecolor": "white",
    "edgecolor": GRAY,
    "hatch": "xxxxxx",
    "linewidth": 0.4,
}


def area(emotion: Emotion) -> dict[str, Any]:
    """How an area of a class is filled."""
    return {
        "facecolor": COLOURS[emotion],
        "edgecolor": "white",
        "hatch": HATCHES[emotion],
        "linewidth": 0.3,
    }


def ink(emotion: Emotion) -> str:
    """Black or white: what can be read on a class's colour."""
    red, green, blue = rgb(emotion)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "white"


def text_width_cm(text: str, size_pt: float) -> float:
    """About how wide a word is in print, with a little room beside it."""
    return size_pt * (0.6 * len(text) + 0.3) / PT_PER_CM
