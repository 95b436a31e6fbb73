"""What a user can set of a figure: light, for the command line's help."""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from emoscan.errors import UsageError
from emoscan.options import convert, option, parse_time_s

FIGURE_SUFFIXES = (".pdf", ".png", ".svg")
LEAST_CM, MOST_CM = 4.0, 120.0


class PlotStyle(StrEnum):
    """How scores over time are drawn."""

    STACKED = "stacked"
    LINES = "lines"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotOptions:
    """What is drawn, and how large. Raises UsageError where values make no sense.

    From Python too, `style`, `out`, `start_s` and `end_s` may be plain strings.
    """

    out: Path | None = option(
        None,
        "The figure: .pdf and .svg for print, .png. Default: the timeline's name with .png, in "
        "the current folder.",
        flags=("--out", "-o"),
        metavar="FILE",
    )
    overwrite: bool = option(False, "Replace a figure that exists.", flags=("--overwrite",))
    style: PlotStyle = option(
        PlotStyle.STACKED, "stacked: areas that add up to 1; lines: one for each class."
    )
    track: tuple[int, ...] = option(
        (), "Only this track; may be given again. Default: those longest in view.", metavar="N"
    )
    most: int = option(4, "Draw at most so many tracks.", metavar="N")
    source: str | None = option(
        None, "Which video, where the timeline holds several.", metavar="NAME"
    )
    start_s: float | None = option(
        None,
        "Draw from here: seconds or HH:MM:SS.",
        flags=("--start",),
        parse=parse_time_s,
        metavar="TIME",
    )
    end_s: float | None = option(
        None,
        "Draw to here: seconds or HH:MM:SS.",
        flags=("--end",),
        parse=parse_time_s,
        metavar="TIME",
    )
    width_cm: float = option(17.0, "Width; 17 fills a page, 8.5 a column.", metavar="CM")
    height_cm: float | None = option(None, "Height. Default: by the tracks.", metavar="CM")
    dpi: int = option(300, "Pixels an inch of a .png.", metavar="N")

    def __post_init__(self) -> None:
        convert(self, "out", Path)
        convert(self, "style", PlotStyle)
        convert(self, "track", tuple)
        convert(self, "start_s", _seconds)
        convert(self, "end_s", _seconds)
        convert(self, "width_cm", float)
        convert(self, "height_cm", float)
        if self.out is not None and self.out.suffix.lower() not in FIGURE_SUFFIXES:
            raise UsageError(f"“{self.out}” should end with .pdf, .svg or .png.")
        if self.most < 1:
            raise UsageError(f"--most is at least 1, not {self.most}.")
        if not 20 <= self.dpi <= 2400:
            raise UsageError(f"--dpi lies between 20 and 2400, not {self.dpi}.")
        for name, size_cm in {"width": self.width_cm, "height": self.height_cm}.items():
            if size_cm is not None and not LEAST_CM <= size_cm <= MOST_CM:
                raise UsageError(
                    f"--{name}-cm lies between {LEAST_CM:g} and {MOST_CM:g}, not {size_cm:g}."
                )
        if (self.end_s if self.end_s is not None else math.inf) <= (self.start_s or 0.0):
            raise UsageError("--end must lie after --start.")


def _seconds(value: str | float) -> float:
    return parse_time_s(value) if isinstance(value, str) else float(value)
