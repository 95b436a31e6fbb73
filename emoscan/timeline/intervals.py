"""Intervals of time, cut at given places: what spans a border is split there exactly."""

import numpy as np
from numpy.typing import NDArray

from emoscan.timeline.durations import SAME_S

Times = NDArray[np.float64]


def split(starts_s: Times, ends_s: Times, cuts_s: Times) -> tuple[NDArray[np.intp], Times, Times]:
    """(N,) intervals, cut at `cuts_s` in ascending order: each piece's interval, start and end.

    Pieces are in the order of their intervals, and within one of time. A cut that is as good as
    at an end of an interval, within SAME_S, leaves it whole: an interval without a length is one
    piece.
    """
    first = np.searchsorted(cuts_s, starts_s + SAME_S, side="right")
    beyond = np.searchsorted(cuts_s, ends_s - SAME_S, side="left")
    counts = np.maximum(beyond - first, 0) + 1
    intervals = np.repeat(np.arange(len(starts_s)), counts)
    place = np.arange(len(intervals)) - np.repeat(np.cumsum(counts) - counts, counts)
    cuts_s = np.append(cuts_s, np.nan)  # so that what is not taken below exists
    next_cut = first[intervals] + place
    is_first, is_last = place == 0, place == counts[intervals] - 1
    piece_starts = np.where(is_first, starts_s[intervals], cuts_s[np.maximum(next_cut - 1, 0)])
    piece_ends = np.where(is_last, ends_s[intervals], cuts_s[np.minimum(next_cut, len(cuts_s) - 1)])
    return intervals, piece_starts, piece_ends


def overlap_s(starts_s: Times, ends_s: Times, *, start_s: float, end_s: float) -> Times:
    """(N,): how many seconds of each interval lie between `start_s` and `end_s`."""
    lengths: Times = np.minimum(ends_s, end_s) - np.maximum(starts_s, start_s)
    return np.maximum(lengths, 0.0)
