"""Media that are healthy and odd, or declare more than any memory holds."""

import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from emoscan.errors import MediaError
from emoscan.media.find import MediaFile
from emoscan.media.process import DecoderProcess
from emoscan.media.video import open_video
from emoscan.options import ScanOptions
from tests.clips import even_times, level, write_clip
from tests.faults.processes import ROOT, peak_mb
from tests.media.test_video import declaring

RIGHT = "times and pixels are right"
MOST_MB = 1_000


def named(path: Path) -> MediaFile:
    return MediaFile(path, path.name)


def bomb(path: Path, side: int) -> Path:
    """A PNG of black squares, every line of it there, in 110 kB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    packed, line = zlib.compressobj(9), bytes(1 + side // 8)
    body = b"".join(packed.compress(line) for _ in range(side)) + packed.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


MEASURED = """
import sys
from pathlib import Path
from emoscan.errors import MediaError
from emoscan.media.find import MediaFile
from emoscan.media.images import read_photo
from tests.faults.processes import peak_mb
import os
base = peak_mb(os.getpid())
try:
    read_photo(MediaFile(Path(sys.argv[1]), "a.png"))
except MediaError as error:
    print(error, peak_mb(os.getpid()) - base, sep="|")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_bomb_of_a_photo(tmp_path, faults, figure) -> None:
    faults(
        "a PNG of 30,000² pixels in 110 kB",
        passes_when=f"refused with a sentence, at most {MOST_MB:,} MB more",
    )
    path = bomb(tmp_path / "a.png", 30_000)
    assert path.stat().st_size < 200_000
    script = [sys.executable, "-c", MEASURED, str(path)]
    ended = subprocess.run(script, capture_output=True, text=True, check=True, cwd=ROOT)
    words, grown_mb = ended.stdout.split("|")
    figure(f"{float(grown_mb):.0f} MB more")
    assert "more pixels than is safe" in words and float(grown_mb) < MOST_MB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_bomb_of_a_video(tmp_path, faults, figure) -> None:
    faults(
        "a video whose header says 16,000² pixels",
        passes_when=f"refused with a sentence, at most {MOST_MB:,} MB more; the next is read",
    )
    path = declaring(tmp_path / "a.mov", 16_000)
    clip = write_clip(tmp_path / "b.mp4", even_times(3))
    with DecoderProcess() as decoder:
        decoder.open(named(clip))
        base_mb = peak_mb(decoder.pid)
        with pytest.raises(MediaError, match=r"safe|no size"):
            decoder.open(named(path))
        grown_mb = peak_mb(decoder.pid) - base_mb
        assert decoder.open(named(clip)).info.packets == 3
    figure(f"{grown_mb:.0f} MB more")
    assert grown_mb < MOST_MB


def without_rate(path: Path) -> Path:
    """An AVI that says 0 frames/s, in both of its headers."""
    tick = Fraction(1, 25)
    write_clip(path, even_times(20), codec="mpeg4", time_base=tick, b_frames=0)
    content = bytearray(path.read_bytes())
    strh, avih = content.index(b"strh"), content.index(b"avih")
    content[avih + 8 : avih + 12] = bytes(4)  # µs a frame
    content[strh + 32 : strh + 36] = bytes(4)  # rate
    path.write_bytes(content)
    return path


def backwards(path: Path) -> Path:
    """Times of showing that fall back by a second in the middle of a recording."""
    first = write_clip(path.with_suffix(".1.ts"), [2000 + t for t in even_times(10)])
    second = write_clip(path.with_suffix(".2.ts"), [1000 + t for t in even_times(10)])
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


JOINED = "times that go backwards"
INTERLACED = {"options": {"flags": "+ilme+ildct", "x264-params": "tff=1"}}
ODD = {
    "0 frames/s": lambda folder: without_rate(folder / "a.avi"),
    JOINED: lambda folder: backwards(folder / "a.ts"),
    "interlaced": lambda folder: write_clip(folder / "a.mp4", even_times(20), **INTERLACED),
    "10 bits": lambda folder: write_clip(
        folder / "a.mp4", even_times(20), pixel_format="yuv420p10le"
    ),
    "AV1": lambda folder: av1(folder / "a.mp4"),
    "starts at an hour": lambda folder: write_clip(
        folder / "a.ts", [3_600_000 + t for t in even_times(20)]
    ),
}


def av1(path: Path) -> Path:
    try:
        av.Codec("libsvtav1", "w")
    except av.error.FFmpegError:
        pytest.skip("this PyAV writes no AV1")
    return write_clip(path, even_times(20), codec="libsvtav1", b_frames=0)


@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_right(tmp_path, faults, kind) -> None:
    faults(kind, passes_when=RIGHT)
    with open_video(named(ODD[kind](tmp_path))) as video:
        frames = list(video.frames(ScanOptions()))
        # Where two transport streams were joined their packets' counters do not fit: that is said.
        assert video.damage == () or kind == JOINED
    times = [frame.time_s for frame in frames]
    assert len(frames) == 20 and times == pytest.approx([i / 25 for i in range(20)], abs=0.05)
    assert sorted(set(times)) == times
    half = len(frames) // 2 if kind == JOINED else len(frames)
    for frame in frames:
        seen = frame.rgb()[20, 20].astype(int)
        assert np.abs(seen - level(frame.index % half)).max() < 10
