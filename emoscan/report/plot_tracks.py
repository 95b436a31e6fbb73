"""Tracks as a figure: for each, its scores over time, and below them its episodes as a strip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS, Emotion
from emoscan.errors import UsageError
from emoscan.palette import COLOURS
from emoscan.report.curves import Curve, Numbers, score_curve
from emoscan.report.plot_options import PlotOptions, PlotStyle
from emoscan.report.plot_style import (
    CM_PER_INCH,
    DASHES,
    FONT_PT,
    GRAY,
    ORDER,
    PT_PER_CM,
    SMALL_PT,
    UNREADABLE,
    area,
    ink,
    text_width_cm,
)
from emoscan.report.time_axis import clock, time_ticks
from emoscan.timeline.durations import face_rows, frame_durations
from emoscan.timeline.episodes import find_episodes
from emoscan.timeline.named_tracks import NamedTrack
from emoscan.timeline.options import EpisodeOptions
from emoscan.timeline.schema import Status
from emoscan.timeline.smooth import smoothed

COLUMN_CM = 0.02  # frames closer than that are one point: print shows no more
PANEL_CM, LEAST_PANEL_CM, TITLE_CM = 3.0, 1.5, 0.5  # of a track's panel, the title's part
LEGEND_ROW_CM, AXIS_CM = 0.45, 1.3
BESIDE_CM = 1.6  # left and right of the panels
LEGEND_ENTRY_CM = {PlotStyle.STACKED: 1.95, PlotStyle.LINES: 2.4}
EPISODES, LEAST_FOR_TITLE_CM = "; below each track its episodes", 8.0
TICK_CM = 1.4
STRIP_TOP, STRIP_BOTTOM = -0.08, -0.3  # the strip lies below the scores' zero
LINE_HEIGHT = 1.3
THIN = 0.03
SAMPLES = 600  # at which a place for a word in an area is looked for
LINE_SAMPLES = 2400  # likewise above or below a line: no spike of another one is to be missed
CLEAR = 0.03  # between a word and any line


@dataclass(frozen=True, slots=True)
class Scale:
    """The part of the video that is drawn, and how large: `unit_cm` is the height of 0 to 1."""

    start_s: float
    end_s: float
    width_cm: float
    unit_cm: float

    def seconds(self, cm: float) -> float:
        """How much time so many centimetres are."""
        return cm * (self.end_s - self.start_s) / self.width_cm

    @property
    def word_height(self) -> float:
        """How much score the height of a word is."""
        return SMALL_PT / PT_PER_CM / self.unit_cm

    def fits(self, word: str, *, seconds: float, score: float) -> bool:
        """Whether a word fits into a box of this size."""
        is_wide_enough = self.seconds(text_width_cm(word, SMALL_PT)) <= seconds
        return is_wide_enough and score >= self.word_height * LINE_HEIGHT


def draw_tracks(
    video: pd.DataFrame,
    tracks: Sequence[NamedTrack],
    *,
    options: PlotOptions,
    episode_options: EpisodeOptions,
) -> Figure:
    """One panel a track, in the order of `tracks`; `video` is as `one_video` gives it."""
    frames = frame_durations(video)
    faces = face_rows(video)
    smooth = smoothed(faces, width_s=episode_options.smoothing_s, gap_s=episode_options.gap_s)
    episodes = find_episodes(video, episode_options)
    unreadable = _unreadable_spans(frames)
    _check_height(options, panels=len(tracks))
    scale = _scale(frames, options, panels=len(tracks))
    figure = _empty_figure(options, panels=len(tracks))
    panels = figure.subplots(len(tracks), 1, sharex=True, squeeze=False)[:, 0]
    for axes, track in zip(panels, tracks, strict=True):
        own = episodes[episodes["track"] == track.number]
        curve = score_curve(
            smooth[smooth["track"] == track.number],
            apex_frames=own["apex_frame"],
            column_s=scale.seconds(COLUMN_CM),
        )
        _dress_panel(axes, track, scale)
        _draw_scores(axes, curve, scale, options.style)
        _draw_episodes(axes, own, scale)
        for start_s, end_s in unreadable:
            axes.axvspan(start_s, end_s, **UNREADABLE)
    _dress_time(panels[-1], scale)
    _draw_legend(figure, options, has_unreadable=bool(unreadable))
    return figure


def _unreadable_spans(frames: pd.DataFrame) -> list[tuple[float, float]]:
    """From when to when frames that follow each other could not be read."""
    is_unreadable = frames["status"] == Status.UNREADABLE
    runs = (is_unreadable != is_unreadable.shift()).cumsum()[is_unreadable]
    ends_s = (frames["time_s"] + frames["duration_s"]).groupby(runs).max()
    starts_s = frames["time_s"].groupby(runs).min()
    return list(zip(starts_s, ends_s, strict=True))


def _scale(frames: pd.DataFrame, options: PlotOptions, *, panels: int) -> Scale:
    first_s, last_s = frames["time_s"].min(), (frames["time_s"] + frames["duration_s"]).max()
    start_s = first_s if options.start_s is None else max(first_s, options.start_s)
    end_s = last_s if options.end_s is None else min(last_s, options.end_s)
    if first_s == last_s:  # a single frame
        end_s = start_s + 1.0
    if start_s >= end_s:
        raise UsageError(
            f"Between --start and --end is nothing to draw: this timeline has {first_s:g} to "
            f"{last_s:g} s."
        )
    panel_cm = (_height_cm(options, panels=panels) - _around_cm(options)) / panels
    unit_cm = (panel_cm - TITLE_CM) / (1 - STRIP_BOTTOM)
    return Scale(float(start_s), float(end_s), options.width_cm - BESIDE_CM, unit_cm)


def _check_height(options: PlotOptions, *, panels: int) -> None:
    least_cm = panels * LEAST_PANEL_CM + _around_cm(options)
    if options.height_cm is not None and options.height_cm < least_cm:
        raise UsageError(
            f"--height-cm {options.height_cm:g} is too little for {panels} tracks: it takes "
            f"{least_cm:.1f}, or fewer tracks with --most."
        )


def _height_cm(options: PlotOptions, *, panels: int) -> float:
    return options.height_cm or panels * PANEL_CM + _around_cm(options)


def _around_cm(options: PlotOptions) -> float:
    return AXIS_CM + LEGEND_ROW_CM * -(-(len(ORDER) + 1) // _legend_columns(options))


def _legend_columns(options: PlotOptions) -> int:
    return max(2, min(len(ORDER) + 1, int(options.width_cm / LEGEND_ENTRY_CM[options.style])))


def _empty_figure(options: PlotOptions, *, panels: int) -> Figure:
    height_cm = _height_cm(options, panels=panels)
    figure = Figure(figsize=(options.width_cm / CM_PER_INCH, height_cm / CM_PER_INCH))
    figure.set_layout_engine("constrained", h_pad=0.04, w_pad=0.03)
    return figure


def _dress_panel(axes: Axes, track: NamedTrack, scale: Scale) -> None:
    axes.set_title(_one_line(track.name, scale.width_cm), loc="left", pad=3)
    axes.set_ylim(STRIP_BOTTOM, 1.0)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_ylabel("score")
    axes.spines["left"].set_bounds(0, 1)
    axes.spines["bottom"].set_visible(False)
    axes.axhline(0, color=GRAY, linewidth=0.6, zorder=3)
    axes.tick_params(axis="x", length=0)


def _one_line(name: str, width_cm: float) -> str:
    line = " ".join(name.split())
    while len(line) > 2 and text_width_cm(line, FONT_PT) > width_cm:
        line = f"{line[:-2]}…"
    return line


def _dress_time(axes: Axes, scale: Scale) -> None:
    ticks_s = time_ticks(scale.start_s, scale.end_s, most=max(3, int(scale.width_cm / TICK_CM)))
    hours, tenths = scale.end_s >= 3600, any(tick % 1 for tick in ticks_s)
    axes.set_xlim(scale.start_s, scale.end_s)
    axes.set_xticks(ticks_s, [clock(tick, hours=hours, tenths=tenths) for tick in ticks_s])
    axes.set_xlabel("time (h:mm:ss)" if hours else "time (m:ss)")
    axes.spines["bottom"].set_visible(True)
    axes.tick_params(axis="x", length=3)


def _draw_scores(axes: Axes, curve: Curve, scale: Scale, style: PlotStyle) -> None:
    places = [EMOTIONS.index(emotion) for emotion in ORDER]
    if style is PlotStyle.LINES:
        for emotion, scores in zip(ORDER, curve.scores[:, places].T, strict=True):
            axes.plot(curve.times_s, scores, **_line(emotion))
        _name_lines(axes, curve, scale)
        return
    grid_s = np.linspace(scale.start_s, scale.end_s, SAMPLES)
    edges, at_grid = (
        np.hstack([np.zeros((len(scores), 1)), np.cumsum(scores[:, places], axis=1)]).T
        for scores in (curve.scores, curve.at(grid_s))
    )
    if not curve.is_thinned:  # else they would jump up and down like grass
        _draw_borders(axes, curve.times_s, edges)
    for place, emotion in enumerate(ORDER):
        axes.fill_between(
            curve.times_s, edges[place], edges[place + 1], **area(emotion) | {"linewidth": 0}
        )
        _name_area(axes, emotion, grid_s, edges=at_grid[place : place + 2], scale=scale)


def _draw_borders(axes: Axes, times_s: Numbers, edges: Numbers) -> None:
    """White lines between areas, but for areas so thin that nothing of them would be left."""
    heights = np.diff(edges, axis=0)
    is_thick = np.minimum(heights[1:], heights[:-1]) > THIN
    for edge, is_drawn in zip(edges[1:-1], is_thick, strict=True):
        axes.plot(times_s, np.where(is_drawn, edge, np.nan), color="white", linewidth=0.5)


def _line(emotion: Emotion) -> dict[str, Any]:
    return {
        "color": COLOURS[emotion],
        "linestyle": DASHES[emotion],
        "linewidth": 0.7 if emotion is Emotion.NEUTRAL else 1.2,
    }


def _name_area(
    axes: Axes, emotion: Emotion, grid_s: Numbers, *, edges: Numbers, scale: Scale
) -> None:
    """Write the class where its area is highest over the whole word, if it fits there."""
    word_s = scale.seconds(text_width_cm(emotion.value, SMALL_PT))
    width = _samples(word_s, grid_s)
    if width > len(grid_s):
        return
    low = sliding_window_view(edges[0], width).max(axis=1)
    high = sliding_window_view(edges[1], width).min(axis=1)
    room = np.nan_to_num(high - low).clip(0)  # NaN: the face is away
    good = np.flatnonzero(room >= 0.9 * room.max())
    best = int(good[len(good) // 2])
    if scale.fits(emotion.value, seconds=word_s, score=room[best]):
        middle_s = grid_s[best : best + width].mean()
        _write(axes, emotion, middle_s, (low[best] + high[best]) / 2)


def _samples(word_s: float, grid_s: Numbers) -> int:
    """How many samples a word covers."""
    return 1 + int(np.ceil(word_s / (grid_s[1] - grid_s[0])))


def _name_lines(axes: Axes, curve: Curve, scale: Scale) -> None:
    """Write each class at its line where that runs above all others, if there is room for it."""
    grid_s = np.linspace(scale.start_s, scale.end_s, LINE_SAMPLES)
    scores = curve.at(grid_s)
    is_free = ~np.isnan(scores[:, 0])  # NaN: the face is away
    for place in np.argsort(-np.nan_to_num(scores).max(axis=0), kind="stable"):  # highest first
        word = _word_at_line(scores, int(place), is_free=is_free, grid_s=grid_s, scale=scale)
        if word is not None:
            is_free[word.samples] = False
            middle_s = grid_s[word.samples].mean()
            axes.text(
                middle_s, word.score, EMOTIONS[place], ha="center", va="center", size=SMALL_PT
            )


@dataclass(frozen=True, slots=True)
class _Word:
    """The samples of time that a word covers, and the score at which its middle lies."""

    samples: slice
    score: float


def _word_at_line(
    scores: Numbers,
    place: int,
    *,
    is_free: NDArray[np.bool_],
    grid_s: Numbers,
    scale: Scale,
) -> _Word | None:
    """Where a class is best written: over a peak that tops all (N, 7) lines, or below a plateau.

    Words are nowhere on a line, and no two of them share a sample.
    """
    width = _samples(scale.seconds(text_width_cm(EMOTIONS[place], SMALL_PT)), grid_s)
    if width > len(grid_s):
        return None
    lines = sliding_window_view(scores[:, place], width)
    low, high = lines.min(axis=1), lines.max(axis=1)
    middle = lines[:, width // 2]
    rest = sliding_window_view(np.delete(scores, place, axis=1).max(axis=1), width).max(axis=1)
    free = sliding_window_view(is_free, width).all(axis=1)
    fits_over = (middle >= high - CLEAR) & (high + CLEAR + scale.word_height <= 1 + CLEAR)
    fits_below = low - 2 * CLEAR - scale.word_height > rest
    worth = np.where(free & (fits_over | fits_below), middle - rest, -np.inf)
    best = int(worth.argmax())
    if worth[best] < CLEAR:
        return None
    away = CLEAR + scale.word_height / 2
    score = high[best] + away if fits_over[best] else low[best] - away
    return _Word(slice(best, best + width), float(score))


def _draw_episodes(axes: Axes, episodes: pd.DataFrame, scale: Scale) -> None:
    height = STRIP_TOP - STRIP_BOTTOM
    for emotion in ORDER:  # a patch each would take a minute for the thousands of four hours
        own = episodes[episodes["emotion"] == emotion.value]
        if len(own):
            spans_s = list(zip(own["onset_s"], own["duration_s"], strict=True))
            axes.broken_barh(spans_s, (STRIP_BOTTOM, height), **area(emotion))
    in_view = (episodes["offset_s"] > scale.start_s) & (episodes["onset_s"] < scale.end_s)
    for episode in episodes[in_view].to_dict("records"):
        emotion = Emotion(episode["emotion"])
        start_s = max(episode["onset_s"], scale.start_s)
        seen_s = min(episode["offset_s"], scale.end_s) - start_s
        if scale.fits(emotion.value, seconds=seen_s, score=height):
            _write(axes, emotion, start_s + seen_s / 2, (STRIP_TOP + STRIP_BOTTOM) / 2)


def _write(axes: Axes, emotion: Emotion, time_s: float, score: float) -> None:
    ground = {"facecolor": COLOURS[emotion], "edgecolor": "none", "pad": 0.6}  # no hatch there
    axes.text(
        time_s, score, emotion.value, ha="center", va="center", size=SMALL_PT,
        color=ink(emotion), bbox=ground,
    )  # fmt: skip


def _draw_legend(figure: Figure, options: PlotOptions, *, has_unreadable: bool) -> None:
    handles: list[Any] = [Patch(**area(emotion)) for emotion in ORDER]
    if options.style is PlotStyle.LINES:
        lines = [Line2D([], [], **_line(emotion)) for emotion in ORDER]
        handles = list(zip(lines, handles, strict=True))
    labels = [emotion.value for emotion in ORDER]
    if has_unreadable:
        handles, labels = [*handles, Patch(**UNREADABLE)], [*labels, "unreadable"]
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=_legend_columns(options),
        title="apparent expression" + EPISODES * (options.width_cm >= LEAST_FOR_TITLE_CM),
        title_fontsize=SMALL_PT,
        handlelength=3.0 if options.style is PlotStyle.LINES else 1.6,
        columnspacing=1.2,
        handler_map={tuple: HandlerTuple(ndivide=None)},
    )
