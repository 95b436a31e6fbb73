"""A timeline as arrays: the frames that were looked at, and the faces in them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.timeline.durations import FRAME, are_photos, frame_durations
from emoscan.timeline.schema import Status

Indices = NDArray[np.intp]
Numbers = NDArray[np.float64]

# The track or label of a face that has none: behind all others.
NOBODY = int(np.iinfo(np.int64).max)

_NEGATIVE = [EMOTIONS.index(name) for name in ("angry", "disgust", "fear", "sad")]
_HAPPY = EMOTIONS.index("happy")


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """`source` (F,) index, `start_s`, `end_s` (F,), `readable` (F,) bool; a photo lasts 1."""

    source: Indices
    start_s: Numbers
    end_s: Numbers
    readable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces that have scores: `frame`, `classes` (N,) indices, `scores` (N, 7).

    `track` and `label` (N,) are numbers, NOBODY where there is none; `label` those of
    `Scene.labels`.
    """

    frame: Indices
    track: NDArray[np.int64]
    label: NDArray[np.int64]
    classes: Indices
    scores: Numbers

    def valence_index(self) -> Numbers:
        """(N,): happy minus the strongest of angry, disgust, fear and sad; -1 to 1."""
        index: Numbers = self.scores[:, _HAPPY] - self.scores[:, _NEGATIVE].max(axis=1, initial=0.0)
        return index


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Frames and faces, and the names that their numbers stand for."""

    photos: bool
    sources: tuple[str, ...]
    labels: tuple[str, ...]
    frames: Frames
    faces: Faces


def scene_of(timeline: pd.DataFrame) -> Scene:
    """The timeline's frames, by source and time, and its faces with scores.

    Of unreadable frames whose time nobody knows, `start_s` and `end_s` are NaN.
    """
    photos = are_photos(timeline)
    sources = sorted({str(name) for name in timeline["source"].unique()})
    labels = sorted({str(name) for name in timeline["label"].dropna().unique()})
    frames = _photo_frames(timeline) if photos else _video_frames(timeline)
    frames = frames.reset_index(drop=True)
    return Scene(
        photos=photos,
        sources=tuple(sources),
        labels=tuple(labels),
        frames=Frames(
            source=_places(frames["source"], sources),
            start_s=frames["start_s"].to_numpy(np.float64),
            end_s=frames["end_s"].to_numpy(np.float64),
            readable=(frames["status"] != Status.UNREADABLE).to_numpy(bool),
        ),
        faces=_faces(timeline, frames, labels),
    )


def _photo_frames(timeline: pd.DataFrame) -> pd.DataFrame:
    frames = timeline[[*FRAME, "status"]].drop_duplicates(FRAME)
    return frames.assign(start_s=0.0, end_s=1.0)


def _video_frames(timeline: pd.DataFrame) -> pd.DataFrame:
    timed = frame_durations(timeline).rename(columns={"time_s": "start_s"})
    timed["end_s"] = timed["start_s"] + timed["duration_s"]
    untimed = timeline.loc[timeline["time_s"].isna(), [*FRAME, "status"]].drop_duplicates(FRAME)
    return pd.concat([timed, untimed]) if len(untimed) else timed


def _faces(timeline: pd.DataFrame, frames: pd.DataFrame, labels: list[str]) -> Faces:
    known = timeline[[*EMOTIONS, "emotion"]].notna().all(axis=1)
    rows = timeline[(timeline["status"] == Status.FACE) & known]
    keys = frames[FRAME].assign(frame_row=np.arange(len(frames)))
    label = _places(rows["label"], labels).astype(np.int64)
    return Faces(
        frame=rows[FRAME].merge(keys, on=FRAME, how="left")["frame_row"].to_numpy(np.intp),
        track=np.array(rows["track"].astype("Int64").fillna(NOBODY), np.int64),
        label=np.where(label < 0, NOBODY, label),
        classes=_places(rows["emotion"], list(EMOTIONS)),
        scores=rows[list(EMOTIONS)].to_numpy(np.float64),
    )


def _places(words: pd.Series, known: list[str]) -> Indices:
    """(N,): where each word stands among the known ones; -1 where there is none."""
    return pd.Index(known, dtype="object").get_indexer(pd.Index(words.astype("object")))
