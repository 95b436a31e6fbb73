"""What became of every input of a batch: one line of JSON for each attempt, synced to the disk."""

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

from emoscan.errors import OutputError
from emoscan.timeline.disk import told_free

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MANIFEST = "manifest.jsonl"
RUN, INPUTS = "run_began", "inputs"


class State(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    DONE_WITH_DAMAGE = "done_with_damage"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt at one input.

    `output` is relative to the manifest's folder; `fingerprint` is None where the input could not
    even be read; `seconds` is how long it took, `ended` when it ended (ISO 8601, UTC).
    """

    source: str
    state: State
    output: str | None = None
    fingerprint: dict[str, Any] | None = None
    rows: int = 0
    frames_expected: int | None = None
    frames_decoded: int = 0
    damage: tuple[str, ...] = ()
    error_class: str | None = None
    error: str | None = None
    seconds: float = 0.0
    ended: str = ""
    options_sha256: str = ""
    model_sha256: str = ""
    schema_version: int = 0
    versions: dict[str, str | None] = field(default_factory=dict)


Line = TypeVar("Line", bound="DataclassInstance")

# What a file may hold in each field; anything else is no entry.
_KINDS: dict[str, tuple[type, ...]] = {
    "source": (str,),
    "state": (State,),
    "output": (str, NoneType),
    "fingerprint": (dict, NoneType),
    "rows": (int,),
    "frames_expected": (int, NoneType),
    "frames_decoded": (int,),
    "damage": (tuple,),
    "error_class": (str, NoneType),
    "error": (str, NoneType),
    "seconds": (int, float, NoneType),
    "ended": (str,),
    "options_sha256": (str,),
    "model_sha256": (str,),
    "schema_version": (int,),
    "versions": (dict,),
    # Of photos.
    "run_began": (str,),
    "shard": (str, NoneType),
    "part": (int,),
    "parts": (int,),
    "kept": (int,),
    "first": (str,),
    "last": (str,),
    "photos": (int,),
    "photos_in_all": (int,),
    "unreadable": (int,),
}


class Manifest:
    """A file that grows line by line; threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path, self._writing = path, threading.Lock()

    def begin(self, inputs: Sequence[str]) -> None:
        """A run begins with these inputs, those of all shards. Raises OutputError."""
        self.append([{RUN: now(), INPUTS: list(inputs)}])

    def add(self, entry: Entry) -> None:
        """An attempt came to its end. Raises OutputError."""
        self.append([asdict(entry)])

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add lines, whole after a torn one, and have them on the disk. Raises OutputError."""
        content = b"".join(json.dumps(fields).encode() + b"\n" for fields in lines)
        try:
            with self._writing:
                self._append(content)
        except OSError as error:
            raise OutputError(
                f"The manifest in {self.path.parent} cannot be written ({error.strerror}"
                f"{told_free(self.path.parent)}); free some space, or choose another place with "
                "--out. What is finished is kept."
            ) from error

    def _append(self, content: bytes) -> None:
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                content = content if file.read(1) == b"\n" else b"\n" + content
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def manifest_files(folder: Path) -> list[Path]:
    """The manifests of a folder: one, or one a shard."""
    stem, suffix = MANIFEST.split(".")
    return sorted({*folder.glob(MANIFEST), *folder.glob(f"{stem}.*-of-*.{suffix}")})


def read_manifests(folder: Path) -> list[Entry]:
    """All attempts of all shards, by the time of their end; what is no whole line is left out.

    Those of one file stay in its order, for the clock may have been put back meanwhile.
    """
    timed = [pair for path in manifest_files(folder) for pair in _timed_entries(path)]
    return [entry for _, entry in sorted(timed, key=lambda pair: pair[0])]


def planned_inputs(folder: Path) -> tuple[str, ...]:
    """The inputs that the last run began with, those of its other shards too."""
    return max(map(_last_planned, manifest_files(folder)), default=("", ()))[1]


def latest(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The last attempt at each input; one that was skipped is no attempt if another is known."""
    last: dict[str, Entry] = {}
    for entry in entries:
        if entry.state is not State.SKIPPED or entry.source not in last:
            last[entry.source] = entry
    return last


def _last_planned(path: Path) -> tuple[str, tuple[str, ...]]:
    """When the last run began that this manifest knows of, and with what."""
    last: tuple[str, tuple[str, ...]] = ("", ())
    for fields in lines_of(path):
        began, inputs = fields.get(RUN), fields.get(INPUTS)
        if isinstance(began, str) and isinstance(inputs, list):
            last = (began, tuple(name for name in inputs if isinstance(name, str)))
    return last


def now() -> str:
    """ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _entries(path: Path) -> Iterator[Entry]:
    for fields in lines_of(path):
        entry = as_entry(Entry, fields)
        if entry is not None:
            yield entry


def _timed_entries(path: Path) -> Iterator[tuple[str, Entry]]:
    """Each with the latest time so far."""
    latest_end = ""
    for entry in _entries(path):
        latest_end = max(latest_end, entry.ended)
        yield latest_end, entry


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole; a crash may have torn one. Raises OutputError."""
    try:
        content = path.open("rb")
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror}.") from error
    with content as file:
        for line in file:
            with suppress(ValueError, RecursionError):
                fields = json.loads(line)
                if isinstance(fields, dict):
                    yield fields


def as_entry(kind: type[Line], fields: Mapping[str, Any]) -> Line | None:
    """What a line says, None where it is none of this kind."""
    known = {item.name: fields[item.name] for item in dataclass_fields(kind) if item.name in fields}
    try:
        if "state" in known:
            known["state"] = State(known["state"])
        if "damage" in known:
            known["damage"] = tuple(known["damage"] or ())
        entry = kind(**known)
    except (ValueError, TypeError):
        return None
    wrong = any(
        not isinstance(getattr(entry, item.name), _KINDS[item.name])
        for item in dataclass_fields(kind)
    )
    return None if wrong else entry
