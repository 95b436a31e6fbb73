"""Following faces from frame to frame by their boxes alone: who a person is is never asked.

Boxes are assigned to tracks by intersection over union with a constant-velocity prediction, as in
SORT (Bewley et al. 2016, arXiv 1602.00763); what is left, as `nearest_pairs` says.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from emoscan.faces.boxes import Boxes, Pairs, centres, nearest_pairs
from emoscan.types import Faces

# A person who turns away or is hidden keeps the track for this long.
MAX_GAP_S = 1.0

# A face seldom keeps its velocity for longer, and further the prediction would run away.
HORIZON_S = 0.3

# Detections jitter by a pixel or two: velocities are averaged over about this time.
VELOCITY_MEMORY_S = 0.2

STILL = np.zeros(2, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """One face so far: `box` (4,) and `velocity` (2,) in px/s when it was last seen.

    `missing_since_s` is the time of the first frame since then, None if there was none.
    """

    number: int
    box: Boxes
    velocity: Boxes
    seen_s: float
    missing_since_s: float | None = None

    def predicted(self, time_s: float) -> Boxes:
        ahead_s = min(time_s - self.seen_s, HORIZON_S)
        return self.box + np.tile(self.velocity, 2) * np.float32(ahead_s)

    def seen(self, box: Boxes, time_s: float) -> "_Track":
        """With a new place; the velocity forgets the old one at the same rate at any frame rate."""
        elapsed_s = time_s - self.seen_s
        if elapsed_s <= 0:
            return replace(self, box=box, missing_since_s=None)
        measured = (centres(box) - centres(self.box)) / elapsed_s
        share = 1 - math.exp(-elapsed_s / VELOCITY_MEMORY_S)
        velocity = self.velocity + share * (measured - self.velocity)
        return _Track(self.number, box, velocity.astype(np.float32), time_s)

    def missed(self, time_s: float) -> "_Track":
        return self if self.missing_since_s is not None else replace(self, missing_since_s=time_s)

    def is_alive(self, time_s: float) -> bool:
        return self.missing_since_s is None or time_s - self.missing_since_s <= MAX_GAP_S


class Tracker:
    """Numbers the faces of one video, 1, 2, 3… in order of appearance.

    A track ends when its face is missing for more than MAX_GAP_S; time between frames does not
    count as missing, so that any sampling rate gives tracks.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._count = 0

    def update(self, faces: Faces, *, time_s: float) -> Faces:
        """The same faces with `tracks` set; call it for every frame in order of time."""
        tracks = [track for track in self._tracks if track.is_alive(time_s)]
        face_of = dict(_assigned(tracks, faces.boxes, time_s=time_s))
        numbers = np.zeros(len(faces), np.int32)
        numbers[list(face_of.values())] = [tracks[index].number for index in face_of]
        newcomers = np.flatnonzero(numbers == 0)
        numbers[newcomers] = self._count + 1 + np.arange(len(newcomers))
        self._count += len(newcomers)
        self._tracks = [
            track.seen(faces.boxes[face_of[index]], time_s)
            if index in face_of
            else track.missed(time_s)
            for index, track in enumerate(tracks)
        ]
        self._tracks += [
            _Track(int(numbers[face]), faces.boxes[face], STILL, time_s) for face in newcomers
        ]
        return replace(faces, tracks=numbers)


def _assigned(tracks: Sequence[_Track], boxes: Boxes, *, time_s: float) -> Pairs:
    """Pairs of a track's and a box's index."""
    if not tracks:
        return []
    predicted = np.stack([track.predicted(time_s) for track in tracks])
    return nearest_pairs(predicted, np.stack([track.box for track in tracks]), boxes)
