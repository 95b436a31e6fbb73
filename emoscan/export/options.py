"""What a user can set of an export: light, for the command line's help."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from emoscan.errors import UsageError
from emoscan.options import STANDARD_OUTPUT, convert, option


class ExportFormat(StrEnum):
    """The program or the shape that a timeline is written for."""

    ELAN = "elan"
    PRAAT = "praat"
    WIDE = "wide"
    VTT = "vtt"

    @property
    def suffix(self) -> str:
        """What its files' names end with."""
        return SUFFIXES[self]


SUFFIXES = {
    ExportFormat.ELAN: ".eaf",
    ExportFormat.PRAAT: ".TextGrid",
    ExportFormat.WIDE: ".csv",
    ExportFormat.VTT: ".vtt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is written, and where to. Raises UsageError where values make no sense.

    From Python too, `to` may be a plain string, `out` and `video` strings.
    """

    to: ExportFormat | None = option(
        None,
        "elan: episodes as an .eaf; praat: episodes as a .TextGrid; wide: scores at a fixed step, "
        "a CSV each track; vtt: episodes as subtitles. Default: by the suffix of --out.",
    )
    out: Path | None = option(
        None,
        "The file, or without a suffix a folder for it; for wide, tracks are added to its name. "
        "Default: the timeline's name, in the current folder.",
        flags=("--out", "-o"),
        metavar="PATH",
    )
    overwrite: bool = option(False, "Replace files that exist.", flags=("--overwrite",))
    track: tuple[int, ...] = option(
        (), "Only this track; may be given again. Default: all.", metavar="N"
    )
    source: str | None = option(
        None, "Which video, where the timeline holds several.", metavar="NAME"
    )
    video: Path | None = option(
        None,
        "elan: the video to link. Default: the timeline's source, beside it or in the current "
        "folder.",
        metavar="FILE",
    )
    apexes: bool = option(
        False,
        "praat: one more tier each track, with the apex of each episode.",
        flags=("--apexes",),
    )
    scores: bool = option(
        False,
        "elan: also the scores, as curves of the Timeseries Viewer: a CSV each track, as by wide.",
        flags=("--scores",),
    )
    step_s: float | None = option(
        None,
        "wide, --scores: seconds from row to row. Default: the median frame's.",
        flags=("--step",),
        metavar="SECONDS",
    )

    def __post_init__(self) -> None:
        convert(self, "to", ExportFormat)
        convert(self, "out", Path)
        convert(self, "video", Path)
        convert(self, "step_s", float)
        convert(self, "track", _numbers)
        if str(self.out) == STANDARD_OUTPUT:
            raise UsageError("An export is not streamed; name a file with --out.")
        if self.step_s is not None and not 0 < self.step_s < math.inf:
            raise UsageError(f"--step is more than 0 seconds, not {self.step_s:g}.")

    def format(self) -> ExportFormat:
        """`to`, or what the suffix of `out` tells.

        Raises UsageError where neither does, and for options of another format.
        """
        told = [kind for kind in ExportFormat if kind is self.to or self._ends_with(kind)]
        if self.to is None and len(told) != 1:
            raise UsageError("Say with --to what to write: elan, praat, wide or vtt.")
        kind = self.to or told[0]
        if self.apexes and kind is not ExportFormat.PRAAT:
            raise UsageError(f"--apexes is for --to praat, not {kind}.")
        if self.scores and kind is not ExportFormat.ELAN:
            raise UsageError(f"--scores is for --to elan, not {kind}.")
        if self.step_s is not None and kind is not ExportFormat.WIDE and not self.scores:
            raise UsageError(f"--step is for --to wide, or --to elan --scores, not {kind}.")
        return kind

    def _ends_with(self, kind: ExportFormat) -> bool:
        return self.out is not None and self.out.suffix.lower() == kind.suffix.lower()


def _numbers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
