"""One face between two key frames: where it may be, where to look, and what was found there.

Boxes are (4,) x0 y0 x1 y1 in px; places are those of frames in a block; motions are (2,) in px a
frame, NaN where nothing is known.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from emoscan.faces.boxes import Boxes, centres, nearest_pairs
from emoscan.faces.candidates import Candidates, moved
from emoscan.types import Faces

# How far from its last place a face is looked for whose motion is not known, in shares of its
# sides: O-Net finds one that has moved by a fifth of its width by itself.
SEARCH = 0.35
# A face is astray that is found further from its line, in shares of its height. In the crowd of
# `benchmarks.speed` one in a hundred is a fifth away, none a quarter.
ASTRAY = 0.3
UNKNOWN = np.full(2, np.nan, np.float32)
NO_LOOKS: Mapping[int, Faces] = MappingProxyType({})
DIRECTIONS = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A key frame with its faces; `starts` says that nothing is known from before, as at a cut.

    `place` is -1 for the last frame of the block before.
    """

    place: int
    starts: bool
    faces: Faces


@dataclass(slots=True, eq=False)
class Strand:
    """One face in the frames `inside` two key frames, which one of them shows, or a look, or both.

    `line` holds where it is expected if both show it, `boxes` where it is known to be, and `found`
    what O-Net said of it there, each by place. `motion` is that on the first key frame.
    `shown_once` says that not both key frames show it.
    """

    inside: range
    boxes: dict[int, Boxes]
    motion: Boxes
    line: dict[int, Boxes] = field(default_factory=dict)
    found: dict[int, Candidates] = field(default_factory=dict)
    shown_once: bool = False
    _looked_along: bool = False
    _stepped_to: set[int] = field(default_factory=set)
    _looked_twice: set[int] = field(default_factory=set)

    def next_looks(self) -> list[tuple[int, Boxes]]:
        """Where to look next: all along the line, then beside places where the face was found.

        One that a single key frame shows and that is lost is looked for once more, where it was.
        """
        if self.line and not self._looked_along:
            self._looked_along = True
            return list(self.line.items())
        steps = [(place, place + by) for place in self.boxes for by in (1, -1)]
        steps = [(place, to) for place, to in steps if self._is_open(to)]
        self._stepped_to |= {to for _, to in steps}
        if self.shown_once and not steps:
            return self._second_looks()
        return [(to, box) for place, to in steps for box in self._expected(place, to)]

    def is_lost_at(self, place: int) -> bool:
        """Whether both key frames show it, and it was not found there, or found astray."""
        if self.shown_once:
            return False
        return place not in self.found or _distance(self.line[place], self.boxes[place]) > ASTRAY

    def see(self, place: int, candidate: Candidates) -> None:
        """O-Net found the face at this place; the surest of several looks counts."""
        if place in self.found and self.found[place].scores[0] >= candidate.scores[0]:
            return
        self.found[place] = candidate
        self.boxes[place] = moved(candidate, inclusive_px=1)[0]

    def _second_looks(self) -> list[tuple[int, Boxes]]:
        """Where its motion did not lead to it, it may have stopped."""
        lost = sorted(self._stepped_to - self.boxes.keys() - self._looked_twice)
        self._looked_twice.update(lost)
        return [
            (to, self.boxes[place])
            for to in lost
            for place in (to - 1, to + 1)
            if place in self.boxes
        ]

    def _is_open(self, place: int) -> bool:
        known = place in self.boxes or place in self._stepped_to
        return place in self.inside and not known

    def _expected(self, place: int, to: int) -> Boxes:
        """(N, 4) where it may be one frame after or before `place`."""
        box, back = self.boxes[place], self.boxes.get(2 * place - to)
        if back is not None:
            return (2 * box - back)[None] if _is_as_large(box, back) else box[None]
        if to > place and np.isfinite(self.motion).all():
            return (box + np.tile(self.motion, 2))[None]
        return box + np.tile(DIRECTIONS * (box[2:] - box[:2]) * np.float32(SEARCH), 2)


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """The frames `inside` two key frames, with their faces as strands.

    `surprises` says how far those that both show are from where their motion led, in shares of
    their heights, `unmatched` how many one of the two shows alone, and `motions` (N, 2) how the
    faces of the second move.
    """

    inside: range
    strands: list[Strand]
    surprises: list[float]
    unmatched: int
    motions: Boxes

    def lost_place(self) -> int | None:
        """Where a face that both key frames show was not seen, or astray: the middle of it.

        One, whatever is lost: what is hidden for long would cost more than it is worth.
        """
        lost = [place for place in self.inside if any(s.is_lost_at(place) for s in self.strands)]
        return lost[len(lost) // 2] if lost else None

    @classmethod
    def between(
        cls, first: Key, last: Key, motions: Boxes, *, looks: Mapping[int, Faces] = NO_LOOKS
    ) -> "Span":
        """Tell which face of the first key frame is which of the last; (N, 2) motions of these.

        `looks` are what the whole cascade sees at some places, of which those inside count.
        """
        inside, steps = range(first.place + 1, last.place), last.place - first.place
        before, after = first.faces.boxes, last.faces.boxes
        led_to = before + np.tile(np.nan_to_num(motions), 2) * np.float32(steps)
        pairs = nearest_pairs(led_to, before, after)
        now = unknown_motions(len(after))
        for a, b in pairs:
            now[b] = (centres(after[b]) - centres(before[a])) / np.float32(steps)
        strands = [
            Strand(
                inside,
                {first.place: before[a], last.place: after[b]},
                motions[a],
                _line(inside, before[a], after[b]),
            )
            for a, b in pairs
        ]
        gone = _rest(len(before), [a for a, _ in pairs])
        come = _rest(len(after), [b for _, b in pairs])
        strands += [
            Strand(inside, {first.place: before[a]}, motions[a], shown_once=True) for a in gone
        ]
        strands += [Strand(inside, {last.place: after[b]}, UNKNOWN, shown_once=True) for b in come]
        strands += [
            strand
            for place in inside
            if place in looks
            for strand in _newcomers(place, looks[place], inside, strands)
        ]
        surprises = [_distance(led_to[a], after[b]) for a, b in pairs]
        return cls(inside, strands, surprises, len(gone) + len(come), now)


def _newcomers(
    place: int, faces: Faces, inside: range, strands: Sequence[Strand]
) -> Iterator[Strand]:
    """Those of a look's faces to which no line leads."""
    lines = np.array([its.line[place] for its in strands if its.line], np.float32).reshape(-1, 4)
    known = [face for _, face in nearest_pairs(lines, lines, faces.boxes)]
    for face in _rest(len(faces), known):
        yield Strand(inside, {place: faces.boxes[face]}, UNKNOWN, shown_once=True)


def spans_between(
    keys: Sequence[Key], motions: Boxes, *, looks: Mapping[int, Faces] = NO_LOOKS
) -> Iterator[Span]:
    """The spans of a block; `motions` (N, 2) are those of the first key frame's faces."""
    motions = unknown_motions(len(keys[0].faces)) if keys[0].starts else motions
    for first, last in pairwise(keys):
        if last.starts:
            motions = unknown_motions(len(last.faces))
        else:
            span = Span.between(first, last, motions, looks=looks)
            motions = span.motions
            yield span


def motions_between(before: Faces, after: Faces) -> Boxes:
    """(N, 2) how the faces of a frame have moved since the frame before it."""
    motions = unknown_motions(len(after))
    for a, b in nearest_pairs(before.boxes, before.boxes, after.boxes):
        motions[b] = centres(after.boxes[b]) - centres(before.boxes[a])
    return motions


def unknown_motions(count: int) -> Boxes:
    """(count, 2) of NaN."""
    return np.full((count, 2), np.nan, np.float32)


def _rest(count: int, taken: Sequence[int]) -> list[int]:
    return sorted(set(range(count)) - set(taken))


def _line(inside: range, before: Boxes, after: Boxes) -> dict[int, Boxes]:
    """The boxes between two, in equal steps: frames lie much more evenly than faces move."""
    shares = np.linspace(0, 1, len(inside) + 2, dtype=np.float32)[1:-1, None]
    return dict(zip(inside, before + shares * (after - before), strict=True))


def _is_as_large(a: Boxes, b: Boxes) -> bool:
    """Whether two boxes may be steps of one motion; a box that jumps in size is a slip."""
    return bool(0.7 < (a[3] - a[1]) / max(1.0, float(b[3] - b[1])) < 1.4)


def _distance(a: Boxes, b: Boxes) -> float:
    """The largest distance of two sides, in shares of the height."""
    return float(np.abs(a - b).max() / max(1.0, float(a[3] - a[1])))
