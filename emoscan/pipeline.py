"""The order of the stages: media, faces, emotion, timeline. Nothing else knows it."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from emoscan.analyzer import Analyzer
from emoscan.errors import EmoscanError, MediaError
from emoscan.events import (
    Crashed,
    FileFinished,
    FileStarted,
    FramesDone,
    Listener,
    Note,
    ScanStarted,
    ignore,
)
from emoscan.faces.track import Tracker
from emoscan.media.ahead import read_ahead
from emoscan.media.find import Found, MediaFile, MediaKind, counted, find_media
from emoscan.media.images import read_photo
from emoscan.media.video import Video, open_video
from emoscan.options import RunOptions, ScanOptions
from emoscan.outcome import PlannedFile, Problem, ProblemKind, ScanReport
from emoscan.plan import Plan, plan_table, plan_videos
from emoscan.tally import Tally
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import SCHEMA_VERSION
from emoscan.timeline.writers import TableWriter, open_stream, open_table
from emoscan.types import Frame, Unreadable

MediaPath = str | Path
PHOTOS_AHEAD = 4


def analyze_video(
    path: MediaPath, options: ScanOptions | None = None, *, run: RunOptions | None = None
) -> Iterator[FaceRecord]:
    """The rows of one video, as they come; of `run` the device and the batch size count.

    Raises MediaError where nothing can be read at all; lost frames are rows `unreadable`.
    """
    options = options or ScanOptions()
    analyzer = Analyzer(options, run or RunOptions())
    file = MediaFile(Path(path), Path(path).name)
    with _video_rows(file, analyzer, options) as (_, batches):
        for rows in batches:
            yield from rows


def analyze_images(
    folder: MediaPath, options: ScanOptions | None = None, *, run: RunOptions | None = None
) -> Iterator[FaceRecord]:
    """The rows of a folder's photos, as they come; one that cannot be read is `unreadable`.

    Raises NoMediaError where the folder holds no photo.
    """
    run = run or RunOptions()
    analyzer = Analyzer(options or ScanOptions(), run)
    found = find_media([Path(folder)], MediaKind.PHOTO, recursive=run.recursive)
    with _photo_rows(found.files, analyzer, []) as batches:
        for rows in batches:
            yield from rows


def scan(
    paths: MediaPath | Sequence[MediaPath],
    out: MediaPath | None = None,
    *,
    kind: MediaKind = MediaKind.VIDEO,
    options: ScanOptions | None = None,
    run: RunOptions | None = None,
    listener: Listener = ignore,
    stdout: BinaryIO | None = None,
) -> ScanReport:
    """Do the whole job: find the files, analyse them, write the tables.

    `out` is the same as `run.out`; where it is "-", rows go to `stdout`. One bad file is a
    problem in the report. Raises EmoscanError for what ends the job: options that do not fit, no
    media, a missing part, an output that exists or cannot be written.
    """
    began = time.monotonic()
    options, run = options or ScanOptions(), run or RunOptions()
    run = replace(run, out=str(out)) if out is not None else run
    named = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    found = find_media(named, kind, recursive=run.recursive)
    _tell_left_out(found, kind, listener)
    is_video = kind is MediaKind.VIDEO
    plan = plan_videos(named, found.files, run) if is_video else plan_table(_stem(named), run)
    if run.dry_run:
        return _dry_run(found, plan, options, kind)
    listener(ScanStarted(len(found.files)))
    job = _Job(Analyzer(options, run), plan, options, run, listener=listener, stdout=stdout)
    if is_video:
        job.scan_videos(found.files)
    else:
        job.scan_photos(found.files, named)
    return job.report(found, seconds=time.monotonic() - began)


def _tell_left_out(found: Found, kind: MediaKind, listener: Listener) -> None:
    if found.passed_over:
        left = counted(found.passed_over, kind.other.value)
        listener(Note(f"Passed over {left}: “{kind.other.command}” reads those."))
    if found.skipped:
        listener(Note(f"Skipped {counted(found.skipped, 'file')} of other kinds."))


def _stem(named: Sequence[Path]) -> str:
    first = named[0].resolve()
    return first.name if first.is_dir() else first.stem


def _dry_run(found: Found, plan: Plan, options: ScanOptions, kind: MediaKind) -> ScanReport:
    planned: list[PlannedFile] = []
    problems: list[Problem] = []
    outputs = plan.outputs if kind is MediaKind.VIDEO else plan.outputs * len(found.files)
    for file, out in zip(found.files, outputs, strict=True):
        try:
            frames = _count_frames(file, options) if kind is MediaKind.VIDEO else 1
            planned.append(PlannedFile(file.source, frames, str(out or "-")))
        except MediaError as error:
            problems.append(Problem(file.source, ProblemKind.FAILED, str(error)))
    return _report(found, dry_run=True, planned=tuple(planned), problems=tuple(problems))


def _count_frames(file: MediaFile, options: ScanOptions) -> int:
    with open_video(file) as video:
        return video.expected_frames(options)


def _report(found: Found, **facts: Any) -> ScanReport:
    return ScanReport(
        inputs=len(found.files), passed_over=found.passed_over, skipped=found.skipped, **facts
    )


@contextmanager
def _video_rows(
    file: MediaFile, analyzer: Analyzer, options: ScanOptions
) -> Iterator[tuple[Video, Iterator[list[FaceRecord]]]]:
    with open_video(file) as video:
        depth = 2 * analyzer.batch_frames(video.info.width, video.info.height)
        frames = map(_with_pixels, video.frames(options))
        with closing(read_ahead(frames, depth=depth)) as ahead:
            yield video, analyzer.rows(ahead, Tracker())


@contextmanager
def _photo_rows(
    files: Iterable[MediaFile], analyzer: Analyzer, problems: list[Problem]
) -> Iterator[Iterator[list[FaceRecord]]]:
    photos = (_read_or_note(file, problems) for file in files)
    with closing(read_ahead(photos, depth=PHOTOS_AHEAD)) as ahead:
        yield analyzer.rows(ahead, None)


def _with_pixels(item: Frame | Unreadable) -> Frame | Unreadable:
    """Convert in the decoding thread, while the networks work on earlier frames."""
    if isinstance(item, Frame):
        item.rgb()
    return item


def _read_or_note(file: MediaFile, problems: list[Problem]) -> Frame | Unreadable:
    try:
        return _with_pixels(read_photo(file))
    except MediaError as error:
        problems.append(Problem(file.source, ProblemKind.FAILED, str(error)))
        return Unreadable(file.source, 0, None)


class _Job:
    """One call of `scan`: what it works with, and what it has counted so far."""

    def __init__(
        self,
        analyzer: Analyzer,
        plan: Plan,
        options: ScanOptions,
        run: RunOptions,
        *,
        listener: Listener,
        stdout: BinaryIO | None,
    ) -> None:
        self._analyzer, self._plan, self._options, self._run = analyzer, plan, options, run
        self._listener = listener
        self._stream = open_stream(stdout, plan.table_format) if plan.streams and stdout else None
        self._total = Tally()
        self._problems: list[Problem] = []
        self._outputs: list[str] = []
        if analyzer.runtime.note:
            listener(Note(analyzer.runtime.note))

    def scan_videos(self, files: Sequence[MediaFile]) -> None:
        for file, out in zip(files, self._plan.outputs, strict=True):
            problem = self._scan_video(file, out)
            self._problems += [problem] if problem else []
            if problem and self._run.fail_fast:
                break

    def scan_photos(self, files: Sequence[MediaFile], named: Sequence[Path]) -> None:
        began, tally, out = time.monotonic(), Tally(), self._plan.outputs[0]
        source = ", ".join(str(path) for path in named)
        self._listener(FileStarted(source, len(files)))
        with _photo_rows(files, self._analyzer, self._problems) as batches:
            self._write(self._until_failure(batches), out, tally, lambda: {"photos": len(files)})
        self._finish(source, tally, began, problem=None, out=out)

    def report(self, found: Found, *, seconds: float) -> ScanReport:
        total, runtime = self._total, self._analyzer.runtime
        return _report(
            found,
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
            outputs=tuple(self._outputs),
            problems=tuple(self._problems),
        )

    def _until_failure(self, batches: Iterator[list[FaceRecord]]) -> Iterator[list[FaceRecord]]:
        for rows in batches:
            yield rows
            if self._problems and self._run.fail_fast:
                return

    def _scan_video(self, file: MediaFile, out: Path | None) -> Problem | None:
        """Write one video's table; a problem of this file does not end the job."""
        began, tally = time.monotonic(), Tally()
        try:
            problem = self._write_video(file, out, tally)
        except MediaError as error:
            problem, out = Problem(file.source, ProblemKind.FAILED, str(error)), None
        except (EmoscanError, BrokenPipeError):  # of the output: it concerns every file
            raise
        except Exception as error:  # a night's run outlives a fault in one file
            self._listener(Crashed(file.source, error))
            reason = f"Unexpected {type(error).__name__}: {error}"
            problem, out = Problem(file.source, ProblemKind.FAILED, reason), None
        self._finish(file.source, tally, began, problem=problem, out=out)
        return problem

    def _write_video(self, file: MediaFile, out: Path | None, tally: Tally) -> Problem | None:
        with _video_rows(file, self._analyzer, self._options) as (video, batches):
            self._listener(FileStarted(file.source, video.expected_frames(self._options)))
            self._write(batches, out, tally, lambda: _about_video(video, tally))
            if not video.damage:
                return None
            return Problem(file.source, ProblemKind.DAMAGED, " ".join(video.damage))

    def _write(
        self,
        batches: Iterator[list[FaceRecord]],
        out: Path | None,
        tally: Tally,
        about_media: Callable[[], dict[str, Any]],
    ) -> None:
        writer = self._open(out)
        try:
            for rows in batches:
                writer.write(rows)
                tally.add(rows)
                self._listener(FramesDone(tally.frames + tally.unreadable, tally.faces))
            writer.commit(self._metadata(about_media()))
        except BaseException:  # an interrupt too: nothing that was done is lost
            partial = writer.keep_partial(self._metadata(about_media()))
            if partial:
                self._listener(Note(f"The {writer.rows} rows so far are in {partial}."))
            raise

    def _open(self, out: Path | None) -> TableWriter:
        if out is not None:
            return open_table(out, self._plan.table_format, overwrite=self._run.overwrite)
        if self._stream is None:
            raise ValueError("rows for stdout need the stream to write to")
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
            "media": about_media,
        }

    def _finish(
        self, source: str, tally: Tally, began: float, *, problem: Problem | None, out: Path | None
    ) -> None:
        self._total += tally
        self._outputs += [str(out)] if out else []
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


def _about_video(video: Video, tally: Tally) -> dict[str, Any]:
    return video.info.as_dict() | {
        "frames_read": tally.frames,
        "frames_unreadable": tally.unreadable,
        "damage": list(video.damage),
    }
