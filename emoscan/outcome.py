"""What a job did, what failed and why."""

from dataclasses import dataclass, field
from enum import StrEnum

from emoscan.errors import ExitCode


class ProblemKind(StrEnum):
    """How much of an input is missing: all of it, or a part."""

    FAILED = "failed"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Problem:
    """One input that did not go well; `reason` is a sentence."""

    source: str
    kind: ProblemKind
    reason: str


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What a dry run says of one input; `frames` is how many would be looked at."""

    source: str
    frames: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """What was done, what failed and why.

    `frames` counts those that could be read, `unreadable` those that could not; `tracks` adds up
    the tracks of every video; `media_s` is the time that the frames span, 0 for photos; `seconds`
    is how long it took; `not_done` counts inputs that were not come to, `done_before` those whose
    tables were there already, `passed_over` media of the other kind, `skipped` other files.
    """

    inputs: int
    not_done: int = 0
    done_before: int = 0
    passed_over: int = 0
    skipped: int = 0
    frames: int = 0
    frames_with_face: int = 0
    unreadable: int = 0
    faces: int = 0
    tracks: int = 0
    emotions: dict[str, int] = field(default_factory=dict)
    media_s: float = 0
    seconds: float = 0
    device: str = ""
    precision: str = ""
    backend: str = ""
    outputs: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    dry_run: bool = False
    planned: tuple[PlannedFile, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """DONE, SOME_FAILED, or NOTHING_READ where no input gave a single frame."""
        if not self.problems:
            return ExitCode.DONE
        read = self.frames or self.planned or self.done_before
        return ExitCode.SOME_FAILED if read else ExitCode.NOTHING_READ
