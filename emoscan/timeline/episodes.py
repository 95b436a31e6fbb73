"""When an expression comes, peaks and goes: from smoothed scores, by two thresholds."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.timeline.durations import SAME_S, face_rows, frame_durations, stretch_numbers
from emoscan.timeline.options import EpisodeOptions
from emoscan.timeline.smooth import smoothed

COLUMNS: dict[str, str] = {
    "source": "the video, as in the timeline",
    "track": "whose face",
    "label": "the name that the user gave to the track; null until then",
    "emotion": "the class",
    "onset_s": "when it begins",
    "apex_s": "when its smoothed score is highest, for the first time",
    "offset_s": "when it ends: the end of its last frame",
    "duration_s": "from onset to offset",
    "mean": "its mean smoothed score, weighted by time",
    "peak": "its highest smoothed score",
    "onset_frame": "its first frame",
    "apex_frame": "the frame of its apex",
    "offset_frame": "its last frame",
    "onset_cut": "whether the face only then came into view, or was first looked at: the "
    "expression may have begun before",
    "offset_cut": "whether the face then went out of view, or was last looked at: it may have "
    "gone on",
}

_NONE = -1

_CLASS = pd.CategoricalDtype(list(EMOTIONS))

# Scores are float32: what differs by less is equally high.
_SAME_SCORE = 1e-6

# Of frames without a duration, of which a mean is made only where there are no others.
_LEAST_WEIGHT_S = 1e-9


def find_episodes(timeline: pd.DataFrame, options: EpisodeOptions | None = None) -> pd.DataFrame:
    """The episodes of every track, a row each, with `COLUMNS`, by source, track and onset.

    Scores are smoothed within each unbroken stretch of a track. A frame belongs to its likeliest
    class if that scores at least `low`; an episode is an unbroken run of frames of one class that
    reaches `high` at least once (thresholding with hysteresis, Canny 1986) and lasts `least_s`.
    So the episodes of one track never overlap. One at the border of a stretch is cut there: its
    duration is a lower bound. Onset and offset lie within half a kernel and a
    frame of where the raw score crosses the thresholds; without smoothing, within a frame. Faces
    without a track have no episodes. Raises UsageError for photos.
    """
    options = options or EpisodeOptions()
    faces = _followable(face_rows(timeline))
    smooth = smoothed(faces, width_s=options.smoothing_s, gap_s=options.gap_s)
    scores = smooth[list(EMOTIONS)].to_numpy(np.float64)
    classes = _classes(scores, low=options.low)
    episodes = _runs(
        smooth,
        scores=scores.max(axis=1, initial=0.0),
        classes=classes,
        stretches=stretch_numbers(faces, options.gap_s),
    )
    kept = (
        (episodes["peak"] >= options.high - _SAME_SCORE)
        & (episodes["duration_s"] >= options.least_s - SAME_S)
        & episodes["emotion"].isin(options.emotion or EMOTIONS)
    )
    return episodes[kept].reset_index(drop=True)


def sampling_notes(timeline: pd.DataFrame, options: EpisodeOptions) -> list[str]:
    """A sentence where frames lie too far apart for the durations that are asked for."""
    durations_s = frame_durations(timeline).groupby("source", observed=True)["duration_s"]
    step_s = float(durations_s.median().max())
    limits_s = [limit_s for limit_s in (options.least_s, options.smoothing_s / 2) if limit_s > 0]
    if not any(step_s >= limit_s - SAME_S for limit_s in limits_s):
        return []
    return [
        f"Frames were looked at every {step_s:.2f} s: onset and offset come late by half of that "
        "on average, and shorter expressions are missed or last as long. Scan more frames, or "
        "take a longer --min-duration and --smoothing."
    ]


def _followable(faces: pd.DataFrame) -> pd.DataFrame:
    """The faces with a track and with scores, one a frame of each track."""
    usable = faces["track"].notna() & faces[list(EMOTIONS)].notna().all(axis=1)
    unique = faces[usable].drop_duplicates(["source", "track", "frame"])
    return unique.reset_index(drop=True)


def _classes(scores: NDArray[np.float64], *, low: float) -> NDArray[np.intp]:
    """(N, 7) to (N,): the likeliest class, or none where it scores too low."""
    best = scores.argmax(axis=1)
    return np.where(scores.max(axis=1, initial=0.0) >= low - _SAME_SCORE, best, _NONE)


def _runs(
    faces: pd.DataFrame,
    *,
    scores: NDArray[np.float64],
    classes: NDArray[np.intp],
    stretches: NDArray[np.intp],
) -> pd.DataFrame:
    """Every unbroken run of rows of one class as an episode, whether it counts or not."""
    first = _beginnings(classes, stretches)
    last = np.append(first[1:], len(classes))[: len(first)] - 1
    peak, apex = _apexes(scores, first)
    time_s, duration_s = faces["time_s"].to_numpy(), faces["duration_s"].to_numpy()
    onset_s, offset_s = time_s[first], time_s[last] + duration_s[last]
    weights = np.maximum(duration_s, _LEAST_WEIGHT_S)
    runs = {
        "source": faces["source"].take(first).array,
        "track": faces["track"].take(first).astype("Int32").array,
        "label": _labels(faces["label"].take(first)),
        "emotion": pd.Categorical.from_codes(classes[first], dtype=_CLASS),
        "onset_s": onset_s,
        "apex_s": time_s[apex],
        "offset_s": offset_s,
        "duration_s": offset_s - onset_s,
        "mean": np.add.reduceat(scores * weights, first) / np.add.reduceat(weights, first),
        "peak": peak,
        "onset_frame": faces["frame"].take(first).array,
        "apex_frame": faces["frame"].take(apex).array,
        "offset_frame": faces["frame"].take(last).array,
        "onset_cut": np.diff(stretches, prepend=-1)[first] != 0,
        "offset_cut": np.diff(stretches, append=-1)[last] != 0,
    }
    return pd.DataFrame(runs, columns=list(COLUMNS))


def _beginnings(classes: NDArray[np.intp], stretches: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first row of each run: of one class, or of none, in one stretch."""
    changes = (np.diff(classes, prepend=_NONE - 1) != 0) | (np.diff(stretches, prepend=-1) != 0)
    return np.flatnonzero(changes)


def _apexes(
    scores: NDArray[np.float64], first: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Each run's highest score, and the first row that has it."""
    peak = np.maximum.reduceat(scores, first)
    lengths = np.diff(first, append=len(scores))
    is_peak = scores >= np.repeat(peak, lengths) - _SAME_SCORE
    rows = np.where(is_peak, np.arange(len(scores)), len(scores))
    return peak, np.minimum.reduceat(rows, first)


def _labels(labels: pd.Series) -> pd.Series:
    """As plain objects, None where there is none: pandas would make strings and NaN of them."""
    words = [label if isinstance(label, str) else None for label in labels]
    return pd.Series(words, dtype="object")
