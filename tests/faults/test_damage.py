"""Files that are cut off, have bits flipped, or a tenth of them zeroed."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import emoscan
from emoscan.batch.manifest import State, read_manifests
from emoscan.errors import MediaError
from emoscan.media.find import MediaFile
from emoscan.media.process import DecoderProcess
from emoscan.media.video import open_video
from emoscan.options import ScanOptions
from emoscan.types import Frame
from tests.batch.conftest import quick, run_options  # noqa: F401 - a fixture
from tests.clips import even_times, noise_picture, write_clip
from tests.faults.conftest import runs
from tests.faults.processes import peak_mb

ALL = ScanOptions()
FRAMES = 60
# Frames that a decoder may hold back behind the last packet that is whole.
REORDER_DEPTH = 2
TICK = Fraction(1, 25)
H264 = {"options": {"g": "10", "threads": "1"}, "muxer": {"movflags": "faststart"}}
CONTAINERS = {
    "mp4": ("mp4", H264),
    "mov": ("mov", H264),
    "mkv": ("mkv", H264 | {"muxer": {}}),
    "webm": ("webm", {"codec": "libvpx", "options": {"g": "10", "deadline": "realtime"}}),
    "avi": ("avi", {"codec": "mpeg4", "options": {"g": "10"}, "time_base": TICK, "b_frames": 0}),
    "ts": ("ts", H264 | {"muxer": {}}),
    "fragmented mp4": ("mp4", H264 | {"muxer": {"movflags": "frag_keyframe+empty_moov"}}),
}
FIVE = ("mp4", "mkv", "webm", "avi", "ts")
DECLARES_NO_LENGTH = ("ts",)
CUTS = runs(3, 40)
FILE_LIMIT_S, MEMORY_LIMIT_MB = 20, 2 * 1024


@dataclass(frozen=True)
class Intact:
    """A healthy clip: its bytes, where each packet ends and when that is shown, its frames."""

    path: Path
    content: bytes
    ends: dict[float, int]
    frames: dict[float, np.ndarray]


def named(path: Path) -> MediaFile:
    return MediaFile(path, path.name)


def written(folder: Path, container: str, frames: int) -> Path:
    suffix, settings = CONTAINERS[container]
    path = folder / f"{container.replace(' ', '_')}.{suffix}"
    return write_clip(path, even_times(frames), picture=noise_picture, **settings)


def shown(path: Path) -> tuple[dict[float, np.ndarray], tuple[str, ...]]:
    """The pixels by their times, and what was wrong."""
    with open_video(named(path)) as video:
        frames = [frame for frame in video.frames(ALL) if isinstance(frame, Frame)]
        return {round(frame.time_s, 4): frame.rgb() for frame in frames}, video.damage


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Each container's clip, made once."""
    known: dict[str, Intact] = {}

    def get(container: str) -> Intact:
        if container not in known:
            path = written(tmp_path_factory.mktemp("intact"), container, FRAMES)
            frames, damage = shown(path)
            assert len(frames) == FRAMES and damage == ()
            known[container] = Intact(path, path.read_bytes(), packet_ends(path), frames)
        return known[container]

    return get


