"""Small drawings as paths of SVG: bars of runs, sparklines, histograms."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS

SPARK_BINS = 96
HISTOGRAM_BINS = 16


def bar_path(spans: Iterable[tuple[float, float]]) -> str:
    """One rectangle from each start to each end, of height 1, in seconds along x."""
    return "".join(
        f"M{number(start_s)} 0H{number(end_s)}V1H{number(start_s)}z" for start_s, end_s in spans
    )


def spark_paths(faces: pd.DataFrame, *, start_s: float, end_s: float) -> dict[str, str]:
    """Each class's share of the mean scores over time, as areas on top of each other.

    `faces` as `face_rows` gives them. The drawing is SPARK_BINS wide and 1 high; where no face
    was seen it is empty.
    """
    means = _binned(faces, start_s=start_s, width_s=max(end_s - start_s, 1e-9) / SPARK_BINS)
    tops = np.cumsum(means, axis=1)
    bottoms = tops - means
    return {name: _cells(bottoms[:, at], tops[:, at]) for at, name in enumerate(EMOTIONS)}


def _binned(faces: pd.DataFrame, *, start_s: float, width_s: float) -> NDArray[np.float64]:
    """(SPARK_BINS, 7) mean scores; a frame that lasts longer than a bin fills all it spans."""
    bins = ((faces["time_s"] - start_s) / width_s).astype(int).clip(0, SPARK_BINS - 1)
    weights = faces["duration_s"].clip(lower=1e-9)
    weighted = faces[list(EMOTIONS)].mul(weights, axis=0).groupby(bins).sum()
    means = weighted.div(weights.groupby(bins).sum(), axis=0).reindex(range(SPARK_BINS))
    ends_s = (faces["time_s"] + faces["duration_s"]).groupby(bins).max().reindex(means.index)
    middles_s = start_s + (np.arange(SPARK_BINS) + 0.5) * width_s
    spanned = means.ffill().where(ends_s.ffill() > middles_s)
    return means.fillna(spanned).to_numpy(float)


def _cells(bottom: NDArray[np.float64], top: NDArray[np.float64]) -> str:
    """Neighbouring cells with values are one shape: between single ones hairlines would show."""
    shapes = []
    for run in _filled(np.isfinite(top)):
        there = [f"{'L' if i else 'M'}{i} {number(1 - top[i])}h1" for i in run]
        back = [f"L{i + 1} {number(1 - bottom[i])}h-1" for i in reversed(run)]
        shapes.append("M" + "".join(there)[1:] + "".join(back) + "z")
    return "".join(shapes)


def _filled(flags: NDArray[np.bool_]) -> list[list[int]]:
    places = np.flatnonzero(flags)
    parts = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return [part.tolist() for part in parts if len(part)]


def histogram_path(values: pd.Series, *, low: float, high: float) -> str:
    """HISTOGRAM_BINS bars over low to high, the highest 1 high; the drawing is as wide."""
    counts, _ = np.histogram(values.dropna(), HISTOGRAM_BINS, (low, max(high, low + 1e-9)))
    heights = counts / max(counts.max(), 1)
    return "".join(
        f"M{i}.05 1V{number(1 - height)}h.9V1z" for i, height in enumerate(heights) if height
    )


def share_rectangles(shares: Sequence[tuple[str, float]]) -> list[tuple[str, float, float]]:
    """(name, left, width) in per cent of each share, side by side."""
    placed, left = [], 0.0
    for name, share in shares:
        if share > 0:
            placed.append((name, round(100 * left, 3), round(100 * share, 3)))
        left += share
    return placed


def number(value: float) -> str:
    """Up to a ten-thousandth, without what SVG does not need."""
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"
