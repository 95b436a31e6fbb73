"""Scores over time without their flicker: a symmetric kernel whose width is in seconds."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.timeline.durations import stretch_numbers

Scores = NDArray[np.float64]


def smoothed(faces: pd.DataFrame, *, width_s: float, gap_s: float) -> pd.DataFrame:
    """A copy of `face_rows` with the seven scores smoothed, by nothing beyond a gap.

    Each score is the mean of those around it under a Hann window of full width `width_s`,
    weighted by how long each was to be seen (a Nadaraya-Watson estimate): symmetric, so that
    nothing is moved in time, and the same at any frame rate. Rows still sum to 1.
    """
    smooth = faces.copy()
    stretches = stretch_numbers(faces, gap_s)
    smooth[list(EMOTIONS)] = hann_means(
        faces[list(EMOTIONS)].to_numpy(np.float64),
        middles_s=(faces["time_s"] + faces["duration_s"] / 2).to_numpy(),
        weights=faces["duration_s"].to_numpy(),
        stretches=stretches,
        width_s=width_s,
    )
    return smooth


def hann_means(
    values: Scores,
    *,
    middles_s: Scores,
    weights: Scores,
    stretches: NDArray[np.intp],
    width_s: float,
) -> Scores:
    """(N, C) `values` at times (N,) to their weighted means within stretches of rows, (N, C)."""
    weights = np.where(weights > 0, weights, 1e-9)
    sums, total = values * weights[:, None], weights.copy()
    for offset in range(1, len(values)):
        apart_s = middles_s[offset:] - middles_s[:-offset]
        near = (apart_s < width_s / 2) & (stretches[offset:] == stretches[:-offset])
        if not near.any():
            break
        kernel = np.where(near, np.cos(np.pi * apart_s / max(width_s, 1e-9)) ** 2, 0.0)
        later, earlier = kernel * weights[offset:], kernel * weights[:-offset]
        sums[:-offset] += later[:, None] * values[offset:]
        total[:-offset] += later
        sums[offset:] += earlier[:, None] * values[:-offset]
        total[offset:] += earlier
    means: Scores = sums / total[:, None]
    return means
