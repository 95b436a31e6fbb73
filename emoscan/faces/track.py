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
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emoscan.faces.boxes import NONE, Assignment, Boxes, assignment
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

# A face that has moved by no more heights and grown by no more than this costs less, whatever its
# velocity was and however long it was missing.
SMALL_STEP = 0.9 * min(
    REACH, (MAX_COST - STOPPED_COST * MAX_STOPPED - MISSING_COST) / (1 + GROWTH_COST)
)

# Whoever stores its state may be behind by some blocks of frames, each at worst of another segment.
MARKS = 8

NOBODY = np.zeros((0, 4), np.float32)
FIRST = np.zeros(1, np.intp)

Times = NDArray[np.float64]
Moves = NDArray[np.floating]


class _Steps(NamedTuple):
    """From each of N boxes to each of M on a later frame.

    `moves` (2, N, M) of the centres in px, mean `heights` (N, M) in px, and how much larger or
    smaller the later one is, by the logarithm: `growths` (N, M).
    """

    moves: Moves
    heights: NDArray[np.float64]
    growths: Boxes

    @classmethod
    def between(cls, before: Boxes, after: Boxes) -> Self:
        """Of (N, 4) and (M, 4) boxes, taken together: for few, each call of NumPy counts."""
        count = len(before)
        sides = np.ascontiguousarray(np.concatenate((before, after)).T)
        centres = (sides[:2] + sides[2:]) / 2
        heights = np.maximum(sides[3] - sides[1], 1)
        moves = centres[:, None, count:] - centres[:, :count, None]
        then, now = heights[:count, None], heights[count:]
        return cls(
            moves.astype(np.float64),
            np.sqrt(then * now).astype(np.float64),
            growths=np.abs(np.log(now / then)),
        )

    def is_small(self) -> bool:
        """Whether there is one alone, and that within SMALL_STEP, as mostly with one person."""
        if self.heights.size != 1:
            return False
        is_near = _lengths(self.moves) <= SMALL_STEP * self.heights
        return bool((is_near & (self.growths <= SMALL_STEP))[0, 0])


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
            views=np.tile(view, (count, 1)),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: NDArray[np.bool_]) -> "_Tracks":
        return _Tracks(*(array[which] for array in self.arrays().values()))

    def __add__(self, other: "_Tracks") -> "_Tracks":
        both = zip(self.arrays().values(), other.arrays().values(), strict=True)
        return _Tracks(*map(np.concatenate, both))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def remembered(self, time_s: float) -> "_Tracks":
        """Without those that have been missing for too long."""
        if not np.count_nonzero(self.are_missing()):
            return self
        gap_s = _between(MEMORY * (self.seen_s - self.absent_s), MIN_GAP_S, MAX_GAP_S)
        forgotten = time_s - self.missing_since_s > gap_s
        return self[~forgotten] if forgotten.any() else self

    def are_missing(self) -> NDArray[np.bool_]:
        """(N,) which were not on the frame before."""
        return ~np.isnan(self.missing_since_s)

    def followed(self, boxes: Boxes, *, time_s: float, view: View) -> tuple["_Tracks", Assignment]:
        """One frame later, on which (M, 4) boxes are, and which tracks are in which of them."""
        if not len(self) or not len(boxes):
            return replace(self, missing_since_s=self._missed(time_s)), (NONE, NONE)
        steps, elapsed_s = _Steps.between(self.boxes, boxes), time_s - self.seen_s
        which, found = self._assigned(steps, elapsed_s=elapsed_s, view=view)
        velocities = self._velocities(which, steps.moves[:, which, found], elapsed_s.take(which))
        return _Tracks(
            self.numbers,
            _with(self.boxes, which, boxes.take(found, axis=0)),
            velocities=_with(self.velocities, which, velocities),
            absent_s=self.absent_s,
            seen_s=_with(self.seen_s, which, time_s),
            missing_since_s=_with(self._missed(time_s), which, np.nan),
            views=_with(self.views, which, view[None].repeat(len(which), axis=0)),
        ), (which, found)

    def _assigned(self, steps: _Steps, *, elapsed_s: Times, view: View) -> Assignment:
        """Which of N tracks are in which of M boxes; nobody need know what a small step costs."""
        are_in_view = show_same_scene(self.views, view)
        if steps.is_small() and are_in_view[0]:
            return FIRST, FIRST
        nearness = self._nearness(steps, elapsed_s)
        nearness[~are_in_view] = 0
        return assignment(nearness)

    def _missed(self, time_s: float) -> Times:
        """(N,) `missing_since_s` if nobody is there at that time."""
        return np.where(self.are_missing(), self.missing_since_s, time_s)

    def _velocities(self, which: NDArray[np.intp], moves: Moves, elapsed_s: Times) -> Boxes:
        """(M, 2) with a new look, which counts alike at any frame rate; the first counts whole."""
        before = self.velocities.take(which, axis=0).T.astype(np.float64)
        measured = moves / np.maximum(elapsed_s, 1e-6)
        before = np.where(np.isnan(before) & (elapsed_s > 0), measured, before)
        share = 1 - np.exp(np.maximum(elapsed_s, 0) / -VELOCITY_MEMORY_S)
        return (before + share * (measured - before)).T.astype(np.float32)

    def _nearness(self, steps: _Steps, elapsed_s: Times) -> Boxes:
        """(N, M) how well steps to M boxes continue the tracks, 0 where they cannot."""
        moves, heights, growths = steps
        is_new = np.isnan(self.velocities[:, 0])
        way = (self.velocities.T * np.minimum(elapsed_s, HORIZON_S))[..., None]
        if np.count_nonzero(is_new):
            way[:, is_new] = 0
        share = _between(_products(moves, way) / np.maximum(_products(way, way), 1e-6), 0, 1)
        beside = _lengths(moves - share * way) / heights
        beyond = _lengths(moves - way) / heights
        stopped = np.minimum(beyond - beside, MAX_STOPPED)
        cost = beside + STOPPED_COST * stopped + GROWTH_COST * growths
        if np.count_nonzero(are_missing := self.are_missing()):
            cost += MISSING_COST * are_missing[:, None]
        possible = (cost <= MAX_COST) & (is_new[:, None] | (beside <= REACH))
        nearness: Boxes = (MAX_COST - cost).astype(np.float32)
        nearness[~possible] = 0
        return nearness


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
        arrays = state["tracks"].arrays()
        return state | {"tracks": {name: _packed(array) for name, array in arrays.items()}}

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
        tracks, (which, found) = tracks.followed(faces.boxes, time_s=time_s, view=view)
        numbers = np.zeros(len(faces), np.int32)
        numbers[found] = tracks.numbers[which]
        if len(found) < len(faces):
            newcomers = np.flatnonzero(numbers == 0)
            numbers[newcomers] = self._count + 1 + np.arange(len(newcomers))
            self._count += len(newcomers)
            tracks += _Tracks.new(
                numbers[newcomers],
                faces.boxes[newcomers],
                absent_s=time_s if self._before_s is None else self._before_s,
                time_s=time_s,
                view=view,
            )
        self._tracks, self._before_s = tracks, time_s
        return replace(faces, tracks=numbers)


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    """To the last bit, and NaN too, which JSON does not have."""
    content = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": array.dtype.str, "shape": list(array.shape), "base64": content}


