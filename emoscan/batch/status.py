"""How far a batch is: the last attempt at each video, or part of the photos, over all shards."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emoscan.batch.manifest import (
    Entry,
    State,
    latest,
    manifest_files,
    planned_inputs,
    read_manifests,
)
from emoscan.batch.photo_manifest import (
    BESIDE,
    PartEntry,
    PhotoEntry,
    PhotoLog,
    read_photo_log,
)
from emoscan.errors import UsageError
from emoscan.plan import unsharded


@dataclass(frozen=True, slots=True)
class Status:
    """`entries` are the last attempts at the inputs of the last run, `pending` those without."""

    folder: str
    entries: tuple[Entry, ...]
    pending: tuple[str, ...]

    @property
    def states(self) -> dict[str, int]:
        """How many inputs ended how; those that were not come to are `pending`."""
        return _states([entry.state for entry in self.entries], pending=len(self.pending))

    def as_dict(self) -> dict[str, Any]:
        """It as JSON can hold it."""
        return {
            "folder": self.folder,
            "inputs": len(self.entries) + len(self.pending),
            "states": self.states,
            "pending": list(self.pending),
            "entries": [asdict(entry) for entry in self.entries],
        }


@dataclass(frozen=True, slots=True)
class PhotoStatus:
    """The tables of one `--out`, a name in a folder: a single one, or one for each of its shards.

    `logs` has what the manifest of each table says, by the table's name.
    """

    out: str
    shards: int | None
    logs: dict[str, PhotoLog]

    @property
    def photos(self) -> int:
        """How many there are, those of shards included that have not begun."""
        runs = [log.run for log in self.logs.values() if log.run]
        return max(runs, key=lambda run: run.run_began).photos_in_all

    @property
    def parts(self) -> list[tuple[str, PartEntry]]:
        """The parts that came to an end, each with the name of its table."""
        return [(name, log.parts[n]) for name, log in self.logs.items() for n in sorted(log.parts)]

    @property
    def failed(self) -> list[tuple[str, PhotoEntry]]:
        """The photos that failed, each with the name of its table."""
        return [(name, entry) for name, log in self.logs.items() for entry in log.failures]

    @property
    def pending(self) -> list[tuple[str, int]]:
        """The parts that have not come to an end, each with the name of its table."""
        return [(name, number) for name, log in self.logs.items() for number in log.pending]

    @property
    def not_begun(self) -> list[str]:
        """The shards that have no manifest, such as 3/8."""
        begun = {log.run.shard for log in self.logs.values() if log.run}
        shards = [f"{number}/{self.shards}" for number in range(1, (self.shards or 0) + 1)]
        return [shard for shard in shards if shard not in begun]

    @property
    def states(self) -> dict[str, int]:
        """How many parts ended how; those that did not are `pending`."""
        return _states([entry.state for _, entry in self.parts], pending=len(self.pending))

    def as_dict(self) -> dict[str, Any]:
        """It as JSON can hold it."""
        return {
            "out": self.out,
            "shards": self.shards,
            "not_begun": self.not_begun,
            "photos": self.photos,
            "states": self.states,
            "pending": [{"table": name, "part": number} for name, number in self.pending],
            "parts": [{"table": name, **asdict(entry)} for name, entry in self.parts],
            "failed": [{"table": name, **asdict(entry)} for name, entry in self.failed],
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What there is at a place: a batch of videos, tables of photos, or both."""

    folder: str
    videos: Status | None
    photos: tuple[PhotoStatus, ...]

    def as_dict(self) -> dict[str, Any]:
        """It as JSON can hold it: `Status`, with `photo_tables` where there are such."""
        told: dict[str, Any] = self.videos.as_dict() if self.videos else {"folder": self.folder}
        if self.photos:
            told["photo_tables"] = [status.as_dict() for status in self.photos]
        return told


def find_status(place: Path) -> Found:
    """What a folder holds, or what a table of photos or a manifest tells.

    Raises UsageError where that is nothing, OutputError where a manifest cannot be read.
    """
    if place.is_dir():
        videos = read_status(place) if manifest_files(place) else None
        found = Found(str(place), videos, _photo_status(place))
    elif place.name in {path.name for path in manifest_files(place.parent)}:
        found = Found(str(place.parent), read_status(place.parent), ())
    else:
        found = Found(str(place.parent), None, _photo_status(place.parent, of=place.name))
    if found.videos is None and not found.photos:
        raise UsageError(_nothing_there(place))
    return found


def _nothing_there(place: Path) -> str:
    if place.is_dir():
        return (
            f"{place} holds no manifest.jsonl and no table of photos with its manifest; name what "
            "was given to “emoscan video” or “emoscan folder” as --out."
        )
    if not place.exists():
        return f"{place} does not exist, nor does a manifest of it."
    return (
        f"{place} has no manifest: tables of photos have one beside them, and a batch of videos "
        "has one in its folder; name that."
    )


def _photo_status(folder: Path, *, of: str | None = None) -> tuple[PhotoStatus, ...]:
    """The tables of photos in a folder, or those of one table, --out or manifest."""
    groups: dict[tuple[str, int], list[tuple[int, str, PhotoLog]]] = {}
    for path in folder.glob(f"*{BESIDE}") if folder.is_dir() else ():
        log, table = read_photo_log(path), path.name.removesuffix(BESIDE)
        if log.run is None:
            continue
        shard = log.run.share
        out = unsharded(Path(table), shard).name
        if of in (None, path.name, table, out):
            group = groups.setdefault((out, shard.of if shard else 0), [])
            group.append((shard.number if shard else 0, table, log))
    return tuple(
        PhotoStatus(
            out, shards or None, {table: log for _, table, log in sorted(group, key=_place)}
        )
        for (out, shards), group in sorted(groups.items())
    )


def _place(found: tuple[int, str, PhotoLog]) -> tuple[int, str]:
    return found[:2]


def _states(ended: Iterable[State], *, pending: int) -> dict[str, int]:
    counts = Counter(ended)
    return {**{state.value: counts[state] for state in State if counts[state]}, "pending": pending}


def read_status(folder: Path) -> Status:
    """Read the manifests of a batch's folder. Raises UsageError where there is none."""
    if not manifest_files(folder):
        raise UsageError(
            f"{folder} holds no manifest.jsonl; name the folder that was given to “emoscan video” "
            "as --out."
        )
    entries, planned = latest(read_manifests(folder)), sorted(planned_inputs(folder))
    return Status(
        str(folder),
        tuple(entries[source] for source in planned if source in entries),
        tuple(source for source in planned if source not in entries),
    )
