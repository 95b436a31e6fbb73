"""`emoscan tracks`: a table of tracks, and what became of them."""

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emoscan.cli.console import TerminalOptions, plain, write_data
from emoscan.errors import UsageError
from emoscan.media.find import counted
from emoscan.timeline.track_options import TrackOptions

if TYPE_CHECKING:
    import pandas as pd

HEADINGS = ("track", "label", "from", "to", "seen", "rows", "height", "score", "likeliest class")

DECIMALS = {"first_s": 6, "last_s": 6, "seconds": 6, "height_px": 1, "score": 4, "confidence": 4}


def list_or_edit(
    timeline: Path, options: TrackOptions, *, terminal: TerminalOptions, console: Console
) -> None:
    """Print the tracks, or write a new timeline and say so. Raises EmoscanError."""
    from emoscan.timeline.read import read_timeline
    from emoscan.timeline.tracks import list_tracks

    rows = read_timeline(timeline)
    if not options.has_edits:
        _print_tracks(list_tracks(rows), terminal, facts={"timeline": str(timeline)})
        return
    out = options.out or Path(f"{timeline.stem}.edited{timeline.suffix}")
    before, after = list_tracks(rows), list_tracks(_edit(rows, options, timeline, out))
    if terminal.json:
        _print_tracks(after, terminal, facts={"timeline": str(timeline), "output": str(out)})
    elif not terminal.quiet:
        console.print(Text(plain(_what_became(before, after, out))))


def _edit(rows: "pd.DataFrame", options: TrackOptions, timeline: Path, out: Path) -> "pd.DataFrame":
    from emoscan.timeline.tracks import edit_tracks
    from emoscan.timeline.write import write_timeline

    if out.exists() and out.samefile(timeline):
        raise UsageError(f"{out} is the timeline itself; name a new one with --out.")
    edited = edit_tracks(
        rows,
        merge=options.merges,
        label=options.labels,
        drop=options.drops,
        drop_shorter_s=options.drop_shorter_s,
    )
    write_timeline(edited, out, overwrite=options.overwrite)
    return edited


def _what_became(before: "pd.DataFrame", after: "pd.DataFrame", out: Path) -> str:
    became = f" became {len(after):,}" if len(after) != len(before) else ""
    labelled = int(after["label"].notna().sum())
    labels = f", {labelled:,} with a label" if labelled else ""
    dropped = int(before["rows"].sum() - after["rows"].sum())
    rows = f"; {counted(dropped, 'face')} dropped" if dropped else ""
    return f"{counted(len(before), 'track')}{became}{labels}{rows} → {out}"


def _print_tracks(
    tracks: "pd.DataFrame", terminal: TerminalOptions, *, facts: dict[str, str]
) -> None:
    if terminal.json:
        listed = json.loads(tracks.round(DECIMALS).to_json(orient="records"))
        write_data(json.dumps({**facts, "tracks": listed}, ensure_ascii=False, indent=2) + "\n")
    elif sys.stdout is not None and sys.stdout.isatty():
        write_data(_as_table(tracks, no_color=terminal.no_color))
    else:
        write_data(tracks.round(DECIMALS).to_csv(index=False, lineterminator="\n"))


def _as_table(tracks: "pd.DataFrame", *, no_color: bool) -> str:
    """As lines for a terminal."""
    if tracks.empty:
        return "No tracks: no face was found.\n"
    several = tracks["source"].nunique() > 1
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in (*(("video",) if several else ()), *HEADINGS):
        is_text = heading in ("video", "label", "likeliest class")
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
    for track in tracks.to_dict("records"):
        source = [Text(plain(str(track["source"])))] if several else []
        table.add_row(*source, *_cells(track))
    lines = Console(file=io.StringIO(), force_terminal=not no_color, no_color=no_color, width=None)
    lines.print(table)
    assert isinstance(lines.file, io.StringIO)
    return lines.file.getvalue()


def _cells(track: dict[Any, Any]) -> list[Text]:
    words = (
        str(track["track"]),
        plain(track["label"] or ""),
        _clock(track["first_s"]),
        _clock(track["last_s"]),
        f"{track['seconds']:.2f} s",
        f"{track['rows']:,}",
        f"{track['height_px']:.0f} px",
        f"{track['score']:.2f}",
        f"{track['emotion']} ({track['confidence']:.0%})",
    )
    return [Text(word) for word in words]


def _clock(time_s: float) -> str:
    """Such as --start takes: 1:02:03.45, or 2:03.45."""
    minutes, seconds = divmod(round(time_s, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{seconds:05.2f}" if hours else f"{minutes}:{seconds:05.2f}"
