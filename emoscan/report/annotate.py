"""Copies of videos and photos on which one sees what a timeline says, or no face any more."""

import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd

from emoscan.errors import MediaError, NoMediaError, OutputError, UsageError
from emoscan.events import FileFinished, FileStarted, FramesDone, Listener, Note, ignore
from emoscan.media.find import MediaFile, counted, find_media
from emoscan.media.process import DecoderProcess
from emoscan.media_kind import MediaKind
from emoscan.options import TableFormat
from emoscan.outcome import Problem, ProblemKind
from emoscan.report.belongs import check_video, rows_of_photos, rows_of_video
from emoscan.report.movie import FORMATS
from emoscan.report.notes import tell_of_labels, visible_still
from emoscan.report.options import AnnotateOptions
from emoscan.report.outcome import AnnotateReport
from emoscan.report.photo import annotate_photo, photo_name, photo_path
from emoscan.report.video import VideoCopy
from emoscan.timeline.read import read_timeline
from emoscan.timeline.writers import whole_file

Timeline = str | os.PathLike[str] | pd.DataFrame


def annotate(
    media: str | Path,
    timeline: Timeline,
    out: str | Path | None = None,
    options: AnnotateOptions | None = None,
    *,
    listener: Listener = ignore,
) -> AnnotateReport:
    """`annotate_photos` for a folder, else `annotate_video`."""
    work = annotate_photos if Path(media).is_dir() else annotate_video
    return work(media, timeline, out, options, listener=listener)


def annotate_video(
    video: str | Path,
    timeline: Timeline,
    out: str | Path | None = None,
    options: AnnotateOptions | None = None,
    *,
    listener: Listener = ignore,
) -> AnnotateReport:
    """Write a copy of a video with its timeline drawn onto it, with its faces hidden, or both.

    `timeline` is a table's path or what `read_timeline` gave; `out` is the same as `options.out`.
    All frames of the video are written at their own times. Boxes are dashed, and between those of
    the frames around, where the timeline did not look. Raises UsageError where the timeline is of
    another video, OutputError where the copy cannot be written, MediaError where no frame can be
    read; lost frames are a problem in the report.
    """
    began = time.monotonic()
    options, path = _with_out(options, out), Path(video)
    if not path.is_file():
        raise NoMediaError(f"{path} {'is no file' if path.exists() else 'does not exist'}.")
    if path.suffix.lower().removeprefix(".") in set(TableFormat):
        raise UsageError(f"{path} is a timeline: name the video or the folder first.")
    if path.suffix.lower() in MediaKind.PHOTO.suffixes:
        raise UsageError(f"{path} is a photo: name the folder that was scanned.")
    target = _video_target(path, options)
    table, name = _table_name(timeline), path.name
    rows = rows_of_video(_read(timeline), table=table, name=name)
    with DecoderProcess() as decoder, decoder.open(MediaFile(path, name)) as source:
        check_video(rows, source.info, source.time_s, table=table, name=name)
        tell_of_labels(rows, options, listener)
        copy = VideoCopy(source, rows, options=options, listener=listener)
        with whole_file(target, overwrite=options.overwrite) as hidden:
            copy.write(hidden, target.suffix.lower())
    report = replace(copy.report(), seconds=time.monotonic() - began, outputs=(str(target),))
    listener(_finished(name, report))
    return report


