"""Everything that emoscan prints: progress, sentences and the summary."""

import json
import os
import shlex
import shutil
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from emoscan.errors import ExitCode, OutputError
from emoscan.events import (
    Crashed,
    Event,
    FileFinished,
    FileKept,
    FileStarted,
    FramesDone,
    Note,
    PartialKept,
    ScanStarted,
    ScanStopped,
)
from emoscan.media.find import counted
from emoscan.options import option
from emoscan.outcome import ProblemKind, ScanReport

BAR_CELLS = 24
LONGEST_NAME_CELLS = 32
MOST_PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalOptions:
    """What the terminal shows; the rows stay the same."""

    json: bool = option(
        False, "Print the final report as one JSON object on stdout.", flags=("--json",)
    )
    quiet: bool = option(False, "Say nothing but errors.", flags=("--quiet", "-q"))
    verbose: bool = option(False, "Show tracebacks and every problem.", flags=("--verbose", "-v"))
    no_color: bool = option(False, "Print without colours.", flags=("--no-color",))


class _Stderr(Console):
    """Falls silent where nobody reads any more: a closed terminal does not end the work."""

    def on_broken_pipe(self) -> None:
        """Instead of rich's way, which ends the program."""
        self._fall_silent()

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print, or never again."""
        try:
            super().print(*objects, **settings)
        except OSError:
            self._fall_silent()

    def _fall_silent(self) -> None:
        self.quiet = True
        abandon(sys.stderr)


def make_console(options: TerminalOptions) -> Console:
    """The console for everything but data: stderr."""
    return _Stderr(stderr=True, no_color=options.no_color or None, highlight=False, soft_wrap=True)


def write_data(data: str | bytes) -> None:
    """Write to stdout. Raises OutputError where it cannot take it, but for a reader that left."""
    if sys.stdout is None:
        raise OutputError("There is no stdout to write to.")
    try:
        if isinstance(data, bytes):
            sys.stdout.buffer.write(data)
        else:
            sys.stdout.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon(sys.stdout)
        raise OutputError(f"Standard output cannot be written: {error.strerror}.") from error


def occupy_standard_streams() -> None:
    """Where one is closed, the next file that is opened would take its place, and what libraries
    print would go into it.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)


def abandon(stream: TextIO) -> None:
    """Python flushes its streams once more when it ends, and would fail there a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def plain(text: str) -> str:
    """File names may hold line breaks and escape sequences: those are shown, not obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def print_error(console: Console, sentence: str) -> None:
    """One error, one sentence."""
    console.print(Text.assemble(("Error: ", "bold red"), plain(sentence)))


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{speed:.1f} {unit}/s" if speed and unit else "", style="cyan")


