"""When an expression comes, peaks and goes: from smoothed scores, by two thresholds."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.timeline.durations import face_rows, stretch_numbers
from emoscan.timeline.options import EpisodeOptions
from emoscan.timeline.smooth import smoothed

COLUMNS: dict[str, str] = {
    "source": "the video, as in the timeline",
    "track": "whose face",
    "label": "the name that the user gave to the track; null until then",
    "emotion": "the class",
    "onset_s": "when it begins",
    "apex_s": "when its smoothed score is highest",
    "offset_s": "when it ends: the end of its last frame",
    "duration_s": "from onset to offset",
    "mean": "its mean smoothed score, weighted by time",
    "peak": "its highest smoothed score",
    "onset_frame": "its first frame",
    "apex_frame": "the frame of its apex",
    "offset_frame": "its last frame",
}

_NONE = -1


def find_episodes(timeline: pd.DataFrame, options: EpisodeOptions | None = None) -> pd.DataFrame:
    """The episodes of every track, a row each, with `COLUMNS`, by source, track and onset.

    Scores are smoothed within each unbroken stretch of a track. A frame belongs to its likeliest
    class if that scores at least `low`; an episode is an unbroken run of frames of one class that
    reaches `high` at least once (thresholding with hysteresis, Canny 1986) and lasts `least_s`.
    So the episodes of one track never overlap. Raises UsageError for photos.
    """
    options = options or EpisodeOptions()
    faces = face_rows(timeline)
    faces = faces[faces["track"].notna()].reset_index(drop=True)
    smooth = smoothed(faces, width_s=options.smoothing_s, gap_s=options.gap_s)
    scores = smooth[list(EMOTIONS)].to_numpy(np.float64)
    classes = _classes(scores, low=options.low)
    runs = _run_numbers(classes, stretch_numbers(faces, options.gap_s))
    smooth["emotion"] = pd.Categorical.from_codes(classes.tolist(), categories=list(EMOTIONS))
    smooth["score"] = scores.max(axis=1, initial=0.0)
    found = [_episode(run) for _, run in smooth[classes != _NONE].groupby(runs[classes != _NONE])]
    episodes = pd.DataFrame(found, columns=list(COLUMNS))
    wanted = options.emotion or EMOTIONS
    kept = (
        (episodes["peak"] >= options.high)
        & (episodes["duration_s"] >= options.least_s - 1e-9)
        & episodes["emotion"].isin(wanted)
    )
    return (
        episodes[kept]
        .reset_index(drop=True)
        .astype({"track": "Int32", "emotion": pd.CategoricalDtype(list(EMOTIONS)), "label": object})
    )


def _classes(scores: NDArray[np.float64], *, low: float) -> NDArray[np.intp]:
    """(N, 7) to (N,): the likeliest class, or none where it scores too low."""
    best = scores.argmax(axis=1)
    return np.where(scores.max(axis=1, initial=0.0) >= low, best, _NONE)


def _run_numbers(classes: NDArray[np.intp], stretches: NDArray[np.intp]) -> NDArray[np.intp]:
    """(N,): rows of one class that follow each other in one stretch share a number."""
    changes = (np.diff(classes, prepend=_NONE - 1) != 0) | (np.diff(stretches, prepend=-1) != 0)
    return np.cumsum(changes)


def _episode(run: pd.DataFrame) -> dict[str, object]:
    """One run of one class as a row, whether it counts or not."""
    first, last, apex = run.iloc[0], run.iloc[-1], run.loc[run["score"].idxmax()]
    offset_s = last["time_s"] + last["duration_s"]
    weights = run["duration_s"].clip(lower=1e-9)
    return {
        "source": first["source"],
        "track": first["track"],
        "label": first["label"] if isinstance(first["label"], str) else None,
        "emotion": first["emotion"],
        "onset_s": first["time_s"],
        "apex_s": apex["time_s"],
        "offset_s": offset_s,
        "duration_s": offset_s - first["time_s"],
        "mean": float(np.average(run["score"], weights=weights)),
        "peak": apex["score"],
        "onset_frame": first["frame"],
        "apex_frame": apex["frame"],
        "offset_frame": last["frame"],
    }
