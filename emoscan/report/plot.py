"""A timeline as a figure for print."""

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from emoscan.errors import UsageError
from emoscan.report.plot_options import PlotOptions
from emoscan.report.plot_photos import draw_photos
from emoscan.report.plot_style import STYLE
from emoscan.report.plot_tracks import draw_tracks
from emoscan.timeline.durations import are_photos, face_rows
from emoscan.timeline.named_tracks import (
    NamedTrack,
    chosen,
    named_tracks,
    one_video,
)
from emoscan.timeline.options import EpisodeOptions
from emoscan.timeline.read import read_timeline
from emoscan.timeline.writers import refuse_existing, whole_file

MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure and what it shows; `drawn` and `left_out` are empty for photos."""

    figure: Figure
    path: Path | None
    drawn: tuple[NamedTrack, ...] = ()
    left_out: tuple[NamedTrack, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the figure does not show, in a sentence."""
        if not self.left_out:
            return ()
        numbers = [str(number) for number in sorted(track.number for track in self.left_out)]
        more = len(numbers) - MOST_NAMED
        named = ", ".join(numbers[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        return (
            f"{len(self.drawn)} of {len(self.drawn) + len(numbers)} tracks are drawn, those "
            f"longest in view; --most N or --track N draws others: {named}.",
        )


def plot_timeline(
    timeline: pd.DataFrame | str | os.PathLike[str],
    options: PlotOptions | None = None,
    *,
    episodes: EpisodeOptions | None = None,
) -> Figure:
    """Draw one video's tracks, smoothed, with their episodes, or the shares of photos.

    `timeline` is a file, or what `read_timeline` gives. Where `options.out` names a file, it is
    written. Raises UsageError where there is nothing to draw or options do not fit, OutputError
    where the file exists or cannot be written.
    """
    options = options or PlotOptions()
    rows = timeline if isinstance(timeline, pd.DataFrame) else read_timeline(timeline)
    plot = _draw(rows, options, episodes or EpisodeOptions())
    if options.out is not None:
        _save(plot.figure, options.out, options)
    return plot.figure


def write_plot(timeline: Path, options: PlotOptions, episodes: EpisodeOptions) -> Plot:
    """As `plot_timeline`, to a file in any case; says where, and what was left out."""
    out = options.out or Path(f"{timeline.stem}.png")
    refuse_existing(out, overwrite=options.overwrite)  # before the work
    plot = _draw(read_timeline(timeline), options, episodes)
    _save(plot.figure, out, options)
    return replace(plot, path=out)


def _draw(timeline: pd.DataFrame, options: PlotOptions, episodes: EpisodeOptions) -> Plot:
    with mpl.rc_context(STYLE):
        if are_photos(timeline):
            if options.track or options.source or (options.start_s, options.end_s) != (None, None):
                raise UsageError(
                    "Photos have no tracks and no time: leave --track, --source, --start and "
                    "--end out."
                )
            return Plot(draw_photos(timeline, options), None)
        rows = one_video(timeline, options.source, purpose="A figure of tracks")
        drawn, left_out = _choose(rows, options)
        figure = draw_tracks(rows, drawn, options=options, episode_options=episodes)
        return Plot(figure, None, tuple(drawn), tuple(left_out))


def _choose(rows: pd.DataFrame, options: PlotOptions) -> tuple[list[NamedTrack], list[NamedTrack]]:
    """The tracks to draw, as named or by number; and the others that are in view."""
    tracks = named_tracks(rows)
    if options.track:
        return chosen(tracks, options.track), []
    in_view_s = _seconds_in_view(rows, options)
    in_view = [track for track in tracks if in_view_s.get(track.number)]
    # Rounded: of tracks that are equally long, the first are drawn.
    longest = sorted(in_view, key=lambda track: (-round(in_view_s[track.number], 6), track.number))
    drawn = longest[: options.most]
    if not drawn:
        raise UsageError("Between --start and --end no face is in view: there is nothing to draw.")
    return [track for track in in_view if track in drawn], longest[options.most :]


def _seconds_in_view(rows: pd.DataFrame, options: PlotOptions) -> dict[int, float]:
    """How long each track is in view in the part that is drawn."""
    faces = face_rows(rows)
    ends_s = faces["time_s"] + faces["duration_s"].clip(lower=1e-9)  # a single frame has none
    starts_s = faces["time_s"].clip(lower=options.start_s)
    seconds = (ends_s.clip(upper=options.end_s) - starts_s).clip(lower=0)
    return dict(seconds.groupby(faces["track"]).sum())


def _save(figure: Figure, out: Path, options: PlotOptions) -> None:
    kind = out.suffix.lower().removeprefix(".")
    undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with (
        whole_file(out, overwrite=options.overwrite) as path,
        mpl.rc_context(STYLE),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a label's emoji
        figure.savefig(path, format=kind, dpi=options.dpi, metadata=undated)
