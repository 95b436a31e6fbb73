"""What a user can do with the tracks of a timeline: light, for the command line's help."""

from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import UsageError
from emoscan.options import STANDARD_OUTPUT, convert, option


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackOptions:
    """Edits of tracks, all by the numbers that the timeline has before. Raises UsageError.

    Options that are given again add up: `merges` and `labels` hold what they say together.
    """

    merge: tuple[str, ...] = option(
        (), "Make these tracks one, with the lowest number; may be given again.", metavar="N,N…"
    )
    label: tuple[str, ...] = option(
        (), "Give a track a name, or none: “3=”; may be given again.", metavar="N=NAME"
    )
    drop: tuple[str, ...] = option(
        (), "Take tracks out, false faces for instance; may be given again.", metavar="N,N…"
    )
    drop_shorter_s: float | None = option(
        None,
        "Take out every track that is seen for less than this, unless another option names it.",
        flags=("--drop-shorter",),
        metavar="SECONDS",
    )
    out: Path | None = option(
        None,
        "The new timeline; its suffix tells the format. Default: <name>.edited.<suffix>.",
        flags=("--out", "-o"),
        metavar="FILE",
    )
    overwrite: bool = option(False, "Replace an output that exists.", flags=("--overwrite",))

    def __post_init__(self) -> None:
        for name in ("merge", "label", "drop"):
            convert(self, name, tuple)
        convert(self, "drop_shorter_s", float)
        convert(self, "out", Path)
        for text in (*self.merge, *self.drop):
            _numbers(text)
        _ = self.labels
        if self.drop_shorter_s is not None and not self.drop_shorter_s > 0:
            raise UsageError(f"--drop-shorter is above 0 seconds, not {self.drop_shorter_s:g}.")
        if str(self.out) == STANDARD_OUTPUT:
            raise UsageError("An edited timeline is not streamed; name a file with --out.")
        if not self.has_edits and (self.out or self.overwrite):
            raise UsageError("There is nothing to write without --merge, --label or --drop.")

    @property
    def has_edits(self) -> bool:
        """Whether anything is to be changed."""
        return bool(self.merge or self.label or self.drop or self.drop_shorter_s)

    @property
    def merges(self) -> list[list[int]]:
        """The groups of tracks that are one."""
        return [_numbers(text) for text in self.merge]

    @property
    def drops(self) -> list[int]:
        """The tracks that are taken out."""
        return [number for text in self.drop for number in _numbers(text)]

    @property
    def labels(self) -> dict[int, str]:
        """The name of each track that is given one; an empty one takes a name away."""
        labels: dict[int, str] = {}
        for text in self.label:
            number, equals, name = text.partition("=")
            if not equals:
                raise UsageError(f"--label takes a track and its name, 1=Guest, not “{text}”.")
            track = _number(number, text)
            if labels.setdefault(track, name.strip()) != name.strip():
                raise UsageError(f"--label gives two names to track {track}; choose one.")
        return labels


def _numbers(text: str) -> list[int]:
    return [_number(part, text) for part in text.split(",")]


def _number(part: str, text: str) -> int:
    if not part.strip().isdecimal():
        raise UsageError(f"Tracks are numbers such as 1 or 1,4; “{text}” holds no such.")
    return int(part)
