"""The commands. Heavy modules are imported inside them, so that --help answers at once."""

import os
import signal
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from emoscan.cli.console import (
    ProgressView,
    TerminalOptions,
    make_console,
    print_error,
    print_info,
    print_report,
)
from emoscan.cli.parameters import takes_options
from emoscan.errors import EmoscanError, ExitCode, UsageError
from emoscan.media.find import MediaKind
from emoscan.options import STANDARD_OUTPUT, RunOptions, ScanOptions
from emoscan.outcome import ScanReport

app = typer.Typer(
    help="Turn videos and photos into tables of facial expressions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interrupt with its own exit code."""


@app.command()
@takes_options(ScanOptions, RunOptions, TerminalOptions)
def video(
    paths: list[Path], options: ScanOptions, run: RunOptions, terminal: TerminalOptions
) -> None:
    """Scan videos: one table of faces and expressions for each."""
    _scan_and_exit(MediaKind.VIDEO, paths, options, run, terminal)


@app.command()
@takes_options(ScanOptions, RunOptions, TerminalOptions)
def folder(
    paths: list[Path], options: ScanOptions, run: RunOptions, terminal: TerminalOptions
) -> None:
    """Scan photos: one table of faces and expressions for all of them."""
    _scan_and_exit(MediaKind.PHOTO, paths, options, run, terminal)


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
        sys.stdout.write(f"emoscan {version('emoscan')}\n")
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
    options: ScanOptions,
    run: RunOptions,
    terminal: TerminalOptions,
) -> NoReturn:
    console = make_console(terminal)
    try:
        report = _scan(kind, paths, options, run, terminal=terminal, console=console)
    except EmoscanError as error:
        code = _fail(console, error, verbose=terminal.verbose)
    except Terminated:
        code = _stop(console, "Terminated.", ExitCode.TERMINATED)
    except KeyboardInterrupt:
        code = _stop(console, "Interrupted.", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        code = _reader_left(console)
    except Exception as error:
        code = _confess(console, error, verbose=terminal.verbose)
    else:
        print_report(report, console, terminal)
        code = report.exit_code
    raise typer.Exit(code)


def _scan(
    kind: MediaKind,
    paths: list[Path],
    options: ScanOptions,
    run: RunOptions,
    *,
    terminal: TerminalOptions,
    console: Console,
) -> ScanReport:
    if run.out == STANDARD_OUTPUT and terminal.json:
        raise UsageError("--json and --out - both want stdout; name a file with --out.")
    signal.signal(signal.SIGTERM, _terminate)
    from emoscan.pipeline import scan

    with ProgressView(console, terminal) as view:
        return scan(
            paths, kind=kind, options=options, run=run, listener=view, stdout=sys.stdout.buffer
        )


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


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


def _stop(console: Console, word: str, code: ExitCode) -> ExitCode:
    console.print(word, style="yellow")
    return code


def _reader_left(console: Console) -> ExitCode:
    # Python flushes stdout once more when it ends, and would complain about the closed pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print_error(console, "Whatever read the rows from stdout closed it before the end.")
    return ExitCode.OUTPUT


def main() -> None:
    """Run the command line; what goes wrong before a command starts is one sentence as well."""
    try:
        app()
    except EmoscanError as error:
        print_error(make_console(TerminalOptions()), str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
