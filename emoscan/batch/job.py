"""One job: inputs through `Analyzer` into tables; what fails, and what was done before.

What videos and photos have in common: `videos.py` and `photos.py` have the rest.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from emoscan.analyzer import Analyzer
from emoscan.batch.history import History
from emoscan.batch.identity import Fingerprint, Making
from emoscan.batch.parts import Part, Parts
from emoscan.batch.place import owner_of
from emoscan.batch.rows import Opener
from emoscan.errors import EmoscanError, MediaError
from emoscan.events import (
    Crashed,
    Event,
    FileFinished,
    FileKept,
    FramesDone,
    Listener,
    Note,
    PartialKept,
)
from emoscan.media.find import MediaFile
from emoscan.options import RunOptions, ScanOptions
from emoscan.outcome import Problem, ProblemKind
from emoscan.plan import Plan
from emoscan.runtime import installed_version, library_versions
from emoscan.tally import Tally
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import SCHEMA_VERSION
from emoscan.timeline.writers import TableWriter, open_stream, open_table


@dataclass(slots=True)
class Attempt:
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


class Job(ABC):
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
        self._told: set[str] = set()
        self._counting = threading.Lock()
        self._making = Making(options.sha256(), analyzer.classifier.sha256, SCHEMA_VERSION)
        self._history = History(plan.folder, run, self._making)
        self._look: Callable[[], None] = lambda: None
        self._problems: dict[int, list[Problem]] = {}
        self._outputs: dict[int, str] = {}
        self._settled: set[int] = set()
        self.total = Tally()
        self.done_before = 0
        if analyzer.runtime.note:
            self._tell(Note(analyzer.runtime.note))

    @property
    def done(self) -> int:
        """How many inputs came to an end, well or not."""
        return len(self._settled)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Of the inputs so far, in their order."""
        return tuple(problem for _, some in sorted(self._problems.items()) for problem in some)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tables that have their names, in the order of their inputs."""
        return tuple(output for _, output in sorted(self._outputs.items()))

    @abstractmethod
    def begin(self, sources: Sequence[str]) -> None:
        """Take note of all inputs of the batch, those of other shards too. Raises OutputError."""

    @abstractmethod
    def scan(self, files: Sequence[MediaFile], openers: Sequence[Opener]) -> None:
        """Write the tables of these inputs."""

    def _tell(self, event: Event) -> None:
        with self._telling:
            self._listener(event)

    def _tell_once(self, note: str | None) -> None:
        """Many videos have the same worth a note."""
        with self._telling:
            if note and note not in self._told:
                self._told.add(note)
                self._listener(Note(note))

    def _tell_kept(self, attempt: Attempt) -> None:
        """The table of an earlier run stays."""
        assert attempt.out is not None and attempt.input_ is not None
        self._history.sweep_partial(attempt.out, attempt.input_)
        self._tell(FileKept(attempt.source, str(attempt.out)))

    def _attempt(self, attempt: Attempt, work: Callable[[], Problem | None]) -> None:
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

    def _settle(self, attempt: Attempt, problem: Problem | None, *, output: str | None) -> None:
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

    def _about_parts(self) -> dict[str, Any]:
        """What parts have to agree on to make one table: also what computes, and in which numbers.

        `auto` may be another one after an update, or on another machine.
        """
        return self._about_making() | self._about_computing()

    def _about_computing(self) -> dict[str, str]:
        """What computes, in which numbers, and how near to stock MTCNN."""
        runtime = self._analyzer.runtime
        return {
            "precision": runtime.precision.value,
            "detector_precision": runtime.detector_precision.value,
            "detector_fidelity": self._analyzer.fidelity.value,
            "backend": runtime.backend.value,
        }

    def _about_making(self) -> dict[str, Any]:
        """What a table is told by beside its input, in its metadata."""
        classifier = self._analyzer.classifier
        return {
            "schema_version": SCHEMA_VERSION,
            "model": {"id": classifier.about.model_id, "sha256": classifier.sha256},
            "options_sha256": self._making.options_sha256,
        }

    def _whole_parts(
        self, parts: Parts | None, input_of: Callable[[int], Fingerprint | None]
    ) -> Sequence[Part]:
        return parts.take_up(input_of) if parts and self._run.resume else ()

    def _write(
        self,
        batches: Iterator[list[FaceRecord]],
        attempt: Attempt,
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
            return open_table(
                out, self._plan.table_format, overwrite=replaces, owner=owner_of(self._run)
            )
        assert self._stream is not None  # `scan` asks for it before the job begins
        return self._stream

    def _metadata(self, attempt: Attempt, about_media: Mapping[str, Any]) -> dict[str, Any]:
        """How the table was made, as its file records it."""
        return {
            **self._about_making(),
            **self._about_computing(),
            "emoscan_version": installed_version("emoscan"),
            "input": attempt.input_.as_dict() if attempt.input_ else None,
            "options": self._options.as_dict(),
            "run_options": self._run.as_dict(),
            "device": self._analyzer.runtime.device_name,
            "versions": library_versions(),
            "media": dict(about_media),
        }


def tried_before(reason: str) -> str:
    """Why an input failed that is not tried again."""
    return f"{reason} It failed before and has not changed; --retry-failed tries it again."


def versions() -> dict[str, str | None]:
    """Of emoscan and of what rows depend on beside it."""
    return {"emoscan": installed_version("emoscan"), **library_versions()}
