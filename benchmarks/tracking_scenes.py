"""Faces whose paths are known: the scenes of `benchmarks.tracking`, as a detector sees them.

A path gives the middle of a face and its height at a time, in px of a picture of 1280×720, or
None where the face is not to be seen.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoscan.faces.boxes import Boxes, areas

WIDTH_PX, HEIGHT_PX = 1280, 720
SHAPE = 0.8  # a face's width, in shares of its height

Spot = tuple[float, float, float]
Path = Callable[[float], Spot | None]

# The detector's jitter, in shares of a face's height: twice what the boxes of the real clips
# have (second differences of the tracks in street_1080p.mp4: 0.01 in place, 0.02 in size).
PLACE_JITTER = 0.02
SIZE_JITTER = 0.03
# Faces that are missed: some on single frames, some for a while.
MISSED = 0.02
MISSES_PER_S, MISS_S = 0.3, 0.15
# False faces, which last for a frame or two.
FALSE_PER_FRAME = 0.03
HIDDEN_FROM = 0.5  # of a face's area behind another one


@dataclass(frozen=True, slots=True)
class Person:
    """A face on its path, `covered` by a hand, say, within some times in s."""

    path: Path
    covered: tuple[tuple[float, float], ...] = ()

    def is_covered(self, time_s: float) -> bool:
        """Whether something is before the face."""
        return any(first_s <= time_s < last_s for first_s, last_s in self.covered)


@dataclass(frozen=True, slots=True)
class Scene:
    """`persons`, the nearest to the camera first; whoever comes back after long is another.

    `crosses` tells that persons hide each other, `cuts_s` the times of cuts.
    """

    name: str
    seconds: float
    persons: tuple[Person, ...]
    crosses: bool = False
    cuts_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What a detector gives on one frame: `boxes` (N, 4), `scores` (N,), and whose they are.

    `owners` (N,) are persons' indices, -1 for a false face; `cut` tells of one before the frame.
    """

    time_s: float
    boxes: Boxes
    scores: NDArray[np.float32]
    owners: NDArray[np.int32]
    cut: bool


def sway(x: float, y: float, side: float, *, seed: int = 0, reach: float = 0.25) -> Path:
    """Somebody who sits or stands, and talks: slow to quick movements about a place."""
    random = np.random.default_rng(seed)
    periods_s, phases = random.uniform(1.2, 6, (3, 3)), random.uniform(0, math.tau, (3, 3))

    def path(time_s: float) -> Spot:
        waves = np.sin(math.tau * time_s / periods_s + phases).mean(axis=0)
        return (
            x + reach * side * float(waves[0]),
            y + reach * side / 2 * float(waves[1]),
            side * (1 + 0.1 * float(waves[2])),
        )

    return path


def walk(x: float, y: float, side: float, *, speed: float, grow: float = 0.0) -> Path:
    """From (x, y) at 0 s on, `speed` in face heights a second to the right, with steps."""

    def path(time_s: float) -> Spot:
        size = side * math.exp(grow * time_s)
        bob = 0.06 * size * math.sin(math.tau * 1.8 * time_s)
        return x + speed * side * time_s, y + bob, size

    return path


def covered(path: Path, *spans_s: tuple[float, float]) -> Person:
    """Somebody whose face is hidden within these times."""
    return Person(path, spans_s)


def between(path: Path, first_s: float, last_s: float) -> Path:
    """Seen within these times alone; the path's own time begins at the first."""
    return lambda time_s: path(time_s - first_s) if first_s <= time_s < last_s else None


def in_turn(first: Path, at_s: float, second: Path) -> Path:
    """One path, and from a time on another, whose own time begins there."""
    return lambda time_s: first(time_s) if time_s < at_s else second(time_s - at_s)


