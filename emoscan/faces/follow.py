"""Faces of a video: the whole cascade on key frames, between them little else than O-Net.

Most frames of a video show the faces of the frame before, a little elsewhere. A face that two
neighbouring key frames show is looked for on the straight line between its two places, in all
frames between them at once; one that only the first shows is followed forward from frame to
frame, one that only the second shows, backward. O-Net, the last network of the cascade, has the
last word on every box: whether there is a face, and where exactly. Where a face comes or goes, it
would see it for longer than the whole cascade does: there it has to be surer, R-Net has to agree,
and where either is not the face is gone. Between two key frames one frame on which a face is lost
that both show goes through the whole cascade after all, and one that shows what neither of them
shows: who is found there is followed both ways.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, repeat
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emoscan.ahead import read_ahead
from emoscan.faces.candidates import Candidates, joined, moved
from emoscan.faces.cascade import Sized
from emoscan.faces.changes import is_cut_between, most_unlike_both
from emoscan.faces.mtcnn import FaceDetector
from emoscan.faces.strands import (
    Key,
    Span,
    Strand,
    motions_between,
    spans_between,
    unknown_motions,
)
from emoscan.types import Faces, Frame, Unreadable

# How many frames are looked at together, and their pixels. Of a video two or three such blocks are
# kept: one is looked at, one followed and one classified.
BLOCK_FRAMES = 30
BLOCK_PX = 2**25
# The first block has fewer, and each of the next ones twice as many: the threads behind the first
# have something to do sooner, and a quiet picture its long strides.
FIRST_BLOCK_FRAMES = 8
# A GPU that looks at every frame takes more: each of its looks takes the host about as long.
AHEAD_FRAMES, AHEAD_PX = 60, 2**26

# Strides that are chosen from, for restless pictures and for quiet ones.
STRIDES = (1, 2, 3, 5, 7, 10, 15)
FIRST_STRIDE = 5
# Between key frames further apart than this too much happens that neither shows. Containers round
# times, some to whole milliseconds: by less than the second of these.
MAX_SPAN_S, ROUNDED_S = 0.5, 2e-3

# Between key frames that lie so far apart somebody may come and go: what neither of them shows is
# looked for.
LONG_SPAN_S = 0.25

# How far faces may move from one key frame to the next, in shares of their heights, and how many
# of them may be seen on one of the two alone.
MAX_SHIFT = 0.5
MAX_UNMATCHED = 0.2

# O-Net may doubt a face that one key frame alone shows less, by this factor, than any other.
DOUBT = 2 / 3

Item = Frame | Unreadable

# A strand, and the place and the box (4,) where to look for it.
Look = tuple[Strand, int, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class LookedAt:
    """A frame and its faces."""

    frame: Frame
    faces: Faces

    @property
    def index(self) -> int:
        """The frame's."""
        return self.frame.index


Looked = LookedAt | Unreadable

Detect = Callable[[Sequence[Frame]], list[Faces]]


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """A block, its key frames with what the whole cascade finds there, what it finds by further
    looks at places between them, and whether it starts a segment."""

    items: list[Item]
    keys: list[Key]
    looks: dict[int, Faces]
    starts: bool


def look_at(
    items: Iterable[Item], find: Callable[[Sequence[Frame]], Sequence[Faces]]
) -> list[Looked]:
    """The items in their order, the frames among them with the faces that `find` finds."""
    return _look_at(items, lambda frames: partial(find, frames))()


def _look_at(
    items: Iterable[Item], start: Callable[[Sequence[Frame]], Callable[[], Sequence[Faces]]]
) -> Callable[[], list[Looked]]:
    """The same, for whoever calls for it: `start` gives what finds the faces."""
    items = list(items)
    frames = [item for item in items if isinstance(item, Frame)]
    begun = start(frames) if frames else list

    def found() -> list[Looked]:
        its = map(LookedAt, frames, begun())
        return [next(its) if isinstance(item, Frame) else item for item in items]

    return found


