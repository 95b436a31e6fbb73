"""What became of a copy."""

from dataclasses import dataclass

from emoscan.errors import ExitCode
from emoscan.outcome import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateReport:
    """What was written, what failed and why.

    `frames` counts those that could be read, photos too, `unreadable` those that could not;
    `faces` the timeline's rows with a face that were drawn or hidden; `hidden_whole` the frames
    that were hidden as a whole since nobody had looked at them. `media_s` is the time that the
    frames span, 0 for photos; `audio` says what became of the sound, empty if there is none.
    """

    frames: int
    unreadable: int = 0
    faces: int = 0
    hidden_whole: int = 0
    media_s: float = 0.0
    seconds: float = 0.0
    audio: str = ""
    outputs: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """DONE, SOME_FAILED, or NOTHING_READ where there was no picture."""
        if not self.problems:
            return ExitCode.DONE
        return ExitCode.SOME_FAILED if self.frames else ExitCode.NOTHING_READ
