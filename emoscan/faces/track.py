"""Following faces from frame to frame by place, size and movement: nobody is recognised.

Boxes are assigned to tracks all at once, by the Hungarian method, as in SORT (Bewley et al. 2016,
arXiv 1602.00763). The cost is a distance in face heights rather than an overlap, so that faces
which move fast or are looked at seldom keep their tracks. A face that was hidden may come back
anywhere between the place where it was last seen and the one where its movement would have led,
for it may have stopped: the velocity is that of observations, as in OC-SORT (Cao et al. 2023,
arXiv 2203.14360). No track goes on in another scene.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emoscan.faces.boxes import Boxes, Pairs, best_pairs, centres
from emoscan.faces.view import NO_VIEW, View, show_same_scene
from emoscan.types import Faces

# Whoever turns away or is hidden keeps the track for this long, but no longer than MEMORY times
# the time for which the face was seen before: most false faces are there for a frame or two, and
# must not lie in wait for a real one.
MAX_GAP_S = 2.0
MIN_GAP_S = 0.3
MEMORY = 4.0

# A face seldom keeps its velocity for longer, and further the prediction would run away.
HORIZON_S = 1.0

# Detections jitter by a hundredth of the face: velocities are averaged over about this time.
VELOCITY_MEMORY_S = 0.2

# What an assignment costs: the distance from the face's way in heights; half the distance along the
# way from where the movement would have led, up to that of MAX_STOPPED heights; how much larger or
# smaller the face is, by the logarithm; and, so that faces which are in view come first, something
# for one that was missing on the frame before.
STOPPED_COST = 0.5
MAX_STOPPED = 1.0
GROWTH_COST = 1.5
MISSING_COST = 0.15

# A face that would cost more is another one: one, say, that is one and a half of its heights away
# or, in its place, more than two and a half times as high. A movement that is known leads nearer.
MAX_COST = 1.5
REACH = 1.0

# Whoever stores its state may be behind by some blocks of frames, each at worst of another segment.
MARKS = 8

NOBODY = np.zeros((0, 4), np.float32)

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """The faces that are remembered, as they were when last seen, in arrays of equal length N.

    `numbers` (N,), `boxes` (N, 4), `velocities` (N, 2) in px/s, NaN after one look, the times
    `absent_s` (N,) of the last frame without them, `seen_s` (N,) of the last look and
    `missing_since_s` (N,) of the first frame afterwards, NaN if there was none, and the `views`
    (N, V) of the last look.
    """

    numbers: NDArray[np.int32]
    boxes: Boxes
    velocities: Boxes
    absent_s: Times
    seen_s: Times
    missing_since_s: Times
    views: View

    @classmethod
    def new(
        cls,
        numbers: NDArray[np.int32],
        boxes: Boxes,
        *,
        absent_s: float,
        time_s: float,
        view: View,
    ) -> Self:
        count = len(numbers)
        return cls(
            numbers,
            boxes,
            velocities=np.full((count, 2), np.nan, np.float32),
            absent_s=np.full(count, absent_s),
            seen_s=np.full(count, time_s),
            missing_since_s=np.full(count, np.nan),
            views=np.broadcast_to(view, (count, len(view))),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: NDArray[np.generic]) -> "_Tracks":
        return _Tracks(*(getattr(self, field.name)[which] for field in fields(self)))

    def __add__(self, other: "_Tracks") -> "_Tracks":
        both = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return _Tracks(*map(np.concatenate, both))

    def remembered(self, time_s: float) -> "_Tracks":
        """Without those that have been missing for too long."""
        gap_s = _between(MEMORY * (self.seen_s - self.absent_s), MIN_GAP_S, MAX_GAP_S)
        forgotten = time_s - self.missing_since_s > gap_s
        return self[~forgotten] if forgotten.any() else self

    def after(
        self, which: NDArray[np.intp], boxes: Boxes, *, time_s: float, view: View
    ) -> "_Tracks":
        """One frame later, on which the tracks `which` (M,) are at (M, 4) boxes, and no others."""
        is_first_miss = np.isnan(self.missing_since_s)
        return replace(
            self,
            boxes=_with(self.boxes, which, boxes),
            velocities=_with(self.velocities, which, self._velocities(which, boxes, time_s)),
            seen_s=_with(self.seen_s, which, time_s),
            missing_since_s=_with(
                np.where(is_first_miss, time_s, self.missing_since_s), which, np.nan
            ),
            views=_with(self.views, which, view),
        )

    def _velocities(self, which: NDArray[np.intp], boxes: Boxes, time_s: float) -> Boxes:
        """(M, 2) with a new look, which counts alike at any frame rate; the first counts whole."""
        before = self.velocities[which]
        elapsed_s = (time_s - self.seen_s[which])[:, None]
        moved = centres(boxes) - centres(self.boxes[which])
        measured = np.where(elapsed_s > 0, moved / np.maximum(elapsed_s, 1e-6), before)
        before = np.where(np.isnan(before), measured, before)
        share = 1 - np.exp(-np.maximum(elapsed_s, 0) / VELOCITY_MEMORY_S)
        return (before + share * (measured - before)).astype(np.float32)

    def nearness(self, boxes: Boxes, *, time_s: float) -> Boxes:
        """(N, M) how well (M, 4) boxes continue the tracks, 0 where they cannot."""
        ahead_s = np.minimum(time_s - self.seen_s, HORIZON_S)[:, None]
        is_new = np.isnan(self.velocities)
        way = (np.where(is_new, np.float32(0), self.velocities) * ahead_s)[:, None, :]
        there = centres(boxes)[None] - centres(self.boxes)[:, None]
        share = (there * way).sum(2) / np.maximum((way * way).sum(2), 1e-6)
        heights, now = _heights(self.boxes)[:, None], _heights(boxes)[None]
        size = np.sqrt(heights * now)
        beside = _lengths(there - _between(share, 0, 1)[..., None] * way) / size
        beyond = _lengths(there - way) / size
        growth = np.abs(np.log(now / heights))
        is_missing = ~np.isnan(self.missing_since_s)[:, None]
        stopped = np.minimum(beyond - beside, MAX_STOPPED)
        cost = beside + STOPPED_COST * stopped + GROWTH_COST * growth + MISSING_COST * is_missing
        possible = (cost <= MAX_COST) & (is_new[:, :1] | (beside <= REACH))
        return np.where(possible, MAX_COST - cost, 0).astype(np.float32)


class Tracker:
    """Numbers the faces of one video, 1, 2, 3… in order of appearance.

    A track ends when its face is missing for more than MAX_GAP_S; time between frames does not
    count as missing, so that any sampling rate gives tracks. It ends as well where the picture
    shows another scene than when the face was last seen, as behind a cut.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        """With the `state` of another one it goes on as that would. Raises ValueError for none."""
        self._tracks = _Tracks.new(
            np.zeros(0, np.int32), NOBODY, absent_s=0.0, time_s=0.0, view=NO_VIEW
        )
        self._count = 0
        self._before_s: float | None = None
        self._marks: dict[int, dict[str, Any]] = {}
        if state is not None:
            self._restore(state)

    def mark(self, number: int) -> None:
        """Remember what it knows now, before the first frame of a segment."""
        recent = {kept: state for kept, state in self._marks.items() if kept > number - MARKS}
        self._marks = recent | {number: self._state()}

    def state(self, number: int) -> dict[str, Any]:
        """What it knew at a mark, one of the last MARKS, as JSON can hold it."""
        state = self._marks[number]
        arrays = {
            field.name: _packed(getattr(state["tracks"], field.name)) for field in fields(_Tracks)
        }
        return state | {"tracks": arrays}

    def _state(self) -> dict[str, Any]:
        return {"tracks": self._tracks, "count": self._count, "before_s": self._before_s}

    def _restore(self, state: Mapping[str, Any]) -> None:
        try:
            arrays = {
                field.name: _unpacked(state["tracks"][field.name]) for field in fields(_Tracks)
            }
            self._tracks = _Tracks(**arrays)
            self._count, self._before_s = int(state["count"]), state["before_s"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is no state of a tracker: {error!r}.") from error

    def update(self, faces: Faces, *, time_s: float, view: View = NO_VIEW) -> Faces:
        """The same faces with `tracks` set; call it for every frame in order of time.

        `view` is the frame's (see `view_of`); a frame without faces needs none.
        """
        tracks = self._tracks.remembered(time_s)
        pairs = _assigned(tracks, faces.boxes, time_s=time_s, view=view)
        which, found = np.array(pairs, np.intp).reshape(-1, 2).T
        numbers = np.zeros(len(faces), np.int32)
        numbers[found] = tracks.numbers[which]
        newcomers = np.flatnonzero(numbers == 0)
        numbers[newcomers] = self._count + 1 + np.arange(len(newcomers))
        self._count += len(newcomers)
        tracks = tracks.after(which, faces.boxes[found], time_s=time_s, view=view)
        if len(newcomers):
            tracks += _Tracks.new(
                numbers[newcomers],
                faces.boxes[newcomers],
                absent_s=time_s if self._before_s is None else self._before_s,
                time_s=time_s,
                view=view,
            )
        self._tracks, self._before_s = tracks, time_s
        return replace(faces, tracks=numbers)


def _assigned(tracks: _Tracks, boxes: Boxes, *, time_s: float, view: View) -> Pairs:
    """Pairs of a track's and a box's index."""
    if not len(tracks) or not len(boxes):
        return []
    nearness = tracks.nearness(boxes, time_s=time_s)
    nearness[~show_same_scene(tracks.views, view)] = 0
    return best_pairs(nearness, least=0.0)


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    """To the last bit, and NaN too, which JSON does not have."""
    content = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": array.dtype.str, "shape": list(array.shape), "base64": content}


def _unpacked(packed: Mapping[str, Any]) -> NDArray[Any]:
    content = base64.b64decode(packed["base64"])
    return np.frombuffer(content, np.dtype(packed["type"])).reshape(packed["shape"])


def _with(array: NDArray[Any], which: NDArray[np.intp], values: Any) -> NDArray[Any]:
    """A copy that has these values there."""
    changed = array.copy()
    changed[which] = values
    return changed


def _between(values: NDArray[np.floating], least: float, most: float) -> NDArray[np.floating]:
    """np.clip takes several times as long for few."""
    between: NDArray[np.floating] = np.minimum(np.maximum(values, least), most)
    return between


def _heights(boxes: Boxes) -> Boxes:
    """(N,) in px, at least 1."""
    heights: Boxes = np.maximum(boxes[:, 3] - boxes[:, 1], np.float32(1))
    return heights


def _lengths(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """(…,) of (…, 2): np.linalg.norm takes several times as long for few."""
    lengths: NDArray[np.floating] = np.hypot(vectors[..., 0], vectors[..., 1])
    return lengths
