"""What a user can set of a report's page: light, for the command line's help."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import UsageError
from emoscan.options import STANDARD_OUTPUT, convert, option

_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Where the page goes and what is on it. Raises UsageError where a value makes no sense.

    From Python too, `video` may be a single path, or a string.
    """

    out: Path = option(
        Path("report.html"), "The page.", flags=("--out", "-o"), metavar="FILE", parse=Path
    )
    video: tuple[Path, ...] = option(
        (),
        "The video of a timeline, or the folder that was scanned: shows the face at the apex of "
        "each episode. May be given again. The page then stores faces.",
        metavar="PATH",
    )
    title: str | None = option(
        None, "The page's heading; default: the video's name.", metavar="TEXT"
    )
    overwrite: bool = option(False, "Replace a page that exists.", flags=("--overwrite",))

    def __post_init__(self) -> None:
        convert(self, "out", Path)
        convert(self, "video", _paths)
        if str(self.out) == STANDARD_OUTPUT:
            raise UsageError("A page is not streamed; name a file such as report.html with --out.")
        if self.out.suffix.lower() not in _SUFFIXES:
            raise UsageError(f"A page's name ends in .html, which “{self.out}” does not.")


def _paths(value: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> tuple[Path, ...]:
    if isinstance(value, str | os.PathLike):
        return (Path(value),)
    return tuple(Path(path) for path in value)
