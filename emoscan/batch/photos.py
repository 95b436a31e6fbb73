"""Photos, all into one table, in parts of a thousand, with a manifest beside the table."""

import hashlib
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from emoscan.batch.crew import Crew
from emoscan.batch.history import damage_of
from emoscan.batch.identity import Fingerprint
from emoscan.batch.job import Attempt, Job, tried_before, versions
from emoscan.batch.manifest import State, now
from emoscan.batch.parts import Part, Parts
from emoscan.batch.photo_manifest import (
    PartEntry,
    PhotoEntry,
    PhotoLog,
    PhotoManifest,
    PhotoRun,
)
from emoscan.batch.rows import Opener, photo_rows
from emoscan.errors import MediaError
from emoscan.events import FileStarted, ScanStarted
from emoscan.media.find import MediaFile, counted
from emoscan.outcome import Problem, ProblemKind
from emoscan.tally import Tally
from emoscan.timeline.read import read_records
from emoscan.timeline.records import FaceRecord, as_written
from emoscan.timeline.schema import SCHEMA_VERSION, Status

# A crash costs at most one part.
PHOTOS_A_PART = 1_000

_by_photo = attrgetter("source")


@dataclass(slots=True)
class _Part:
    """The part at work; `failed` are its photos that could not be read, in their order."""

    number: int
    files: Sequence[MediaFile]
    input_: Fingerprint
    tally: Tally = field(default_factory=Tally)
    failed: list[Problem] = field(default_factory=list)
    began_s: float | None = field(default_factory=time.monotonic)


@dataclass(slots=True)
class _Table:
    """A table at work, `whole` the parts of it that an earlier run left.

    `replaced` is a table that is there until this one is: its rows are taken over but for photos
    that failed. `problems` run ahead of the rows, as reading does.
    """

    files: Sequence[MediaFile]
    attempt: Attempt
    parts: Parts
    manifest: PhotoManifest
    whole: Sequence[Part]
    replaced: Path | None
    problems: list[Problem] = field(default_factory=list)
    part: _Part | None = None