def annotate_photos(
    folder: str | Path,
    timeline: Timeline,
    out: str | Path | None = None,
    options: AnnotateOptions | None = None,
    *,
    listener: Listener = ignore,
) -> AnnotateReport:
    """Write copies of a folder's photos with their timeline drawn onto them, or with faces hidden.

    They have the same paths in the folder `out` as in `folder`; what is no JPEG or PNG becomes a
    JPEG, with `.jpg` behind its name. A photo that is missing is a problem in the report. Raises
    UsageError where the timeline is of other photos, OutputError where a copy exists already.
    """
    began = time.monotonic()
    options, path = _with_out(options, out), Path(folder)
    if not path.is_dir():
        raise NoMediaError(f"{path} is no folder.")
    if not options.audio:
        raise UsageError("--no-audio is for videos: photos have no sound.")
    rows = rows_of_photos(_read(timeline), table=_table_name(timeline))
    photos = {str(source): own for source, own in rows.groupby("source", observed=True, sort=False)}
    target = options.out or Path(f"{path.resolve().name or 'photos'}.annotated")
    _check_photos(photos, path, target, options=options, table=_table_name(timeline))
    tell_of_labels(rows, options, listener)
    _tell_left_out(path, photos, listener)
    if options.hides:
        listener(Note(visible_still(rows, "all copies")))
    name = counted(len(photos), "photo")
    listener(FileStarted(name, len(photos)))
    faces, problems = 0, []
    for done, (source, own) in enumerate(photos.items(), 1):
        try:
            faces += annotate_photo(path, source, own, target=target, options=options)
        except MediaError as error:
            problems.append(Problem(source, ProblemKind.FAILED, str(error)))
        listener(FramesDone(name, done, faces))
    report = AnnotateReport(
        frames=len(photos) - len(problems),
        faces=faces,
        seconds=time.monotonic() - began,
        outputs=(str(target),) if len(photos) > len(problems) else (),
        problems=tuple(problems),
    )
    listener(_finished(counted(len(photos), "photo"), report))
    return report


def _with_out(options: AnnotateOptions | None, out: str | Path | None) -> AnnotateOptions:
    options = options or AnnotateOptions()
    return options if out is None else replace(options, out=Path(out))


def _read(timeline: Timeline) -> pd.DataFrame:
    return timeline if isinstance(timeline, pd.DataFrame) else read_timeline(timeline)


def _table_name(timeline: Timeline) -> str:
    return "The timeline" if isinstance(timeline, pd.DataFrame) else os.fspath(timeline)


def _video_target(video: Path, options: AnnotateOptions) -> Path:
    """The copy's path, checked before any work. Raises UsageError, OutputError."""
    target = options.out or Path(f"{video.stem}.annotated.mp4")
    if target.suffix.lower() not in FORMATS:
        raise UsageError(f"“{target}” is no name for a copy: end it with {' or '.join(FORMATS)}.")
    if target.exists() and target.resolve() == video.resolve():
        raise UsageError(f"--out {target} is the video itself; choose another name.")
    if target.exists() and not options.overwrite:
        raise OutputError(f"{target} exists already; use --overwrite to replace it.")
    return target


def _finished(source: str, report: AnnotateReport) -> FileFinished:
    return FileFinished(
        source=source,
        frames=report.frames + report.unreadable,
        faces=report.faces,
        seconds=report.seconds,
        problem=" ".join(problem.reason for problem in report.problems) or None,
        output=", ".join(report.outputs) or None,
    )


def _check_photos(
    photos: dict[str, pd.DataFrame],
    folder: Path,
    target: Path,
    *,
    options: AnnotateOptions,
    table: str,
) -> None:
    """Refuse what cannot go well before any photo is written."""
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is no folder; name one with --out.")
    if target.resolve() == folder.resolve():
        raise UsageError(f"--out {target} holds the photos themselves; choose another folder.")
    if not any(photo_path(folder, source) for source in photos):
        raise UsageError(
            f"{table} was made from other photos than those of {folder}: none of its "
            f"{counted(len(photos), 'photo')} is there; name the folder that was scanned."
        )
    name, most = Counter(map(photo_name, photos)).most_common(1)[0]
    if most > 1:
        raise UsageError(f"Two photos would both become {name}; rename one of them.")
    existing = [path for source in photos if (path := target / photo_name(source)).exists()]
    if existing and not options.overwrite:
        more = f" (and {len(existing) - 1:,} more)" if len(existing) > 1 else ""
        raise OutputError(f"{existing[0]} exists already{more}; use --overwrite to replace it.")


def _tell_left_out(folder: Path, photos: dict[str, pd.DataFrame], listener: Listener) -> None:
    try:
        found = find_media([folder], MediaKind.PHOTO, recursive=True).files
    except NoMediaError:  # what was scanned has suffixes that no photo has
        return
    left = sum(file.source not in photos for file in found)
    if left:
        listener(Note(f"Left out {counted(left, 'photo')} that the timeline does not know."))