def looking_away(path: Path, *spans_s: tuple[float, float]) -> Person:
    """Somebody who shows no face within these times; around them the head turns, and shifts."""

    def turning(time_s: float) -> Spot | None:
        spot = path(time_s)
        ends_s = [abs(time_s - end_s) for span_s in spans_s for end_s in span_s]
        turned = max(0.0, 1 - min(ends_s) / 0.25)
        return spot and (spot[0] + 0.25 * spot[2] * turned, spot[1], spot[2])

    return Person(turning, spans_s)


def leaning(path: Path, *times_s: float) -> Path:
    """Comes nearer at each time within 0.4 s, stays for a second and goes back."""

    def seen(time_s: float) -> Spot | None:
        spot = path(time_s)
        near = sum(_rise(time_s, at, 0.4) - _rise(time_s, at + 1.4, 0.4) for at in times_s)
        return spot and (spot[0], spot[1] + 0.3 * near * spot[2], spot[2] * (1 + 0.7 * near))

    return seen


def shaken(path: Path, *, seed: int) -> Path:
    """By a camera in the hand: every second or so a jerk of up to half a face within 0.2 s."""
    random = np.random.default_rng(seed)
    times_s, jerks = np.cumsum(random.uniform(0.5, 1.5, 20)), random.uniform(-0.5, 0.5, (20, 2))

    def seen(time_s: float) -> Spot | None:
        moved = sum(
            (_rise(time_s, float(at), 0.2) * jerk for at, jerk in zip(times_s, jerks, strict=True)),
            np.zeros(2),
        )
        spot = path(time_s)
        return spot and (
            spot[0] + 100 * float(moved[0]),
            spot[1] + 50 * float(moved[1]),
            spot[2],
        )

    return seen


def meeting(x: float, y: float, side: float, *, start: float) -> Path:
    """Comes from `start` (px to the side), stands beside the middle for 2 s, and goes back."""

    def path(time_s: float) -> Spot:
        way = _rise(time_s, 1, 2) - _rise(time_s, 5, 2)
        stand = 0.45 * side * math.copysign(1, start)
        return x + stand + (start - stand) * (1 - way), y, side

    return path


def _rise(time_s: float, at_s: float, lasts_s: float) -> float:
    """From 0 before `at_s` to 1, smoothly."""
    share = min(1.0, max(0.0, (time_s - at_s) / lasts_s))
    return share * share * (3 - 2 * share)


def _crowd(seed: int) -> tuple[Person, ...]:
    """Twelve who come nearer at their own pace, in four rows, drifting to the side."""
    random = np.random.default_rng(seed)
    persons: list[tuple[float, Path]] = []
    for index in range(12):
        side = float(random.uniform(45, 110))
        x = 100 + 90 * index + float(random.uniform(-40, 40))
        y = 420 - side + float(random.uniform(-20, 20))
        speed, grow = float(random.uniform(-0.8, 0.8)), float(random.uniform(0, 0.06))
        persons.append((-side, walk(x, y, side, speed=speed, grow=grow)))
    return tuple(Person(path) for _, path in sorted(persons, key=lambda person: person[0]))


