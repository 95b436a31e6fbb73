"""What a user can set of episodes and summaries: light, for the command line's help."""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.options import convert, option, parse_time_s


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeOptions:
    """Where an expression begins and ends. Raises UsageError where values make no sense."""

    smoothing_s: float = option(
        0.5,
        "Full width of the smoothing kernel, in seconds; 0 smooths nothing.",
        flags=("--smoothing",),
        metavar="SECONDS",
    )
    high: float = option(0.6, "An episode reaches at least this smoothed score.", metavar="SCORE")
    low: float = option(0.4, "It lasts while the score is at least this.", metavar="SCORE")
    least_s: float = option(
        0.3, "It lasts at least this long.", flags=("--min-duration",), metavar="SECONDS"
    )
    gap_s: float = option(
        0.3,
        "A face that is away for longer ends an episode, and nothing is smoothed across.",
        flags=("--gap",),
        metavar="SECONDS",
    )
    emotion: tuple[str, ...] = option(
        (), "Only this class; may be given again. Default: all seven.", metavar="CLASS"
    )

    def __post_init__(self) -> None:
        flags = {"smoothing_s": "smoothing", "least_s": "min-duration", "gap_s": "gap"}
        for name in (*flags, "high", "low"):
            convert(self, name, float)
        convert(self, "emotion", _words)
        for name, flag in flags.items():
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UsageError(f"--{flag} is at least 0 seconds, not {value:g}.")
        if not 0 < self.low <= self.high <= 1:
            raise UsageError(
                f"--low and --high are scores with 0 < low ≤ high ≤ 1, not {self.low:g} and "
                f"{self.high:g}."
            )
        unknown = [name for name in self.emotion if name not in EMOTIONS]
        if unknown:
            raise UsageError(f"--emotion is one of {', '.join(EMOTIONS)}, not “{unknown[0]}”.")

    def as_dict(self) -> dict[str, Any]:
        """Every option as JSON can hold it."""
        return asdict(self) | {"emotion": list(self.emotion)}


class Grouping(StrEnum):
    """What a summary has a row for."""

    TRACK = "track"
    LABEL = "label"
    SOURCE = "source"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A person's neutral face: a stretch of the same video, or another timeline.

    Raises UsageError unless it is exactly one of them.
    """

    start_s: float | None = None
    end_s: float | None = None
    path: Path | None = None

    def __post_init__(self) -> None:
        if (self.path is None) != (self.start_s is not None and self.end_s is not None):
            raise UsageError("--baseline is START-END, or the file of another timeline.")
        if self.start_s is not None and self.end_s is not None and self.end_s <= self.start_s:
            raise UsageError(f"--baseline {self} ends before it begins.")

    def __str__(self) -> str:
        return str(self.path) if self.path else f"{self.start_s:g}-{self.end_s:g}"


def parse_baseline(text: "str | Path | tuple[float, float] | Baseline") -> Baseline:
    """`0-5` or `0:10-1:30` is a stretch, everything else a file. Raises UsageError."""
    if isinstance(text, Baseline):
        return text
    if isinstance(text, tuple):
        return Baseline(float(text[0]), float(text[1]))
    if re.fullmatch(r"\s*[\d.:]+\s*", str(text), re.ASCII):
        raise UsageError(f"--baseline takes START-END, such as 0-5, or a timeline, not “{text}”.")
    times = re.fullmatch(r"\s*([\d.:]+)\s*[-–]\s*([\d.:]+)\s*", str(text), re.ASCII)
    if times is None and str(text).strip():
        return Baseline(path=Path(text))
    return Baseline(parse_time_s(times[1]), parse_time_s(times[2])) if times else Baseline()


_UNITS_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}

# Shorter than a frame of any camera; and times are known to some microseconds.
LEAST_WINDOW_S = 0.001


def parse_window_s(text: str | float) -> float:
    """`500ms`, `1s`, `2min`, `1h`, or seconds and HH:MM:SS, as seconds. Raises UsageError."""
    if not isinstance(text, str):
        return float(text)
    with_unit = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(ms|s|min|h)\s*", text, re.ASCII)
    if with_unit:
        return float(with_unit[1]) * _UNITS_S[with_unit[2]]
    try:
        return parse_time_s(text)
    except UsageError:
        raise UsageError(
            f"--window takes a time such as 1s, 500ms, 2min or 00:01:30, not “{text}”."
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOptions:
    """What a summary has rows and columns for. Raises UsageError where values make no sense.

    From Python, `window_s` is a number or as on the command line, `baseline` a `Baseline`, a
    pair of seconds, or as on the command line.
    """

    by: Grouping | None = option(
        None,
        "A row for each track, label or source, or one for all faces. Default: track; source for "
        "photos.",
    )
    window_s: float | None = option(
        None,
        "A row for each stretch of this length, such as 1s, 500ms or 2min, from the video's start.",
        flags=("--window",),
        parse=parse_window_s,
        metavar="TIME",
    )
    baseline: Baseline | None = option(
        None,
        "Also the difference from this neutral stretch of the same face (0-5, 0:10-0:20), or from "
        "the mean of another timeline.",
        parse=parse_baseline,
        metavar="START-END|FILE",
    )
    speakers: Path | None = option(
        None,
        "Who speaks when, as .csv (columns start, end, speaker), .srt or .rttm: a row for each "
        "speaker.",
        metavar="FILE",
    )
    speaker_track: tuple[str, ...] = option(
        (),
        "Whose face a track is; its rows are then speaking, listening and silence. May be given "
        "again.",
        metavar="NAME=TRACK",
    )

    def __post_init__(self) -> None:
        convert(self, "by", Grouping)
        convert(self, "window_s", parse_window_s)
        convert(self, "baseline", parse_baseline)
        convert(self, "speakers", Path)
        convert(self, "speaker_track", _words)
        if self.window_s is not None and not LEAST_WINDOW_S <= self.window_s < math.inf:
            raise UsageError(f"--window is at least {LEAST_WINDOW_S} s, not {self.window_s:g}.")
        if self.speaker_track and self.speakers is None:
            raise UsageError("--speaker-track needs --speakers, which says who speaks when.")
        if self.speaker_track and self.by in (Grouping.SOURCE, Grouping.NONE):
            raise UsageError(
                "--speaker-track tells whose face a track is; it needs --by track or label."
            )
        self.track_speakers()

    def track_speakers(self) -> list[tuple[str, int]]:
        """`--speaker-track` as pairs of a speaker's name and a track."""
        return [_name_and_track(text) for text in self.speaker_track]

    def as_dict(self) -> dict[str, Any]:
        """Every option as JSON can hold it."""
        words = {
            "by": self.by.value if self.by else None,
            "baseline": str(self.baseline) if self.baseline else None,
            "speakers": str(self.speakers) if self.speakers else None,
            "speaker_track": list(self.speaker_track),
        }
        return {"window_s": self.window_s, **words}


def _name_and_track(text: str) -> tuple[str, int]:
    name, _, track = text.rpartition("=")
    if not name.strip() or not re.fullmatch(r"\s*\d+\s*", track, re.ASCII):
        raise UsageError(f"--speaker-track takes a name and a track such as Anna=1, not “{text}”.")
    return name.strip(), int(track)


def _words(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
