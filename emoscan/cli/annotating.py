"""What `emoscan annotate` shows, beside the bars that it shares with a scan."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emoscan.cli.console import (
    MOST_PROBLEMS_SHOWN,
    ProgressView,
    TerminalOptions,
    make_console,
    plain,
    write_data,
)
from emoscan.cli.endings import ending_in_a_sentence, leave_with_the_reader, listen_to_signals
from emoscan.report.options import AnnotateOptions
from emoscan.report.outcome import AnnotateReport


def annotate_and_exit(
    media: Path, timeline: Path, *, options: AnnotateOptions, terminal: TerminalOptions
) -> NoReturn:
    """Do the whole command."""
    console = make_console(terminal)
    with ending_in_a_sentence(console, terminal, lambda _: None):
        listen_to_signals()
        with ProgressView(console, terminal) as view:
            from emoscan.report.annotate import annotate

            report = annotate(media, timeline, options=options, listener=view)
        try:
            print_annotated(report, console=console, terminal=terminal)
        except BrokenPipeError:  # the work is done, and its exit code still counts
            leave_with_the_reader()
    raise typer.Exit(report.exit_code)


def print_annotated(report: AnnotateReport, *, console: Console, terminal: TerminalOptions) -> None:
    """The summary on stderr, or with --json the report on stdout."""
    if terminal.json:
        whole = asdict(report) | {"exit_code": int(report.exit_code)}
        write_data(json.dumps(whole, indent=2) + "\n")
        return
    if not terminal.quiet:
        console.print()
        console.print(_facts(report))
    shows_all = terminal.quiet or terminal.verbose
    _print_problems(report, console, most=None if shows_all else MOST_PROBLEMS_SHOWN)


def _facts(report: AnnotateReport) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _fact_rows(report).items():
        if value:
            table.add_row(name, Text(plain(value)))
    return table


def _fact_rows(report: AnnotateReport) -> dict[str, str]:
    is_video = report.media_s > 0
    speed = report.media_s / report.seconds if report.seconds else 0.0
    return {
        "frames" if is_video else "photos": f"{report.frames:,}",
        "unreadable": f"{report.unreadable:,}" if report.unreadable else "",
        "hidden whole": f"{report.hidden_whole:,} frames" if report.hidden_whole else "",
        "faces": f"{report.faces:,}",
        "sound": report.audio,
        "speed": f"{speed:.2f} × real time" if is_video else "",
        "copy" if is_video else "copies": ", ".join(report.outputs),
    }


def _print_problems(report: AnnotateReport, console: Console, *, most: int | None) -> None:
    if not report.problems:
        return
    console.print(Text(f"\n{len(report.problems)} {report.problems[0].kind}:", style="yellow"))
    for problem in report.problems[:most]:
        named = problem.reason.startswith(problem.source)
        told = problem.reason if named else f"{problem.source}: {problem.reason}"
        console.print(Text(f"  {plain(told)}"))
    hidden = len(report.problems) - (most or len(report.problems))
    if hidden > 0:
        console.print(f"  … and {hidden} more (--verbose shows all)")
