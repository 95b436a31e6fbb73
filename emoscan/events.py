"""What the core says while it works. The core never prints: a listener does, or nobody."""

from collections.abc import Callable
from dataclasses import dataclass

from emoscan.outcome import ScanReport


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing that is no failure, such as a choice made by `auto`."""

    text: str


@dataclass(frozen=True, slots=True)
class ScanStarted:
    """The inputs are known; `files` is how many there are."""

    files: int


@dataclass(frozen=True, slots=True)
class FileStarted:
    """Work on one input begins; `expected_frames` is None where nobody can know."""

    source: str
    expected_frames: int | None


@dataclass(frozen=True, slots=True)
class FramesDone:
    """So far in one file."""

    source: str
    frames: int
    faces: int


@dataclass(frozen=True, slots=True)
class FileFinished:
    """Work on one input ended; `problem` is None where all went well."""

    source: str
    frames: int
    faces: int
    seconds: float
    problem: str | None
    output: str | None


@dataclass(frozen=True, slots=True)
class FileKept:
    """One input was done by an earlier run, in the same way: its table stays."""

    source: str
    output: str


@dataclass(frozen=True, slots=True)
class PartialKept:
    """What was done of a table that cannot be finished lies in `path`: `rows` whole rows."""

    path: str
    rows: int


@dataclass(frozen=True, slots=True)
class ScanStopped:
    """The job ends early, by an interrupt or an error that follows; this is its report so far."""

    report: ScanReport


@dataclass(frozen=True, slots=True, eq=False)
class Crashed:
    """One input ended in an error that nobody foresaw: a bug, told with its traceback."""

    source: str
    error: Exception


Event = (
    Note
    | ScanStarted
    | FileStarted
    | FramesDone
    | FileFinished
    | FileKept
    | PartialKept
    | ScanStopped
    | Crashed
)
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of those who do not listen."""