def _unpacked(packed: Mapping[str, Any]) -> NDArray[Any]:
    content = base64.b64decode(packed["base64"])
    return np.frombuffer(content, np.dtype(packed["type"])).reshape(packed["shape"])


def _with(
    array: NDArray[Any], which: NDArray[np.intp], values: NDArray[Any] | float
) -> NDArray[Any]:
    """(N, …) with (M, …) values, or one, at M places in order, which most often are all."""
    if len(which) == len(array) and isinstance(values, np.ndarray):
        return values
    changed = array.copy()
    changed[which] = values
    return changed


def _between(values: NDArray[np.floating], least: float, most: float) -> NDArray[np.floating]:
    """np.clip takes several times as long for few."""
    between: NDArray[np.floating] = np.minimum(np.maximum(values, least), most)
    return between


def _products(a: Moves, b: Moves) -> NDArray[np.floating]:
    """(…,) scalar products of (2, …) vectors."""
    parts = a * b
    products: NDArray[np.floating] = parts[0] + parts[1]
    return products


def _lengths(vectors: Moves) -> NDArray[np.floating]:
    """(…,) of (2, …): np.linalg.norm takes several times as long for few."""
    lengths: NDArray[np.floating] = np.hypot(vectors[0], vectors[1])
    return lengths
