"""How a command ends: what goes wrong becomes one sentence and an exit code."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import typer
from rich.console import Console

from emoscan.batch.crew import WORKER
from emoscan.cli.console import TerminalOptions, abandon, make_console, print_error
from emoscan.errors import EmoscanError, ExitCode

# For a thread that has nothing left to do.
LAST_S = 0.1


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interrupt with its own exit code."""


def listen_to_signals() -> None:
    """A closed terminal ends the work as SIGTERM does, unless nohup has it ignored."""
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def listen_no_more() -> None:
    """Nothing is at work: from now on a signal would only cost the last words and the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


@contextmanager
def ending_in_a_sentence(
    console: Console, terminal: TerminalOptions, last_words: Callable[[ExitCode], None]
) -> Iterator[None]:
    """What ends the job early becomes a sentence, its last words and an exit code."""
    try:
        yield
        return
    except typer.Exit:
        raise
    except EmoscanError as error:
        code = fail(console, error, verbose=terminal.verbose)
    except Terminated:
        code = stop(console, "Terminated.", code=ExitCode.TERMINATED)
    except KeyboardInterrupt:
        code = stop(console, "Interrupted.", code=ExitCode.INTERRUPTED)
    except BrokenPipeError:
        raise typer.Exit(leave_with_the_reader()) from None
    except Exception as error:
        code = confess(console, error, verbose=terminal.verbose)
    last_words(code)
    raise typer.Exit(code)


def fail(console: Console, error: EmoscanError, *, verbose: bool) -> ExitCode:
    """An error that was foreseen: its sentence and its exit code."""
    print_error(console, str(error))
    _print_traceback(console, error, wanted=verbose)
    return error.exit_code


def confess(console: Console, error: Exception, *, verbose: bool) -> ExitCode:
    """An error that nobody foresaw: a bug."""
    way_out = "" if verbose else " Run it again with --verbose for a traceback to report."
    print_error(console, f"A bug in emoscan: {type(error).__name__}: {error}.{way_out}")
    _print_traceback(console, error, wanted=verbose)
    return ExitCode.BUG


def _print_traceback(console: Console, error: Exception, *, wanted: bool) -> None:
    if wanted:
        console.print("".join(traceback.format_exception(error)), markup=False)


def stop(console: Console | None, word: str, *, code: ExitCode) -> ExitCode:
    """Somebody ended the work: one word, and the code that scripts know."""
    listen_no_more()
    console = console or make_console(TerminalOptions())
    console.print(word, style="yellow")
    return code


def leave(code: int) -> NoReturn:
    """End the program, at once where a thread is still at work.

    Python ends such threads as it leaves, in the midst of a library that aborts for that, and the
    exit code would be lost.
    """
    workers = [thread for thread in threading.enumerate() if thread.name == WORKER]
    for thread in workers:  # one that is done may be about to end
        thread.join(LAST_S)
    if any(thread.is_alive() for thread in workers):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # closed, or never there
                stream.flush()
        os._exit(code)
    sys.exit(code)


def leave_with_the_reader() -> ExitCode:
    """`emoscan … | head` took what it wanted: no error, and nobody left to tell."""
    abandon(sys.stdout)
    return ExitCode.DONE
