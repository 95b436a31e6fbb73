"""From paths to tables: the files one after the other through `Analyzer`, and what fails."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from emoscan.analyzer import Analyzer
from emoscan.emotion.checkpoint import load_weights
from emoscan.errors import EmoscanError, MediaError, UsageError
from emoscan.events import (
    Crashed,
    FileFinished,
    FileStarted,
    FramesDone,
    Listener,
    Note,
    PartialKept,
    ScanStarted,
    ScanStopped,
    ignore,
)
from emoscan.faces.track import Tracker
from emoscan.media.ahead import read_ahead
from emoscan.media.find import Found, MediaFile, MediaKind, counted, expanded, find_media
from emoscan.media.images import read_photo
from emoscan.media.process import DecoderProcess
from emoscan.media.source import OpenVideo, VideoSource
from emoscan.options import STANDARD_OUTPUT, VIDEO_ONLY, RunOptions, ScanOptions
from emoscan.outcome import PlannedFile, Problem, ProblemKind, ScanReport
from emoscan.plan import Plan, plan_table, plan_videos
from emoscan.runtime import library_versions, serving_runtime
from emoscan.tally import Tally
from emoscan.timeline.interrupts import undisturbed
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import SCHEMA_VERSION
from emoscan.timeline.writers import TableWriter, open_stream, open_table
from emoscan.types import Frame, Unreadable

MediaPath = str | Path
PHOTOS_AHEAD = 2  # a photo may take half a gigabyte


def analyze_video(
    path: MediaPath, options: ScanOptions | None = None, *, run: RunOptions | None = None
) -> Iterator[FaceRecord]:
    """The rows of one video, as they come; of `run` what concerns the files of tables is ignored.

    Raises MediaError where nothing can be read at all; lost frames are rows `unreadable`.
    """
    options, run = options or ScanOptions(), run or RunOptions()
    file = MediaFile(Path(path), Path(path).name)
    with _decoding(run, MediaKind.VIDEO) as open_source:
        analyzer = Analyzer(options, run)
        with _video_rows(file, open_source, analyzer=analyzer, options=options) as (_, batches):
            for rows in batches:
                yield from rows


def analyze_images(
    folder: MediaPath, options: ScanOptions | None = None, *, run: RunOptions | None = None
) -> Iterator[FaceRecord]:
    """The rows of a folder's photos, as they come; one that cannot be read is `unreadable`.

    Raises NoMediaError where the folder holds no photo, UsageError for options of time.
    """
    options, run = options or ScanOptions(), run or RunOptions()
    _refuse_time_options(options)
    analyzer = Analyzer(options, run)
    found = find_media([Path(folder)], MediaKind.PHOTO, recursive=run.recursive)
    with _photo_rows(found.files, analyzer, problems=[], fail_fast=run.fail_fast) as batches:
        for rows in batches:
            yield from rows


def scan(
    paths: MediaPath | Sequence[MediaPath],
    out: MediaPath | None = None,
    *,
    kind: MediaKind | str = MediaKind.VIDEO,
    options: ScanOptions | None = None,
    run: RunOptions | None = None,
    listener: Listener = ignore,
    stdout: BinaryIO | None = None,
) -> ScanReport:
    """Do the whole job: find the files, analyse them, write the tables.

    `kind` is "video" or "photo"; `out` is the same as `run.out`, and where it is "-", rows go to
    `stdout`. One bad file is a problem in the report. Raises EmoscanError for what ends the job:
    options that do not fit, no media, a missing part, an output that exists or cannot be written.
    """
    began = time.monotonic()
    options, run, kind = options or ScanOptions(), run or RunOptions(), _media_kind(kind)
    run = replace(run, out=str(out)) if out is not None else run
    if run.out == STANDARD_OUTPUT and stdout is None:
        raise UsageError("Rows for “-” need a stream: scan(…, stdout=sys.stdout.buffer).")
    if kind is MediaKind.PHOTO:
        _refuse_time_options(options)
    named = expanded([Path(path) for path in ([paths] if isinstance(paths, MediaPath) else paths)])
    found = find_media(named, kind, recursive=run.recursive)
    plan = (plan_videos if kind is MediaKind.VIDEO else plan_table)(named, found.files, run=run)
    _tell_left_out(found, kind, listener=listener)
    if run.dry_run:
        return _dry_run(found, plan, options=options, run=run, kind=kind)
    with _decoding(run, kind) as open_source:
        analyzer = Analyzer(options, run)
        job = _Job(analyzer, plan, options=options, run=run, listener=listener, stdout=stdout)
        try:
            if kind is MediaKind.VIDEO:
                job.scan_videos(found.files, open_source)
            else:
                job.scan_photos(found.files)
        except BaseException:  # an interrupt too
            listener(ScanStopped(job.report(found, seconds=time.monotonic() - began)))
            raise
        return job.report(found, seconds=time.monotonic() - began)


@contextmanager
def _decoding(run: RunOptions, kind: MediaKind) -> Iterator[OpenVideo]:
    """How videos are opened. Their process starts at once, and is there when the networks are."""
    if run.decode_in_process:
        from emoscan.media.video import open_video

        yield open_video
        return
    with DecoderProcess() as decoder:
        if kind is MediaKind.VIDEO:
            decoder.start()
        yield decoder.open


def _media_kind(kind: MediaKind | str) -> MediaKind:
    try:
        return MediaKind(kind)
    except ValueError as error:
        raise UsageError(f"kind is “video” or “photo”, not “{kind}”.") from error


def _refuse_time_options(options: ScanOptions) -> None:
    defaults = ScanOptions()
    if any(getattr(options, name) != getattr(defaults, name) for name in VIDEO_ONLY):
        raise UsageError(
            "fps, every, start, end and detector_stride are for videos: photos have no time."
        )


def _tell_left_out(found: Found, kind: MediaKind, *, listener: Listener) -> None:
    if found.passed_over:
        left = counted(found.passed_over, kind.other.value)
        listener(Note(f"Passed over {left}: “{kind.other.command}” reads those."))
    if found.skipped:
        listener(Note(f"Skipped {counted(found.skipped, 'file')} of other kinds."))


def _unlisted(found: Found) -> list[Problem]:
    reason = "The folder cannot be listed; check its permissions."
    return [Problem(folder, ProblemKind.FAILED, reason) for folder in found.unreadable]


def _dry_run(
    found: Found, plan: Plan, *, options: ScanOptions, run: RunOptions, kind: MediaKind
) -> ScanReport:
    serving_runtime(run.device, options.precision, run.backend)
    planned: list[PlannedFile] = []
    problems = _unlisted(found)
    one_a_file = len(plan.outputs) == len(found.files)
    outputs = plan.outputs if one_a_file else plan.outputs * len(found.files)
    with _decoding(run, kind) as open_source:
        load_weights(options.weights)
        for file, out in zip(found.files, outputs, strict=True):
            try:
                video = kind is MediaKind.VIDEO
                frames = _count_frames(file, open_source, options=options) if video else 1
                planned.append(PlannedFile(file.source, frames, str(out or STANDARD_OUTPUT)))
            except MediaError as error:
                problems.append(Problem(file.source, ProblemKind.FAILED, str(error)))
    return _report(found, dry_run=True, planned=tuple(planned), problems=tuple(problems))


def _count_frames(file: MediaFile, open_source: OpenVideo, *, options: ScanOptions) -> int:
    with open_source(file) as video:
        return video.expected_frames(options)


def _report(found: Found, **facts: Any) -> ScanReport:
    return ScanReport(
        inputs=len(found.files), passed_over=found.passed_over, skipped=found.skipped, **facts
    )


@contextmanager
def _video_rows(
    file: MediaFile, open_source: OpenVideo, *, analyzer: Analyzer, options: ScanOptions
) -> Iterator[tuple[VideoSource, Iterator[list[FaceRecord]]]]:
    with open_source(file) as video:
        depth = 2 * analyzer.batch_frames(video.info.width, video.info.height)
        with (
            closing(read_ahead(video.frames(options), depth=depth)) as ahead,
            closing(
                analyzer.video_rows(ahead, Tracker(), borders=video.info.segment_starts)
            ) as batches,
        ):
            yield video, batches


@contextmanager
def _photo_rows(
    files: Iterable[MediaFile], analyzer: Analyzer, *, problems: list[Problem], fail_fast: bool
) -> Iterator[Iterator[list[FaceRecord]]]:
    photos = _photos(files, problems, fail_fast=fail_fast)
    with (
        closing(read_ahead(photos, depth=PHOTOS_AHEAD)) as ahead,
        closing(analyzer.photo_rows(ahead)) as batches,
    ):
        yield batches


def _photos(
    files: Iterable[MediaFile], problems: list[Problem], *, fail_fast: bool
) -> Iterator[Frame | Unreadable]:
    """Each photo, or Unreadable and one more problem."""
    for file in files:
        try:
            yield read_photo(file)
        except MediaError as error:
            problems.append(Problem(file.source, ProblemKind.FAILED, str(error)))
            yield Unreadable(file.source, 0, None)
            if fail_fast:
                return


class _Job:
    """One call of `scan`: what it works with, and what it has counted so far."""

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
        self._listener = listener
        self._stream = open_stream(stdout, plan.table_format) if plan.streams and stdout else None
        self._total = Tally()
        self._done = 0
        self._problems: list[Problem] = []
        self._outputs: list[str] = []
        if analyzer.runtime.note:
            listener(Note(analyzer.runtime.note))

    def scan_videos(self, files: Sequence[MediaFile], open_source: OpenVideo) -> None:
        self._listener(ScanStarted(len(files)))
        for file, out in zip(files, self._plan.outputs, strict=True):
            work = partial(self._write_video, file, out, open_source=open_source)
            problem = self._scan_one(file.source, out, work=work)
            if problem and problem.kind is ProblemKind.FAILED:
                self._done += 1
            if problem and self._run.fail_fast:
                break

    def scan_photos(self, files: Sequence[MediaFile]) -> None:
        self._listener(ScanStarted(1))
        name, out = counted(len(files), "photo"), self._plan.outputs[0]
        self._scan_one(name, out, work=partial(self._write_photos, files, out))

    def report(self, found: Found, *, seconds: float) -> ScanReport:
        total, runtime = self._total, self._analyzer.runtime
        return _report(
            found,
            not_done=len(found.files) - self._done,
            frames=total.frames,
            frames_with_face=total.frames_with_face,
            unreadable=total.unreadable,
            faces=total.faces,
            tracks=total.tracks,
            emotions=dict(total.emotions.most_common()),
            media_s=total.media_s,
            seconds=seconds,
            device=runtime.device_name,
            precision=runtime.precision.value,
            backend=runtime.backend.value,
            outputs=tuple(self._outputs),
            problems=(*_unlisted(found), *self._problems),
        )

    def _scan_one(
        self, source: str, out: Path | None, *, work: Callable[[Tally], Problem | None]
    ) -> Problem | None:
        """Write one table; a problem of its input does not end the job."""
        began, tally = time.monotonic(), Tally()
        try:
            problem = work(tally)
        except MediaError as error:
            problem, out = Problem(source, ProblemKind.FAILED, str(error)), None
        except (EmoscanError, BrokenPipeError):  # of the output: it concerns every input
            raise
        except Exception as error:  # a night's run outlives a fault in one file
            self._listener(Crashed(source, error))
            reason = f"Unexpected {type(error).__name__}: {error}"
            problem, out = Problem(source, ProblemKind.FAILED, reason), None
        finally:
            self._total += tally
        self._problems += [problem] if problem else []
        self._listener(
            FileFinished(
                source=source,
                frames=tally.frames,
                faces=tally.faces,
                seconds=time.monotonic() - began,
                problem=problem.reason if problem else None,
                output=str(out) if out else None,
            )
        )
        return problem

    def _write_video(
        self, file: MediaFile, out: Path | None, tally: Tally, *, open_source: OpenVideo
    ) -> Problem | None:
        opened = _video_rows(file, open_source, analyzer=self._analyzer, options=self._options)
        with opened as (video, batches):
            self._listener(FileStarted(file.source, video.expected_frames(self._options)))
            about = partial(_about_video, video, tally)
            self._write(batches, out, tally=tally, about_media=about, inputs=1)
            if not video.damage:
                return None
            return Problem(file.source, ProblemKind.DAMAGED, " ".join(video.damage))

    def _write_photos(self, files: Sequence[MediaFile], out: Path | None, tally: Tally) -> None:
        self._listener(FileStarted(counted(len(files), "photo"), len(files)))
        broken: list[Problem] = []
        fail_fast = self._run.fail_fast
        with _photo_rows(files, self._analyzer, problems=broken, fail_fast=fail_fast) as batches:
            about = partial(_about_photos, tally)
            try:
                self._write(batches, out, tally=tally, about_media=about, inputs=0)
            finally:
                # The reading thread is ahead: what it found there has not been come to.
                self._problems += broken[: tally.unreadable]
                self._done = tally.frames + tally.unreadable

    def _write(
        self,
        batches: Iterator[list[FaceRecord]],
        out: Path | None,
        *,
        tally: Tally,
        about_media: Callable[[], dict[str, Any]],
        inputs: int,
    ) -> None:
        """Write one table; `inputs` are done once it has its name."""
        writer = self._open(out)
        try:
            for rows in batches:
                with undisturbed():  # rows and counts stay together
                    writer.write(rows)
                    tally.add(rows)
                self._listener(FramesDone(tally.frames + tally.unreadable, tally.faces))
            with undisturbed():  # what has its name is in the report
                writer.commit(self._metadata(about_media()))
                self._outputs += [str(out)] if out else []
                self._done += inputs
        except BaseException:  # an interrupt too: nothing that was done is lost
            with undisturbed():  # nor the word about it, by a second Ctrl-C
                self._keep_partial(writer, self._metadata(about_media()))
            raise

    def _keep_partial(self, writer: TableWriter, metadata: dict[str, Any]) -> None:
        try:
            kept = writer.keep_partial(metadata)
        except EmoscanError:  # the disk is full, say: what broke the job says so
            writer.discard()
            return
        if kept:
            self._listener(PartialKept(str(kept), writer.rows))

    def _open(self, out: Path | None) -> TableWriter:
        if out is not None:
            return open_table(out, self._plan.table_format, overwrite=self._run.overwrite)
        assert self._stream is not None  # `scan` asks for it before the job begins
        return self._stream

    def _metadata(self, about_media: dict[str, Any]) -> dict[str, Any]:
        """How the table was made, as its file records it."""
        classifier = self._analyzer.classifier
        return {
            "schema_version": SCHEMA_VERSION,
            "emoscan_version": version("emoscan"),
            "model": {"id": classifier.about.model_id, "sha256": classifier.sha256},
            "options": self._options.as_dict(),
            "options_sha256": self._options.sha256(),
            "run_options": self._run.as_dict(),
            "device": self._analyzer.runtime.device_name,
            "precision": self._analyzer.runtime.precision.value,
            "backend": self._analyzer.runtime.backend.value,
            "versions": library_versions(),
            "media": about_media,
        }


def _about_video(video: VideoSource, tally: Tally) -> dict[str, Any]:
    return video.info.as_dict() | {
        "frames_read": tally.frames,
        "frames_unreadable": tally.unreadable,
        "damage": list(video.damage),
    }


def _about_photos(tally: Tally) -> dict[str, Any]:
    return {"photos_read": tally.frames, "photos_unreadable": tally.unreadable}
