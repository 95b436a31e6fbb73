"""What a copy takes over from a video beside its pictures."""

from fractions import Fraction

import av
import pytest

from emoscan.media.find import MediaFile
from emoscan.media.original import Original, _Clock
from tests.clips import even_times, write_clip


def original(path, start_s: float = 0.0) -> Original:
    return Original(MediaFile(path, path.name), start_s=start_s)


def times_s(found: Original) -> list[float]:
    return [float(packet.pts * packet.time_base) for packet in found.packets()]


def test_the_sounds_times_count_from_the_files_start_and_rise(tmp_path) -> None:
    clip = write_clip(tmp_path / "a.ts", even_times(10), audio_s=0.4)
    with av.open(str(clip)) as container:
        start_s = container.start_time / 1e6
    with original(clip, start_s) as found:
        at_s = times_s(found)
    assert at_s[0] == pytest.approx(0, abs=1e-5) and at_s == sorted(set(at_s))


def test_of_what_an_edit_list_leaves_out_one_packet_is_kept(tmp_path) -> None:
    clip = write_clip(tmp_path / "a.mp4", even_times(25), audio_s=1.0)
    with original(clip) as found:
        kept = list(found.packets())
    assert [packet.is_discard for packet in kept[:3]] == [True, False, False]  # AAC's priming
    assert sum(packet.is_discard for packet in kept) == 1


def test_a_video_without_sound_has_none(tmp_path) -> None:
    with original(write_clip(tmp_path / "a.mp4", even_times(3))) as found:
        assert found.sounds == () and list(found.packets()) == []
        assert found.time_base == Fraction(1, 16000) and found.damage is None


def test_where_recordings_were_joined_the_sound_goes_on() -> None:
    clock, packet, found = _Clock(start=0, least_fall=20), av.Packet(4), []
    packet.duration = 10
    for stored in (500, 510, 520, 0, 10):
        packet.pts = packet.dts = stored
        clock.set(packet)
        found.append(packet.pts)
    assert found == [500, 510, 520, 530, 540]


def test_a_small_step_back_is_no_join() -> None:
    clock, packet, found = _Clock(start=100, least_fall=20), av.Packet(4), []
    packet.duration = 10
    for stored in (100, 120, 115, 130):
        packet.pts = packet.dts = stored
        clock.set(packet)
        found.append(packet.pts)
    assert found == [0, 20, 21, 30]


def test_packets_without_a_time_follow_each_other() -> None:
    clock, packet = _Clock(start=0, least_fall=20), av.Packet(4)
    packet.duration = 10
    found = []
    for stored in (0, None, None):
        packet.pts = packet.dts = stored
        clock.set(packet)
        found.append(packet.pts)
    assert found == [0, 10, 20]