class PhotoJob(Job):
    """All photos into one table."""

    _photos_done = 0
    _in_all = 0

    @property
    def done(self) -> int:
        """How many photos were come to."""
        return self._photos_done

    def begin(self, sources: Sequence[str]) -> None:
        """Take note of how many photos there are, those of other shards too."""
        self._in_all = len(sources)

    def scan(self, files: Sequence[MediaFile], openers: Sequence[Opener]) -> None:
        """Write one table for all."""
        self._tell(ScanStarted(1))
        crew = Crew([None], take_away=lambda _: None)
        self._look = crew.look
        crew.run([partial(self._photos, files)])

    def _photos(self, files: Sequence[MediaFile], _: None) -> bool:
        name = counted(len(files), "photo")
        input_ = _of_all(files)
        attempt = Attempt(0, name, self._plan.outputs[0], input_=input_)
        if attempt.out is None:
            self._attempt(attempt, partial(self._stream_rows, files, attempt))
            return True
        # Before the parts: what else may lie there must not cost them.
        metadata = self._history.fitting(attempt.out, input_)
        with Parts(attempt.out, self._about_parts()) as parts:
            again = self._run.retry_failed
            replaced = attempt.out if metadata and again and damage_of(metadata) else None
            whole = self._whole_parts(parts, lambda number: _of_all(_chunk(files, number)))
            manifest = PhotoManifest(attempt.out)
            table = _Table(files, attempt, parts, manifest, whole, replaced)
            self._begin(table, is_there=metadata is not None)
            if metadata is None or replaced:
                self._make(table)
            else:
                self._keep(table, metadata)
        return True

    def _begin(self, table: _Table, *, is_there: bool) -> None:
        """The first line of this run in the manifest."""
        parts = len(_chunks(table.files))
        run = PhotoRun(
            run_began=now(),
            shard=str(self._run.shard) if self._run.shard else None,
            photos=len(table.files),
            photos_in_all=self._in_all,
            parts=parts,
            kept=parts if is_there else len(table.whole),
        )
        table.manifest.begin(run, skips_failed=not self._run.retry_failed)

    def _make(self, table: _Table) -> None:
        """Write the table; a bug is told of the part at work, if no table of before stands."""
        self._attempt(table.attempt, partial(self._write_photos, table))
        if table.attempt.error and table.part and not table.replaced:
            self._note_part(table, table.part, at_once=True)

    def _keep(self, table: _Table, metadata: Mapping[str, Any]) -> None:
        """The table of an earlier run stays, and so do the failures of its photos."""
        self._complete(table, metadata)
        failures = table.manifest.log.failures
        self._problems[0] = [_failed(one.source, tried_before(one.error)) for one in failures]
        self.done_before = self._photos_done = len(table.files)
        table.parts.remove()
        self._tell_kept(table.attempt)

    def _complete(self, table: _Table, metadata: Mapping[str, Any]) -> None:
        """Read from a table what its manifest has lost, or never had."""
        log, out = table.manifest.log, table.attempt.out
        assert out is not None
        chunks = _chunks(table.files)
        if all(map(log.knows, range(1, len(chunks) + 1))) and _tells_unreadable_of(log, metadata):
            return
        for number, rows in enumerate(self._rows_of_table(out, table.files)):
            lost = _unread(chunks[number], rows or ())
            if rows is None or log.knows(number + 1, unreadable=len(lost)):
                continue
            part = _Part(number, chunks[number], _of_all(chunks[number]), began_s=None)
            part.tally.add(rows)
            part.failed = [
                _failed(file.source, f"{file.source} could not be read by an earlier run.")
                for file in lost
            ]
            self._note_part(table, part, at_once=True)

    def _stream_rows(self, files: Sequence[MediaFile], attempt: Attempt) -> None:
        self._tell(FileStarted(attempt.source, len(files)))
        problems: list[Problem] = []
        opened = photo_rows(files, self._analyzer, problems=problems, fail_fast=self._run.fail_fast)
        with opened as batches:
            self._write_counted(batches, attempt, problems)

    def _write_photos(self, table: _Table) -> None:
        self._tell(FileStarted(table.attempt.source, len(table.files)))
        with closing(self._rows(table)) as batches:
            self._write_counted(batches, table.attempt, table.problems)
        table.parts.remove()
        table.manifest.finish()

    def _write_counted(
        self, batches: Iterator[list[FaceRecord]], attempt: Attempt, problems: Sequence[Problem]
    ) -> None:
        try:
            self._write(
                batches,
                attempt,
                about_media=lambda: _about_photos(attempt.tally),
                check=lambda: None,
            )
        finally:
            # The reading thread is ahead: what it found there has not been come to.
            with self._counting:
                self._problems[attempt.place] = list(problems[: attempt.tally.unreadable])
                self._photos_done = attempt.tally.frames + attempt.tally.unreadable

    def _rows(self, table: _Table) -> Generator[list[FaceRecord]]:
        """The rows of all photos: what earlier runs left, and what is found now."""
        before = self._rows_of_table(table.replaced, table.files) if table.replaced else iter(())
        for number, chunk in enumerate(_chunks(table.files)):
            # Its input is as it was before anybody read it.
            part = _Part(number, chunk, _of_all(chunk))
            earlier = next(before, None)
            left = table.whole[number] if number < len(table.whole) else None
            if left and not (left.damage and self._run.retry_failed):
                yield from self._left_rows(left, table, part)
                continue
            table.part = part
            if left:
                earlier = list(chain.from_iterable(left.rows()))
            with closing(self._found_rows(table, part, earlier)) as batches:
                yield from batches
            if self._run.fail_fast and part.failed:
                self._cut_short(table, part)
                return
            is_safe = self._close(table.parts, part)
            taken_over = earlier is not None and _is_whole(earlier)
            log = table.manifest.log
            if not (taken_over and log.knows(number + 1, part.input_, unreadable=0)):
                self._note_part(table, part, at_once=is_safe and not table.replaced)

    def _cut_short(self, table: _Table, part: _Part) -> None:
        """The table ends here. Raises MediaError rather than that one of all photos is replaced."""
        if table.replaced:
            reason = part.failed[0].reason
            raise MediaError(f"{reason} --fail-fast stops there, and {table.replaced} stays.")
        table.attempt.input_ = None  # a table of some photos is not that of all
        self._note_part(table, part, at_once=False)

    def _left_rows(self, left: Part, table: _Table, part: _Part) -> Iterator[list[FaceRecord]]:
        """The rows of a part that an earlier run left, and the failures of its photos."""
        reasons = iter(left.damage)
        for rows in left.rows():
            failed = [_failed(one.source, next(reasons, "")) for one in _unread(part.files, rows)]
            part.failed += failed
            table.problems += [_failed(one.source, tried_before(one.reason)) for one in failed]
            part.tally.add(rows)
            yield rows
        log = table.manifest.log
        if not log.knows(part.number + 1, part.input_, unreadable=len(part.failed)):
            part.began_s = None
            self._note_part(table, part, at_once=not table.replaced)

    def _found_rows(
        self, table: _Table, part: _Part, earlier: list[FaceRecord] | None
    ) -> Generator[list[FaceRecord]]:
        """The rows of photos that are looked at now: of all, or of those that failed earlier."""
        files = part.files if earlier is None else _unread(part.files, earlier)
        table.parts.go_to(part.number)
        known = len(table.problems)
        opened = photo_rows(
            files, self._analyzer, problems=table.problems, fail_fast=self._run.fail_fast
        )
        try:
            with opened as found:
                for rows in found if earlier is None else _merged(earlier, found):
                    table.parts.write(rows)
                    part.tally.add(rows)
                    yield rows
        finally:
            part.failed = table.problems[known:]

    def _close(self, parts: Parts, part: _Part) -> bool:
        """Whether the part is safe on the disk."""
        if part.input_ != _of_all(part.files):  # it changed meanwhile
            parts.give_up()
            return False
        reasons = [problem.reason for problem in part.failed]
        return parts.close_part(next_start=part.number + 1, damage=reasons, input_=part.input_)

    def _rows_of_table(
        self, out: Path, files: Sequence[MediaFile]
    ) -> Iterator[list[FaceRecord] | None]:
        """The rows of a table, part by part; None where they are not of exactly these photos.

        Raises UsageError.
        """
        place = {as_written(file.source): number for number, file in enumerate(files)}
        rows = chain.from_iterable(read_records(out, self._plan.table_format))
        parts = groupby(rows, key=lambda row: place.get(row.source, -1) // PHOTOS_A_PART)
        number, part = -1, []
        for wanted, chunk in enumerate(_chunks(files)):
            while number < wanted:
                number, of_number = next(parts, (len(files), iter(())))
                part = list(of_number)
            sources = [source for source, _ in groupby(part, key=_by_photo)]
            yield part if sources == [as_written(file.source) for file in chunk] else None

    def _note_part(self, table: _Table, part: _Part, *, at_once: bool) -> None:
        """The manifest's lines of a part that came to its end."""
        number, ended = part.number + 1, now()
        failed = [
            PhotoEntry(
                part=number,
                source=problem.source,
                state=State.FAILED,
                error_class=MediaError.__name__,
                error=problem.reason,
                ended=ended,
            )
            for problem in part.failed[: part.tally.unreadable]
        ]
        table.manifest.note(self._part_entry(table.attempt, part, ended), failed, at_once=at_once)
        table.part = None

    def _part_entry(self, attempt: Attempt, part: _Part, ended: str) -> PartEntry:
        tally, seconds = part.tally, part.began_s and time.monotonic() - part.began_s
        photos = tally.frames + tally.unreadable
        state = State.DONE_WITH_DAMAGE if tally.unreadable else State.DONE
        return PartEntry(
            part=part.number + 1,
            state=State.FAILED if attempt.error else state,
            first=part.files[0].source,
            last=part.files[max(photos, 1) - 1].source,
            photos=photos,
            rows=tally.rows,
            unreadable=tally.unreadable,
            error_class=attempt.error_class,
            error=attempt.error,
            seconds=seconds and round(seconds, 3),
            ended=ended,
            fingerprint=part.input_.as_dict(),
            options_sha256=self._making.options_sha256,
            model_sha256=self._making.model_sha256,
            schema_version=SCHEMA_VERSION,
            versions=versions(),
        )


def _merged(
    earlier: Sequence[FaceRecord], found: Iterator[list[FaceRecord]]
) -> Iterator[list[FaceRecord]]:
    """Earlier rows, with those found now in the place of unreadable ones; ends where they end."""
    again = groupby(chain.from_iterable(found), key=_by_photo)
    for _, photo in groupby(earlier, key=_by_photo):
        rows = list(photo)
        if rows[0].status == Status.UNREADABLE:
            _, anew = next(again, (None, None))
            if anew is None:  # --fail-fast
                return
            rows = list(anew)
        yield rows


def _unread(files: Sequence[MediaFile], rows: Sequence[FaceRecord]) -> list[MediaFile]:
    """Of these photos those that the rows of a table tell to be unreadable."""
    lost = {row.source for row in rows if row.status == Status.UNREADABLE}
    return [file for file in files if as_written(file.source) in lost]


def _is_whole(rows: Sequence[FaceRecord]) -> bool:
    return all(row.status != Status.UNREADABLE for row in rows)


def _tells_unreadable_of(log: PhotoLog, metadata: Mapping[str, Any]) -> bool:
    """Not so where the run that replaced a table died before its last word in the manifest."""
    told = sum(entry.unreadable for entry in log.parts.values())
    media = metadata.get("media")
    return not isinstance(media, dict) or media.get("photos_unreadable", told) == told


def _failed(source: str, reason: str) -> Problem:
    return Problem(source, ProblemKind.FAILED, reason)


def _chunk(files: Sequence[MediaFile], number: int) -> Sequence[MediaFile]:
    """The photos of one part."""
    return files[number * PHOTOS_A_PART : (number + 1) * PHOTOS_A_PART]


def _chunks(files: Sequence[MediaFile]) -> list[Sequence[MediaFile]]:
    return [_chunk(files, number) for number in range(-(-len(files) // PHOTOS_A_PART))]


def _of_all(files: Sequence[MediaFile]) -> Fingerprint:
    """Of many photos at once: their names, sizes and times, for to read them all takes too long."""
    digest, size_bytes, latest_ns = hashlib.sha256(), 0, 0
    for file in files:
        try:
            stat = file.path.stat()
            size, time_ns = stat.st_size, stat.st_mtime_ns
        except OSError:  # a link that leads nowhere is a photo that cannot be read
            size, time_ns = 0, 0
        digest.update(f"{file.source}\0{size}\0{time_ns}\n".encode("utf-8", "surrogateescape"))
        size_bytes, latest_ns = size_bytes + size, max(latest_ns, time_ns)
    return Fingerprint(size_bytes, latest_ns, digest.hexdigest())


def _about_photos(tally: Tally) -> dict[str, Any]:
    return {"photos_read": tally.frames, "photos_unreadable": tally.unreadable}
