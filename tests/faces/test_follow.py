"""Following: its logic with a detector that knows the truth, and itself on moving portraits."""

import threading
import time
import weakref
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from emoscan.faces.candidates import Candidates
from emoscan.faces.changes import is_cut_between, most_unlike_both
from emoscan.faces.follow import (
    AHEAD_FRAMES,
    BLOCK_FRAMES,
    BLOCK_PX,
    STRIDES,
    Detected,
    FaceFollower,
    LookedAt,
    key_places,
    next_stride,
)
from emoscan.faces.mtcnn import FaceDetector
from emoscan.faces.resample import Picture
from emoscan.faces.strands import Span
from emoscan.options import MinFace
from emoscan.runtime import choose_runtime
from emoscan.types import NO_TRACK, Faces, Frame, Unreadable
from tests.pictures import ArrayPicture

WIDTH_PX, HEIGHT_PX, SIDE_PX = 640, 360, 60
RATE = 30.0

# Centres (N, 2) of the faces on a frame.
Truth = Callable[[int], Sequence[tuple[float, float]]]


def frame(index: int, *, level: int = 128, rate: float = RATE) -> Frame:
    """A gray frame whose first pixel tells its index to the detector below."""
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), level, np.uint8)
    pixels[0, 0] = index % 256, index // 256, 0
    return Frame("a.mp4", index, index / rate, WIDTH_PX, HEIGHT_PX, ArrayPicture(pixels))


def index_of(picture: Picture) -> int:
    low, high, _ = picture.pixels[0, 0].tolist()
    return int(low + 256 * high)


