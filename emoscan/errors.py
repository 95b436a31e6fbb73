"""What goes wrong in words for the user, and the exit codes that scripts rely on."""

from enum import IntEnum


class ExitCode(IntEnum):
    """emoscan's exit codes: part of its interface."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NO_MEDIA = 3
    SOME_FAILED = 4
    NOTHING_READ = 5
    MISSING_PART = 6
    OUTPUT = 7
    INTERRUPTED = 130
    TERMINATED = 143


class EmoscanError(Exception):
    """The root of emoscan's errors. Its text is one plain sentence that says what to do."""

    exit_code = ExitCode.BUG


class UsageError(EmoscanError):
    """Options or arguments that do not fit."""

    exit_code = ExitCode.USAGE


class NoMediaError(EmoscanError):
    """The paths hold no file of the kind that was asked for."""

    exit_code = ExitCode.NO_MEDIA


class MediaError(EmoscanError):
    """One photo or video that cannot be read at all."""

    exit_code = ExitCode.NOTHING_READ


class ChangedError(MediaError):
    """An input that was changed or removed while it was read: the next run may well read it."""

    def __init__(self, source: str) -> None:
        super().__init__(f"{source} was changed or removed while it was read; run it again.")


class DecoderEndedError(MediaError):
    """The decoder's process ended, of the input's fault or of the machine's."""


class MissingPartError(EmoscanError):
    """A model, its weights or an optional dependency is missing or unusable."""

    exit_code = ExitCode.MISSING_PART


class OutputError(EmoscanError):
    """The output exists already, is locked or cannot be written."""

    exit_code = ExitCode.OUTPUT
