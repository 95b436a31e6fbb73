"""A timeline to other programs' files: which, under which names, and what is said of them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from emoscan.errors import UsageError
from emoscan.export.media_link import (
    configuration_path,
    find_video,
    media_link,
    preferences_path,
)
from emoscan.export.options import ExportFormat, ExportOptions
from emoscan.export.video_tracks import VideoTracks, video_tracks
from emoscan.timeline.options import EpisodeOptions
from emoscan.timeline.read import read_timeline
from emoscan.timeline.writers import refuse_existing, whole_file

_TABLES = {".parquet", ".csv", ".jsonl"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: `notes` are sentences about it that a user should read.

    `episodes` is None where the format holds scores instead.
    """

    files: tuple[Path, ...]
    tracks: int
    episodes: int | None
    notes: tuple[str, ...] = ()


def export_timeline(
    timeline: pd.DataFrame | str | os.PathLike[str],
    options: ExportOptions | None = None,
    *,
    episodes: EpisodeOptions | None = None,
    **changes: Any,
) -> Exported:
    """Write one video of a timeline, read or a file: for ELAN, Praat, at a fixed step, subtitles.

    `changes` are fields of ExportOptions: `export_timeline(path, to="elan", out="a.eaf")`.
    Raises UsageError for photos and for options that do not fit, OutputError where a file exists
    or cannot be written, MissingPartError where pympi-ling is missing.
    """
    options = replace(options or ExportOptions(), **changes)
    kind = options.format()
    out = _out(timeline, options, kind)
    beside = Path() if isinstance(timeline, pd.DataFrame) else Path(timeline).parent
    rows = timeline if isinstance(timeline, pd.DataFrame) else read_timeline(timeline)
    video = video_tracks(rows, options, episodes or EpisodeOptions(), beside=beside)
    return _WRITERS[kind](video, out, options)


def _out(
    timeline: pd.DataFrame | str | os.PathLike[str], options: ExportOptions, kind: ExportFormat
) -> Path:
    """The file to write; for wide, the name that tracks are added to."""
    out = options.out
    if out is not None and out.suffix and not out.is_dir():
        if out.suffix.lower() != kind.suffix.lower():
            raise UsageError(f"“{out}” should end with {kind.suffix}, for --to {kind}.")
        return out
    if isinstance(timeline, pd.DataFrame):
        raise UsageError("Name the file with out: a timeline that was read has no name.")
    path = Path(timeline)
    stem = path.stem if path.suffix.lower() in _TABLES else path.name
    return (out or Path()) / f"{stem}{kind.suffix}"


def _write_elan(video: VideoTracks, out: Path, options: ExportOptions) -> Exported:
    from emoscan.export.elan import eaf_document

    found = find_video(video.source, named=options.video, beside=video.beside)
    link = media_link(found, video.source, out)
    document = eaf_document(video, link)
    refuse_existing(out, overwrite=options.overwrite)
    missing = f"{link.path} was not found; ELAN will ask for the video, or name it with --video."
    notes = [] if link.is_there else [missing]
    curves = _write_curves(document, video, out=out, options=options) if options.scores else []
    if curves and preferences_path(out) not in curves:
        kept = preferences_path(out)
        notes.append(f"{kept} stays as it is: add curves by a right click in ELAN's viewer.")
    with whole_file(out, overwrite=options.overwrite) as path:
        document.to_file(path)
    return Exported((out, *curves), len(video.tracks), len(video.episodes), tuple(notes))


def _write_curves(
    document: Any, video: VideoTracks, *, out: Path, options: ExportOptions
) -> list[Path]:
    """The scores, and what ELAN is to draw of them.

    Preferences that are there are the user's: those that differ stay, and are not among the files.
    """
    from emoscan.export.elan_scores import configuration, link_scores, preferences

    configured, preferred = configuration_path(out), preferences_path(out)
    refuse_existing(configured, overwrite=options.overwrite)
    tables = _write_wide_tables(video, out, options)
    files = list(zip(video.tracks, tables, strict=True))
    link_scores(document, files, eaf=out)
    made, panels = {configured: configuration(files)}, preferences(video.tracks)
    if not preferred.exists() or preferred.read_bytes() == panels:
        made[preferred] = panels
    for file, content in made.items():
        with whole_file(file, overwrite=options.overwrite or file == preferred) as path:
            path.write_bytes(content)
    return [*tables, *made]


def _write_praat(video: VideoTracks, out: Path, options: ExportOptions) -> Exported:
    from emoscan.export.praat import text_grid

    grid = text_grid(video, apexes=options.apexes)
    with whole_file(out, overwrite=options.overwrite) as path:
        grid.to_file(path)
    return Exported((out,), len(video.tracks), len(video.episodes))


def _write_wide(video: VideoTracks, out: Path, options: ExportOptions) -> Exported:
    files = _write_wide_tables(video, out, options)
    return Exported(tuple(files), len(video.tracks), episodes=None)


def _write_wide_tables(video: VideoTracks, out: Path, options: ExportOptions) -> list[Path]:
    """A CSV each track, in the order of the tracks; none where one of them exists."""
    from emoscan.export.wide import track_file_name, whole_steps, wide_table

    step_s = whole_steps(video, options.step_s)
    files = [out.with_name(track_file_name(out.stem, track)) for track in video.tracks]
    for file in files:
        refuse_existing(file, overwrite=options.overwrite)
    for track, file in zip(video.tracks, files, strict=True):
        table = wide_table(video, track, step_s=step_s)
        with whole_file(file, overwrite=options.overwrite) as path:
            table.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
    return files


def _write_vtt(video: VideoTracks, out: Path, options: ExportOptions) -> Exported:
    from emoscan.export.vtt import subtitles

    with whole_file(out, overwrite=options.overwrite) as path:
        path.write_bytes(subtitles(video).encode())
    return Exported((out,), len(video.tracks), len(video.episodes))


_WRITERS: dict[ExportFormat, Callable[[VideoTracks, Path, ExportOptions], Exported]] = {
    ExportFormat.ELAN: _write_elan,
    ExportFormat.PRAAT: _write_praat,
    ExportFormat.WIDE: _write_wide,
    ExportFormat.VTT: _write_vtt,
}
