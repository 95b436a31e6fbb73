"""What is said of figures and of files for other programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from emoscan.cli.console import TerminalOptions, plain, write_data
from emoscan.media.find import counted

if TYPE_CHECKING:  # their modules load pandas
    from emoscan.export.export import Exported
    from emoscan.report.plot import Plot

MOST_FILES_SHOWN = 4


def print_plot(plot: "Plot", *, console: Console, options: TerminalOptions) -> None:
    """Where the figure is, and which tracks it leaves out."""
    facts = {
        "files": [str(plot.path)],
        "tracks": [track.number for track in plot.drawn],
        "left_out": [track.number for track in plot.left_out],
        "notes": list(plot.notes),
    }
    _print(facts, "", console=console, options=options)


def print_export(exported: "Exported", *, console: Console, options: TerminalOptions) -> None:
    """Which files there are, and what they hold."""
    facts = {
        "files": [str(file) for file in exported.files],
        "tracks": exported.tracks,
        "episodes": exported.episodes,
        "notes": list(exported.notes),
    }
    holds = "" if exported.episodes is None else _holds(exported.tracks, exported.episodes)
    _print(facts, holds, console=console, options=options)


def _print(
    facts: dict[str, Any], holds: str, *, console: Console, options: TerminalOptions
) -> None:
    if options.json:
        write_data(json.dumps(facts, indent=2) + "\n")
    elif not options.quiet:
        files = _listed(facts["files"])
        console.print(Text(plain(f"{files}: {holds}" if holds else files)))
    if not options.quiet:
        for note in facts["notes"]:
            console.print(Text(plain(note), style="dim"))


def _holds(tracks: int, episodes: int) -> str:
    return f"{counted(episodes, 'episode')} of {counted(tracks, 'track')}"


def _listed(files: Sequence[str]) -> str:
    if len(files) <= MOST_FILES_SHOWN:
        return ", ".join(files)
    return f"{files[0]} and {len(files) - 1} more in {Path(files[0]).parent}"
