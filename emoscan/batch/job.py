"""One job: every input through `Analyzer` into its table; what fails, and what was done before."""

import hashlib
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from emoscan.analyzer import Analyzer
from emoscan.batch.crew import Crew
from emoscan.batch.history import History, damage_of
from emoscan.batch.identity import Fingerprint, Making
from emoscan.batch.manifest import Entry, State
from emoscan.batch.parts import Part, Parts
from emoscan.batch.rows import Opener, photo_rows, video_rows
from emoscan.errors import ChangedError, EmoscanError, MediaError, OutputError
from emoscan.events import (
    Crashed,
    Event,
    FileFinished,
    FileKept,
    FileStarted,
    FramesDone,
    Listener,
    Note,
    PartialKept,
    ScanStarted,
)
from emoscan.faces.track import Tracker
from emoscan.media.find import MediaFile, counted
from emoscan.media.source import VideoSource
from emoscan.options import RunOptions, ScanOptions
from emoscan.outcome import Problem, ProblemKind
from emoscan.plan import Plan
from emoscan.runtime import library_versions
from emoscan.tally import Tally
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import SCHEMA_VERSION
from emoscan.timeline.writers import TableWriter, open_stream, open_table

# A crash costs at most one part.
PHOTOS_A_PART = 1_000


@dataclass(slots=True)
class _Attempt:
    """One table at work: the `place`-th of the plan."""

    place: int
    source: str
    out: Path | None
    input_: Fingerprint | None = None
    tally: Tally = field(default_factory=Tally)
    expected: int | None = None
    damage: tuple[str, ...] = ()
    error_class: str | None = None
    error: str | None = None
    seconds: float = 0.0
    segment: int | None = None

    def failed(self, error: Exception, reason: str) -> Problem:
        """What is known of its failure. The error itself would hold on to video and networks."""
        self.error_class, self.error = type(error).__name__, reason
        return Problem(self.source, ProblemKind.FAILED, reason)


