"""What `emoscan train` and `emoscan evaluate` show: bars on a terminal, elsewhere plain lines."""

import json
import shlex
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from emoscan.cli.console import BAR_CELLS, TerminalOptions, plain, write_data
from emoscan.events import Note

if TYPE_CHECKING:
    from training.events import EpochDone, Event, TrainingStarted


class TrainingView:
    """A listener to a training."""

    def __init__(self, console: Console, options: TerminalOptions) -> None:
        self._console = console
        self._quiet = options.quiet
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(BAR_CELLS),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
            TextColumn("{task.fields[said]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._epochs: TaskID | None = None
        self._steps: TaskID | None = None
        self._steps_per_epoch = 1

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
        if self._shows_bars:
            self._bars.stop()

    @property
    def _shows_bars(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def __call__(self, event: "Event") -> None:
        """Show one event."""
        from training.events import BatchDone, EpochDone, ImagesDone, StoppedEarly, TrainingStarted

        match event:
            case Note(text):
                self._say(Text(plain(text), style="dim"))
            case TrainingStarted():
                self._start(event)
            case BatchDone(epoch, step, loss, accuracy):
                self._show_step(epoch, step, said=f"loss {loss:.3f}, {accuracy:.1%} right")
            case EpochDone():
                self._finish_epoch(event)
            case ImagesDone(done, total):
                self._show_images(done, total)
            case StoppedEarly(epoch, patience):
                word = f"Stopped after epoch {epoch}: no better for {patience} epochs."
                self._say(Text(word, style="yellow"))

    def _start(self, event: "TrainingStarted") -> None:
        if event.first_epoch:
            self._say(Text(f"Going on after epoch {event.first_epoch}.", style="dim"))
        self._steps_per_epoch = event.steps_per_epoch
        self._epochs = self._bars.add_task(
            "epochs", total=event.epochs, completed=event.first_epoch, said=""
        )
        self._steps = self._bars.add_task("batches", total=event.steps_per_epoch, said="")

    def _show_step(self, epoch: int, step: int, *, said: str) -> None:
        if self._epochs is not None and self._steps is not None:
            # Fractions of epochs, so that the time left is known within the first one.
            self._bars.update(self._epochs, completed=epoch + step / self._steps_per_epoch)
            self._bars.update(self._steps, completed=step, said=said)

    def _finish_epoch(self, event: "EpochDone") -> None:
        if self._epochs is not None and self._steps is not None:
            best = f"best {event.best_accuracy:.2%} (epoch {event.best_epoch})"
            best = best if event.best_epoch else ""
            self._bars.update(self._epochs, completed=event.epoch, said=best)
            self._bars.reset(self._steps)
        self._say(_epoch_line(event))

    def _show_images(self, done: int, total: int) -> None:
        if self._steps is None:
            self._steps = self._bars.add_task("images", total=total, said="")
        self._bars.update(self._steps, completed=done, total=total)

    def _say(self, text: Text) -> None:
        if not self._quiet:
            self._console.print(text)


def _epoch_line(event: "EpochDone") -> Text:
    is_best = event.best_epoch == event.epoch
    return Text(
        f"epoch {event.epoch:>3}  {event.side_px} px  "
        f"training {event.train_loss:.3f} {event.train_accuracy:.2%}  "
        f"selection {event.select_loss:.3f} {event.select_accuracy:.2%}"
        f"{' best' if is_best else '     '}  {event.images_per_s:,.0f} images/s  "
        f"{event.seconds:.0f} s",
        style="bold" if is_best else "",
    )


def _next_command(folder: Path, data: Path | None, final: str) -> str:
    words = ["emoscan", "evaluate", "--weights", str(folder / "best.safetensors")]
    words += ["--data", str(data)] if data else []
    words += ["--split", "test"] if final == "test" else []
    return shlex.join(words)


def print_training(
    folder: Path,
    metrics: dict[str, Any],
    *,
    data: Path | None,
    console: Console,
    options: TerminalOptions,
) -> None:
    """The result of a training: a summary on stderr, or with --json all metrics on stdout."""
    if options.json:
        write_data(json.dumps(metrics | {"out": str(folder)}, indent=2) + "\n")
    elif not options.quiet:
        select, final = metrics["selected_on"], metrics["final"]
        rows = {
            "best epoch": f"{metrics['best_epoch']} of {metrics['epochs']}",
            "training": f"{metrics['train_accuracy']:.2%} in that epoch",
            select: f"{_share(metrics[select])}, which chose the epoch",
            **({final: _share(metrics[final])} if final != select else {}),
            "temperature": f"{metrics['temperature']:.3f}",
            "run folder": str(folder),
        }
        console.print()
        console.print(_facts(rows))
        for warning in metrics["warnings"]:
            console.print(Text(plain(warning), style="yellow"))
        console.print(Text.assemble("\nNext: ", (_next_command(folder, data, final), "bold")))


def print_evaluation(
    figures: dict[str, Any], *, warnings: list[str], options: TerminalOptions, console: Console
) -> None:
    """The figures on stdout, with --json as one object."""
    for warning in warnings:
        console.print(Text(plain(warning), style="yellow"))
    if options.json:
        write_data(json.dumps(figures, indent=2) + "\n")
    elif not options.quiet:
        _print_figures(figures)


def _print_figures(figures: dict[str, Any]) -> None:
    without, agreement = figures["without_near_copies"], figures["ferplus_agreement"]
    rows = {
        "model": _joined(figures["model_id"]),
        "selected on": _joined(figures["selected_on"]),
        "images": f"{figures['split']}, {figures['n']:,}, test-time augmentation {figures['tta']}",
        "accuracy": _share(figures),
        "without near copies": f"{_share(without)}, {without['n']:,} images",
        "balanced accuracy": f"{figures['balanced_accuracy']:.2%}",
        "macro F1": f"{figures['macro_f1']:.4f}",
        "in the first two": f"{figures['top2']:.2%}",
        "cross-entropy": f"{figures['nll']:.4f}",
        "calibration error": f"{figures['ece']:.4f}",
        "FER+'s majority": f"{_share(agreement)}, {agreement['n']:,} images" if agreement else "",
    }
    rows |= {
        emotion: f"recall {row['recall']:.1%}, precision {row['precision']:.1%}"
        for emotion, row in figures["per_class"].items()
    }
    width = max(map(len, rows))
    write_data("".join(f"{name:<{width}}  {value}\n" for name, value in rows.items() if value))


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _share(figures: dict[str, Any]) -> str:
    if not figures["n"]:
        return "none"
    low, high = figures["accuracy_ci95"]
    return f"{figures['accuracy']:.2%} (95 % interval {low:.1%} to {high:.1%})"


def _facts(rows: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(plain(value)))
    return table
