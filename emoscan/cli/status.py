"""How `emoscan status` shows a batch."""

import json
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emoscan.batch.manifest import Entry, State
from emoscan.batch.status import Status
from emoscan.cli.console import plain, write_data
from emoscan.media.find import counted

MOST_PENDING = 10

STYLES = {
    State.DONE: "green",
    State.DONE_WITH_DAMAGE: "yellow",
    State.FAILED: "red",
    State.SKIPPED: "dim",
}


def print_status(status: Status, *, as_json: bool) -> None:
    """A table and a line of counts; data, so they go to stdout."""
    if as_json:
        write_data(json.dumps(status.as_dict(), indent=2) + "\n")
        return
    console = Console(highlight=False)
    width = None if console.is_terminal else max(console.width, 160)
    console = Console(highlight=False, width=width)
    with console.capture() as captured:
        console.print(_table(status))
        console.print(_counts(status))
    write_data(captured.get())


def _table(status: Status) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("state", "input"):
        table.add_column(name, overflow="fold")
    for name in ("rows", "frames", "took"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what was wrong", overflow="fold")
    for entry in status.entries:
        table.add_row(*_cells(entry))
    for source in status.pending[:MOST_PENDING]:
        table.add_row(Text("pending", style="dim"), Text(plain(source)))
    more = len(status.pending) - MOST_PENDING
    if more > 0:
        table.add_row(Text("pending", style="dim"), Text(f"… and {more:,} more"))
    return table


def _cells(entry: Entry) -> list[Text]:
    expected = "" if entry.frames_expected is None else f" of {entry.frames_expected:,}"
    wrong = entry.error or " ".join(entry.damage)
    return [
        Text(entry.state.value.replace("_", " "), style=STYLES[entry.state]),
        Text(plain(entry.source)),
        Text(f"{entry.rows:,}"),
        Text(f"{entry.frames_decoded:,}{expected}"),
        Text(f"{entry.seconds:,.0f} s"),
        Text(plain(wrong)),
    ]


def _counts(status: Status) -> Text:
    words = [f"{count:,} {state.replace('_', ' ')}" for state, count in status.states.items()]
    ended = max((entry.ended for entry in status.entries), default="")
    when = f"; the last ended {_local(ended)}" if ended else ""
    inputs = counted(len(status.entries) + len(status.pending), "input")
    return Text(f"{inputs}: {', '.join(words)}{when}.")


def _local(iso: str) -> str:
    try:
        return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return "at a time that is not known"