def packet_ends(path: Path) -> dict[float, int]:
    """By the time at which it is shown, where a packet ends in the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        start = min(packet.pts for packet in packets)
        times = sorted(float((packet.pts - start) * packet.time_base) for packet in packets)
        if container.format.name == "avi":  # no times of showing: these frames come in order
            return dict(zip(_rounded(times), _ends(packets, path), strict=True))
        shown_at = _rounded(float((packet.pts - start) * packet.time_base) for packet in packets)
        return dict(zip(shown_at, _ends(packets, path), strict=True))


def _rounded(times) -> list[float]:
    return [round(time_s, 4) for time_s in times]


def _ends(packets, path: Path) -> Iterator[int]:
    """In a transport stream a packet is in many pieces: it ends where the next one begins."""
    if path.suffix != ".ts":
        return (packet.pos + packet.size for packet in packets)
    return iter([*(packet.pos for packet in packets[1:]), path.stat().st_size])


@pytest.mark.parametrize("number", range(CUTS))
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_file_that_is_cut_off(tmp_path, intact, faults, container, number) -> None:
    faults(
        "truncation of mp4, mov, mkv, webm, avi, ts and fragmented mp4",
        passes_when=(
            "every frame whose packet lies before the cut is there, unchanged (but for "
            f"{REORDER_DEPTH} at the end), and the damage is stated (MPEG-TS declares no length)"
        ),
    )
    whole = intact(container)
    place = np.random.default_rng(number).uniform((number + 0.1) / CUTS, (number + 0.9) / CUTS)
    cut = int(place * len(whole.content))
    path = tmp_path / whole.path.name
    path.write_bytes(whole.content[:cut])
    due = sorted(time_s for time_s, end in whole.ends.items() if end <= cut)
    try:
        frames, damage = shown(path)
    except MediaError as error:
        assert len(due) <= REORDER_DEPTH and str(error).startswith(path.name)
        return
    assert set(frames) <= set(whole.frames)
    there = [time_s for time_s in due if time_s in frames]
    assert len(due) - len(there) <= REORDER_DEPTH
    unchanged = [time_s for time_s in there if np.array_equal(frames[time_s], whole.frames[time_s])]
    assert len(unchanged) >= len(due) - REORDER_DEPTH
    assert damage or container in DECLARES_NO_LENGTH


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("number", range(runs(3, 60)))
@pytest.mark.parametrize("container", FIVE)
def test_bits_that_are_flipped(tmp_path, intact, decoder, faults, container, number) -> None:
    faults(
        "1 to 256 flipped bits in mp4, mkv, webm, avi, ts",
        passes_when=(
            f"one sentence or frames, within {FILE_LIMIT_S} s and {MEMORY_LIMIT_MB:,} MB, and the "
            "process that asked is not harmed"
        ),
    )
    whole, random = intact(container), np.random.default_rng([number, len(container)])
    content = np.frombuffer(whole.content, np.uint8).copy()
    for bit in random.integers(0, 8 * len(content), 2 ** int(random.integers(0, 9))):
        content[bit // 8] ^= 1 << bit % 8
    path = tmp_path / whole.path.name
    path.write_bytes(content.tobytes())
    began = time.monotonic()
    try:
        with decoder.open(named(path)) as video:
            times = [frame.time_s for frame in video.frames(ALL)]
            assert times == sorted(times)
    except MediaError as error:
        assert str(error).startswith(path.name)
    assert time.monotonic() - began < FILE_LIMIT_S
    assert decoder.pid is None or peak_mb(decoder.pid) < MEMORY_LIMIT_MB


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("container", FIVE)
def test_a_tenth_that_is_zeroed(tmp_path, faults, figure, container) -> None:
    faults(
        "a tenth of a file of 200 frames zeroed, in its middle",
        passes_when="at least 178 frames of H.264 in mp4 are kept, and the manifest has the gap",
    )
    videos = tmp_path / "in"
    videos.mkdir()
    path = written(videos, container, 200)
    content = path.read_bytes()
    start, length = int(len(content) * 0.45), len(content) // 10
    path.write_bytes(content[:start] + bytes(length) + content[start + length :])
    report = emoscan.scan(videos, tmp_path / "out", run=run_options())
    (entry,) = read_manifests(tmp_path / "out")
    rows = emoscan.read_timeline(tmp_path / "out" / "timelines" / f"{path.name}.parquet")
    kept = rows.loc[rows["status"] != "unreadable", "frame"].nunique()
    figure(f"{container}: {kept}")
    assert report.exit_code == 4 and entry.state is State.DONE_WITH_DAMAGE and entry.damage
    assert entry.frames_decoded == kept
    assert kept >= (178 if container == "mp4" else 100)
    times = _rounded(rows["time_s"].unique())
    assert set(times) <= set(_rounded(number / 25 for number in range(200)))
    assert times[-1] == 7.96  # what lies behind the gap is where it was


def test_the_peak_of_a_process_is_known() -> None:
    with DecoderProcess() as process:
        process.start()
        assert 5 < peak_mb(os.getpid()) < 100_000 and peak_mb(process.pid) >= 0
