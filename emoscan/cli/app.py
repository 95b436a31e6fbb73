"""The commands. Heavy modules are imported inside them, so that --help answers at once."""

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from emoscan.cli.console import (
    ProgressView,
    TerminalOptions,
    abandon,
    make_console,
    print_error,
    print_info,
    print_report,
    write_data,
)
from emoscan.cli.parameters import takes_options
from emoscan.errors import EmoscanError, ExitCode, OutputError, UsageError
from emoscan.media.find import MediaKind
from emoscan.options import STANDARD_OUTPUT, VIDEO_ONLY, RunOptions, ScanOptions
from emoscan.outcome import ScanReport

app = typer.Typer(
    help="Turn videos and photos into tables of facial expressions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


# click's UsageError: typer imports click or carries a copy of its own, depending on its version.
COMMAND_LINE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interrupt with its own exit code."""


@app.command()
@takes_options(ScanOptions, RunOptions, TerminalOptions)
def video(
    paths: list[Path], options: ScanOptions, run: RunOptions, terminal: TerminalOptions
) -> None:
    """Scan videos: one table of faces and expressions for each."""
    _scan_and_exit(MediaKind.VIDEO, paths, options=options, run=run, terminal=terminal)


@app.command()
@takes_options(ScanOptions, RunOptions, TerminalOptions, without=VIDEO_ONLY)
def folder(
    paths: list[Path], options: ScanOptions, run: RunOptions, terminal: TerminalOptions
) -> None:
    """Scan photos: one table of faces and expressions for all of them."""
    _scan_and_exit(MediaKind.PHOTO, paths, options=options, run=run, terminal=terminal)


@app.command()
def info(
    weights: Annotated[
        Path | None, typer.Option(help="Tell of these weights, not the shipped ones.")
    ] = None,
) -> None:
    """Print versions, the device, and the model with its figures."""
    from emoscan.about import describe

    print_info(describe(weights))


def _print_version(wanted: bool) -> None:
    if wanted:
        write_data(f"emoscan {version('emoscan')}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


def _scan_and_exit(
    kind: MediaKind,
    paths: list[Path],
    *,
    options: ScanOptions,
    run: RunOptions,
    terminal: TerminalOptions,
) -> NoReturn:
    console = make_console(terminal)
    view = ProgressView(console, terminal)
    with _ending_in_a_sentence(console, view, terminal):
        if run.out == STANDARD_OUTPUT and terminal.json:
            raise UsageError("--json and --out - both want stdout; name a file with --out.")
        report = _scan(kind, paths, options=options, run=run, view=view)
        try:
            print_report(report, code=report.exit_code, console=console, options=terminal)
        except BrokenPipeError:  # the work is done, and its exit code still counts
            _leave_with_the_reader()
    raise typer.Exit(report.exit_code)


def _scan(
    kind: MediaKind,
    paths: list[Path],
    *,
    options: ScanOptions,
    run: RunOptions,
    view: ProgressView,
) -> ScanReport:
    _listen_to_signals()
    from emoscan.pipeline import scan

    if sys.stdout is None:
        raise OutputError("There is no stdout; name a file with --out.")
    with view:
        return scan(
            paths, kind=kind, options=options, run=run, listener=view, stdout=sys.stdout.buffer
        )


def _listen_to_signals() -> None:
    """A closed terminal ends the work as SIGTERM does, unless nohup has it ignored."""
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


@contextmanager
def _ending_in_a_sentence(
    console: Console, view: ProgressView, terminal: TerminalOptions
) -> Iterator[None]:
    """What ends the job early becomes a sentence, the report so far and an exit code."""
    try:
        yield
        return
    except typer.Exit:
        raise
    except EmoscanError as error:
        code = _fail(console, error, verbose=terminal.verbose)
    except Terminated:
        code = _stop(console, "Terminated.", code=ExitCode.TERMINATED)
    except KeyboardInterrupt:
        code = _stop(console, "Interrupted.", code=ExitCode.INTERRUPTED)
    except BrokenPipeError:
        raise typer.Exit(_leave_with_the_reader()) from None
    except Exception as error:
        code = _confess(console, error, verbose=terminal.verbose)
    if view.stopped:
        print_report(view.stopped, code=code, console=console, options=terminal)
    raise typer.Exit(code)


def _fail(console: Console, error: EmoscanError, *, verbose: bool) -> ExitCode:
    print_error(console, str(error))
    _print_traceback(console, error, wanted=verbose)
    return error.exit_code


def _confess(console: Console, error: Exception, *, verbose: bool) -> ExitCode:
    way_out = "" if verbose else " Run it again with --verbose for a traceback to report."
    print_error(console, f"A bug in emoscan: {type(error).__name__}: {error}.{way_out}")
    _print_traceback(console, error, wanted=verbose)
    return ExitCode.BUG


def _print_traceback(console: Console, error: Exception, *, wanted: bool) -> None:
    if wanted:
        console.print("".join(traceback.format_exception(error)), markup=False)


def _stop(console: Console, word: str, *, code: ExitCode) -> ExitCode:
    console.print(word, style="yellow")
    return code


def _leave_with_the_reader() -> ExitCode:
    """`emoscan … | head` took what it wanted: no error, and nobody left to tell."""
    abandon(sys.stdout)
    return ExitCode.DONE


def main() -> None:
    """Run the command line; what goes wrong outside of a scan is one sentence as well."""
    console = make_console(TerminalOptions())
    try:
        code = app(standalone_mode=False)
    except BrokenPipeError:
        code = _leave_with_the_reader()
    except (KeyboardInterrupt, typer.Abort):  # before the work began
        code = _stop(console, "Interrupted.", code=ExitCode.INTERRUPTED)
    except EmoscanError as error:
        code = _fail(console, error, verbose=False)
    except COMMAND_LINE_ERROR as error:
        code = _explain(console, error)
    except Exception as error:
        code = _confess(console, error, verbose="--verbose" in sys.argv)
    sys.exit(int(code or 0))


def _explain(console: Console, error: Any) -> ExitCode:
    command = error.ctx.command_path if error.ctx else "emoscan"
    wrong = error.format_message().rstrip(".")
    if wrong:  # else no command was named, and click has shown the help
        print_error(console, f"{wrong}; “{command} --help” lists what fits.")
    return ExitCode.USAGE


if __name__ == "__main__":
    main()
