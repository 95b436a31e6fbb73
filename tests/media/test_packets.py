from fractions import Fraction

import numpy as np
import pytest

from emoscan.media import packets
from emoscan.media.packets import PacketLog, PacketTimes


def packet_times(time_s: list[float], keys: list[int]) -> PacketTimes:
    ranks = np.arange(len(time_s), dtype=np.int64)
    return PacketTimes(
        time_s=np.array(time_s),
        ticks=ranks,
        rank=ranks,
        keys=np.array(keys, np.int64),
        end_s=time_s[-1] + 1,
        synthesised=False,
        ordered_by_decoder=False,
        unique=True,
    )


@pytest.mark.parametrize(
    ("keys", "starts"),
    [
        ([0, 7, 12, 21, 28, 35], [12, 21, 28]),  # 10, 20 and 30 s; 35 is nearer to 40 or as near
        ([0, 9, 11, 30], [9, 30]),  # of two that are as near, the earlier; nothing near 20 s
        ([0], []),
        ([], []),
        ([0, 2], []),
    ],
)
def test_segments_start_at_the_key_frames_nearest_to_their_borders(keys, starts) -> None:
    times = packet_times([float(second) for second in range(37)], keys)
    assert times.segment_starts(10) == starts


def test_a_wild_time_costs_neither_memory_nor_minutes() -> None:
    times = packet_times([0.0, 1.0, 11.0, 9e15], [0, 1, 2, 3])
    assert times.segment_starts(10) == [2, 3]


def ordered(ticks: list[int], keys: list[int]) -> PacketTimes:
    """Packets with these times of showing, in ms and in the order of the file."""
    log = PacketLog()
    for place, pts in enumerate(ticks):
        log.add(pts=pts, dts=place, duration=1, key=place in keys)
    settings = {"time_base": Fraction(1, 1000), "start_s": Fraction(0), "frame_s": Fraction(1, 25)}
    return packets.packet_times(log, **settings)


class TestStartBehind:
    CLOSED = ([0, 2, 1, 3, 5, 4, 6, 8, 7], [0, 3, 6])
    OPEN = ([0, 2, 1, 4, 3, 6, 5, 8, 7], [0, 3, 5, 7])  # frame 3 is behind the key frame 4

    @pytest.mark.parametrize(("index", "start"), [(0, 3), (2, 3), (3, 6), (5, 6), (6, 9), (8, 9)])
    def test_it_is_the_next_key_frame(self, index: int, start: int) -> None:
        assert ordered(*self.CLOSED).start_behind(index, skip_s=0) == start

    @pytest.mark.parametrize(("index", "start"), [(0, 6), (3, 6), (4, 8), (6, 9)])
    def test_a_key_frame_that_needs_the_one_before_is_none(self, index: int, start: int) -> None:
        assert ordered(*self.OPEN).start_behind(index, skip_s=0) == start

    def test_it_lies_so_far_behind(self) -> None:
        assert ordered(*self.CLOSED).start_behind(1, skip_s=0.003) == 6
        assert ordered(*self.CLOSED).start_behind(1, skip_s=60) == 9

    def test_where_one_cannot_seek_there_is_none(self) -> None:
        assert ordered([0, 1, 1, 2], [0, 1, 2, 3]).start_behind(0, skip_s=0) == 4
