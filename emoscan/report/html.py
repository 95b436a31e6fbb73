"""Timelines to one page of HTML that needs nothing else, to be read, zoomed into and printed."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pandas as pd

from emoscan.errors import MissingPartError, UsageError
from emoscan.events import Listener, ignore
from emoscan.media.find import expanded
from emoscan.options import TableFormat
from emoscan.report.build import parts_of
from emoscan.report.page_options import ReportOptions
from emoscan.report.parts import Part, VideoPart, part_id
from emoscan.report.videos import videos_of
from emoscan.report.words import shown
from emoscan.timeline.options import EpisodeOptions
from emoscan.timeline.read import no_timeline, read_timeline
from emoscan.timeline.writers import refuse_existing, whole_file

TimelineLike = str | os.PathLike[str] | pd.DataFrame
_SUFFIXES = tuple(f".{table_format.value}" for table_format in TableFormat)
# By the element of the part, the number of the track, and the frame.
Pictures = dict[tuple[str, int, int], str]


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """What `write_report` has done; `timelines` counts videos, and tables of photos."""

    out: str
    timelines: int
    tracks: int
    episodes: int
    faces_pictured: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Table:
    """A timeline, what its table is called on the page, and what is shown of it."""

    file: str
    rows: pd.DataFrame
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class _Filmed:
    """A part, its rows, and the file of its video."""

    part: VideoPart
    rows: pd.DataFrame
    video: Path


def write_report(
    timelines: TimelineLike | Sequence[TimelineLike],
    out: str | os.PathLike[str] | None = None,
    *,
    options: ReportOptions | None = None,
    episodes: EpisodeOptions | None = None,
    listener: Listener = ignore,
) -> WrittenReport:
    """Write one page about timelines, given as paths, folders of tables, or as DataFrames.

    `out` is the same as `options.out`. Raises UsageError for what is no timeline and for a video
    that is not the timeline's, MediaError for what is no video, OutputError where the page exists
    or cannot be written, MissingPartError without plotly.
    """
    options, episodes = options or ReportOptions(), episodes or EpisodeOptions()
    target = ReportOptions(out=Path(out)).out if out is not None else options.out
    refuse_existing(target, overwrite=options.overwrite)
    plotly = _plotly()
    tables = list(_read(timelines, episodes))
    videos = _videos(tables, options.video)
    pictures = _pictures(videos, listener=listener)
    from emoscan.report.render import Page, render

    parts = [part for table in tables for part in table.parts]
    page = Page(
        title=_title(options.title, parts),
        parts=parts,
        empty_files=[table.file for table in tables if not table.parts],
        pictures=pictures,
        pictured=videos.keys(),
        episodes=episodes,
    )
    html = render(page, plotly=plotly)
    with whole_file(target, overwrite=options.overwrite) as writing:
        writing.write_bytes(html)
    return _written(target, parts, pictures=pictures, html=html)


def _plotly() -> str:
    try:
        import_module("jinja2")
        offline = import_module("plotly.offline")
    except ImportError as error:
        raise MissingPartError(
            f'A report needs {error.name}, which is not installed: pip install "emoscan[report]".'
        ) from error
    script: str = offline.get_plotlyjs()
    return script


def _read(
    timelines: TimelineLike | Sequence[TimelineLike], episodes: EpisodeOptions
) -> Iterator[_Table]:
    for rows, name in _named(timelines):
        yield _Table(name, rows, parts_of(rows, file=name, options=episodes))


def _named(
    timelines: TimelineLike | Sequence[TimelineLike],
) -> Iterator[tuple[pd.DataFrame, str]]:
    for timeline in _each(timelines):
        if isinstance(timeline, pd.DataFrame):
            yield timeline, "a DataFrame"
            continue
        for path, name in _files(Path(timeline)):
            yield read_timeline(path), shown(name)


def _each(timelines: TimelineLike | Sequence[TimelineLike]) -> Sequence[TimelineLike]:
    if isinstance(timelines, str | os.PathLike | pd.DataFrame):
        return [timelines]
    return timelines


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """The table, or all tables of a folder or a pattern, each with its name."""
    for match in expanded([path]):
        if match.is_dir():
            found = [file for file in sorted(match.rglob("*")) if file.suffix.lower() in _SUFFIXES]
            if not found:
                raise UsageError(f"{match} holds no timelines.")
            yield from ((file, file.relative_to(match).as_posix()) for file in found)
        elif match.suffix.lower() in _SUFFIXES:
            yield match, match.name
        else:
            raise no_timeline(match)


def _videos(tables: Sequence[_Table], videos: Sequence[Path]) -> dict[str, _Filmed]:
    """The parts of which there is a video, by the ids of their elements."""
    if not videos:
        return {}
    parts = [(table, part) for table in tables for part in table.parts]
    filmed = {
        part_id(number): (table.rows, part)
        for number, (table, part) in enumerate(parts, start=1)
        if isinstance(part, VideoPart)
    }
    found = videos_of([part.source for _, part in filmed.values()], videos)
    return {
        name: _Filmed(part, rows[rows["source"] == part.source], found[place])
        for place, (name, (rows, part)) in enumerate(filmed.items())
        if place in found
    }


def _pictures(videos: Mapping[str, _Filmed], *, listener: Listener) -> Pictures:
    """The face at each apex; of very many those with the highest peaks."""
    if not videos:
        return {}
    from emoscan.report.render import MOST_PICTURES
    from emoscan.report.thumbnails import apex_faces

    listed = [
        (name, track.number, episode)
        for name, filmed in videos.items()
        for track in filmed.part.tracks
        for episode in track.listed
    ]
    highest = sorted(listed, key=lambda entry: -entry[2].peak)[:MOST_PICTURES]
    pictures: Pictures = {}
    for name, filmed in videos.items():
        apexes = [(track, episode.apex_frame) for part, track, episode in highest if part == name]
        faces = apex_faces(
            filmed.rows,
            apexes,
            video=filmed.video,
            table=filmed.part.file,
            listener=listener,
        )
        pictures |= {(name, *key): picture for key, picture in faces.items()}
    return pictures


def _title(wanted: str | None, parts: Sequence[Part]) -> str:
    if wanted:
        return shown(wanted)
    return parts[0].name if len(parts) == 1 else "Timelines of facial expressions"


def _written(
    target: Path, parts: Sequence[Part], *, pictures: Pictures, html: bytes
) -> WrittenReport:
    videos = [part for part in parts if isinstance(part, VideoPart)]
    return WrittenReport(
        out=str(target),
        timelines=len(parts),
        tracks=sum(part.track_count for part in videos),
        episodes=sum(part.episodes for part in videos),
        faces_pictured=len(pictures),
        size_bytes=len(html),
    )
