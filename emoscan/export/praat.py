"""Episodes as a Praat TextGrid: an interval tier each track.

Praat: Boersma and Weenink, Praat: doing phonetics by computer, https://www.praat.org.
"""

from typing import Any

from emoscan.export.libraries import load_pympi
from emoscan.export.video_tracks import VideoTracks, whole_spans
from emoscan.timeline.named_tracks import NamedTrack

_PER_S = 1_000_000  # pympi writes six decimals: what it would round to nothing must not be


def text_grid(video: VideoTracks, *, apexes: bool) -> Any:
    """A `pympi.TextGrid` from 0 to the video's end in seconds; between episodes text is empty.

    With `apexes`, each track has a second tier with a point at every apex. Raises
    MissingPartError without pympi-ling.
    """
    spans = {track: whole_spans(video.episodes_of(track), per_s=_PER_S) for track in video.tracks}
    ends = [end for track_spans in spans.values() for _, end in track_spans]
    end_s = max([round(video.duration_s * _PER_S), *ends]) / _PER_S
    grid = load_pympi().TextGrid(xmin=0.0, xmax=end_s)
    for track in video.tracks:
        _add_intervals(grid, video, track, spans[track])
        if apexes:
            _add_points(grid, video, track)
    return grid


def _add_intervals(
    grid: Any, video: VideoTracks, track: NamedTrack, spans: list[tuple[int, int]]
) -> None:
    tier = grid.add_tier(_quoted(track.name))
    for (start, end), emotion in zip(spans, video.episodes_of(track)["emotion"], strict=True):
        tier.add_interval(start / _PER_S, end / _PER_S, str(emotion), check=False)


def _add_points(grid: Any, video: VideoTracks, track: NamedTrack) -> None:
    tier = grid.add_tier(_quoted(f"{track.name} apex"), tier_type="TextTier")
    episodes = video.episodes_of(track)
    for apex_s, emotion in zip(episodes["apex_s"], episodes["emotion"], strict=True):
        tier.add_point(round(apex_s, 6), str(emotion), check=False)


def _quoted(name: str) -> str:
    """Praat doubles quotes; pympi does so in texts, and forgets the names of tiers."""
    return name.replace('"', '""')