class Job:
    """One call of `scan`: what it works with, and what it has counted so far.

    Tables are written in threads of their own, so that no Ctrl-C meets a half-written one.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        plan: Plan,
        *,
        options: ScanOptions,
        run: RunOptions,
        listener: Listener,
        stdout: BinaryIO | None,
    ) -> None:
        self._analyzer, self._plan, self._options, self._run = analyzer, plan, options, run
        self._stream = open_stream(stdout, plan.table_format) if plan.streams and stdout else None
        self._listener, self._telling = listener, threading.RLock()
        self._counting = threading.Lock()
        self._making = Making(options.sha256(), analyzer.classifier.sha256, SCHEMA_VERSION)
        self._history = History(plan.folder, run, self._making)
        self._look: Callable[[], None] = lambda: None
        self._problems: dict[int, list[Problem]] = {}
        self._outputs: dict[int, str] = {}
        self._settled: set[int] = set()
        self._photos_done: int | None = None
        self.total = Tally()
        self.done_before = 0
        if analyzer.runtime.note:
            self._tell(Note(analyzer.runtime.note))

    @property
    def done(self) -> int:
        """How many inputs came to an end, well or not."""
        return len(self._settled) if self._photos_done is None else self._photos_done

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Of the inputs so far, in their order."""
        return tuple(problem for _, some in sorted(self._problems.items()) for problem in some)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tables that have their names, in the order of their inputs."""
        return tuple(output for _, output in sorted(self._outputs.items()))

    def begin(self, sources: Sequence[str]) -> None:
        """Take note of all inputs of the batch, those of other shards too. Raises OutputError."""
        self._history.begin(sources)

    def scan_videos(self, files: Sequence[MediaFile], openers: Sequence[Opener]) -> None:
        """Write a table for each, as many at the same time as there are openers."""
        self._tell(ScanStarted(len(files)))
        crew = Crew(openers, take_away=lambda opener: opener.abort())
        self._look = crew.look
        tasks = zip(files, self._plan.outputs, strict=True)
        crew.run([partial(self._video, place, *task) for place, task in enumerate(tasks)])

    def scan_photos(self, files: Sequence[MediaFile]) -> None:
        """Write one table for all."""
        self._photos_done = 0
        self._tell(ScanStarted(1))
        crew = Crew([None], take_away=lambda _: None)
        self._look = crew.look
        crew.run([partial(self._photos, files)])

    def _tell(self, event: Event) -> None:
        with self._telling:
            self._listener(event)

    def _video(self, place: int, file: MediaFile, out: Path | None, opener: Opener) -> bool:
        """Whether to go on with the next one."""
        attempt = _Attempt(place, file.source, out)
        with suppress(OSError):  # then opening it says so
            attempt.input_ = Fingerprint.of(file.path, whole=self._run.verify)
        if self._settled_before(attempt):
            return True
        self._attempt(attempt, partial(self._write_video, file, attempt, opener))
        self._note(attempt)
        return not (self._run.fail_fast and self._problems.get(place))

    def _photos(self, files: Sequence[MediaFile], _: None) -> bool:
        name = counted(len(files), "photo")
        attempt = _Attempt(0, name, self._plan.outputs[0], input_=_of_all(files))
        if self._settled_before(attempt):
            self.done_before = self._photos_done = len(files)
        else:
            self._attempt(attempt, partial(self._write_photos, files, attempt))
        return True

    def _settled_before(self, attempt: _Attempt) -> bool:
        """Whether an earlier run has done it, or found that it cannot be done; then tell so."""
        if attempt.input_ is None or attempt.out is None:
            return False
        try:
            metadata = self._history.held(attempt.out, attempt.input_)
        except OutputError as error:
            if self._plan.folder is None:
                raise
            self._settle(attempt, attempt.failed(error, str(error)), output=None)
            self._history.note(self._entry(attempt, State.SKIPPED))
            return True
        if metadata is not None:
            self._keep_table(attempt, metadata)
            return True
        failure = self._history.failure(attempt.source, attempt.input_)
        if failure is None:
            return False
        reason = f"{failure} It failed before and has not changed; --retry-failed tries it again."
        self._settle(attempt, Problem(attempt.source, ProblemKind.FAILED, reason), output=None)
        self._history.note(self._entry(attempt, State.SKIPPED))
        return True

    def _keep_table(self, attempt: _Attempt, metadata: Mapping[str, Any]) -> None:
        """The table of an earlier run stays; what was wrong with its input still is."""
        assert attempt.out is not None and attempt.input_ is not None
        attempt.damage = damage_of(metadata)
        if attempt.damage:
            problem = Problem(attempt.source, ProblemKind.DAMAGED, " ".join(attempt.damage))
            self._problems[attempt.place] = [problem]
        with self._counting:
            self.done_before += 1
            self._settled.add(attempt.place)
        if not self._history.knows(attempt.source):  # the run that made it died before its word
            self._note(attempt)
        Parts.sweep(attempt.out)
        self._history.sweep_partial(attempt.out, attempt.input_)
        self._tell(FileKept(attempt.source, str(attempt.out)))

    def _attempt(self, attempt: _Attempt, work: Callable[[], Problem | None]) -> None:
        """Write one table; a problem of its input does not end the job."""
        began = time.monotonic()
        problem, output = None, str(attempt.out) if attempt.out else None
        try:
            problem = work()
        except MediaError as error:
            self._look()  # what was taken away is no failure of the input's
            problem, output = attempt.failed(error, str(error)), None
        except (EmoscanError, BrokenPipeError):  # of the output: it concerns every input
            raise
        except Exception as error:  # a night's run outlives a fault in one file
            self._look()
            self._tell(Crashed(attempt.source, error))
            reason = f"Unexpected {type(error).__name__}: {error}"
            problem, output = attempt.failed(error, reason), None
        finally:
            with self._counting:
                self.total += attempt.tally
        attempt.seconds = time.monotonic() - began
        self._settle(attempt, problem, output=output)

    def _settle(self, attempt: _Attempt, problem: Problem | None, *, output: str | None) -> None:
        with self._counting:
            if problem:
                self._problems.setdefault(attempt.place, []).append(problem)
            self._settled.add(attempt.place)
        self._tell(
            FileFinished(
                source=attempt.source,
                frames=attempt.tally.frames,
                faces=attempt.tally.faces,
                seconds=attempt.seconds,
                problem=problem.reason if problem else None,
                output=output,
            )
        )

    def _write_video(self, file: MediaFile, attempt: _Attempt, opener: Opener) -> Problem | None:
        with opener.open(file) as video, self._parts(attempt, video.info.segment_starts) as parts:
            attempt.expected = video.expected_frames(self._options)
            self._tell(FileStarted(file.source, attempt.expected))
            # Closed here, before the video: its frames may be at work in another thread.
            with closing(self._video_parts(video, attempt, parts)) as batches:
                self._write(
                    batches,
                    attempt,
                    about_media=lambda: _about_video(video, attempt),
                    check=lambda: self._refuse_changed(file, attempt),
                )
            if parts:
                parts.remove()
        if not attempt.damage:
            return None
        return Problem(file.source, ProblemKind.DAMAGED, " ".join(attempt.damage))

    def _parts(
        self, attempt: _Attempt, borders: Sequence[int]
    ) -> AbstractContextManager[Parts | None]:
        """For what is long and goes to a file; nothing else is worth going on with."""
        if not (borders and attempt.out and attempt.input_):
            return nullcontext()
        return Parts(attempt.out, self._about_making())

    def _about_making(self) -> dict[str, Any]:
        """What a table is told by beside its input, in its metadata."""
        classifier = self._analyzer.classifier
        return {
            "schema_version": SCHEMA_VERSION,
            "model": {"id": classifier.about.model_id, "sha256": classifier.sha256},
            "options_sha256": self._making.options_sha256,
        }

    def _video_parts(
        self, video: VideoSource, attempt: _Attempt, parts: Parts | None
    ) -> Generator[list[FaceRecord]]:
        """The rows of the parts that are whole, then those of the frames after them."""
        state, first = None, 0
        before: tuple[str, ...] = ()
        for part in self._whole_parts(parts, lambda _: attempt.input_):
            yield from part.rows()
            state, first, before = part.tracker, part.next_start, part.damage_so_far()
        tracker = Tracker(state)
        borders = video.info.segment_starts
        opened = video_rows(video, self._analyzer, self._options, tracker=tracker, first=first)
        with opened as batches:
            for rows in batches:
                self._look()  # before a decoder that was taken away looks like damage
                attempt.damage = (*before, *video.damage)
                if parts:
                    self._keep(rows, parts, attempt, tracker, borders)
                yield rows
        attempt.damage = (*before, *video.damage)

    def _whole_parts(
        self, parts: Parts | None, input_of: Callable[[int], Fingerprint | None]
    ) -> Sequence[Part]:
        return parts.take_up(input_of) if parts and self._run.resume else ()

    def _keep(
        self,
        rows: Sequence[FaceRecord],
        parts: Parts,
        attempt: _Attempt,
        tracker: Tracker,
        borders: Sequence[int],
    ) -> None:
        """Put rows into the part of their segment; after the last border it is the table's turn."""
        assert attempt.input_ is not None
        if (segment := bisect_right(borders, rows[0].frame)) != attempt.segment:
            if parts.is_open:
                start, damage = borders[segment - 1], attempt.damage
                parts.close_part(
                    next_start=start,
                    damage=damage,
                    input_=attempt.input_,
                    tracker=tracker.state(segment),
                )
            attempt.segment = segment
        if segment < len(borders):
            parts.write(rows)

    def _refuse_changed(self, file: MediaFile, attempt: _Attempt) -> None:
        """Rows of two versions of a file must not be mixed. Raises MediaError."""
        if attempt.input_ is None:
            return
        try:
            same = Fingerprint.of(file.path).fits(attempt.input_)
        except OSError:
            same = False
        if not same:
            raise ChangedError(
                f"{file.source} was changed or removed while it was read; run it again."
            )

    def _write_photos(self, files: Sequence[MediaFile], attempt: _Attempt) -> None:
        self._tell(FileStarted(attempt.source, len(files)))
        borders = range(PHOTOS_A_PART, len(files), PHOTOS_A_PART)
        broken: list[Problem] = []
        with self._parts(attempt, borders) as parts:
            try:
                with closing(self._photo_parts(files, attempt, parts, broken)) as batches:
                    self._write(
                        batches,
                        attempt,
                        about_media=lambda: _about_photos(attempt.tally),
                        check=lambda: None,
                    )
                if parts:
                    parts.remove()
            finally:
                # The reading thread is ahead: what it found there has not been come to.
                with self._counting:
                    self._problems[attempt.place] = broken[: attempt.tally.unreadable]
                    self._photos_done = attempt.tally.frames + attempt.tally.unreadable

    def _photo_parts(
        self,
        files: Sequence[MediaFile],
        attempt: _Attempt,
        parts: Parts | None,
        broken: list[Problem],
    ) -> Generator[list[FaceRecord]]:
        number = 0
        for part in self._whole_parts(parts, lambda number: _of_all(_chunk(files, number))):
            yield from _with_problems(part, broken)
            number += 1
        fail_fast = self._run.fail_fast
        while chunk := _chunk(files, number):
            known, input_ = len(broken), _of_all(chunk)  # as it was before anybody read it
            opened = photo_rows(chunk, self._analyzer, problems=broken, fail_fast=fail_fast)
            with opened as batches:
                for rows in batches:
                    if parts:
                        parts.write(rows)
                    yield rows
            if fail_fast and len(broken) > known:
                attempt.input_ = None  # a table of some photos is not that of all
                return
            number += 1
            if parts and input_ and input_ == _of_all(chunk):
                reasons = [problem.reason for problem in broken[known:]]
                parts.close_part(next_start=number, damage=reasons, input_=input_)
            elif parts:
                parts.give_up()

    def _write(
        self,
        batches: Iterator[list[FaceRecord]],
        attempt: _Attempt,
        *,
        about_media: Callable[[], dict[str, Any]],
        check: Callable[[], None],
    ) -> None:
        """Write one table; what `check` raises keeps it from its name."""
        tally, writer = attempt.tally, self._open(attempt.out)
        try:
            for rows in batches:
                self._look()  # before what came of a decoder that was taken away
                writer.write(rows)
                tally.add(rows)
                self._tell(FramesDone(attempt.source, tally.frames + tally.unreadable, tally.faces))
            self._check(check, writer)
            writer.commit(self._metadata(attempt, about_media()))
            with self._counting:
                self._outputs |= {attempt.place: str(attempt.out)} if attempt.out else {}
        except BaseException:  # being stopped too: nothing that was done is lost
            self._keep_partial(writer, self._metadata(attempt, about_media()))
            raise
        if self._run.resume and attempt.out and attempt.input_:
            self._history.sweep_partial(attempt.out, attempt.input_)

    def _check(self, check: Callable[[], None], writer: TableWriter) -> None:
        try:
            check()
        except MediaError:
            writer.discard()
            raise

    def _keep_partial(self, writer: TableWriter, metadata: Mapping[str, Any]) -> None:
        try:
            kept = writer.keep_partial(metadata)
        except EmoscanError:  # the disk is full, say: what broke the job says so
            writer.discard()
            return
        if kept:
            self._tell(PartialKept(str(kept), writer.rows))

    def _open(self, out: Path | None) -> TableWriter:
        if out is not None:
            replaces = self._run.overwrite or self._run.resume
            return open_table(out, self._plan.table_format, overwrite=replaces)
        assert self._stream is not None  # `scan` asks for it before the job begins
        return self._stream

    def _metadata(self, attempt: _Attempt, about_media: Mapping[str, Any]) -> dict[str, Any]:
        """How the table was made, as its file records it."""
        runtime = self._analyzer.runtime
        return self._about_making() | {
            "emoscan_version": version("emoscan"),
            "input": attempt.input_.as_dict() if attempt.input_ else None,
            "options": self._options.as_dict(),
            "run_options": self._run.as_dict(),
            "device": runtime.device_name,
            "precision": runtime.precision.value,
            "backend": runtime.backend.value,
            "versions": library_versions(),
            "media": dict(about_media),
        }

    def _note(self, attempt: _Attempt) -> None:
        """The manifest's line of an attempt that came to its end."""
        state = State.DONE_WITH_DAMAGE if attempt.damage else State.DONE
        self._history.note(self._entry(attempt, State.FAILED if attempt.error else state))

    def _entry(self, attempt: _Attempt, state: State) -> Entry:
        tally, out, folder = attempt.tally, attempt.out, self._plan.folder
        is_there = state in (State.DONE, State.DONE_WITH_DAMAGE)
        return Entry(
            source=attempt.source,
            state=state,
            output=out.relative_to(folder).as_posix() if out and folder and is_there else None,
            fingerprint=attempt.input_.as_dict() if attempt.input_ else None,
            rows=tally.rows,
            frames_expected=attempt.expected,
            frames_decoded=tally.frames,
            damage=attempt.damage,
            error_class=attempt.error_class,
            error=attempt.error,
            seconds=round(attempt.seconds, 3),
            ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
            options_sha256=self._making.options_sha256,
            model_sha256=self._making.model_sha256,
            schema_version=SCHEMA_VERSION,
            versions={"emoscan": version("emoscan"), **library_versions()},
        )


