"""Scores at a fixed step, as R, spreadsheets and ELAN's time series viewer read them."""

import math
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.export.video_tracks import VideoTracks
from emoscan.media.find import counted
from emoscan.timeline.durations import face_rows, frame_durations
from emoscan.timeline.named_tracks import NamedTrack

BOX = ["x", "y", "width", "height"]

COLUMNS: dict[str, str] = {
    "time_s": "the beginning of the step; steps begin at 0",
    **{name: f"mean score of `{name}` in the step, weighted by time; empty without a face"
       for name in EMOTIONS},
    **dict.fromkeys(BOX, "likewise, of the box, in pixels"),
    "seen": "the share of the step in which the face had scores, 0 to 1; never empty",
}  # fmt: skip

# Sums of times are exact to far less than this share of a step.
LEAST_SEEN = 1e-6
MOST_STEPS = 20_000_000  # of all tracks together: some 2 GB
LONGEST_LABEL_BYTES = 80  # of the 255 that file systems allow for a name


def whole_steps(video: VideoTracks, step_s: float | None) -> float:
    """The step: what was asked for, else the median frame's duration. Raises UsageError."""
    if step_s is None:
        durations_s = frame_durations(video.rows)["duration_s"]
        step_s = float(durations_s[durations_s > 0].median())
    if math.isnan(step_s):
        raise UsageError("With a single frame there is no step; name one with --step.")
    if video.duration_s / step_s * len(video.tracks) > MOST_STEPS:
        tracks = counted(len(video.tracks), "track")
        raise UsageError(
            f"A step of {step_s:g} s gives more than {MOST_STEPS:,} rows for {tracks}, each from 0 "
            "to the video's end; take a longer --step, or some of the tracks with --track."
        )
    return step_s


def wide_table(video: VideoTracks, track: NamedTrack, *, step_s: float) -> pd.DataFrame:
    """`COLUMNS` for every step from 0 to the video's end, NaN where the face is away.

    A frame that lasts into the next step counts there for the part that lies in it.
    """
    faces = face_rows(video.rows)
    # A sum that holds a NaN once is NaN from there on.
    whole = faces[[*EMOTIONS, *BOX]].notna().all(axis=1)
    faces = faces[(faces["track"] == track.number) & whole]
    steps = math.ceil(video.duration_s / step_s - LEAST_SEEN)
    edges_s = np.arange(steps + 1, dtype=np.float64) * step_s
    values = faces[[*EMOTIONS, *BOX]].to_numpy(np.float64)
    means, seen = _step_means(
        values,
        starts_s=faces["time_s"].to_numpy(),
        durations_s=faces["duration_s"].to_numpy(),
        edges_s=edges_s,
    )
    table = pd.DataFrame(means.round(6) + 0.0, columns=[*EMOTIONS, *BOX])  # no -0
    table.insert(0, "time_s", edges_s[:-1])
    # ELAN drops empty cells at the end of a line and takes 0 for them: the last is never empty.
    table["seen"] = seen
    return table


def track_file_name(stem: str, track: NamedTrack) -> str:
    """`interview.track-1.csv`, with a label `interview.track-1-Anna.csv`."""
    label = "-".join(re.findall(r"\w+", track.label or ""))
    short = label.encode()[:LONGEST_LABEL_BYTES].decode("utf-8", "ignore")
    return f"{stem}.track-{track.number}{'-' if short else ''}{short}.csv"


def _step_means(
    values: NDArray[np.float64],
    *,
    starts_s: NDArray[np.float64],
    durations_s: NDArray[np.float64],
    edges_s: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, C) values of frames to (K, C) means in the steps between K + 1 edges, and (K,) shares.

    Frames follow each other and do not overlap, so what has passed by then of each value grows
    in straight lines from knot to knot, and a step's sum is the difference at its edges.
    """
    knots_s = np.column_stack([starts_s, starts_s + durations_s]).ravel()
    knots_s = np.maximum.accumulate(knots_s)  # against the last digit's rounding
    passed = _passed(np.column_stack([np.ones(len(values)), values]) * durations_s[:, None])
    at_edges = np.column_stack([np.interp(edges_s, knots_s, column) for column in passed.T])
    sums = np.diff(at_edges, axis=0)
    seen = (sums[:, 0] / np.diff(edges_s)).clip(0, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(seen[:, None] > LEAST_SEEN, sums[:, 1:] / sums[:, :1], np.nan)
    return means, np.where(seen > LEAST_SEEN, seen, 0.0)


def _passed(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C) to (2N, C): the sums before and after each row."""
    after = np.cumsum(amounts, axis=0)
    return np.stack([after - amounts, after], axis=1).reshape(-1, amounts.shape[1])
