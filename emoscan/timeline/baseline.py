"""A person's neutral face, to which a summary is compared."""

import numpy as np
import pandas as pd

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.timeline.cells import Cast
from emoscan.timeline.intervals import overlap_s
from emoscan.timeline.options import Baseline, Grouping
from emoscan.timeline.read import read_timeline
from emoscan.timeline.scene import Indices, Numbers, Scene, scene_of
from emoscan.timeline.weighted import Groups

FIGURES = (*EMOTIONS, "valence_index")


def baseline_means(scene: Scene, cast: Cast, *, baseline: Baseline, by: Grouping) -> Numbers:
    """(G, 8): each group's neutral mean of FIGURES, NaN where it has none.

    A stretch is of the same group's faces. Another timeline counts as a whole; grouped by label,
    a group that it has by the same label is compared to that. Raises UsageError where no group
    has a baseline.
    """
    if baseline.path:
        means = _means_of_timeline(read_timeline(baseline.path), scene, cast, by)
    else:
        means = _means_of_stretch(scene, cast, baseline)
    if np.isnan(means).all():
        where = f"{baseline.path}" if baseline.path else f"the stretch {baseline} s"
        raise UsageError(f"--baseline: there is no face in {where}.")
    return means


def _means_of_stretch(scene: Scene, cast: Cast, baseline: Baseline) -> Numbers:
    frames = scene.frames
    seconds = overlap_s(
        frames.start_s,
        frames.end_s,
        start_s=baseline.start_s or 0.0,
        end_s=baseline.end_s or 0.0,
    )
    return _means(scene, cast.faces, weights=seconds[scene.faces.frame], count=len(cast.source))


def _means_of_timeline(timeline: pd.DataFrame, scene: Scene, cast: Cast, by: Grouping) -> Numbers:
    neutral = scene_of(timeline)
    seconds = (neutral.frames.end_s - neutral.frames.start_s)[neutral.faces.frame]
    seconds = seconds if seconds.any() else np.ones_like(seconds)
    everyone = np.zeros(len(seconds), np.intp)
    whole = _means(neutral, everyone, weights=seconds, count=1)
    means = np.repeat(whole, len(cast.source), axis=0)
    if by is Grouping.LABEL:
        for number, label in enumerate(scene.labels):
            if label in neutral.labels:
                own = neutral.faces.label == neutral.labels.index(label)
                theirs = _means(neutral, everyone, weights=seconds * own, count=1)
                means[cast.who == number] = theirs
    return means


def _means(scene: Scene, groups: Indices, *, weights: Numbers, count: int) -> Numbers:
    faces = Groups(groups, weights, count)
    columns = [*scene.faces.scores.T, scene.faces.valence_index()]
    return np.column_stack([faces.means(column) for column in columns])
