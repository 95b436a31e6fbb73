"""The manifest beside a table of photos: a line for each part and each photo that failed.

A run's first line says up to which part it goes on with what was there: of the lines before it,
those of later parts count no more. The lines of a part come at once, those of its failed photos
first, when the part is safe on the disk; they take the place of whatever was known of that part.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from emoscan.batch.identity import Fingerprint
from emoscan.batch.manifest import MANIFEST, Manifest, State, as_entry, lines_of, now
from emoscan.errors import UsageError
from emoscan.options import Shard, parse_shard

BESIDE = f".{MANIFEST}"

# A billion photos. More is no manifest of ours, and must not keep a reader busy.
MOST_PARTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRun:
    """A run began, to write `photos` in so many parts, of which it keeps the first `kept`.

    `shard` is which share of `photos_in_all` they are, such as 3/8, None where they are all.
    """

    run_began: str
    shard: str | None
    photos: int
    photos_in_all: int
    parts: int
    kept: int

    @property
    def share(self) -> Shard | None:
        """`shard` as what it is. Raises UsageError."""
        return parse_shard(self.shard) if self.shard else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEntry:
    """A part came to its end: the `part`-th, from 1 on, with the photos from `first` to `last`.

    `seconds` is None where the run that made it died before its word.
    """

    part: int
    state: State
    first: str
    last: str
    photos: int
    rows: int
    unreadable: int
    error_class: str | None = None
    error: str | None = None
    seconds: float | None = None
    ended: str = ""
    fingerprint: dict[str, Any] | None = None
    options_sha256: str = ""
    model_sha256: str = ""
    schema_version: int = 0
    versions: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoEntry:
    """A photo of a part failed, or was skipped since it had failed before."""

    part: int
    source: str
    state: State
    error_class: str
    error: str
    ended: str = ""


PhotoLine = PhotoRun | PartEntry | PhotoEntry


@dataclass(slots=True)
class PhotoLog:
    """What the lines so far say of a table: its last run, its parts, and the failed photos of each.

    `run` is None where no run began.
    """

    run: PhotoRun | None = None
    parts: dict[int, PartEntry] = field(default_factory=dict)
    failed: dict[int, tuple[PhotoEntry, ...]] = field(default_factory=dict)
    _waiting: dict[int, list[PhotoEntry]] = field(default_factory=dict)

    @property
    def failures(self) -> list[PhotoEntry]:
        """All photos that failed, part by part."""
        return [entry for number in sorted(self.failed) for entry in self.failed[number]]

    @property
    def pending(self) -> list[int]:
        """The parts of the last run that have not come to an end."""
        parts = self.run.parts if self.run else 0
        return [number for number in range(1, parts + 1) if number not in self.parts]

    def knows(
        self, part: int, input_: Fingerprint | None = None, *, unreadable: int | None = None
    ) -> bool:
        """Whether it says all there is to say of a part that is done.

        Of this input, and with so many unreadable photos, where these are given.
        """
        entry = self.parts.get(part)
        if entry is None or entry.state not in (State.DONE, State.DONE_WITH_DAMAGE):
            return False
        if len(self.failed.get(part, ())) != entry.unreadable:
            return False
        if unreadable not in (None, entry.unreadable):
            return False
        return input_ is None or input_.fits(Fingerprint.from_dict(entry.fingerprint))

    def take(self, line: PhotoLine) -> None:
        """Take one more line, in their order."""
        match line:
            case PhotoRun():
                self.run = line
                self.parts = {n: entry for n, entry in self.parts.items() if n <= line.kept}
                self.failed = {n: failed for n, failed in self.failed.items() if n <= line.kept}
                self._waiting.clear()
            case PartEntry():
                self.parts[line.part] = line
                self.failed[line.part] = tuple(self._waiting.pop(line.part, ()))
            case PhotoEntry() if line.state is State.FAILED:
                self._waiting.setdefault(line.part, []).append(line)


class PhotoManifest:
    """The manifest of one table, as the run that writes the table reads and continues it."""

    def __init__(self, table: Path) -> None:
        """Raises OutputError where it cannot be read."""
        self._manifest = Manifest(manifest_path(table))
        self._later: list[PhotoLine] = []
        self.log = read_photo_log(self._manifest.path)

    def begin(self, run: PhotoRun, *, skips_failed: bool) -> None:
        """A run begins; it may leave the failed photos that it knows of. Raises OutputError."""
        self.log.take(run)
        skipped = self.log.failures if skips_failed else []
        ended = now()
        self._write([run, *(replace(e, state=State.SKIPPED, ended=ended) for e in skipped)])

    def note(self, part: PartEntry, failed: Sequence[PhotoEntry], *, at_once: bool) -> None:
        """A part ended: `at_once`, or once the table has its name. Raises OutputError."""
        lines: list[PhotoLine] = [*failed, part]
        if not at_once:
            self._later += lines
            return
        for line in lines:
            self.log.take(line)
        self._write(lines)

    def finish(self) -> None:
        """The table has its name. Raises OutputError."""
        lines, self._later = self._later, []
        if lines:
            self._write(lines)

    def _write(self, lines: Sequence[PhotoLine]) -> None:
        self._manifest.append(map(asdict, lines))


def manifest_path(table: Path) -> Path:
    """Where the manifest of a table of photos lies: `<table>.manifest.jsonl`."""
    return table.with_name(f"{table.name}{BESIDE}")


def read_photo_log(path: Path) -> PhotoLog:
    """All that a manifest says; nothing where it is missing. Raises OutputError."""
    log = PhotoLog()
    for fields in lines_of(path) if path.exists() else ():
        line = _line(fields)
        if line:
            log.take(line)
    return log


def _line(fields: Mapping[str, Any]) -> PhotoLine | None:
    if "run_began" in fields:
        return _run(fields)
    if "photos" in fields:
        return as_entry(PartEntry, fields)
    return as_entry(PhotoEntry, fields)


def _run(fields: Mapping[str, Any]) -> PhotoRun | None:
    run = as_entry(PhotoRun, fields)
    with suppress(UsageError):
        if run and 0 <= run.kept <= run.parts <= MOST_PARTS:
            return run if run.share is None or run.share.of <= MOST_PARTS else None
    return None