def scenes(seed: int = 0) -> list[Scene]:
    """All of them; the seed changes places, movements and times a little."""
    random = np.random.default_rng(seed)

    def about(value: float, share: float = 0.1) -> float:
        return value * float(random.uniform(1 - share, 1 + share))

    def sitting(x: float, y: float, side: float) -> Path:
        return sway(about(x), about(y), about(side), seed=int(random.integers(1 << 30)))

    def away(at_s: float, lasts_s: float) -> tuple[float, float]:
        at_s = about(at_s)
        return at_s, at_s + lasts_s

    def all_of(*paths: Path) -> tuple[Person, ...]:
        return tuple(map(Person, paths))

    neighbours = [
        sway(300 + 135 * index, 300, 120, seed=seed * 10 + index, reach=0.1) for index in range(5)
    ]
    hands = [away(at_s, 0.3) for at_s in (2, 5, 9)], [away(at_s, 0.8) for at_s in (2, 5, 9)]
    who_goes = in_turn(sway(600, 300, 140, seed=seed), 4, walk(600, 300, 140, speed=-1.5))
    who_comes = in_turn(
        walk(1000, 290, 130, speed=-1.5), 2, sway(610, 290, 130, seed=seed + 1, reach=0.1)
    )
    turns = away(3, 0.6), away(6, 1.0), away(10, 1.6)
    return [
        Scene("one who talks", 12, all_of(sitting(640, 300, 180))),
        Scene("two who talk", 12, all_of(sitting(400, 300, 160), sitting(850, 320, 150))),
        Scene(
            "looks away",
            14,
            (looking_away(sitting(450, 300, 170), *turns), Person(sitting(850, 300, 150))),
        ),
        Scene("a hand for 0.3 s", 12, (covered(sitting(640, 300, 180), *hands[0]),)),
        Scene("a hand for 0.8 s", 12, (covered(sitting(640, 300, 180), *hands[1]),)),
        Scene("leans forward", 12, all_of(leaning(sitting(640, 280, 130), 2, 5, 9))),
        Scene(
            "leaves and comes back",
            14,
            all_of(
                between(walk(640, 300, 140, speed=2.5), 0, 2),
                between(walk(1200, 300, 140, speed=-2.0), about(8), 10),
                sway(250, 330, 130, seed=seed),
            ),
        ),
        Scene(
            "one goes, another comes to the place",
            14,
            (covered(who_goes, (4.8, 14)), Person(between(who_comes, about(5.5), 14))),
        ),
        Scene(
            "neighbours with hands",
            14,
            tuple(covered(path, away(2 + 2 * i, 0.6)) for i, path in enumerate(neighbours)),
        ),
        Scene(
            "camera in the hand",
            12,
            all_of(*(shaken(sitting(x, 300, 130), seed=seed) for x in (350, 640, 930))),
        ),
        Scene(
            "passers-by",
            8,
            all_of(
                *(
                    walk(640 - 120 * speed * 4, y, 120, speed=about(speed))
                    for speed, y in ((1.5, 110), (-2.5, 260), (4, 420), (-6, 580))
                )
            ),
        ),
        Scene("cuts", 15, all_of(*_cut_paths(seed)), cuts_s=(4.0, 8.0, 11.0)),
        Scene(
            "two who cross",
            8,
            all_of(
                walk(640 - 120 * 6, 300, 120, speed=about(1.5)),
                walk(640 + 110 * 6, 310, 110, speed=-about(1.5)),
            ),
            crosses=True,
        ),
        Scene(
            "one overtakes",
            10,
            all_of(
                walk(200, 300, 130, speed=about(1.1)),
                walk(450, 320, 110, speed=about(0.5)),
            ),
            crosses=True,
        ),
        Scene(
            "a passer-by before two who talk",
            10,
            all_of(
                walk(640 - 150 * 4 * 5, 330, 150, speed=about(4)),
                sitting(450, 310, 110),
                sitting(850, 310, 110),
            ),
            crosses=True,
        ),
        Scene(
            "two who meet and part",
            9,
            all_of(meeting(640, 300, 130, start=-400), meeting(640, 310, 120, start=400)),
            crosses=True,
        ),
        Scene("crowd", 10, _crowd(seed), crosses=True),
    ]


def _cut_paths(seed: int) -> tuple[Path, ...]:
    """A, B a little beside, A again and then two: a new appearance at each cut."""
    return (
        between(sway(600, 300, 180, seed=seed), 0, 4),
        between(sway(660, 280, 170, seed=seed + 1), 4, 8),
        between(sway(600, 300, 180, seed=seed + 2), 8, 11),
        between(sway(560, 310, 150, seed=seed + 3), 11, 15),
        between(sway(800, 310, 150, seed=seed + 4), 11, 15),
    )


