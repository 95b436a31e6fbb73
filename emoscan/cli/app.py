"""The commands. Heavy modules are imported inside them, so that --help answers at once."""

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from emoscan.cli.analysis import COMMANDS
from emoscan.cli.console import (
    ProgressView,
    TerminalOptions,
    make_console,
    occupy_standard_streams,
    print_error,
    print_info,
    print_report,
    write_data,
)
from emoscan.cli.endings import (
    Terminated,
    confess,
    ending_in_a_sentence,
    fail,
    leave,
    leave_with_the_reader,
    listen_no_more,
    listen_to_signals,
    stop,
)
from emoscan.cli.parameters import OUT, takes_options
from emoscan.cli.training import TrainingView, print_evaluation, print_training
from emoscan.errors import EmoscanError, ExitCode, OutputError, UsageError
from emoscan.media_kind import MediaKind
from emoscan.options import (
    STANDARD_OUTPUT,
    VIDEO_ONLY,
    EvaluateOptions,
    RunOptions,
    ScanOptions,
    StatusOptions,
    TrainOptions,
)
from emoscan.outcome import ScanReport

# Of RunOptions: photos are one table, stay in this process, and are too many to read twice.
NOT_FOR_PHOTOS = frozenset({"decode_in_process", "hwaccel", "workers", "verify"})

app = typer.Typer(
    help="Turn videos and photos into tables of facial expressions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


# click's UsageError: typer imports click or carries a copy of its own, depending on its version.
COMMAND_LINE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]


@app.command()
@takes_options(ScanOptions, RunOptions, TerminalOptions)
def video(
    paths: list[Path], options: ScanOptions, run: RunOptions, terminal: TerminalOptions
) -> None:
    """Scan videos: one table of faces and expressions for each."""
    _scan_and_exit(MediaKind.VIDEO, paths, options=options, run=run, terminal=terminal)


@app.command()
@takes_options(ScanOptions, RunOptions, TerminalOptions, without=VIDEO_ONLY | NOT_FOR_PHOTOS)
def folder(
    paths: list[Path], options: ScanOptions, run: RunOptions, terminal: TerminalOptions
) -> None:
    """Scan photos: one table of faces and expressions for all of them."""
    _scan_and_exit(MediaKind.PHOTO, paths, options=options, run=run, terminal=terminal)


for command in COMMANDS:
    app.command()(command)


@app.command()
@takes_options(TrainOptions, TerminalOptions, arguments=())
def train(options: TrainOptions, terminal: TerminalOptions) -> None:
    """Train the classifier on FER2013, and report what it reaches."""
    console = make_console(terminal)

    def way_on(code: ExitCode) -> None:
        if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
            console.print(
                "Epochs that are finished are kept: the same command with --resume goes on."
            )

    with ending_in_a_sentence(console, terminal, way_on):
        listen_to_signals()
        with TrainingView(console, terminal) as view:
            from training.run import train as run_training

            run_folder, metrics = run_training(options, view)
        print_training(run_folder, metrics, data=options.data, console=console, options=terminal)


@app.command()
@takes_options(EvaluateOptions, TerminalOptions, arguments=())
def evaluate(options: EvaluateOptions, terminal: TerminalOptions) -> None:
    """Measure weights on FER2013, through the classifier that serves."""
    console = make_console(terminal)
    with ending_in_a_sentence(console, terminal, lambda _: None):
        listen_to_signals()
        with TrainingView(console, terminal) as view:
            from training.evaluate import evaluate as run_evaluation
            from training.evaluate import write_evaluation

            evaluation = run_evaluation(options, view)
            if options.out:
                write_evaluation(evaluation, options.out)
        print_evaluation(
            evaluation.figures, warnings=evaluation.warnings, options=terminal, console=console
        )


@app.command()
@takes_options(StatusOptions, arguments=(OUT,))
def status(out: Path, options: StatusOptions) -> None:
    """Show what became of every video of a batch, or of the photos of a table, over all shards."""
    from emoscan.batch.status import find_status
    from emoscan.cli.status import print_status

    print_status(find_status(out), as_json=options.json)


@app.command()
def info(
    weights: Annotated[
        Path | None, typer.Option(help="Tell of these weights, not the shipped ones.")
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Tell of the libraries that read videos and photos, too."
        ),
    ] = False,
) -> None:
    """Print versions, the device, and the model with its figures."""
    from emoscan.about import describe, describe_libraries

    print_info(describe(weights) | (describe_libraries() if verbose else {}))


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

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

    def report_so_far(code: ExitCode) -> None:
        if view.stopped:
            print_report(view.stopped, code=code, console=console, options=terminal)

    with ending_in_a_sentence(console, terminal, report_so_far):
        if run.out == STANDARD_OUTPUT and terminal.json:
            raise UsageError("--json and --out - both want stdout; name a file with --out.")
        if sys.stdout is None and (run.out == STANDARD_OUTPUT or terminal.json):
            raise OutputError("There is no stdout; name a file with --out, and do without --json.")
        report = _scan(kind, paths, options=options, run=run, view=view)
        try:
            print_report(report, code=report.exit_code, console=console, options=terminal)
        except BrokenPipeError:  # the work is done, and its exit code still counts
            leave_with_the_reader()
    raise typer.Exit(report.exit_code)


def _scan(
    kind: MediaKind,
    paths: list[Path],
    *,
    options: ScanOptions,
    run: RunOptions,
    view: ProgressView,
) -> ScanReport:
    listen_to_signals()
    from emoscan.pipeline import scan

    stdout = sys.stdout.buffer if sys.stdout else None
    with view:
        return scan(paths, kind=kind, options=options, run=run, listener=view, stdout=stdout)


def main() -> None:
    """Run the command line; what goes wrong outside of a scan is one sentence as well."""
    occupy_standard_streams()
    try:
        listen_to_signals()
        code = _run()
        listen_no_more()
    except Terminated:  # before the work began; so below
        code = stop(None, "Terminated.", code=ExitCode.TERMINATED)
    except (KeyboardInterrupt, typer.Abort):
        code = stop(None, "Interrupted.", code=ExitCode.INTERRUPTED)
    leave(int(code or 0))


def _run() -> int | None:
    console = make_console(TerminalOptions())
    try:
        code: int | None = app(standalone_mode=False)
    except BrokenPipeError:
        code = leave_with_the_reader()
    except EmoscanError as error:
        code = fail(console, error, verbose=False)
    except COMMAND_LINE_ERROR as error:
        code = _explain(console, error)
    except Exception as error:
        code = confess(console, error, verbose="--verbose" in sys.argv)
    return code


def _explain(console: Console, error: Any) -> ExitCode:
    command = error.ctx.command_path if error.ctx else "emoscan"
    wrong = error.format_message().rstrip(".")
    if wrong:  # else no command was named, and click has shown the help
        print_error(console, f"{wrong}; “{command} --help” lists what fits.")
    return ExitCode.USAGE


if __name__ == "__main__":
    main()
