"""Timelines to the parts of a page."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import pandas as pd

from emoscan.emotions import EMOTIONS
from emoscan.report.measures import quality, shares
from emoscan.report.parts import (
    Episode,
    Folder,
    Part,
    Photo,
    PhotoPart,
    ShortTrack,
    Track,
    VideoPart,
)
from emoscan.report.presence import Presence, Run, presence_runs, seconds_of, spans_of
from emoscan.report.strokes import bar_path, spark_paths
from emoscan.report.thin import curve_of
from emoscan.report.words import shown
from emoscan.timeline.durations import face_rows, frame_durations
from emoscan.timeline.episodes import find_episodes
from emoscan.timeline.options import EpisodeOptions
from emoscan.timeline.schema import Status
from emoscan.timeline.smooth import smoothed

# Tracks beyond are rows of a table: a crowd has hundreds that last some frames each.
MOST_FIGURES = 40


def parts_of(timeline: pd.DataFrame, *, file: str, options: EpisodeOptions) -> list[Part]:
    """A part for each video of a timeline, and one for all its photos.

    `file` names the table on the page. A table without rows has no parts. What has no time is a
    photo, but for whole videos that could not be read, which are among videos then.
    """
    untimed = timeline["time_s"].isna()
    timed_sources = timeline.loc[~untimed, "source"].unique().tolist()
    parts: list[Part] = [
        _video_part(_of_source(timeline[~untimed], source), file=file, options=options)
        for source in timed_sources
    ]
    photos = timeline[untimed & ~timeline["source"].isin(timed_sources)]
    if len(photos):
        parts.append(_photo_part(photos, file=file))
    return parts


def _of_source(timeline: pd.DataFrame, source: str) -> pd.DataFrame:
    return timeline[timeline["source"] == source]


def _video_part(rows: pd.DataFrame, *, file: str, options: EpisodeOptions) -> VideoPart:
    frames, faces = frame_durations(rows), face_rows(rows)
    everybody = presence_runs(frames, faces["frame"].unique())
    start_s, end_s = float(frames["time_s"].iloc[0]), everybody[-1].end_s
    episodes = find_episodes(rows, options)
    tracks, short_tracks = _tracks(faces, episodes, frames=frames, options=options)
    return VideoPart(
        name=shown(rows["source"].iloc[0]),
        file=file,
        attrs=rows.attrs,
        source=str(rows["source"].iloc[0]),
        start_s=start_s,
        end_s=end_s,
        frames=len(frames),
        with_face=int((frames["status"] == Status.FACE).sum()),
        unreadable=int((frames["status"] == Status.UNREADABLE).sum()),
        seconds_with_face=seconds_of(everybody, Presence.THERE),
        shares=shares(faces["emotion"], faces["duration_s"]),
        spark=spark_paths(faces, start_s=start_s, end_s=end_s),
        unreadable_path=bar_path(spans_of(everybody, Presence.UNREADABLE)),
        tracks=tuple(tracks),
        short_tracks=tuple(short_tracks),
        episodes=len(episodes),
        untracked=int(faces["track"].isna().sum()),
    )


def _tracks(
    faces: pd.DataFrame, episodes: pd.DataFrame, *, frames: pd.DataFrame, options: EpisodeOptions
) -> tuple[list[Track], list[ShortTrack]]:
    """Those with a label first, then by how long they were to be seen."""
    tracked = _followable(faces)
    about = _overview(tracked, episodes)
    first = about.index[:MOST_FIGURES]
    shown_rows = tracked[tracked["track"].isin(first)].reset_index(drop=True)
    smooth = smoothed(shown_rows, width_s=options.smoothing_s, gap_s=options.gap_s)
    found = dict(list(episodes.groupby("track")))
    of_track = dict(list(smooth.groupby("track")))
    tracks = [
        _track(of_track[track], found=found.get(track), frames=frames, options=options)
        for track in first
    ]
    return tracks, [ShortTrack(*row) for row in about[MOST_FIGURES:].itertuples()]


def _followable(faces: pd.DataFrame) -> pd.DataFrame:
    """The faces with a track and with scores, one a frame of each track."""
    usable = faces["track"].notna() & faces[list(EMOTIONS)].notna().all(axis=1)
    return faces[usable].drop_duplicates(["track", "frame"]).reset_index(drop=True)


def _overview(tracked: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """One row a track, in the order in which they are shown: the fields of `ShortTrack`."""
    ends_s = tracked["time_s"] + tracked["duration_s"]
    by_track = tracked.assign(end_s=ends_s).groupby("track")
    seconds = tracked.groupby(["track", "emotion"], observed=True)["duration_s"].sum()
    about = (
        pd.DataFrame(
            {
                "label": by_track["label"].agg(_names),
                "start_s": by_track["time_s"].min(),
                "end_s": by_track["end_s"].max(),
                "seconds": by_track["duration_s"].sum(),
                "likeliest": seconds.sort_values()
                .groupby("track")
                .tail(1)
                .reset_index("emotion")["emotion"]
                .astype(str),
                "episodes": episodes.groupby("track").size(),
            }
        )
        .fillna({"episodes": 0, "likeliest": ""})
        .astype({"episodes": int})
    )
    about["unlabelled"] = about["label"] == ""
    about = about.sort_values(["unlabelled", "seconds"], ascending=[True, False], kind="stable")
    return about.drop(columns="unlabelled")


def _track(
    faces: pd.DataFrame,
    *,
    found: pd.DataFrame | None,
    frames: pd.DataFrame,
    options: EpisodeOptions,
) -> Track:
    episodes = _episodes(found) if found is not None else ()
    runs = presence_runs(frames, faces["frame"])
    inside = _between_faces(runs)
    away = [run for run in inside if run.presence is Presence.AWAY]
    return Track(
        number=int(faces["track"].iloc[0]),
        label=_names(faces["label"]),
        start_s=inside[0].start_s,
        end_s=inside[-1].end_s,
        seconds=seconds_of(runs, Presence.THERE),
        shares=shares(faces["emotion"], faces["duration_s"]),
        quality=quality(faces),
        episodes=episodes,
        curve=curve_of(
            faces.reset_index(drop=True),
            kept_frames=[episode.apex_frame for episode in episodes],
            gap_s=options.gap_s,
        ),
        there=bar_path(spans_of(runs, Presence.THERE)),
        gaps=len(away),
        longest_gap_s=max((run.lasts_s for run in away), default=0.0),
    )


def _between_faces(runs: Sequence[Run]) -> Sequence[Run]:
    """From the first run with the face to the last."""
    there = [at for at, run in enumerate(runs) if run.presence is Presence.THERE]
    return runs[there[0] : there[-1] + 1]


def _names(labels: pd.Series) -> str:
    """The names that the user gave to a track, usually none or one."""
    names = labels.dropna().astype(str).unique()
    return shown(", ".join(name for name in names if name.strip()))


def _episodes(found: pd.DataFrame) -> tuple[Episode, ...]:
    columns = ("emotion", "onset_s", "apex_s", "offset_s", "mean", "peak", "apex_frame")
    values = zip(*(found[name].tolist() for name in columns), strict=True)
    return tuple(Episode(*row) for row in values)


def _photo_part(rows: pd.DataFrame, *, file: str) -> PhotoPart:
    faces = rows[rows["status"] == Status.FACE]
    folders = rows["source"].astype(str).map(_folder)
    ones = pd.Series(1.0, index=faces.index)
    return PhotoPart(
        name=file,
        file=file,
        attrs=rows.attrs,
        photos=tuple(_photos(rows)),
        with_face=faces["source"].nunique(),
        faces=len(faces),
        shares=shares(faces["emotion"], ones),
        folders=tuple(
            Folder(
                name=shown(name),
                photos=inside["source"].nunique(),
                faces=int((inside["status"] == Status.FACE).sum()),
                shares=shares(inside.loc[inside["status"] == Status.FACE, "emotion"], ones),
            )
            for name, inside in rows.groupby(folders, sort=True)
        ),
        quality=quality(faces) if len(faces) else None,
    )


def _photos(rows: pd.DataFrame) -> list[Photo]:
    photos: dict[str, tuple[str, ...] | None] = {}
    sources, states = rows["source"].astype(str), rows["status"].astype(str)
    for source, status, emotion in zip(sources, states, rows["emotion"].tolist(), strict=True):
        if status == Status.UNREADABLE:
            photos[source] = None
        else:
            seen = (emotion,) if status == Status.FACE else ()
            photos[source] = (photos.get(source) or ()) + seen
    return [Photo(shown(source), emotions) for source, emotions in photos.items()]


def _folder(source: str) -> str:
    parent = str(PurePosixPath(source).parent)
    return "(top folder)" if parent == "." else parent
