"""How `emoscan status` shows a batch of videos and tables of photos."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emoscan.batch.manifest import Entry, State
from emoscan.batch.photo_manifest import PartEntry, PhotoEntry
from emoscan.batch.status import Found, PhotoStatus, Status
from emoscan.cli.console import plain, write_data
from emoscan.media.find import counted

MOST_PENDING = 10
MOST_FAILED = 100

STYLES = {
    State.DONE: "green",
    State.DONE_WITH_DAMAGE: "yellow",
    State.FAILED: "red",
    State.SKIPPED: "dim",
}


def print_status(found: Found, *, as_json: bool) -> None:
    """Tables, each with a line of counts; data, so they go to stdout."""
    if as_json:
        write_data(json.dumps(found.as_dict(), indent=2) + "\n")
        return
    console = Console(highlight=False)
    width = None if console.is_terminal else max(console.width, 160)
    console = Console(highlight=False, width=width)
    with console.capture() as captured:
        if found.videos:
            console.print(_table(found.videos))
            console.print(_counts(found.videos))
        for number, photos in enumerate(found.photos):
            if found.videos or number:
                console.print()
            console.print(_photo_table(photos))
            console.print(_photo_counts(photos))
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
        table.add_row(_pending(), Text(plain(source)))
    more = len(status.pending) - MOST_PENDING
    if more > 0:
        table.add_row(_pending(), Text(f"… and {more:,} more"))
    return table


def _cells(entry: Entry) -> list[Text]:
    expected = "" if entry.frames_expected is None else f" of {entry.frames_expected:,}"
    wrong = entry.error or " ".join(entry.damage)
    return [
        _state(entry.state),
        Text(plain(entry.source)),
        Text(f"{entry.rows:,}"),
        Text(f"{entry.frames_decoded:,}{expected}"),
        _took(entry.seconds),
        Text(plain(wrong)),
    ]


def _counts(status: Status) -> Text:
    inputs = counted(len(status.entries) + len(status.pending), "input")
    return Text(f"{inputs}: {_ended(status.states, [one.ended for one in status.entries])}.")


def _photo_table(status: PhotoStatus) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("state", "shard", "part") if status.shards else ("state", "part"):
        table.add_column(name, no_wrap=True)
    table.add_column("photos", overflow="fold")
    for name in ("read", "rows", "took"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what was wrong", overflow="fold")
    for state, shard, *cells in _photo_rows(status):
        table.add_row(state, *([shard] if status.shards else []), *cells)
    return table


def _photo_rows(status: PhotoStatus) -> Iterator[list[Text]]:
    """State, shard, part and the rest: of parts, each before its failed photos, and what is to do.

    Of all failed photos the first MOST_FAILED.
    """
    room = MOST_FAILED
    for log in status.logs.values():
        shard = log.run.shard or "" if log.run else ""
        for number, entry in sorted(log.parts.items()):
            yield _part_row(shard, entry)
            failed = log.failed.get(number, ())
            yield from (_failed_row(shard, photo) for photo in failed[: max(room, 0)])
            room -= len(failed)
        if log.pending:
            yield [_pending(), Text(shard), Text(_ranges(log.pending))]
    if room < 0:
        yield [_state(State.FAILED), Text(), Text(), Text(f"… and {-room:,} more (--json has all)")]
    yield from ([_pending(), Text(shard), Text(), Text("not begun")] for shard in status.not_begun)


def _part_row(shard: str, entry: PartEntry) -> list[Text]:
    lost = f"{counted(entry.unreadable, 'photo')} could not be read." if entry.unreadable else ""
    return [
        _state(entry.state),
        Text(shard),
        Text(f"{entry.part:,}"),
        Text(plain(f"{entry.first} … {entry.last}" if entry.photos > 1 else entry.first)),
        Text(f"{entry.photos - entry.unreadable:,} of {entry.photos:,}"),
        Text(f"{entry.rows:,}"),
        _took(entry.seconds),
        Text(plain(entry.error or lost)),
    ]


def _failed_row(shard: str, entry: PhotoEntry) -> list[Text]:
    where = [Text(shard), Text(f"{entry.part:,}"), Text(plain(entry.source))]
    return [_state(entry.state), *where, Text(), Text(), Text(), Text(plain(entry.error))]


def _photo_counts(status: PhotoStatus) -> Text:
    parts = [entry for _, entry in status.parts]
    where = f"{status.out} in {counted(status.shards, 'shard')}" if status.shards else status.out
    ended = _ended(status.states, [entry.ended for entry in parts])
    known = counted(len(parts) + len(status.pending), "part")
    lost = f"; {counted(len(status.failed), 'photo')} failed" if status.failed else ""
    late = f"; {counted(len(status.not_begun), 'shard')} not begun" if status.not_begun else ""
    words = f"{where}: {counted(status.photos, 'photo')}; {known}: {ended}{lost}{late}."
    return Text(plain(words))


def _ended(states: dict[str, int], times: Iterable[str]) -> str:
    """How many ended how, and when the last did."""
    words = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in states.items())
    last = max(times, default="")
    return words + (f"; the last ended {_local(last)}" if last else "")


def _state(state: State) -> Text:
    return Text(state.value.replace("_", " "), style=STYLES[state])


def _pending() -> Text:
    return Text("pending", style="dim")


def _took(seconds: float | None) -> Text:
    return Text("" if seconds is None else f"{seconds:,.0f} s")


def _ranges(numbers: Sequence[int]) -> str:
    """`4 to 9, 12`, of numbers in their order."""
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    return ", ".join(_range([number for _, number in run]) for _, run in runs)


def _range(run: Sequence[int]) -> str:
    return f"{run[0]:,}" + (f" to {run[-1]:,}" if len(run) > 1 else "")


def _local(iso: str) -> str:
    try:
        return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return "at a time that is not known"