class FaceFollower:
    """Finds the faces of a video, whose frames come in order and once each.

    `stride` is the distance of key frames, counted in frames that are looked at: 1 is the whole
    cascade on every frame, None chooses by what moves. At each of the `borders`, indices of frames,
    it starts anew: what is found in a segment depends on the frames of that alone.
    """

    def __init__(
        self, detector: FaceDetector, *, stride: int | None = None, borders: Sequence[int] = ()
    ) -> None:
        self._detector = detector
        self._borders = borders
        self._fixed = stride is not None
        self._first_stride = stride or FIRST_STRIDE
        self._start_anew()

    def _start_anew(self) -> None:
        self._stride = self._first_stride
        self._last_faces: Faces | None = None
        self._motions = unknown_motions(0)

    def find(self, items: Iterable[Item]) -> Generator[list[Looked]]:
        """The items, a block of one segment after the other, the frames with their faces.

        By OpenVINO two threads look at whole pictures, at half of a block's key frames each; where
        faces are followed, they read the items and are a block ahead. Threads are there for all of
        the video: those of each segment would leave memory behind that others do not use.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="emoscan-detect") as helper:
            detect = partial(self._detect, helper)
            if self._first_stride > 1:
                yield from self._find_following(items, detect)
            elif self._detector.works_ahead:
                yield from self._find_ahead(items)
            else:
                for block in self._in_blocks(items, repeat(1), GROWING):
                    yield look_at(block.items, detect)
                    del block  # or it would be kept until the next one is whole

    def _in_blocks(
        self, items: Iterable[Item], strides: Iterator[int], limits: "_Limits"
    ) -> Iterator["_Block"]:
        first = self._first_stride
        return _blocks(items, strides, limits, borders=self._borders, first_stride=first)

    def _find_ahead(self, items: Iterable[Item]) -> Iterator[list[Looked]]:
        """The same, by a GPU that looks at the next block while this one is passed on.

        It begins when all is done that is to do for the one before: else what little that is would
        wait for its turn among whole pictures. An error comes after all that came before it.
        """
        begun: list[Callable[[], list[Looked]]] = []
        try:
            for block in self._in_blocks(items, repeat(1), AHEAD):
                done = [begun.pop()()] if begun else []
                try:
                    begun.append(_look_at(block.items, self._detector.start_frames))
                finally:
                    while done:
                        yield done.pop()  # or it would be kept until the next block is whole
        except Exception:
            yield from (found() for found in begun)
            raise
        yield from (found() for found in begun)

    def _find_following(self, items: Iterable[Item], detect: Detect) -> Iterator[list[Looked]]:
        # That of the next block, from who follows faces to who looks for them; None: no more.
        strides: SimpleQueue[int | None] = SimpleQueue()
        strides.put(self._stride)
        of_items = self._in_blocks(items, iter(strides.get, None), GROWING)
        blocks: Generator[Detected] = _detected(of_items, detect)
        if self._detector.gains_by_threads:
            blocks = read_ahead(blocks, depth=1, wake=lambda: strides.put(None))

        def followed(block: Detected) -> list[Looked]:
            if block.starts:
                self._start_anew()
            spans = self._spans(block)
            strides.put(self._stride)
            return look_at(block.items, partial(self._faces_of, block, spans))

        with closing(blocks):
            yield from map(followed, blocks)  # unlike a loop, it keeps no block until the next one

    def _detect(self, helper: ThreadPoolExecutor, frames: Sequence[Frame]) -> list[Faces]:
        """By the whole cascade; on a CPU the first half by the helper."""
        if not self._detector.gains_by_threads or len(frames) < 2:
            return self._detector.detect_frames(frames)
        half = len(frames) // 2
        by_helper = helper.submit(self._detector.detect_frames, frames[:half])
        second = self._detector.detect_frames(frames[half:])
        return by_helper.result() + second

    def _spans(self, block: Detected) -> list[Span]:
        """Those between the block's key frames and the one before; they choose the next stride."""
        before = [] if self._last_faces is None else [Key(-1, False, self._last_faces)]
        keys = [*before, *block.keys]
        spans = [*spans_between(keys, self._motions, looks=block.looks)] if block.keys else []
        if block.keys and not self._fixed:
            self._stride = next_stride(self._stride, spans)
        return spans

    def _faces_of(
        self, block: Detected, spans: Sequence[Span], frames: Sequence[Frame]
    ) -> list[Faces]:
        """The block's, whose last frame is a key frame, to go on from."""
        found = {key.place: key.faces for key in block.keys} | block.looks
        found |= self._follow(frames, spans, looked_at=block.looks)
        faces = [found[place] for place in range(len(frames))]
        self._keep_last(faces, spans, starts=block.keys[-1].starts)
        return faces

    def _keep_last(
        self,
        faces: Sequence[Faces],
        spans: Sequence[Span],
        *,
        starts: bool,
    ) -> None:
        """What the next block goes on from."""
        if starts:  # behind a cut: nothing has moved yet
            self._motions = unknown_motions(len(faces[-1]))
        elif len(faces) > 1:
            self._motions = motions_between(faces[-2], faces[-1])
        else:
            self._motions = spans[-1].motions if spans else unknown_motions(len(faces[-1]))
        self._last_faces = faces[-1]

    def _follow(
        self, frames: Sequence[Frame], spans: Sequence[Span], *, looked_at: Container[int]
    ) -> dict[int, Faces]:
        """The faces on all frames inside the spans, by place, but where they are known already."""
        pictures = self._detector.pictures(frames)
        self._look_along(pictures, [strand for span in spans for strand in span.strands])
        lost = [its for span in spans if (its := span.lost_place()) is not None]
        lost = [place for place in lost if place not in looked_at]
        detected = self._detector.detect_frames([frames[place] for place in lost]) if lost else []
        found = {
            place: self._faces(place, span)
            for span in spans
            for place in span.inside
            if place not in looked_at and place not in lost
        }
        settled = self._detector.settled([pictures[place] for place in found], [*found.values()])
        return dict(zip(found, settled, strict=True)) | dict(zip(lost, detected, strict=True))

    def _look_along(self, pictures: Sequence[Sized], strands: Sequence[Strand]) -> None:
        """Look wherever the strands lead, until none leads any further."""
        while looks := _next_looks(strands):
            seen = self._detector.look_again(
                pictures,
                frames=np.array([place for _, place, _ in looks], np.int64),
                guesses=np.stack([box for _, _, box in looks]),
            )
            for row in np.flatnonzero(self._is_seen(pictures, looks, seen)):
                strand, place, _ = looks[row]
                strand.see(place, seen[row : row + 1])

    def _is_seen(
        self, pictures: Sequence[Sized], looks: Sequence[Look], seen: Candidates
    ) -> NDArray[np.bool_]:
        """(N,) whether there is a face: stricter for those that one key frame alone shows."""
        threshold = self._detector.threshold
        shown_once = np.array([strand.shown_once for strand, _, _ in looks])
        is_seen = seen.scores > np.where(shown_once, 1 - DOUBT * (1 - threshold), threshold)
        doubtful = is_seen & shown_once
        if doubtful.any():
            is_seen[doubtful] = self._detector.confirmed(
                pictures,
                frames=seen.frames[doubtful],
                boxes=moved(seen[doubtful], inclusive_px=1),
            )
        return is_seen

    def _faces(self, place: int, span: Span) -> Faces:
        found = [strand.found[place] for strand in span.strands if place in strand.found]
        if not found:
            return self._detector.no_faces()
        return self._detector.faces(joined(found), followed=True)


