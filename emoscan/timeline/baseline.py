"""A person's neutral face, to which a summary is compared."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.timeline.cells import Cast
from emoscan.timeline.intervals import overlap_s
from emoscan.timeline.options import Baseline, Grouping
from emoscan.timeline.read import read_timeline
from emoscan.timeline.scene import NOBODY, Indices, Numbers, Scene, scene_of
from emoscan.timeline.weighted import Groups

FIGURES = (*EMOTIONS, "valence_index")


@dataclass(frozen=True, slots=True, eq=False)
class Neutral:
    """`means` (G, 8) of FIGURES, NaN where a group has none, and `seconds` (G,) of face time.

    `seconds` are NaN of photos; `notes` are sentences about what the means are of.
    """

    means: Numbers
    seconds: Numbers
    notes: tuple[str, ...] = ()


def baseline_means(scene: Scene, cast: Cast, *, baseline: Baseline, by: Grouping) -> Neutral:
    """Each group's neutral mean of FIGURES.

    A stretch is of the same group's faces. Another timeline counts as a whole; grouped by label,
    a group that it has by the same label is compared to that. Raises UsageError where no group
    has a baseline.
    """
    if baseline.path:
        neutral = _of_timeline(read_timeline(baseline.path), scene, cast, by)
    else:
        neutral = _of_stretch(scene, cast, baseline)
    if np.isnan(neutral.means).all():
        where = f"{baseline.path}" if baseline.path else f"the stretch {baseline} s"
        raise UsageError(f"--baseline: there is no face in {where}.")
    return neutral


def _of_stretch(scene: Scene, cast: Cast, baseline: Baseline) -> Neutral:
    frames = scene.frames
    seconds = overlap_s(
        frames.start_s,
        frames.end_s,
        start_s=baseline.start_s or 0.0,
        end_s=baseline.end_s or 0.0,
    )[scene.faces.frame]
    count = len(cast.source)
    return Neutral(
        _means(scene, cast.faces, weights=seconds, count=count),
        np.bincount(cast.faces, seconds, count).astype(np.float64),
    )


def _of_timeline(timeline: pd.DataFrame, scene: Scene, cast: Cast, by: Grouping) -> Neutral:
    neutral = scene_of(timeline)
    face_s = (neutral.frames.end_s - neutral.frames.start_s)[neutral.faces.frame]
    weights = face_s if face_s.any() else np.ones_like(face_s)
    everyone = np.zeros(len(face_s), np.intp)
    whole = _means(neutral, everyone, weights=weights, count=1)
    means = np.repeat(whole, len(cast.source), axis=0)
    seconds = np.full(len(cast.source), face_s.sum())
    has_own = np.zeros(len(cast.source), bool)
    if by is Grouping.LABEL:
        for number, label in enumerate(scene.labels):
            if label in neutral.labels:
                own, theirs = neutral.faces.label == neutral.labels.index(label), cast.who == number
                means[theirs] = _means(neutral, everyone, weights=weights * own, count=1)
                seconds[theirs] = face_s[own].sum()
                has_own |= theirs
    notes = () if has_own.all() else _notes_on_the_whole(neutral)
    return Neutral(means, np.full_like(seconds, np.nan) if neutral.photos else seconds, notes)


def _faces(count: int) -> str:
    return "1 face" if count == 1 else f"{count:,} faces"


def _notes_on_the_whole(neutral: Scene) -> tuple[str, ...]:
    """What a mean over a whole timeline is of, where that is more than one face."""
    faces = neutral.faces
    if neutral.photos:
        return (f"The baseline is the mean over {_faces(len(faces.frame))} in photos.",)
    tracks = {
        (source, track)
        for source, track in zip(
            neutral.frames.source[faces.frame].tolist(), faces.track.tolist(), strict=True
        )
        if track != NOBODY
    }
    if len(tracks) < 2:
        return ()
    return (f"The baseline is the mean over {len(tracks)} tracks, whoever they are.",)


def _means(scene: Scene, groups: Indices, *, weights: Numbers, count: int) -> Numbers:
    faces = Groups(groups, weights, count)
    columns = [*scene.faces.scores.T, scene.faces.valence_index()]
    return np.column_stack([faces.means(column) for column in columns])
