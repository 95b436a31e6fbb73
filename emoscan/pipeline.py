"""From paths to tables, and from files to rows: what `emoscan` offers from Python."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from emoscan.analyzer import Analyzer, as_run, runtime_for
from emoscan.batch.job import Job
from emoscan.batch.photos import PhotoJob
from emoscan.batch.place import held as held_folder
from emoscan.batch.rows import InThisProcess, Opener, photo_rows, video_rows
from emoscan.batch.videos import VideoJob
from emoscan.emotion.checkpoint import load_weights
from emoscan.errors import MediaError, UsageError
from emoscan.events import Listener, Note, ScanStopped, ignore
from emoscan.media.find import Found, MediaFile, counted, expanded, find_media
from emoscan.media.process import DecoderProcess
from emoscan.media_kind import MediaKind
from emoscan.options import AUTO, NO_HARDWARE, STANDARD_OUTPUT, VIDEO_ONLY, RunOptions, ScanOptions
from emoscan.outcome import PlannedFile, Problem, ProblemKind, ScanReport
from emoscan.plan import Plan, plan_photos, plan_videos
from emoscan.runtime import photo_workers
from emoscan.timeline.records import FaceRecord

MediaPath = str | Path


def analyze_video(
    path: MediaPath, options: ScanOptions | None = None, *, run: RunOptions | None = None
) -> Iterator[FaceRecord]:
    """The rows of one video, as they come; of `run` what concerns the files of tables is ignored.

    Raises MediaError where nothing can be read at all; lost frames are rows `unreadable`.
    """
    options, run = options or ScanOptions(), run or RunOptions()
    _refuse_unknown_hardware(run)
    file = MediaFile(Path(path), Path(path).name)
    with _openers(run, MediaKind.VIDEO, count=1) as (opener,):
        analyzer = Analyzer(options, run)
        with opener.open(file) as video, video_rows(video, analyzer, options) as batches:
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
    analyzer = _analyzer(options, run, workers=photo_workers())
    found = find_media([Path(folder)], MediaKind.PHOTO, recursive=run.recursive)
    with photo_rows(found.files, analyzer, problems=[], fail_fast=run.fail_fast) as batches:
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
    _refuse_unknown_hardware(run)
    if kind is MediaKind.PHOTO:
        _refuse_time_options(options)
    named = expanded([Path(path) for path in ([paths] if isinstance(paths, MediaPath) else paths)])
    found = find_media(named, kind, recursive=run.recursive)
    plan = (plan_videos if kind is MediaKind.VIDEO else plan_photos)(named, found.files, run=run)
    sources = [file.source for file in found.files]
    found, plan = _shared_out(found, plan, run)
    _tell_left_out(found, kind, listener=listener)
    if not found.files:
        listener(Note(f"None of the {counted(len(sources), kind.value)} is in shard {run.shard}."))
    if run.dry_run:
        return _dry_run(found, plan, options=options, run=run, kind=kind)
    with ExitStack() as held:
        if plan.folder:
            held.enter_context(held_folder(plan.folder, run))
        workers = min(run.workers, max(1, len(found.files)))
        if kind is MediaKind.PHOTO:
            workers = photo_workers()
        openers = held.enter_context(_openers(run, kind, count=workers))
        analyzer = _analyzer(options, run, workers=workers)
        if kind is MediaKind.VIDEO:  # tables are told by what they were made with
            options = as_run(options, analyzer.runtime)
        made_by = VideoJob if kind is MediaKind.VIDEO else PhotoJob
        job = made_by(analyzer, plan, options=options, run=run, listener=listener, stdout=stdout)
        job.begin(sources)
        try:
            job.scan(found.files, openers)
        except BaseException:  # an interrupt too
            listener(ScanStopped(_job_report(job, analyzer, found, time.monotonic() - began)))
            raise
        return _job_report(job, analyzer, found, time.monotonic() - began)


@contextmanager
def _openers(run: RunOptions, kind: MediaKind, *, count: int) -> Iterator[Sequence[Opener]]:
    """How videos are opened. Processes start at once, and are there when the networks are."""
    if run.decode_in_process:
        yield [InThisProcess(run.hwaccel) for _ in range(count)]
        return
    with ExitStack() as held:
        decoders = [held.enter_context(DecoderProcess(hwaccel=run.hwaccel)) for _ in range(count)]
        if kind is MediaKind.VIDEO:
            for decoder in decoders:
                decoder.start()
        yield decoders


def _analyzer(options: ScanOptions, run: RunOptions, *, workers: int) -> Analyzer:
    """It writes nothing: that stdout takes a single worker's rows alone is not its business."""
    return Analyzer(options, replace(run, workers=workers, out=None))


def _shared_out(found: Found, plan: Plan, run: RunOptions) -> tuple[Found, Plan]:
    """What of the inputs belongs to this shard: by their names, so that shards never meet."""
    shard = run.shard
    if shard is None:
        return found, plan
    mine = [shard.holds(file.source) for file in found.files]
    files = tuple(file for file, is_mine in zip(found.files, mine, strict=True) if is_mine)
    outputs = plan.outputs
    if not plan.of_all:
        outputs = tuple(out for out, is_mine in zip(outputs, mine, strict=True) if is_mine)
    return replace(found, files=files), replace(plan, outputs=outputs)


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


def _refuse_unknown_hardware(run: RunOptions) -> None:
    if run.hwaccel not in (NO_HARDWARE, AUTO):
        from emoscan.media.hardware import require_known  # FFmpeg, which this process does without

        require_known(run.hwaccel)


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
    runtime_for(load_weights(options.weights), options, run)
    planned: list[PlannedFile] = []
    problems = _unlisted(found)
    outputs = plan.outputs * len(found.files) if plan.of_all else plan.outputs
    with _openers(run, kind, count=1) as (opener,):
        for file, out in zip(found.files, outputs, strict=True):
            try:
                video = kind is MediaKind.VIDEO
                frames = _count_frames(file, opener, options=options) if video else 1
                planned.append(PlannedFile(file.source, frames, str(out or STANDARD_OUTPUT)))
            except MediaError as error:
                problems.append(Problem(file.source, ProblemKind.FAILED, str(error)))
    return _report(found, dry_run=True, planned=tuple(planned), problems=tuple(problems))


def _count_frames(file: MediaFile, opener: Opener, *, options: ScanOptions) -> int:
    with opener.open(file) as video:
        return video.expected_frames(options)


def _report(found: Found, **facts: Any) -> ScanReport:
    return ScanReport(
        inputs=len(found.files), passed_over=found.passed_over, skipped=found.skipped, **facts
    )


def _job_report(job: Job, analyzer: Analyzer, found: Found, seconds: float) -> ScanReport:
    total, runtime = job.total, analyzer.runtime
    return _report(
        found,
        not_done=len(found.files) - job.done,
        done_before=job.done_before,
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
        outputs=job.outputs,
        problems=(*_unlisted(found), *job.problems),
    )