def _detected(blocks: Iterable["_Block"], detect: Detect) -> Generator[Detected]:
    """Of blocks whose last frame is a key frame, to go on from."""
    last: Frame | None = None
    for block in blocks:
        frames = [item for item in block.items if isinstance(item, Frame)]
        before = None if block.starts else last
        starts = dict(key_places(frames, before, stride=block.stride))
        places = [*starts, *newcomer_places(frames, before, starts)]
        found = dict(zip(places, detect([frames[place] for place in places]), strict=True))
        keys = [Key(place, its, found[place]) for place, its in starts.items()]
        looks = {place: found[place] for place in places if place not in starts}
        last = frames[-1] if frames else before
        yield Detected(block.items, keys, looks, block.starts)
        del block, frames, before  # or they would be kept until the next block is whole


class _Limits(NamedTuple):
    """Of a block: frames of the first, which doubles up to `frames`, and pixels."""

    first: int
    frames: int
    px: int


GROWING = _Limits(FIRST_BLOCK_FRAMES, BLOCK_FRAMES, BLOCK_PX)
AHEAD = _Limits(AHEAD_FRAMES, AHEAD_FRAMES, AHEAD_PX)


class _Block(NamedTuple):
    """Items that are looked at together, and whether they are the first of their segment."""

    stride: int
    items: list[Item]
    starts: bool