class ProgressView:
    """A listener: two bars on a terminal, elsewhere one plain line a file."""

    def __init__(self, console: Console, options: TerminalOptions) -> None:
        self._console = console
        self._quiet = options.quiet
        self._verbose = options.verbose
        self._bars = _make_bars(console)
        self._batch: TaskID | None = None
        self._files: dict[str, TaskID] = {}
        self.stopped: ScanReport | None = None

    def __enter__(self) -> Self:
        if self._shows_bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shows_bars:  # otherwise rich would print an empty line
            self._bars.stop()

    @property
    def _shows_bars(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Note(text):
                self._say(Text(plain(text), style="dim"))
            case ScanStarted(files) if files > 1:
                self._batch = self._bars.add_task("all files", total=files, faces="", unit="")
            case FileStarted(source, expected):
                self._start_file(source, expected)
            case FramesDone(source, frames, faces) if source in self._files:
                self._bars.update(self._files[source], completed=frames, faces=f"{faces:,} faces")
            case FileFinished():
                self._finish_file(event)
            case FileKept():
                self._advance_batch()
            case PartialKept(path, rows):  # --quiet too: this is all that is left
                self._console.print(Text(plain(f"{counted(rows, 'row')} so far are in {path}.")))
            case ScanStopped(report):
                self.stopped = report
            case Crashed(_, error) if self._verbose:
                self._console.print(Text("".join(traceback.format_exception(error))))

    def _start_file(self, source: str, expected: int | None) -> None:
        name = plain(source)
        while cell_len(name) > LONGEST_NAME_CELLS:
            name = f"…{name[2:]}"
        self._files[source] = self._bars.add_task(
            name, total=expected, faces="0 faces", unit="frames"
        )

    def _finish_file(self, event: FileFinished) -> None:
        task = self._files.pop(event.source, None)
        if task is not None:
            self._bars.remove_task(task)
        self._advance_batch()
        if not self._shows_bars:  # the summary names problems
            self._say(_file_line(event))

    def _advance_batch(self) -> None:
        if self._batch is not None:
            self._bars.advance(self._batch)

    def _say(self, text: Text) -> None:
        if not self._quiet:
            self._console.print(text)


def _make_bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(BAR_CELLS),
        MofNCompleteColumn(),
        _Speed(),
        TextColumn("{task.fields[faces]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )


def _file_line(event: FileFinished) -> Text:
    if event.problem and not event.output:
        return Text(_named(event.source, event.problem), style="yellow")
    done = f"{counted(event.frames, 'frame')}, {counted(event.faces, 'face')}"
    where = f" → {event.output}" if event.output else ""
    line = Text(plain(f"{event.source}: {done}, {event.seconds:.1f} s{where}"))
    return line.append(f"  {plain(event.problem)}", "yellow") if event.problem else line


def _named(source: str, reason: str) -> str:
    """The sentence with the input's name in it."""
    return plain(reason if reason.startswith(source) else f"{source}: {reason}")


def print_report(
    report: ScanReport, *, code: ExitCode, console: Console, options: TerminalOptions
) -> None:
    """The summary on stderr, or with --json the report on stdout."""
    if options.json:
        write_data(json.dumps(asdict(report) | {"exit_code": int(code)}, indent=2) + "\n")
    elif options.quiet:
        _print_problems(report, console, most=None)
    elif report.dry_run:
        _print_plan(report, console)
    else:
        _print_summary(report, console, options)


def _print_plan(report: ScanReport, console: Console) -> None:
    for file in report.planned:
        frames = counted(file.frames, "frame")
        console.print(Text(plain(f"{file.source}: {frames} → {file.output}")))
    _print_problems(report, console, most=MOST_PROBLEMS_SHOWN)
    console.print(Text("Nothing was done: this was a dry run.", style="dim"))


def _print_summary(report: ScanReport, console: Console, options: TerminalOptions) -> None:
    console.print()
    console.print(_facts(report))
    if report.faces:
        console.print()
        console.print(_emotions(report))
    _print_problems(report, console, most=None if options.verbose else MOST_PROBLEMS_SHOWN)
    if report.outputs and report.faces:
        console.print(Text.assemble("\nNext: ", (_next_command(report), "bold")))


def _facts(report: ScanReport) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _fact_rows(report):
        table.add_row(name, Text(plain(value)))
    return table


def _fact_rows(report: ScanReport) -> list[tuple[str, str]]:
    share = f" ({report.frames_with_face / report.frames:.0%})" if report.frames else ""
    rows = [
        ("files", f"{report.inputs:,}"),
        ("done before", f"{report.done_before:,} of them" if report.done_before else ""),
        ("not looked at", f"{report.not_done:,} of them" if report.not_done else ""),
        ("frames looked at", f"{report.frames:,}"),
        ("with a face", f"{report.frames_with_face:,}{share}" if report.frames else ""),
        ("unreadable", f"{report.unreadable:,}" if report.unreadable else ""),
        ("faces", f"{report.faces:,}"),
        ("tracks", f"{report.tracks:,}" if report.media_s else ""),
        ("speed", _speed(report)),
        ("device", f"{report.device}, {report.backend}, {report.precision}"),
        ("tables", _outputs(report)),
    ]
    return [(name, value) for name, value in rows if value]


def _outputs(report: ScanReport) -> str:
    if len(report.outputs) <= 2:
        return ", ".join(report.outputs)
    return f"{report.outputs[0]} and {len(report.outputs) - 1} more"


def _speed(report: ScanReport) -> str:
    if not report.seconds or not report.frames:
        return ""
    speed = f"{report.frames / report.seconds:.1f} frames/s"
    return speed + (
        f", {report.media_s / report.seconds:.2f} × real time" if report.media_s else ""
    )


def _emotions(report: ScanReport) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for emotion, count in report.emotions.items():
        share = count / report.faces
        bar = Text("█" * round(share * BAR_CELLS), style="cyan")
        table.add_row(emotion, bar, f"{share:.0%}" if share >= 0.005 else "<1%")
    return table


def _print_problems(report: ScanReport, console: Console, *, most: int | None) -> None:
    if not report.problems:
        return
    failed = sum(problem.kind is ProblemKind.FAILED for problem in report.problems)
    damaged = len(report.problems) - failed
    kinds = [f"{failed} failed" if failed else "", f"{damaged} damaged" if damaged else ""]
    console.print(Text(f"\n{', '.join(filter(None, kinds))}:", style="yellow"))
    for problem in report.problems[:most]:
        console.print(Text(f"  {_named(problem.source, problem.reason)}"))
    hidden = len(report.problems) - (most or len(report.problems))
    if hidden > 0:
        console.print(f"  … and {hidden} more (--verbose shows all)")


def _next_command(report: ScanReport) -> str:
    return f"{_emoscan()} summary {shlex.quote(plain(report.outputs[0]))}"


def _emoscan() -> str:
    """How to call this emoscan as it was called: another may be the first on the path."""
    called = Path(sys.argv[0])
    if called.stem == "emoscan":
        return "emoscan" if _found("emoscan") == _without_exe(called) else shlex.quote(str(called))
    python = Path(sys.executable)
    is_first = _found("python") == _without_exe(python)
    return f"{'python' if is_first else shlex.quote(str(python))} -m emoscan"


def _found(command: str) -> Path | None:
    path = shutil.which(command)
    return _without_exe(Path(path)) if path else None


def _without_exe(path: Path) -> Path:
    path = path.absolute()
    return path.with_suffix("") if path.suffix.lower() == ".exe" else path


def print_info(facts: dict[str, str]) -> None:
    """`emoscan info`: data, so it goes to stdout."""
    width = max(map(len, facts))
    write_data("".join(f"{name:<{width}}  {value}\n" for name, value in facts.items()))
