"""What every format is made of: one video's rows, its tracks and their episodes."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from emoscan.export.options import ExportOptions
from emoscan.timeline.durations import frame_durations
from emoscan.timeline.episodes import find_episodes
from emoscan.timeline.named_tracks import NamedTrack, chosen, named_tracks, one_video
from emoscan.timeline.options import EpisodeOptions


@dataclass(frozen=True, slots=True)
class VideoTracks:
    """One video of a timeline; `episodes` are those of `tracks` alone.

    `duration_s` is the video's, or the end of its last frame where that is unknown or less;
    `beside` is the timeline's folder.
    """

    rows: pd.DataFrame
    tracks: list[NamedTrack]
    episodes: pd.DataFrame
    duration_s: float
    source: str
    beside: Path

    def episodes_of(self, track: NamedTrack) -> pd.DataFrame:
        """The episodes of one track, by onset."""
        return self.episodes[self.episodes["track"] == track.number]


def video_tracks(
    timeline: pd.DataFrame, options: ExportOptions, episodes: EpisodeOptions, *, beside: Path
) -> VideoTracks:
    """The tracks of the video that the options choose. Raises UsageError where they do not fit."""
    rows = one_video(timeline, options.source, purpose="An export")
    tracks = chosen(named_tracks(rows), options.track)
    found = find_episodes(rows, episodes)
    frames = frame_durations(rows)
    seen_s = float((frames["time_s"] + frames["duration_s"]).max())
    return VideoTracks(
        rows=rows,
        tracks=tracks,
        episodes=found[found["track"].isin([track.number for track in tracks])],
        duration_s=max(seen_s, timeline.attrs.get("media", {}).get("duration_s") or 0.0),
        source=str(rows["source"].iloc[0]),
        beside=beside,
    )


def whole_spans(episodes: pd.DataFrame, *, per_s: int) -> list[tuple[int, int]]:
    """Onset and offset of one track's episodes in whole units, `per_s` a second.

    Each lasts at least one unit, none overlaps the one before: what touches still touches.
    """
    spans: list[tuple[int, int]] = []
    end = 0
    for onset_s, offset_s in zip(episodes["onset_s"], episodes["offset_s"], strict=True):
        start = max(round(onset_s * per_s), end)
        end = max(round(offset_s * per_s), start + 1)
        spans.append((start, end))
    return spans
