import numpy as np
import pytest

from emoscan.media.packets import PacketTimes


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
