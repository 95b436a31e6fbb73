"""What a file declares of its own length and structure, on bytes with known answers."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoscan.media.cut_off import missing_bytes
from emoscan.media.matroska import broken_at
from tests.clips import even_times, noise_picture, write_clip


def box(kind: bytes, length: int, *, declared: int | None = None) -> bytes:
    return (declared or length + 8).to_bytes(4, "big") + kind + bytes(length)


def element(kind: bytes, content: bytes, *, declared: int | None = None) -> bytes:
    length = len(content) if declared is None else declared
    return kind + (length | 1 << 56).to_bytes(8, "big") + content


def matroska(*parts: bytes, declared: int | None = None) -> bytes:
    header = element(b"\x1a\x45\xdf\xa3", bytes(20))
    return header + element(b"\x18\x53\x80\x67", b"".join(parts), declared=declared)


def cluster(*blocks: bytes, declared: int | None = None) -> bytes:
    return element(b"\x1f\x43\xb6\x75", b"\xe7\x81\x00" + b"".join(blocks), declared=declared)


BLOCK = element(b"\xa3", b"\xff" * 30)
UNKNOWN = (1 << 56) - 1
WIDE = b"\0\0\0\1mdat" + (5000).to_bytes(8, "big") + bytes(100)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (box(b"ftyp", 12) + box(b"mdat", 100), 0),
        (box(b"ftyp", 12) + box(b"mdat", 100)[:-7], 7),
        (box(b"ftyp", 12) + box(b"mdat", 100, declared=2000), 1892),
        (box(b"ftyp", 12) + WIDE, 5000 - len(WIDE)),
        (box(b"ftyp", 12) + b"\0\0\0\0mdat" + bytes(50), 0),  # up to the end
        (box(b"ftyp", 12) + box(b"\1\2\3\4", 9, declared=10**6), 0),  # no box that is known
        (b"RIFF" + (500).to_bytes(4, "little") + b"AVI " + bytes(100), 500 + 8 - 112),
        (b"RIFF" + (104).to_bytes(4, "little") + b"AVI " + bytes(100), 0),
        (b"RIFF\xff\xff\xff\xffAVI " + bytes(100), 0),
        (b"RIFF" + (500).to_bytes(4, "little") + b"WAVE" + bytes(100), 0),
        (matroska(cluster(BLOCK)), 0),
        (matroska(cluster(BLOCK))[:-11], 11),
        (matroska(cluster(BLOCK), declared=UNKNOWN)[:-11], 0),
        (b"\x1a\x45\xdf\xa3", 0),
        (b"G" * 500, 0),
        (b"", 0),
    ],
)
def test_what_is_missing_at_the_end(tmp_path, content, missing) -> None:
    (tmp_path / "a").write_bytes(content)
    assert missing_bytes(tmp_path / "a") == missing


TWO = (cluster(BLOCK, BLOCK), cluster(BLOCK))


@pytest.mark.parametrize(
    "content",
    [
        matroska(*TWO),
        matroska(element(b"\xec", bytes(40)), *TWO, element(b"\x1c\x53\xbb\x6b", bytes(9))),
        matroska(*TWO)[:-5],  # cut off is another matter
        matroska(cluster(BLOCK, BLOCK, declared=UNKNOWN), cluster(BLOCK), declared=UNKNOWN),
        b"RIFF",
        b"",
    ],
)
def test_a_sound_structure(tmp_path, content) -> None:
    (tmp_path / "a").write_bytes(content)
    assert broken_at(tmp_path / "a") is None


@pytest.mark.parametrize("hole", range(60, 140, 9))
def test_zeros_break_the_structure_where_an_element_should_begin(tmp_path, hole) -> None:
    whole = matroska(*TWO, *TWO)
    (tmp_path / "a").write_bytes(whole[:hole] + bytes(60) + whole[hole + 60 :])
    calls: list[None] = []
    broken = broken_at(tmp_path / "a", lambda: calls.append(None))
    assert calls  # whoever waits hears of progress
    assert broken is not None and hole - 9 < broken < hole + 60  # where its head is torn


@given(st.binary(max_size=200), st.sampled_from([b"", matroska()[:29], box(b"ftyp", 0)]))
@settings(deadline=None)
def test_whatever_the_bytes_are(tmp_path_factory, content, begins) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(begins + content)
    assert missing_bytes(path) >= 0
    assert broken_at(path) is None or broken_at(path) <= path.stat().st_size


@pytest.mark.parametrize(
    ("suffix", "settings"),
    [
        ("mp4", {}),
        ("mp4", {"muxer": {"movflags": "frag_keyframe+empty_moov"}}),
        ("mov", {"muxer": {"movflags": "faststart"}}),
        ("mkv", {}),
        ("mkv", {"muxer": {"live": "1"}}),
        ("mkv", {"muxer": {"cues_to_front": "1"}}),
        ("webm", {"codec": "libvpx"}),
    ],
)
def test_what_ffmpeg_writes_is_whole_and_sound(tmp_path: Path, suffix, settings) -> None:
    uneven_ms = [*even_times(10), 900, 2000]
    clip = write_clip(tmp_path / f"a.{suffix}", uneven_ms, picture=noise_picture, **settings)
    assert missing_bytes(clip) == 0 and broken_at(clip) is None
