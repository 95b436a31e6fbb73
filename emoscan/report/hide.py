"""Faces made unrecognisable, on every frame on which one may be.

People know a familiar face from 7 × 10 pixels (Sinha et al. 2006, doi 10.1109/JPROC.2006.884093),
and networks that were trained on blurred and pixelated faces match those of 8 × 8 (McPherson et
al. 2016, arXiv 1609.00408). So what is left here of a face is some 2 × 3 values, however large it
is. Where a face may be is taken widely: it goes on for a while before and after it was found, and
grows where it was not; a stretch of video at which nobody looked is hidden as a whole.
"""

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.report.marks import Boxes, boxes, face_table, keys, looked_at

Pixels = NDArray[np.uint8]

# Beyond each side of a box, as a share of its longer side: the hair, the ears and the chin.
MARGIN = 0.3
# How much more for each second to the frame on which it was found.
GROWTH_PER_S = 1.5
# Before the first and after the last time that a track was found.
HOLD_S = 0.5
# A track that is away for no longer is hidden in between; trackers wait for a second.
BRIDGE_S = 2.0
# A frame further from all that were looked at is hidden as a whole.
UNSEEN_S = 0.3
# Values that are left along the shorter side of what is hidden.
CELLS = 4


class Cover:
    """Where faces may be on each frame of one video; `time_s` (N,) are its frames' times."""

    def __init__(self, timeline: pd.DataFrame, time_s: NDArray[np.float64]) -> None:
        self._time_s = time_s
        self._unseen = _away_s(time_s, time_s[looked_at(timeline)]) > UNSEEN_S
        faces = face_table(timeline)
        faces_s = time_s[faces["frame"].to_numpy(np.int64)]
        corners, tracks = boxes(faces), keys(faces)
        order = np.argsort(tracks, kind="stable")
        splits = np.flatnonzero(np.diff(tracks[order])) + 1
        rows = np.split(order, splits) if len(order) else []
        self._tracks = [_Found(faces_s[own], corners[own]) for own in rows]
        self._from_s = np.array([track.time_s[0] for track in self._tracks]) - HOLD_S
        self._to_s = np.array([track.time_s[-1] for track in self._tracks]) + HOLD_S

    def is_unseen(self, index: int) -> bool:
        """Whether nobody looked at this frame, nor near enough to it: all of it is to be hidden."""
        return bool(self._unseen[index])

    def count_unseen(self) -> int:
        """How many frames of the video are hidden as a whole."""
        return int(self._unseen.sum())

    def at(self, index: int) -> list[Boxes]:
        """The boxes (4,) that have to be hidden on a frame, with their margins."""
        time_s = self._time_s[index]
        alive = np.flatnonzero((self._from_s <= time_s) & (time_s <= self._to_s))
        return [box for track in alive for box in self._tracks[track].at(time_s)]


class _Found:
    """When and where one track was found, in the order of time."""

    def __init__(self, time_s: NDArray[np.float64], corners: Boxes) -> None:
        self.time_s, self.boxes = time_s, corners

    def at(self, time_s: float) -> list[Boxes]:
        after = int(np.searchsorted(self.time_s, time_s))
        if after < len(self.time_s) and self.time_s[after] == time_s:
            return [enlarged(self.boxes[after])]
        around = [place for place in (after - 1, after) if 0 <= place < len(self.time_s)]
        away_s = np.abs(self.time_s[around] - time_s)
        if len(around) == 2 and away_s.sum() <= BRIDGE_S:
            return [enlarged(_hull(self.boxes[around]), away_s=min(*away_s, HOLD_S))]
        return [
            enlarged(self.boxes[place], away_s=away)
            for place, away in zip(around, away_s, strict=True)
            if away <= HOLD_S
        ]


def enlarged(box: Boxes, *, away_s: float = 0.0) -> Boxes:
    """A box (4,) with its margin; `away_s` is how long before or after the face was found there."""
    margin = (MARGIN + GROWTH_PER_S * away_s) * max(box[2] - box[0], box[3] - box[1])
    larger: Boxes = box + margin * np.array([-1, -1, 1, 1])
    return larger


def hide(pixels: Pixels, box: Boxes, *, pixelate: bool) -> None:
    """Leave a few values of what lies in a box (4,) of (H, W, 3), in place."""
    height, width = pixels.shape[:2]
    left, top = np.floor(box[:2]).clip(0, (width, height)).astype(int)
    right, bottom = np.ceil(box[2:]).clip(0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        return
    region = pixels[top:bottom, left:right]
    # By the whole box: of a face at the picture's edge no more is left than of others.
    cell = max(1.0, min(box[2] - box[0], box[3] - box[1]) / CELLS)
    size = max(1, round((right - left) / cell)), max(1, round((bottom - top) / cell))
    few = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    smooth = cv2.INTER_NEAREST if pixelate else cv2.INTER_LINEAR
    region[:] = cv2.resize(few, (right - left, bottom - top), interpolation=smooth)


def hide_all(pixels: Pixels, *, pixelate: bool) -> None:
    """Hide a whole picture, in place."""
    height, width = pixels.shape[:2]
    hide(pixels, np.array([0.0, 0.0, width, height]), pixelate=pixelate)


def _hull(corners: Boxes) -> Boxes:
    return np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])


def _away_s(time_s: NDArray[np.float64], looked_at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) from each of N times to the nearest that was looked at; infinite where there is none."""
    bounded = np.concatenate([[-np.inf], looked_at_s, [np.inf]])
    after = np.searchsorted(bounded, time_s)
    away_s: NDArray[np.float64] = np.minimum(bounded[after] - time_s, time_s - bounded[after - 1])
    return away_s