def true_boxes(scene: Scene, time_s: float) -> tuple[Boxes, NDArray[np.int32]]:
    """(N, 4) boxes that are to be seen, and (N,) whose they are."""
    boxes: list[list[float]] = []
    owners: list[int] = []
    for owner, person in enumerate(scene.persons):
        spot = None if person.is_covered(time_s) else person.path(time_s)
        if spot is None or not (0 < spot[0] < WIDTH_PX and 0 < spot[1] < HEIGHT_PX):
            continue
        x, y, side = spot
        box = [x - SHAPE * side / 2, y - side / 2, x + SHAPE * side / 2, y + side / 2]
        if not _is_hidden(np.array(box), np.array(boxes).reshape(-1, 4)):
            boxes.append(box)
            owners.append(owner)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(owners, np.int32)


def _is_hidden(box: NDArray[np.float64], nearer: NDArray[np.float64]) -> bool:
    first, last = np.maximum(box[:2], nearer[:, :2]), np.minimum(box[2:], nearer[:, 2:])
    shared = (last - first).clip(min=0).prod(axis=1)
    return bool((shared > HIDDEN_FROM * areas(box[None].astype(np.float32))).any())


def frame_times(seconds: float, rate: float, *, seed: int) -> list[float]:
    """Times at a rate in frames/s; a negative one: as uneven as a phone's, about its amount."""
    if rate > 0:
        return [index / rate for index in range(int(seconds * rate))]
    steps = np.random.default_rng(seed).choice([1, 1, 1, 2, 4], int(2 * seconds * -rate))
    times_s = np.cumsum(steps) / -rate / steps.mean()
    return [float(time_s) for time_s in times_s if time_s < seconds]


def sights(scene: Scene, rate: float, *, seed: int) -> Iterator[Sight]:
    """The scene as a detector sees it at this rate (see `frame_times`)."""
    random = np.random.default_rng(seed)
    misses = [_misses(random, scene.seconds) for _ in scene.persons]
    before_s = 0.0
    for time_s in frame_times(scene.seconds, rate, seed=seed):
        boxes, owners = true_boxes(scene, time_s)
        missed = [
            random.random() < MISSED or any(a <= time_s < b for a, b in misses[owner])
            for owner in owners
        ]
        found = ~np.array(missed, np.bool_).reshape(-1)
        boxes, owners = _jittered(random, boxes[found]), owners[found]
        scores = 1 - random.beta(1, 20, len(boxes))
        false = _false_boxes(random)
        cut = any(before_s < at_s <= time_s for at_s in scene.cuts_s)
        order = random.permutation(len(boxes) + len(false))
        yield Sight(
            time_s,
            np.concatenate([boxes, false])[order],
            np.concatenate([scores, random.uniform(0.7, 0.95, len(false))]).astype(np.float32)[
                order
            ],
            np.concatenate([owners, np.full(len(false), -1, np.int32)])[order],
            cut,
        )
        before_s = time_s


def _misses(random: np.random.Generator, seconds: float) -> list[tuple[float, float]]:
    starts_s = random.uniform(0, seconds, random.poisson(MISSES_PER_S * seconds))
    lasts_s = random.exponential(MISS_S, len(starts_s))
    return [(float(a), float(a + s)) for a, s in zip(starts_s, lasts_s, strict=True)]


def _jittered(random: np.random.Generator, boxes: Boxes) -> Boxes:
    heights = (boxes[:, 3] - boxes[:, 1])[:, None]
    shift = np.tile(random.normal(0, PLACE_JITTER, (len(boxes), 2)), 2)
    grow = random.normal(0, SIZE_JITTER, (len(boxes), 2)) / 2
    moved: Boxes = (boxes + heights * (shift + np.hstack([-grow, grow]))).astype(np.float32)
    return moved


def _false_boxes(random: np.random.Generator) -> Boxes:
    count = int(random.random() < FALSE_PER_FRAME)
    corner = random.uniform(0, 1, (count, 2)) * (WIDTH_PX - 100, HEIGHT_PX - 100)
    side = random.uniform(40, 120, (count, 1))
    return np.hstack([corner, corner + side * (SHAPE, 1)]).astype(np.float32)
