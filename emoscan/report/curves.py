"""One track's scores as a curve: thinned to what a figure can show, and broken where it is away."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.timeline.durations import stretch_numbers

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """`times_s` (M,) and `scores` (M, 7) in the order of EMOTIONS; rows of NaN break it.

    `is_thinned` tells whether there are points that stand for several frames.
    """

    times_s: Numbers
    scores: Numbers
    is_thinned: bool

    def at(self, times_s: Numbers) -> Numbers:
        """(K,) increasing times to (K, 7) scores, NaN where the curve is broken."""
        is_break = np.isnan(self.times_s)
        knots_s, scores = self.times_s[~is_break], self.scores[~is_break]
        stretches = np.cumsum(is_break)[~is_break]
        after = np.searchsorted(knots_s, times_s, side="right").clip(1, len(knots_s) - 1)
        is_inside = (stretches[after - 1] == stretches[after]) & (
            (knots_s[after - 1] <= times_s) & (times_s <= knots_s[after])
        )
        values = np.column_stack([np.interp(times_s, knots_s, column) for column in scores.T])
        return np.where(is_inside[:, None], values, np.nan)


def score_curve(faces: pd.DataFrame, *, apex_frames: Iterable[int], column_s: float) -> Curve:
    """The scores of one track's `face_rows`, from the beginning of each stretch to its end.

    Of frames that lie in one column of the figure, `column_s` wide, the mean by time is drawn;
    where an apex lies there, its scores are, so that no peak is flattened. A frame without the
    face breaks the curve.
    """
    faces = faces.assign(stretch=stretch_numbers(faces, 0.0))
    middles_s = faces["time_s"] + faces["duration_s"] / 2
    faces = faces.assign(middle_s=middles_s, column=(middles_s // column_s).astype(np.int64))
    points = _column_means(faces, apex_frames)
    ends_s = (faces["time_s"] + faces["duration_s"]).groupby(faces["stretch"]).max()
    starts_s = faces.groupby("stretch")["time_s"].min()
    parts = [
        _stretch(part, start_s=float(starts_s[number]), end_s=float(ends_s[number]))
        for number, part in points.groupby("stretch")
    ]
    whole = np.concatenate(parts)[:-1] if parts else np.empty((0, 1 + len(EMOTIONS)))
    return Curve(whole[:, 0], whole[:, 1:], is_thinned=len(points) < len(faces))


def _column_means(faces: pd.DataFrame, apex_frames: Iterable[int]) -> pd.DataFrame:
    """One row a stretch and column: `stretch`, `middle_s` and the seven scores."""
    wanted = ["middle_s", *EMOTIONS]
    weights = faces["duration_s"].clip(lower=1e-9)
    keys = [faces["stretch"], faces["column"]]
    sums = faces[wanted].astype(np.float64).mul(weights, axis=0).groupby(keys).sum()
    means = sums.div(weights.groupby(keys).sum(), axis=0)
    apexes = faces[faces["frame"].isin(list(apex_frames))]
    apexes = apexes.assign(peak=apexes[list(EMOTIONS)].max(axis=1)).sort_values("peak")
    highest = apexes.drop_duplicates(["stretch", "column"], keep="last")
    highest = highest.set_index(["stretch", "column"])[list(EMOTIONS)].astype(np.float64)
    means.loc[highest.index, list(EMOTIONS)] = highest
    return means.reset_index("stretch")


def _stretch(points: pd.DataFrame, *, start_s: float, end_s: float) -> Numbers:
    """(M, 8) times and scores, level to the stretch's own ends, and a row of NaN behind."""
    rows = points[["middle_s", *EMOTIONS]].to_numpy(np.float64)
    rows = rows[[0, *range(len(rows)), -1, -1]]
    rows[0, 0], rows[-2, 0], rows[-1] = start_s, end_s, np.nan
    return rows
