"""What a user can set of a report's page: light, for the command line's help."""

from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import UsageError
from emoscan.options import STANDARD_OUTPUT, convert, option

_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Where the page goes and what is on it. Raises UsageError where a value makes no sense."""

    out: Path = option(
        Path("report.html"), "The page.", flags=("--out", "-o"), metavar="FILE", parse=Path
    )
    video: Path | None = option(
        None,
        "The video of the timeline: shows the face at the apex of each episode. The page then "
        "stores faces.",
        metavar="FILE",
    )
    title: str | None = option(
        None, "The page's heading; default: the video's name.", metavar="TEXT"
    )
    overwrite: bool = option(False, "Replace a page that exists.", flags=("--overwrite",))

    def __post_init__(self) -> None:
        convert(self, "out", Path)
        convert(self, "video", Path)
        if str(self.out) == STANDARD_OUTPUT:
            raise UsageError("A page is not streamed; name a file such as report.html with --out.")
        if self.out.suffix.lower() not in _SUFFIXES:
            raise UsageError(f"A page's name ends in .html, which “{self.out}” does not.")