def _blocks(
    items: Iterable[Item],
    strides: Iterator[int],
    limits: _Limits,
    *,
    borders: Sequence[int],
    first_stride: int,
) -> Iterator[_Block]:
    """Each of one segment, and with the next of the strides, which is asked for when it begins.

    A segment's first block has the first stride all the same. Where strides end, so do blocks.
    """
    block: list[Item] = []
    segment, stride, wanted, starts = -1, first_stride, limits.first, True
    for item in items:
        if (its_segment := bisect_right(borders, item.index)) != segment:
            if block:
                yield _Block(stride, block, starts)
            block, segment, wanted, starts = [], its_segment, limits.first, True
        if not block:
            if (chosen := next(strides, None)) is None:
                return
            stride = first_stride if starts else chosen
        block.append(item)
        if len(block) >= _block_items(block, stride, wanted, limits):
            yield _Block(stride, block, starts)
            block, wanted, starts = [], min(2 * wanted, limits.frames), False
    if block:
        yield _Block(stride, block, starts)


def key_places(
    frames: Sequence[Frame], last: Frame | None, *, stride: int
) -> list[tuple[int, bool]]:
    """Which frames of a block are key frames, and whether nothing before them counts.

    These are each `stride`-th and the last one, the first one after MAX_SPAN_S, those on both
    sides of a cut and, to tell how faces move, the one behind. `last` is the key frame before the
    block, if there is one.
    """
    keys: dict[int, bool] = {}
    key, key_s, starts, before = -1, last.time_s if last else None, False, last
    for place, frame in enumerate(frames):
        time_s, started = frame.time_s or 0.0, starts
        starts = before is None or is_cut_between(before, frame)
        is_late = key_s is None or time_s - key_s >= MAX_SPAN_S - ROUNDED_S
        if starts and place:
            keys.setdefault(place - 1, False)
        if starts or started or is_late or place - key >= stride or place == len(frames) - 1:
            keys[place] = starts
            key, key_s = place, time_s
        before = frame
    return list(keys.items())


def newcomer_places(
    frames: Sequence[Frame], last: Frame | None, keys: Iterable[int]
) -> Iterator[int]:
    """Between key frames that lie far apart, the frame that shows what neither does, if any.

    `last` is the key frame before the block, if there is one.
    """
    ends = {place: frames[place] for place in keys}
    if last is not None:
        ends = {-1: last} | ends
    for (first, before), (end, after) in pairwise(ends.items()):
        if (after.time_s or 0) - (before.time_s or 0) >= LONG_SPAN_S:
            place = most_unlike_both(frames[first + 1 : end], before, after)
            if place is not None:
                yield first + 1 + place


def next_stride(stride: int, spans: Sequence[Span]) -> int:
    """The stride for the next block: one step longer or shorter, or the same."""
    surprises = [surprise for span in spans for surprise in span.surprises]
    unmatched = sum(span.unmatched for span in spans)
    faces = len(surprises) + unmatched
    shift = float(np.quantile(surprises, 0.9)) if surprises else 0.0
    rung = STRIDES.index(stride)
    longer = STRIDES[min(rung + 1, len(STRIDES) - 1)]
    if shift > MAX_SHIFT or unmatched > MAX_UNMATCHED * faces:
        return STRIDES[max(rung - 1, 0)]
    return longer if shift * longer / stride <= MAX_SHIFT else stride


def _block_items(block: Sequence[Item], stride: int, wanted: int, limits: _Limits) -> int:
    """A whole number of strides, or of spans where these are shorter, or as many as may be kept.

    These are at most `wanted`, or one. A block's last frame is a key frame: with a part of a stride
    behind the last whole one, more frames would be key frames than are needed.
    """
    last, most = block[-1], limits.frames
    if isinstance(last, Frame):
        most = min(most, limits.px // (last.width * last.height))
    step = _key_distance(block, stride)
    return min(max(wanted, step), most) // step * step or max(1, most)


def _key_distance(block: Sequence[Item], stride: int) -> int:
    """The stride, or less: so many frames as it is to MAX_SPAN_S, at the mean rate of the block."""
    if stride == 1:  # asked for at every frame: without a look at any
        return stride
    times_s = [item.time_s or 0.0 for item in block if isinstance(item, Frame)]
    lasts_s = times_s[-1] - times_s[0] if times_s else 0.0
    if lasts_s <= 0:
        return stride
    return min(stride, math.ceil((MAX_SPAN_S - ROUNDED_S) * (len(times_s) - 1) / lasts_s))


def _next_looks(strands: Sequence[Strand]) -> list[Look]:
    """Where all strands look next, by place."""
    looks = [(strand, place, box) for strand in strands for place, box in strand.next_looks()]
    return sorted(looks, key=lambda look: look[1])