def _with_problems(part: Part, broken: list[Problem]) -> Iterator[list[FaceRecord]]:
    """The rows of a part of photos; what was wrong with them becomes problems again."""
    reasons = iter(part.damage)
    for rows in part.rows():
        lost = [row.source for row in rows if row.status == "unreadable"]
        broken += [Problem(source, ProblemKind.FAILED, next(reasons, "")) for source in lost]
        yield rows


def _chunk(files: Sequence[MediaFile], number: int) -> Sequence[MediaFile]:
    """The photos of one part."""
    return files[number * PHOTOS_A_PART : (number + 1) * PHOTOS_A_PART]


def _of_all(files: Sequence[MediaFile]) -> Fingerprint | None:
    """Of many photos at once: their names, sizes and times, for to read them all takes too long."""
    digest, size_bytes, latest_ns = hashlib.sha256(), 0, 0
    for file in files:
        try:
            stat = file.path.stat()
        except OSError:
            return None
        about = f"{file.source}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        digest.update(about.encode("utf-8", "surrogateescape"))
        size_bytes, latest_ns = size_bytes + stat.st_size, max(latest_ns, stat.st_mtime_ns)
    return Fingerprint(size_bytes, latest_ns, digest.hexdigest())


def _about_video(video: VideoSource, attempt: _Attempt) -> dict[str, Any]:
    return video.info.as_dict() | {
        "frames_read": attempt.tally.frames,
        "frames_unreadable": attempt.tally.unreadable,
        "damage": list(attempt.damage),
    }


def _about_photos(tally: Tally) -> dict[str, Any]:
    return {"photos_read": tally.frames, "photos_unreadable": tally.unreadable}
