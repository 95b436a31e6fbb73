"""Scores over time without their flicker: a symmetric kernel whose width is in seconds."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.timeline.durations import SAME_S, stretch_numbers

Scores = NDArray[np.float64]


def smoothed(faces: pd.DataFrame, *, width_s: float, gap_s: float) -> pd.DataFrame:
    """A copy of `face_rows` with the seven scores smoothed, by nothing beyond a gap.

    A score is taken to last as long as its frame; each row gets the mean of that step function
    under a Hann window of full width `width_s` around the middle of its frame: symmetric, so that
    nothing is moved in time, and the same whether a picture is stored as one frame or as several.
    Where the face is away there is nothing to average, and the rest counts for more. Rows still
    sum to 1, and differ from the raw ones only within half a kernel of a change.
    """
    smooth = faces.copy()
    starts_s = faces["time_s"].to_numpy(np.float64)
    smooth[list(EMOTIONS)] = hann_means(
        faces[list(EMOTIONS)].to_numpy(np.float64),
        starts_s=starts_s,
        ends_s=starts_s + faces["duration_s"].to_numpy(np.float64),
        stretches=stretch_numbers(faces, gap_s),
        width_s=width_s,
    )
    return smooth


def hann_means(
    values: Scores,
    *,
    starts_s: Scores,
    ends_s: Scores,
    stretches: NDArray[np.intp],
    width_s: float,
) -> Scores:
    """(N, C) `values`, each from its start to its end (N,), to their means (N, C).

    Rows are in the order of time within each stretch; no mean reaches beyond its stretch. A row
    that has no duration, and none within half a kernel, keeps its value.
    """
    if width_s < SAME_S:
        return values.copy()
    middles_s = (starts_s + ends_s) / 2
    own = 2 * _hann_integral((ends_s - starts_s) / 2, width_s)
    sums, total = values * own[:, None], own
    for offset in range(1, len(values)):
        here, there = np.s_[:-offset], np.s_[offset:]
        together = stretches[here] == stretches[there]
        after = together & (starts_s[there] - middles_s[here] < width_s / 2)
        before = together & (middles_s[there] - ends_s[here] < width_s / 2)
        if not (after.any() or before.any()):
            break
        for near, to, source in ((after, here, there), (before, there, here)):
            weights = np.zeros(len(near))
            weights[near] = _hann_integral(
                (ends_s[source] - middles_s[to])[near], width_s
            ) - _hann_integral((starts_s[source] - middles_s[to])[near], width_s)
            sums[to] += weights[:, None] * values[source]
            total[to] += weights
    counted = total > 0
    return np.where(counted[:, None], sums / np.where(counted, total, 1.0)[:, None], values)


def _hann_integral(until_s: Scores, width_s: float) -> Scores:
    """The integral of the Hann window, whose whole is 1, from its middle to `until_s`."""
    part = np.clip(until_s / width_s, -0.5, 0.5)
    integral: Scores = part + np.sin(2 * np.pi * part) / (2 * np.pi)
    return integral
