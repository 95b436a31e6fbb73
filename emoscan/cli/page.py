"""What `emoscan report` says once the page is written."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from emoscan.cli.console import TerminalOptions, plain, write_data
from emoscan.media.find import counted

if TYPE_CHECKING:
    from emoscan.report.html import WrittenReport


def print_written(written: "WrittenReport", *, console: Console, options: TerminalOptions) -> None:
    """A line on stderr, or with --json one object on stdout."""
    if options.json:
        write_data(json.dumps(asdict(written), indent=2) + "\n")
    elif not options.quiet:
        counts = [
            counted(written.timelines, "timeline"),
            counted(written.tracks, "track"),
            counted(written.episodes, "episode"),
        ]
        if written.faces_pictured:
            counts.append(counted(written.faces_pictured, "face picture"))
        megabytes = f"{written.size_bytes / 1e6:.1f} MB"
        line = f"{written.out}: {', '.join(counts)}, {megabytes}. Open it in a browser."
        console.print(Text(plain(line)))
