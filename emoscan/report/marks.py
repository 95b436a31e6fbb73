"""A timeline's rows as what is to be seen on each frame of its video, or on each photo."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS, Emotion
from emoscan.report.text import drawable_line
from emoscan.timeline.schema import Status

Boxes = NDArray[np.float64]

# Between frames that were looked at and lie further apart, where a face is would be a guess.
MOST_INTERPOLATED_S = 1.05


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One face to draw.

    `key` tells faces of a frame apart, and is the same for a track; `title` is its number or
    label; `box` is (4,) x0 y0 x1 y1 in px, `scores` (7,) in the order of EMOTIONS. Where
    `looked_at` is false the box lies between those of two frames, and the rest is the earlier's.
    """

    key: int
    title: str
    box: Boxes
    emotion: Emotion
    scores: NDArray[np.float64]
    looked_at: bool = True

    @property
    def confidence(self) -> float:
        """The score of the class."""
        return float(self.scores.max())


class Marks:
    """The marks of one video, by the index of the frame; `time_s` (N,) are its frames' times."""

    def __init__(self, timeline: pd.DataFrame, time_s: NDArray[np.float64]) -> None:
        self._time_s = time_s
        self._looked_at = looked_at(timeline)
        faces = face_table(timeline)
        self._rows = _Rows(faces)
        self._first = np.searchsorted(faces["frame"].to_numpy(np.int64), np.arange(len(time_s) + 1))

    def at(self, index: int) -> list[Mark]:
        """What is to be drawn on a frame.

        On one that was not looked at, what lies on the line between the frames around it, where
        both show a track.
        """
        place = int(np.searchsorted(self._looked_at, index))
        if place < len(self._looked_at) and self._looked_at[place] == index:
            return self._of(index)
        if not 0 < place < len(self._looked_at):
            return []
        before, after = int(self._looked_at[place - 1]), int(self._looked_at[place])
        since_s, gap_s = self._time_s[[index, after]] - self._time_s[before]
        if not 0 < gap_s <= MOST_INTERPOLATED_S:
            return []
        return _between(self._of(before), self._of(after), share=float(since_s / gap_s))

    def _of(self, index: int) -> list[Mark]:
        return [self._rows.mark(row) for row in range(*self._first[index : index + 2].tolist())]


class _Rows:
    """Rows with a face as arrays, for a long video has millions of them."""

    def __init__(self, faces: pd.DataFrame) -> None:
        self._boxes, self._keys = boxes(faces), keys(faces)
        self._scores = np.nan_to_num(faces[list(EMOTIONS)].to_numpy(np.float64))
        self._emotions = faces["emotion"].astype(object).to_numpy()
        self._labels = faces["label"].astype(object).where(faces["label"].notna(), "").to_numpy()
        self._faces = faces["face"].fillna(0).to_numpy(np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def mark(self, row: int) -> Mark:
        key = int(self._keys[row])
        number = f"#{key}" if key >= 0 else f"face {self._faces[row]}"
        return Mark(
            key=key,
            title=drawable_line(self._labels[row]) or number,
            box=self._boxes[row],
            emotion=Emotion(self._emotions[row]),
            scores=self._scores[row],
        )


def looked_at(timeline: pd.DataFrame) -> NDArray[np.int64]:
    """The indices of the frames that were looked at and could be read, ascending."""
    seen = timeline.loc[timeline["status"] != Status.UNREADABLE, "frame"]
    return np.unique(seen.to_numpy(np.int64))


def face_table(timeline: pd.DataFrame) -> pd.DataFrame:
    """The rows with a face, in the order of frames and faces."""
    faces = timeline[timeline["status"] == Status.FACE]
    return faces.sort_values(["frame", "face"], kind="stable", ignore_index=True)


def boxes(faces: pd.DataFrame) -> Boxes:
    """(N, 4) x0 y0 x1 y1 of rows with a face."""
    corners = faces[["x", "y"]].to_numpy(np.float64)
    return np.hstack([corners, corners + faces[["width", "height"]].to_numpy(np.float64)])


def photo_marks(rows: pd.DataFrame) -> list[Mark]:
    """The marks of one photo's rows."""
    faces = _Rows(face_table(rows))
    return [faces.mark(row) for row in range(len(faces))]


def keys(faces: pd.DataFrame) -> NDArray[np.int64]:
    """(N,) the track of each row; rows without one have numbers below 0 to themselves."""
    alone = pd.Series(-1 - np.arange(len(faces)), faces.index)
    return np.asarray(faces["track"].astype("Int64").fillna(alone).to_numpy(np.int64))


def _between(before: Sequence[Mark], after: Sequence[Mark], *, share: float) -> list[Mark]:
    later = {mark.key: mark.box for mark in after}
    return [
        replace(mark, box=(1 - share) * mark.box + share * later[mark.key], looked_at=False)
        for mark in before
        if mark.key in later
    ]
