"""When the frames of a video are shown, and which of them to look at: known from packets alone."""

import math
from array import array
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from emoscan.options import ScanOptions

NO_TIME = -(2**63)
# So many times the usual interval may lie between two frames where none is missing.
USUAL_INTERVALS = 1.5
# Matroska rounds times to milliseconds: a frame up to half of one early still belongs to its slot.
SLOT_TOLERANCE_S = 0.0006
# Decode times only fall where recordings were joined; less than this is a muxer's rounding.
JUMP_S = 0.2
# Below this share the packets' times say too little to order the frames by.
LEAST_TIMED_SHARE = 0.5


@dataclass(slots=True)
class PacketLog:
    """What one demux pass notes of every packet that is to be shown, in stream ticks.

    `missing` counts frames that an index lists and that are not there, by whose time later ones
    are shown later.
    """

    pts: "array[int]" = field(default_factory=lambda: array("q"))
    dts: "array[int]" = field(default_factory=lambda: array("q"))
    duration: "array[int]" = field(default_factory=lambda: array("q"))
    key: bytearray = field(default_factory=bytearray)
    missing: int = 0

    def add(self, *, pts: int | None, dts: int | None, duration: int | None, key: bool) -> None:
        """Note one packet."""
        self.pts.append(NO_TIME if pts is None else pts)
        self.dts.append(NO_TIME if dts is None else dts)
        self.duration.append(duration or 0)
        self.key.append(key)

    def first_pts(self) -> int:
        """The earliest time of showing, 0 where no packet has one."""
        return min((pts for pts in self.pts if pts != NO_TIME), default=0)


@dataclass(frozen=True, slots=True, eq=False)
class PacketTimes:
    """The N frames of a video in the order in which they are shown: a frame's index is its rank.

    `time_s` (N,) float64 from the container's start; `ticks` (N,) int64 the same as stored;
    `rank` (N,) int64 the ranks in the order of demuxing; `keys` the places of key frames in that
    order; `end_s` when the last frame ends. `synthesised` times were not in the file;
    `unique` ones tell packets apart, so that one can seek.
    """

    time_s: NDArray[np.float64]
    ticks: NDArray[np.int64]
    rank: NDArray[np.int64]
    keys: NDArray[np.int64]
    end_s: float
    synthesised: bool
    ordered_by_decoder: bool
    unique: bool

    def __len__(self) -> int:
        return len(self.time_s)

    def frame_rate(self) -> float | None:
        """Frames per second on average; None for a single frame."""
        span_s = float(self.time_s[-1] - self.time_s[0])
        return (len(self) - 1) / span_s if span_s > 0 else None

    def longest_gap(self) -> tuple[float, float] | None:
        """Where it begins and ends, in seconds; None where all intervals are about the same."""
        intervals_s = np.diff(self.time_s)
        if not len(intervals_s) or intervals_s.max() <= USUAL_INTERVALS * np.median(intervals_s):
            return None
        place = int(intervals_s.argmax())
        return float(self.time_s[place]), float(self.time_s[place + 1])

    def key_before(self, index: int) -> int:
        """The rank of a key frame from which `index` and all later frames can be decoded.

        0 where that is the beginning. Behind a key frame that is followed by frames shown before
        it (an open GOP) some decoders begin late: the key frame before that is taken.
        """
        first_place = int(np.flatnonzero(self.rank >= index)[0])
        keys = self.keys[(self.keys <= first_place) & (self.rank[self.keys] <= index)]
        if len(keys) and (self.rank[keys[-1] :] < self.rank[keys[-1]]).any():
            keys = keys[:-1]
        return int(self.rank[keys[-1]]) if len(keys) else 0

    def start_behind(self, index: int, *, skip_s: float) -> int:
        """The first frame behind `index`, by at least `skip_s`, for which nothing before is needed.

        The number of frames where there is none, as where one cannot seek.
        """
        if not self.unique:
            return len(self)
        keys = np.sort(self.rank[self.keys])
        keys = keys[(keys > index) & (self.time_s[keys] >= self.time_s[index] + skip_s)]
        return next((int(key) for key in keys if self.key_before(int(key)) > index), len(self))

    def segment_starts(self, segment_s: float) -> list[int]:
        """The indices of the key frames nearest to multiples of `segment_s`, but the first.

        A multiple has none where all key frames are nearer to others.
        """
        keys = np.sort(self.rank[self.keys])
        times_s = self.time_s[keys]
        # By key frames, not by multiples: a wild time in a damaged file has no end of these.
        multiples = np.rint(times_s / segment_s)
        off_s = np.abs(times_s - multiples * segment_s)
        order = np.lexsort((off_s, multiples))
        _, first = np.unique(multiples[order], return_index=True)
        nearest = order[first]
        inside = (multiples[nearest] >= 1) & (multiples[nearest] * segment_s < self.end_s)
        return sorted({int(key) for key in keys[nearest[inside]]} - {0})

    def rank_of(self, ticks: int | None) -> int | None:
        """The index of the frame with this stored time; only where times are `unique`."""
        if ticks is None:
            return None
        place = int(np.searchsorted(self.ticks, ticks))
        return place if place < len(self) and self.ticks[place] == ticks else None


