"""Videos, each into a table of its own, in parts that end at its borders."""

from bisect import bisect_right
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from emoscan.batch.crew import Crew
from emoscan.batch.history import damage_of
from emoscan.batch.identity import Fingerprint
from emoscan.batch.job import Attempt, Job, tried_before, versions
from emoscan.batch.manifest import Entry, State, now
from emoscan.batch.parts import Parts
from emoscan.batch.place import owner_of
from emoscan.batch.rows import Opener, video_rows
from emoscan.errors import ChangedError, OutputError
from emoscan.events import FileStarted, ScanStarted
from emoscan.faces.track import Tracker
from emoscan.media.find import MediaFile
from emoscan.media.source import VideoSource
from emoscan.outcome import Problem, ProblemKind
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import SCHEMA_VERSION


class VideoJob(Job):
    """Every video into its table, several at the same time."""

    def begin(self, sources: Sequence[str]) -> None:
        """Take note of all inputs of the batch, those of other shards too. Raises OutputError."""
        self._history.begin(sources)

    def scan(self, files: Sequence[MediaFile], openers: Sequence[Opener]) -> None:
        """Write a table for each, as many at the same time as there are openers."""
        self._tell(ScanStarted(len(files)))
        crew = Crew(openers, take_away=lambda opener: opener.abort())
        self._look = crew.look
        tasks = zip(files, self._plan.outputs, strict=True)
        crew.run([partial(self._video, place, *task) for place, task in enumerate(tasks)])

    def _video(self, place: int, file: MediaFile, out: Path | None, opener: Opener) -> bool:
        """Whether to go on with the next one."""
        attempt = Attempt(place, file.source, out)
        with suppress(OSError):  # then opening it says so
            attempt.input_ = Fingerprint.of(file.path, whole=self._run.verify)
        if self._settled_before(attempt):
            return True
        self._attempt(attempt, partial(self._write_video, file, attempt, opener))
        self._note(attempt)
        return not (self._run.fail_fast and self._problems.get(place))

    def _settled_before(self, attempt: Attempt) -> bool:
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
        problem = Problem(attempt.source, ProblemKind.FAILED, tried_before(failure))
        self._settle(attempt, problem, output=None)
        self._history.note(self._entry(attempt, State.SKIPPED))
        return True

    def _keep_table(self, attempt: Attempt, metadata: Mapping[str, Any]) -> None:
        """The table of an earlier run stays; what was wrong with its input still is."""
        assert attempt.out is not None
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
        self._tell_kept(attempt)

    def _write_video(self, file: MediaFile, attempt: Attempt, opener: Opener) -> Problem | None:
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
        self, attempt: Attempt, borders: Sequence[int]
    ) -> AbstractContextManager[Parts | None]:
        """For what is long and goes to a file; nothing else is worth going on with."""
        if not (borders and attempt.out and attempt.input_):
            return nullcontext()
        return Parts(attempt.out, self._about_parts(), owner=owner_of(self._run))

    def _video_parts(
        self, video: VideoSource, attempt: Attempt, parts: Parts | None
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
                self._tell_once(video.note)
                if parts:
                    self._keep(rows, parts, attempt, tracker, borders)
                yield rows
        attempt.damage = (*before, *video.damage)
        self._tell_once(video.note)

    def _keep(
        self,
        rows: Sequence[FaceRecord],
        parts: Parts,
        attempt: Attempt,
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

    def _refuse_changed(self, file: MediaFile, attempt: Attempt) -> None:
        """Rows of two versions of a file must not be mixed. Raises MediaError."""
        if attempt.input_ is None:
            return
        try:
            same = Fingerprint.of(file.path).fits(attempt.input_)
        except OSError:
            same = False
        if not same:
            raise ChangedError(file.source)

    def _note(self, attempt: Attempt) -> None:
        """The manifest's line of an attempt that came to its end."""
        state = State.DONE_WITH_DAMAGE if attempt.damage else State.DONE
        self._history.note(self._entry(attempt, State.FAILED if attempt.error else state))

    def _entry(self, attempt: Attempt, state: State) -> Entry:
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
            ended=now(),
            options_sha256=self._making.options_sha256,
            model_sha256=self._making.model_sha256,
            schema_version=SCHEMA_VERSION,
            versions=versions(),
        )


def _about_video(video: VideoSource, attempt: Attempt) -> dict[str, Any]:
    return video.info.as_dict() | {
        "frames_read": attempt.tally.frames,
        "frames_unreadable": attempt.tally.unreadable,
        "decoded_by": dict(video.decoded_by),
        "damage": list(attempt.damage),
    }
