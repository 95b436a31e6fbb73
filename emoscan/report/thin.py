"""Curves of a long track with fewer points, so that a browser draws them at once.

A curve comes in levels, each coarser than the one before: the page draws the finest of which few
enough points are in view. Points are means over time, so that the area under a curve is the same
on every level; a point that must not be lost, such as the apex of an episode, stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.timeline.durations import stretch_numbers

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A level with so few points needs no coarser one.
FEW_POINTS = 1_500
# From one level to the next, bins are so much wider.
COARSER = 4
# What a page holds of all tracks' finest levels, at some 32 bytes a point with the coarser ones.
MOST_POINTS = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Points of one track by time: `time_s` (N,), `scores` (N, 7) in the order of EMOTIONS.

    `duration_s` (N,) is the time that a point stands for, 0 for the one that closes a stretch;
    `ends` (N,) marks those: the line breaks behind them. `kept` (N,) are never averaged.
    """

    time_s: Floats
    scores: Floats
    duration_s: Floats
    ends: Flags
    kept: Flags

    def __len__(self) -> int:
        return len(self.time_s)


def curve_of(faces: pd.DataFrame, *, kept_frames: Sequence[int], gap_s: float) -> Curve:
    """One track's rows of `smoothed`, each a point, and one more at the end of each stretch.

    Without it a face that was seen on a single frame would be a point, which no line shows.
    """
    stretches = stretch_numbers(faces, gap_s)
    last = np.diff(stretches, append=-1) != 0
    copies = np.where(last, 2, 1)
    ends = np.zeros(copies.sum(), bool)
    ends[np.cumsum(copies)[last] - 1] = True
    start_s, lasts_s = faces["time_s"].to_numpy(float), faces["duration_s"].to_numpy(float)
    return Curve(
        time_s=np.repeat(start_s, copies) + np.where(ends, np.repeat(lasts_s, copies), 0),
        scores=np.repeat(faces[list(EMOTIONS)].to_numpy(float), copies, axis=0),
        duration_s=np.where(ends, 0, np.repeat(lasts_s, copies)),
        ends=ends,
        kept=ends | np.repeat(faces["frame"].isin(kept_frames).to_numpy(bool), copies),
    )


def thinned(curve: Curve, width_s: float) -> Curve:
    """Means over bins of `width_s`, never beyond the end of a stretch."""
    if not len(curve):
        return curve
    bins = np.floor(curve.time_s / width_s)
    after = np.roll(curve.ends | curve.kept, 1)
    starts = np.flatnonzero((np.diff(bins, prepend=np.nan) != 0) | curve.kept | after)
    weights = np.maximum(curve.duration_s, 1e-9)
    total = np.add.reduceat(weights, starts)
    return Curve(
        time_s=np.add.reduceat(curve.time_s * weights, starts) / total,
        scores=np.add.reduceat(curve.scores * weights[:, None], starts) / total[:, None],
        duration_s=np.add.reduceat(curve.duration_s, starts),
        ends=np.logical_or.reduceat(curve.ends, starts),
        kept=np.logical_or.reduceat(curve.kept, starts),
    )


def levels(curve: Curve) -> list[Curve]:
    """The curve and coarser ones, until there are few points or bins save none any more."""
    found, width_s = [curve], _typical_s(curve)
    while len(found[-1]) > FEW_POINTS:
        width_s *= COARSER
        coarser = thinned(curve, width_s)
        if len(coarser) > 0.8 * len(found[-1]):
            break
        found.append(coarser)
    return found


def fitting(curves: Sequence[Curve], *, most: int = MOST_POINTS) -> tuple[list[Curve], float]:
    """Curves with at most about so many points together, and the width of their bins in s.

    0 where nothing had to be averaged. Kept points stay even if they alone are more.
    """
    if sum(map(len, curves)) <= most:
        return list(curves), 0.0
    width_s, before = max(map(_typical_s, curves)), 0
    fitted = list(curves)
    while (count := sum(map(len, fitted))) > most and count != before:
        before, width_s = count, 2 * width_s
        fitted = [thinned(curve, width_s) for curve in curves]
    return fitted, width_s


def _typical_s(curve: Curve) -> float:
    lasting = curve.duration_s[curve.duration_s > 0]
    return float(np.median(lasting)) if len(lasting) else 1.0