def selected_indices(
    time_s: NDArray[np.float64], options: ScanOptions, *, first: int = 0
) -> NDArray[np.int64]:
    """The indices, from `first` on, to look at among frames at `time_s` (N,), ascending.

    The same whatever turns out to be damaged.
    """
    chosen = np.arange(len(time_s)) % options.every == 0
    if options.fps is not None:
        chosen = _first_of_each_slot(time_s, options.fps)
    if options.start_s is not None:
        chosen &= time_s >= options.start_s
    if options.end_s is not None:
        chosen &= time_s < options.end_s
    chosen[:first] = False
    return np.flatnonzero(chosen)


def packet_times(
    log: PacketLog, *, time_base: Fraction, start_s: Fraction, frame_s: Fraction
) -> PacketTimes:
    """Order the logged packets; `frame_s` is how long a frame is shown where nothing tells."""
    pts, dts = np.array(log.pts, np.int64), np.array(log.dts, np.int64)
    timed = pts != NO_TIME
    keys = np.flatnonzero(np.frombuffer(log.key, np.uint8))
    if timed.sum() < LEAST_TIMED_SHARE * len(pts) or not timed.any():
        return _without_pts(dts, keys, time_base=time_base, start_s=start_s, frame_s=frame_s)
    shift = _jumps(dts, round(JUMP_S / time_base))
    ticks, rank = _ranked((pts + shift)[timed])
    time_s = _seconds(ticks, time_base, start_s)
    last = int(np.array(log.duration, np.int64)[timed][np.flatnonzero(rank == len(rank) - 1)[0]])
    return PacketTimes(
        time_s=time_s,
        ticks=ticks,
        rank=rank,
        keys=(np.cumsum(timed) - 1)[keys[timed[keys]]],
        end_s=float(time_s[-1]) + float(last * time_base or frame_s),
        synthesised=bool(shift.any()),
        ordered_by_decoder=False,
        unique=not shift.any() and bool((np.diff(ticks) > 0).all()),
    )


def _without_pts(
    dts: NDArray[np.int64],
    keys: NDArray[np.int64],
    *,
    time_base: Fraction,
    start_s: Fraction,
    frame_s: Fraction,
) -> PacketTimes:
    """Decode times are those of showing but for their order, which only the decoder knows."""
    if (dts == NO_TIME).any():
        dts, time_base, start_s = np.arange(len(dts)), frame_s, Fraction(0)
    ticks = np.sort(dts)
    time_s = _seconds(ticks, time_base, start_s)
    return PacketTimes(
        time_s=time_s,
        ticks=ticks,
        rank=np.arange(len(ticks)),
        keys=keys,
        end_s=float(time_s[-1]) + float(frame_s),
        synthesised=True,
        ordered_by_decoder=True,
        unique=False,
    )


def _jumps(dts: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """(N,) what to add to each packet's times so that joined recordings follow each other."""
    known = np.flatnonzero(dts != NO_TIME)
    steps = np.diff(dts[known])
    falls = steps < -least
    shift = np.zeros(len(dts), np.int64)
    if falls.any():
        usual = int(np.median(steps[~falls])) if (~falls).any() else 0
        shift[known[1:][falls]] = usual - steps[falls]
    return np.cumsum(shift)


def _ranked(ticks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ticks in order, and the rank of each where it stood; equal ones keep their order."""
    order = np.argsort(ticks, kind="stable")
    rank = np.empty(len(ticks), np.int64)
    rank[order] = np.arange(len(ticks))
    return ticks[order], rank


def _seconds(
    ticks: NDArray[np.int64], time_base: Fraction, start_s: Fraction
) -> NDArray[np.float64]:
    """Whole ticks are counted first, so that a multiple of a tick is rounded only once."""
    from_start = ticks - float(start_s / time_base)
    seconds: NDArray[np.float64] = from_start * time_base.numerator / time_base.denominator
    return seconds


def _first_of_each_slot(time_s: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    """Whether a frame is the first at or after one of the times k / rate, k = 0, 1, …"""
    tolerance_s = min(SLOT_TOLERANCE_S, 0.1 / rate)
    slots = np.floor((time_s + tolerance_s) * rate)
    before = np.concatenate(([-1.0], np.maximum.accumulate(slots)[:-1])) if len(slots) else slots
    chosen: NDArray[np.bool_] = slots > np.maximum(before, -1)
    return chosen


def rate_or_default(*rates: Fraction | None) -> Fraction:
    """The first frame rate that makes sense; 25, as FFmpeg does, where there is none."""
    usable = (rate for rate in rates if rate is not None and 0 < rate < math.inf)
    return next(usable, Fraction(25))