def boxes_at(centres: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    middle = np.array(centres, np.float32).reshape(-1, 2)
    return np.concatenate([middle - SIDE_PX / 2, middle + SIDE_PX / 2], axis=1).astype(np.float32)


class TrueDetector:
    """Finds the faces of `truth`, but on `blind` frames; a second look sees them within reach.

    Its reach is that of O-Net: a fifth of the side. It gives them this `score`, and confirms them
    but on `unconfirmed` frames. On `unseen` ones it sees none.
    """

    threshold = 0.7

    def __init__(
        self,
        truth: Truth,
        *,
        blind: Sequence[int] = (),
        unconfirmed: Sequence[int] = (),
        unseen: Sequence[int] = (),
        score: float = 0.99,
        works_ahead: bool = False,
        threads: bool = False,
    ) -> None:
        self.works_ahead = works_ahead
        self.gains_by_threads = threads
        self.started: list[list[int]] = []
        self.truth = truth
        self.blind = blind
        self.unconfirmed = unconfirmed
        self.unseen = unseen
        self.score = score
        self.asked: list[int] = []
        self.detected: list[int] = []
        self.looks = 0

    def start_frames(self, frames: Sequence[Frame]) -> Callable[[], list[Faces]]:
        self.started.append([frame.index for frame in frames])
        return lambda: self.detect_frames(frames)

    def detect_frames(self, frames: Sequence[Frame]) -> list[Faces]:
        self.detected += [frame.index for frame in frames]
        return [
            self._as_faces(boxes_at([] if frame.index in self.blind else self.truth(frame.index)))
            for frame in frames
        ]

    def pictures(self, frames: Sequence[Frame]) -> list[Picture]:
        return [Picture(frame.rgb()) for frame in frames]

    def look_again(
        self,
        pictures: Sequence[Picture],
        *,
        frames: NDArray[np.int64],
        guesses: NDArray[np.float32],
    ) -> Candidates:
        self.looks += len(guesses)
        found, scores = guesses.copy(), np.zeros(len(guesses), np.float32)
        for row, (place, guess) in enumerate(zip(frames, guesses, strict=True)):
            index = index_of(pictures[place])
            for box in boxes_at([] if index in self.unseen else self.truth(index)):
                if np.abs(box - guess).max() <= SIDE_PX / 5:
                    found[row], scores[row] = box, self.score
        sides = guesses[:, 2:] - guesses[:, :2] + 1
        offsets = (found - guesses) / np.tile(sides, 2)
        return Candidates(
            frames, guesses, scores, offsets, np.zeros((len(guesses), 10), np.float32)
        )

    def confirmed(
        self,
        pictures: Sequence[Picture],
        *,
        frames: NDArray[np.int64],
        boxes: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        indices = [index_of(pictures[place]) for place in frames]
        self.asked += indices
        return np.array([index not in self.unconfirmed for index in indices], np.bool_)

    def settled(self, pictures: Sequence[Picture], found: Sequence[Faces]) -> list[Faces]:
        return list(found)

    def faces(self, found: Candidates, *, followed: bool) -> Faces:
        sides = found.boxes[:, 2:] - found.boxes[:, :2] + 1
        return self._as_faces(found.boxes + found.offsets * np.tile(sides, 2), followed=followed)

    def no_faces(self) -> Faces:
        return self._as_faces(np.zeros((0, 4), np.float32))

    def _as_faces(self, boxes: NDArray[np.float32], *, followed: bool = False) -> Faces:
        count = len(boxes)
        return Faces(
            boxes.astype(np.float32),
            np.ones(count, np.float32),
            np.zeros((count, 5, 2), np.float32),
            np.full(count, NO_TRACK, np.int32),
            np.full(count, followed, np.bool_),
        )


def follow(
    detector: TrueDetector, frames: Sequence[Frame | Unreadable], stride: int | None
) -> list[LookedAt | Unreadable]:
    found = FaceFollower(detector, stride=stride).find(frames)  # type: ignore[arg-type]
    return [looked for block in found for looked in block]


def errors_px(found: Sequence[LookedAt | Unreadable], truth: Truth) -> list[float]:
    """Largest distances of boxes from the truth; every face is there, and no other."""
    errors = [0.0]
    for looked in found:
        assert isinstance(looked, LookedAt)
        wanted, boxes = boxes_at(truth(looked.frame.index)), looked.faces.boxes
        assert len(boxes) == len(wanted), looked.frame.index
        distances = np.abs(boxes[:, None] - wanted[None]).max(axis=2)
        errors += distances.min(axis=1).tolist() + distances.min(axis=0).tolist()
    return errors


STILL: Truth = lambda index: [(100, 100), (400, 200)]  # noqa: E731
WALKING: Truth = lambda index: [(80 + 4 * index, 150)]  # noqa: E731
RUNNING: Truth = lambda index: [(60 + 20 * index, 100 + 4 * index)]  # noqa: E731
WAVING: Truth = lambda index: [(300 + 40 * np.sin(index / 3), 150)]  # noqa: E731


@pytest.mark.parametrize("truth", [STILL, WALKING, RUNNING, WAVING])
@pytest.mark.parametrize("stride", [1, 2, 5, 10, 15, None])
def test_faces_are_found_on_every_frame(truth: Truth, stride: int | None) -> None:
    found = follow(TrueDetector(truth), [frame(index) for index in range(28)], stride)
    assert max(errors_px(found, truth)) < 0.01


def test_the_whole_detector_looks_at_key_frames_alone() -> None:
    detector = TrueDetector(STILL)
    found = follow(detector, [frame(index) for index in range(61)], 10)
    assert detector.detected == [0, 1, 9, 19, 29, 39, 49, 59, 60]
    followed = [bool(looked.faces.followed.all()) for looked in found]
    assert [index for index, is_so in enumerate(followed) if not is_so] == detector.detected


@pytest.mark.parametrize("digits", [3, 9])  # as Matroska rounds times, and hardly
@pytest.mark.parametrize(("rate", "distance"), [(24, 12), (25, 13), (30, 15), (60, 15)])
def test_key_frames_lie_evenly_at_any_rate(rate: float, distance: int, digits: int) -> None:
    """Behind the first block, which has one more, and before what is left of the video."""
    detector = TrueDetector(STILL)
    frames = [frame(index, rate=rate) for index in range(160)]
    follow(detector, [replace(it, time_s=round(it.time_s, digits)) for it in frames], 15)
    steps = np.diff(detector.detected)
    assert set(steps[3:-1].tolist()) == {distance}


def test_at_stride_1_nothing_is_followed() -> None:
    detector = TrueDetector(WALKING)
    follow(detector, [frame(index) for index in range(40)], 1)
    assert detector.detected == list(range(40)) and detector.looks == 0


def test_who_comes_and_who_goes_is_followed_from_the_key_frame_that_shows_them() -> None:
    def truth(index: int) -> list[tuple[float, float]]:
        here = [(300.0, 150.0)]
        here += [(100.0, 100.0)] if index < 17 else []  # goes between two key frames
        return here + ([(500.0, 200.0)] if index >= 25 else [])  # comes

    found = follow(TrueDetector(truth), [frame(index) for index in range(40)], 10)
    assert max(errors_px(found, truth)) < 0.01


def test_a_face_that_a_key_frame_misses_is_followed_over_it() -> None:
    detector = TrueDetector(STILL, blind=[9])
    found = follow(detector, [frame(index) for index in range(22)], 10)
    assert [len(looked.faces) for looked in found] == [2] * 9 + [0] + [2] * 12


def test_who_is_shown_by_both_key_frames_needs_no_second_network() -> None:
    detector = TrueDetector(STILL, unconfirmed=range(40), score=0.71)
    found = follow(detector, [frame(index) for index in range(40)], 10)
    assert max(errors_px(found, STILL)) < 0.01 and detector.asked == []


def test_who_goes_is_followed_as_long_as_the_second_network_agrees() -> None:
    detector = TrueDetector(STILL, blind=range(12, 40), unconfirmed=[14])
    found = follow(detector, [frame(index) for index in range(22)], 10)
    assert [len(looked.faces) for looked in found] == [2] * 14 + [0] * 8
    assert set(detector.asked) == {10, 11, 12, 13, 14}


@pytest.mark.parametrize(("score", "follows"), [(0.75, False), (0.85, True)])
def test_who_comes_or_goes_has_to_be_surer(score: float, follows: bool) -> None:
    detector = TrueDetector(STILL, blind=[9], score=score)
    found = follow(detector, [frame(index) for index in range(22)], 10)
    counts = [len(looked.faces) for looked in found if isinstance(looked, LookedAt)]
    assert counts[2:9] + counts[10:19] == [2 * follows] * 16


def test_a_frame_on_which_a_face_of_both_key_frames_is_lost_goes_through_the_whole_detector() -> (
    None
):
    detector = TrueDetector(STILL, unseen=[13])
    found = follow(detector, [frame(index) for index in range(22)], 10)
    assert max(errors_px(found, STILL)) < 0.01
    assert sorted(detector.detected) == [0, 1, 9, 13, 19, 21]
    followed = [bool(looked.faces.followed.all()) for looked in found]
    assert [index for index, is_so in enumerate(followed) if not is_so] == sorted(detector.detected)


def test_so_does_one_on_which_it_is_found_astray() -> None:
    """Between two key frames it moves 50 px away and back: 18 are three tenths of its height."""

    def truth(index: int) -> list[tuple[float, float]]:
        return [(100.0, 100.0 + 10 * max(0, 5 - abs(14 - index)))]

    detector = TrueDetector(truth)
    found = follow(detector, [frame(index) for index in range(22)], 10)
    assert max(errors_px(found, truth)) < 0.01
    assert sorted(detector.detected) == [0, 1, 9, 14, 19, 21]


def test_what_is_hidden_for_long_costs_one_look_a_span() -> None:
    detector = TrueDetector(STILL, unseen=range(150))
    follow(detector, [frame(index) for index in range(150)], None)
    lost = set(detector.detected) - set(whole_pictures(STILL, 150))
    assert 5 < len(lost) <= len(whole_pictures(STILL, 150))


def whole_pictures(truth: Truth, count: int) -> list[int]:
    """Where the whole detector looks if nothing is lost."""
    detector = TrueDetector(truth)
    follow(detector, [frame(index) for index in range(count)], None)
    return detector.detected


def test_who_goes_for_good_costs_no_look_of_the_whole_detector() -> None:
    detector = TrueDetector(STILL, blind=range(12, 40), unseen=range(14, 40))
    follow(detector, [frame(index) for index in range(22)], 10)
    assert detector.detected == [0, 1, 9, 19, 21]


def test_who_stops_and_goes_is_followed() -> None:
    """The motion leads fourteen pixels on, beyond O-Net's reach from there back."""

    def truth(index: int) -> list[tuple[float, float]]:
        return [(60.0 + 14 * min(index, 11), 150.0)] if index < 17 else []

    found = follow(TrueDetector(truth), [frame(index) for index in range(22)], 10)
    assert max(errors_px(found[:17], truth)) < 0.01
    assert [len(looked.faces) for looked in found[17:] if isinstance(looked, LookedAt)] == [0] * 5


def test_a_runner_whom_one_key_frame_shows_alone_is_searched_for() -> None:
    """Twenty pixels a frame are a third of the side: beyond O-Net's reach from where he was."""
    detector = TrueDetector(RUNNING, blind=[0, 1])
    found = follow(detector, [frame(index) for index in range(12)], 10)
    assert [len(looked.faces) for looked in found] == [0, 0] + [1] * 10


def test_a_cut_ends_what_is_followed() -> None:
    def truth(index: int) -> list[tuple[float, float]]:
        return [(100.0, 100.0)] if index < 14 else [(420.0, 220.0)]

    frames = [frame(index, level=60 if index < 14 else 180) for index in range(30)]
    detector = TrueDetector(truth)
    found = follow(detector, frames, 10)
    assert max(errors_px(found, truth)) < 0.01
    assert {13, 14, 15} <= set(detector.detected)


HERE, THERE = (100.0, 100.0), (400.0, 200.0)
SHORTLY = range(12, 18)
# And again and again, for some hundred frames.
OFTEN = frozenset(index for index in range(500) if index % 23 in range(12, 17))
# On which frames O-Net sees none, to test what is done then.
BLINKS = frozenset(range(5, 500, 17))


def visit(index: int) -> list[tuple[float, float]]:
    """Somebody who is there for a fifth of a second, between two key frames, beside another."""
    return [HERE, THERE] if index in SHORTLY else [HERE]


def visits(index: int) -> list[tuple[float, float]]:
    """Somebody who moves, and somebody who often is there shortly."""
    return [*WAVING(index), THERE] if index in OFTEN else [*WAVING(index)]


def visited(
    index: int, *, when: Container[int] = SHORTLY, level: int = 230, share: float = 1.0
) -> Frame:
    """A frame with a patch where the visitor is, of a face's size or a share of that."""
    pixels = frame(index).rgb().copy()
    if index in when:
        half = round(SIDE_PX * share / 2)
        pixels[200 - half : 200 + half, 400 - half : 400 + half] = level
    return replace(frame(index), picture=ArrayPicture(pixels))


@pytest.mark.parametrize("stride", [10, 15])
def test_who_is_there_between_two_key_frames_alone_is_found(stride: int) -> None:
    detector = TrueDetector(visit)
    found = follow(detector, [visited(index) for index in range(40)], stride)
    assert max(errors_px(found, visit)) < 0.01
    assert len(set(detector.detected) & set(SHORTLY)) == 1


@pytest.mark.parametrize("how", [{"level": 150}, {"share": 0.4}])
def test_what_changes_a_little_or_is_small_costs_no_look_of_the_whole_detector(how) -> None:
    detector = TrueDetector(visit)
    follow(detector, [visited(index, **how) for index in range(40)], 10)
    assert not set(detector.detected) & set(SHORTLY)


def test_short_spans_need_no_further_key_frame() -> None:
    with_visitor, without = TrueDetector(visit), TrueDetector(visit)
    follow(with_visitor, [visited(index) for index in range(40)], 7)
    follow(without, [frame(index) for index in range(40)], 7)
    assert with_visitor.detected == without.detected


def test_what_differs_from_both_ends_is_found_whatever_its_colour() -> None:
    plain = frame(0)
    pictures = [plain.rgb().copy() for _ in range(4)]
    pictures[1][100:160, 100:160] = 150
    pictures[2][100:160, 100:160] = 128, 255, 128
    frames = [replace(plain, picture=ArrayPicture(pixels)) for pixels in pictures]
    assert most_unlike_both(frames, plain, plain) == 2
    assert most_unlike_both(frames, plain, frames[2]) is None
    assert most_unlike_both([], plain, plain) is None


def test_cuts_are_told_from_noise_and_from_movement() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 12, (HEIGHT_PX, WIDTH_PX, 3))
    dark, light = frame(0, level=60), frame(1, level=120)
    noisy = (dark.rgb() + noise).clip(0, 255).astype(np.uint8)
    moved = dark.rgb().copy()
    moved[:, :80] = 250
    assert is_cut_between(dark, light)
    for pixels in (noisy, moved):
        other = Frame("a", 1, 0.03, WIDTH_PX, HEIGHT_PX, ArrayPicture(pixels))
        assert not is_cut_between(dark, other)


def test_frames_far_apart_are_all_key_frames() -> None:
    frames = [frame(index, rate=1.0) for index in range(6)]
    assert [place for place, _ in key_places(frames, None, stride=10)] == list(range(6))


def test_unreadable_places_stay_where_they_are() -> None:
    items: list[Frame | Unreadable] = [frame(index) for index in range(12)]
    items[5] = Unreadable("a.mp4", 5, 5 / RATE)
    found = follow(TrueDetector(STILL), items, 5)
    assert found[5] is items[5]
    assert [len(looked.faces) for looked in found if isinstance(looked, LookedAt)] == [2] * 11
    lost = [Unreadable("a.mp4", index, None) for index in range(100)]
    assert follow(TrueDetector(STILL), lost, None) == lost


def test_a_block_of_large_frames_is_short() -> None:
    side = int((BLOCK_PX / 4) ** 0.5)
    picture = ArrayPicture(np.zeros((side, side, 3), np.uint8))
    frames = [Frame("a", index, index / RATE, side, side, picture) for index in range(9)]
    detector = TrueDetector(lambda index: [])
    blocks = list(FaceFollower(detector, stride=2).find(frames))  # type: ignore[arg-type]
    assert [len(block) for block in blocks] == [4, 4, 1]


@pytest.mark.parametrize("stride", [10, 1000])
def test_no_stride_makes_a_block_keep_more(stride: int) -> None:
    side = int((BLOCK_PX / 4) ** 0.5)
    picture = ArrayPicture(np.zeros((side, side, 3), np.uint8))
    frames = [Frame("a", index, index / RATE, side, side, picture) for index in range(9)]
    detector = TrueDetector(lambda index: [])
    blocks = list(FaceFollower(detector, stride=stride).find(frames))  # type: ignore[arg-type]
    assert [len(block) for block in blocks] == [4, 4, 1]


def test_another_size_of_the_picture_is_a_cut() -> None:
    frames = [
        Frame("a", 0, 0.0, side, side, ArrayPicture(np.zeros((side, side, 3), np.uint8)))
        for side in (240, 480)
    ]
    assert is_cut_between(*frames) and not is_cut_between(frames[0], frames[0])


def test_the_stride_follows_what_moves() -> None:
    calm = Span(range(0), [], [0.02] * 8, 0, np.zeros((0, 2), np.float32))
    wild = Span(range(0), [], [0.9] * 8, 0, np.zeros((0, 2), np.float32))
    alone = Span(range(0), [], [0.02] * 4, 4, np.zeros((0, 2), np.float32))
    assert next_stride(5, [calm]) == 7 and next_stride(15, [calm]) == 15
    assert next_stride(5, [wild]) == 3 and next_stride(1, [wild]) == 1
    assert next_stride(5, [alone]) == 3
    assert next_stride(STRIDES[0], []) == STRIDES[1]


def test_a_quiet_video_gets_long_strides_and_a_restless_one_short_ones() -> None:
    random = np.random.default_rng(0)
    places = random.uniform(100, 260, (120, 2))
    quiet, restless = TrueDetector(STILL), TrueDetector(lambda index: [tuple(places[index])])
    frames = [frame(index) for index in range(120)]
    follow(quiet, frames, None)
    follow(restless, frames, None)
    assert len(quiet.detected) < 20
    assert len(restless.detected) > 60


def test_moving_portraits_are_followed_as_they_are_detected() -> None:
    """The real networks: boxes between key frames are those that the whole cascade finds."""
    portrait = cv2.resize(astronaut()[0:256, 96:352], (150, 150), interpolation=cv2.INTER_AREA)
    frames = []
    for index in range(12):
        pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
        x, y = 60 + 9 * index, 40 + 3 * index
        pixels[y : y + 150, x : x + 150] = portrait
        frames.append(Frame("a", index, index / RATE, WIDTH_PX, HEIGHT_PX, ArrayPicture(pixels)))
    detector = FaceDetector(choose_runtime("cpu"), min_face=MinFace(px=40))
    whole = [looked for block in FaceFollower(detector, stride=1).find(frames) for looked in block]
    some = [looked for block in FaceFollower(detector, stride=10).find(frames) for looked in block]
    # Of twelve frames four are key frames, and one shows most of what neither end shows.
    assert sum(bool(looked.faces.followed.any()) for looked in some) == 7
    for one, other in zip(whole, some, strict=True):
        assert len(one.faces) == len(other.faces) == 1
        assert one.faces.boxes[0] == pytest.approx(other.faces.boxes[0], abs=5)
        assert one.faces.landmarks[0] == pytest.approx(other.faces.landmarks[0], abs=4)


# How many frames blocks have where nothing is followed, by whether the next one is begun ahead.
BLOCKS = [(True, [AHEAD_FRAMES] * 3), (False, [8, 16, BLOCK_FRAMES, BLOCK_FRAMES])]


@pytest.mark.parametrize(("works_ahead", "sizes"), BLOCKS)
def test_where_nothing_is_followed_a_gpu_begins_the_next_block_before_the_last_is_passed_on(
    works_ahead: bool, sizes: list[int]
) -> None:
    detector = TrueDetector(STILL, works_ahead=works_ahead)
    frames = [frame(index) for index in range(sum(sizes) + 5)]
    found = FaceFollower(detector, stride=1).find(frames)  # type: ignore[arg-type]
    seen = list[int]()
    for place, (part, size) in enumerate(zip(found, [*sizes, 5], strict=True)):
        begun = min(place + 2, len(sizes) + 1)
        assert len(detector.started) == (begun if works_ahead else 0)
        assert works_ahead or len(detector.detected) == len(seen) + size
        assert len(part) == size
        seen += [looked.frame.index for looked in part if isinstance(looked, LookedAt)]
    assert seen == list(range(len(frames)))


@pytest.mark.parametrize("stride", [5, 10, 15, 20, None])
def test_first_blocks_are_short(stride: int | None) -> None:
    """But hold a stride at least."""
    blocks = FaceFollower(TrueDetector(STILL), stride=stride).find(map(frame, range(120)))  # type: ignore[arg-type]
    sizes = [len(block) for block in blocks]
    assert sizes[0] == {5: 5, 10: 10, 15: 15, 20: 15, None: 5}[stride]
    assert sizes[0] <= sizes[1] <= sizes[2] == BLOCK_FRAMES


@pytest.mark.parametrize(("works_ahead", "sizes"), BLOCKS)
def test_an_error_comes_after_all_that_came_before_it(works_ahead: bool, sizes: list[int]) -> None:
    detector = TrueDetector(STILL, works_ahead=works_ahead)

    def broken() -> Iterator[Frame]:
        yield from (frame(index) for index in range(sum(sizes[:2]) + 3))
        raise OSError("the disk is gone")

    found = FaceFollower(detector, stride=1).find(broken())  # type: ignore[arg-type]
    assert [len(next(found)) for _ in range(2)] == sizes[:2]
    with pytest.raises(OSError, match="gone"):
        next(found)


def test_a_block_that_cannot_begin_ends_what_came_before_it(monkeypatch) -> None:
    detector = TrueDetector(STILL, works_ahead=True)
    start = detector.start_frames

    def failing(frames: Sequence[Frame]) -> Callable[[], list[Faces]]:
        if frames[0].index:
            raise RuntimeError("no device")
        return start(frames)

    detector.start_frames = failing  # type: ignore[method-assign]
    frames = [frame(index) for index in range(2 * AHEAD_FRAMES)]
    found = FaceFollower(detector, stride=1).find(frames)  # type: ignore[arg-type]
    assert len(next(found)) == AHEAD_FRAMES
    with pytest.raises(RuntimeError, match="no device"):
        next(found)


def test_where_faces_are_followed_blocks_come_one_after_the_other() -> None:
    """Each is as long as the stride that the one before has chosen."""
    found = []
    for works_ahead in (False, True):
        detector = TrueDetector(STILL, works_ahead=works_ahead)
        blocks = FaceFollower(detector).find(frame(index) for index in range(150))  # type: ignore[arg-type]
        found.append(([len(block) for block in blocks], detector.detected))
        assert not detector.started
    assert found[0] == found[1] and len(set(found[0][0])) > 1


@pytest.mark.parametrize("stride", [1, 3, None])
@pytest.mark.parametrize("truth", [STILL, WALKING, WAVING])
def test_two_threads_find_what_one_finds(stride: int | None, truth: Truth) -> None:
    """Half of the key frames have a thread of their own, and all are a block ahead."""
    lost = Unreadable("a.mp4", 0, None)
    frames = [lost, *(frame(index) for index in range(1, 100)), lost]
    one, two = (TrueDetector(truth, threads=threads) for threads in (False, True))
    found, again = (follow(detector, frames, stride) for detector in (one, two))
    assert sorted(two.detected) == sorted(one.detected)
    for first, second in zip(found, again, strict=True):
        assert type(first) is type(second)
        if isinstance(first, LookedAt) and isinstance(second, LookedAt):
            assert first.frame is second.frame
            assert np.array_equal(first.faces.boxes, second.faces.boxes)
            assert np.array_equal(first.faces.followed, second.faces.followed)


@pytest.mark.parametrize("stride", [10, None])
def test_two_threads_find_who_is_there_shortly_and_who_is_lost_as_one_does(
    stride: int | None,
) -> None:
    frames = [visited(index, when=OFTEN) for index in range(200)]
    one, two = (TrueDetector(visits, unseen=BLINKS, threads=threads) for threads in (False, True))
    found, again = (follow(detector, frames, stride) for detector in (one, two))
    assert sorted(two.detected) == sorted(one.detected)
    assert set(one.detected) & OFTEN and set(one.detected) & BLINKS
    for first, second in zip(found, again, strict=True):
        assert isinstance(first, LookedAt) and isinstance(second, LookedAt)
        assert np.array_equal(first.faces.boxes, second.faces.boxes)
        assert np.array_equal(first.faces.followed, second.faces.followed)


def test_two_threads_look_at_whole_pictures_while_a_third_follows() -> None:
    """Each half waits until the other one is being looked at, too."""
    detector, both = TrueDetector(STILL, threads=True), threading.Barrier(2, timeout=10)
    looking: dict[int, str] = {}
    detect = detector.detect_frames

    def together(frames: Sequence[Frame]) -> list[Faces]:
        if len(frames) == 3:
            both.wait()
        looking.update({frame.index: threading.current_thread().name for frame in frames})
        return detect(frames)

    detector.detect_frames = together  # type: ignore[method-assign]
    follow(detector, [frame(index) for index in range(150)], 5)
    assert len(set(looking.values())) == 2
    assert threading.current_thread().name not in looking.values()


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_who_stops_early_ends_the_threads_that_are_ahead(taken: int) -> None:
    """They may be waiting for the next stride, which nobody will choose any more."""
    before = set(threading.enumerate())
    detector = TrueDetector(STILL, threads=True)
    found = FaceFollower(detector).find(frame(index) for index in range(300))  # type: ignore[arg-type]
    for _ in range(taken):
        next(found)
    assert set(threading.enumerate()) - before
    found.close()
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("broken", ["one half", "look_again", "the items"])
def test_what_fails_in_any_thread_is_raised_and_none_is_left(broken: str) -> None:
    before = set(threading.enumerate())
    detector = TrueDetector(STILL, threads=True)
    detect = detector.detect_frames

    def failing(*_: object, **__: object) -> object:
        raise RuntimeError("no memory left")

    def half_failing(frames: Sequence[Frame]) -> list[Faces]:
        if "emoscan-detect" in threading.current_thread().name:
            failing()
        return detect(frames)

    def items() -> Iterator[Frame]:
        yield from (frame(index) for index in range(95))
        if broken == "the items":
            failing()
        yield from (frame(index) for index in range(95, 300))

    if broken == "one half":
        detector.detect_frames = half_failing  # type: ignore[method-assign]
    elif broken == "look_again":
        detector.look_again = failing  # type: ignore[assignment, method-assign]
    found = FaceFollower(detector).find(items())  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no memory left"):
        list(found)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("works_ahead", [False, True])
@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("stride", [1, 10, None])
def test_segments_are_as_if_they_were_alone(
    stride: int | None, threads: bool, works_ahead: bool
) -> None:
    def detector() -> TrueDetector:
        return TrueDetector(visits, unseen=BLINKS, threads=threads, works_ahead=works_ahead)

    borders, frames = (70, 71, 160), [visited(index, when=OFTEN) for index in range(200)]
    whole, parts = detector(), detector()
    found = [*FaceFollower(whole, stride=stride, borders=borders).find(frames)]  # type: ignore[arg-type]
    alone: list[list[LookedAt | Unreadable]] = []
    for first, past in pairwise([0, *borders, len(frames)]):
        alone += FaceFollower(parts, stride=stride).find(frames[first:past])  # type: ignore[arg-type]
    assert sorted(whole.detected) == sorted(parts.detected)
    assert [[looked.index for looked in block] for block in found] == [
        [looked.index for looked in block] for block in alone
    ]
    for one, other in zip(chain(*found), chain(*alone), strict=True):
        assert isinstance(one, LookedAt) and isinstance(other, LookedAt)
        assert np.array_equal(one.faces.boxes, other.faces.boxes)
        assert np.array_equal(one.faces.followed, other.faces.followed)


def test_threads_are_there_for_all_segments() -> None:
    """New ones would take new memory."""
    names: set[int | None] = set()
    detector = TrueDetector(STILL, threads=True)
    detect = detector.detect_frames

    def noted(frames: Sequence[Frame]) -> list[Faces]:
        names.add(threading.get_ident())
        return detect(frames)

    detector.detect_frames = noted  # type: ignore[method-assign]
    frames = (frame(index) for index in range(200))
    list(FaceFollower(detector, borders=(50, 100, 150)).find(frames))  # type: ignore[arg-type]
    assert len(names) == 2


def test_whoever_fails_does_not_have_the_rest_of_the_video_read() -> None:
    detector, read = TrueDetector(STILL, threads=True), 0

    def items() -> Iterator[Frame]:
        nonlocal read
        for read in range(1000):
            yield frame(read)

    class Failing(FaceFollower):
        def _spans(self, block: Detected) -> list[Span]:
            if block.items[0].index > 0:
                time.sleep(0.1)  # for the thread that reads to be waiting for a stride
                raise RuntimeError("no memory left")
            return super()._spans(block)

    with pytest.raises(RuntimeError, match="no memory left"):
        list(Failing(detector, borders=(300, 600)).find(items()))  # type: ignore[arg-type]
    assert read < 100


def most_held(detector: TrueDetector, stride: int | None) -> int:
    """Frames at once, where the caller has let go of a block when it asks for the next."""
    held: list[weakref.ref[ArrayPicture]] = []
    most = 0

    def frames() -> Iterator[Frame]:
        nonlocal most
        for index in range(300):
            most = max(most, sum(it() is not None for it in held))
            new = frame(index)
            held.append(weakref.ref(new.picture))  # type: ignore[arg-type]
            yield new

    for block in FaceFollower(detector, stride=stride).find(frames()):  # type: ignore[arg-type]
        assert block
        del block
    return most


@pytest.mark.parametrize("stride", [1, 10, None])
def test_no_more_frames_are_held_than_are_looked_at(stride: int | None) -> None:
    """Of one thread."""
    assert BLOCK_FRAMES / 2 < most_held(TrueDetector(STILL), stride) <= BLOCK_FRAMES + 3


def test_where_the_next_block_is_begun_ahead_two_are_held() -> None:
    most = most_held(TrueDetector(STILL, works_ahead=True), stride=1)
    assert AHEAD_FRAMES < most <= 2 * AHEAD_FRAMES + 3


def test_blocks_without_frames_have_the_stride_of_before() -> None:
    detector = TrueDetector(STILL, threads=True)
    lost = [Unreadable("a.mp4", index, None) for index in range(100)]
    assert follow(detector, lost, None) == lost and not detector.detected
    follow(detector, [*map(frame, range(150)), *lost, *map(frame, range(250, 310))], None)
    after = [index for index in detector.detected if index >= 250]
    assert len(after) <= 1 + 60 / STRIDES[-1] + 2  # with the first stride they would be 12
