"""Files that are no videos, or try to have others opened."""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from emoscan.batch.manifest import State, read_manifests
from emoscan.errors import MediaError
from emoscan.media.find import MediaFile
from tests.batch.conftest import quick  # noqa: F401 - a fixture
from tests.clips import even_times, noise_picture, sound_only, write_clip

KEY = "00112233445566778899aabbccddeeff"


def without_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def encrypted(path: Path) -> None:
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": KEY, "encryption_kid": KEY}
    write_clip(path, even_times(50), picture=noise_picture, muxer=scheme)


MAKERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.touch(), "is empty"),
    "text": (lambda path: path.write_text("dear diary\n" * 99), "is not a video"),
    "random bytes": (
        lambda path: path.write_bytes(np.random.default_rng(4).bytes(50_000)),
        "is not a video",
    ),
    "a photo": (lambda path: path.write_bytes(photo()), "is not in a video format"),
    "sound alone": (sound_only, "no video stream, only audio"),
    "no frames": (without_frames, "no video stream"),
    "encrypted": (encrypted, "is encrypted; decrypt it first"),
}


def photo() -> bytes:
    frame = av.VideoFrame.from_ndarray(noise_picture(1))
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "rgb24"
    return bytes(codec.encode(frame)[0])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_no_video_fails_alone(run, tmp_path, faults, kind) -> None:
    faults(
        "empty, text, random bytes, a photo, sound alone, no frames, encrypted, each named .mp4",
        passes_when="one sentence and exit code 5; in a batch the others are done, exit code 4",
    )
    make, words = MAKERS[kind]
    videos = tmp_path / "in"
    videos.mkdir()
    make(videos / "b.mp4")
    alone = run("video", videos / "b.mp4", "--decode-in-process")
    assert alone.code == 5 and words in alone.err and "Traceback" not in alone.err
    write_clip(videos / "a.mp4", even_times(8))
    shutil.copy(videos / "a.mp4", videos / "c.mp4")
    batch = run("video", videos, "--out", "out", "--decode-in-process")
    assert batch.code == 4 and words in batch.err and "Traceback" not in batch.err
    states = {entry.source: entry.state for entry in read_manifests(Path("out"))}
    assert states == {"a.mp4": State.DONE, "b.mp4": State.FAILED, "c.mp4": State.DONE}


@pytest.mark.usefixtures("quick")
def test_a_wrong_suffix_does_no_harm(run, tmp_path, faults) -> None:
    faults("Matroska named .mp4", passes_when="it is read as what it is")
    clip = write_clip(tmp_path / "a.mkv", even_times(8)).rename(tmp_path / "a.mp4")
    assert run("video", clip, "--out", "t.csv", "--decode-in-process").code == 0


LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile '{file}'\nfile '{url}'\n",
    "m3u8": (
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{file}\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n"
    ),
    "SDP": (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        "m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:{url}\r\n"
    ),
}
REFUSED = "refused; neither the other file nor a socket is opened"


@pytest.fixture
def bait(tmp_path) -> Iterator[tuple[Path, socket.socket]]:
    """A video that lies beside, and a server that waits."""
    other = write_clip(tmp_path / "other.ts", even_times(5))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield other, server


def write_list(path: Path, kind: str, bait: tuple[Path, socket.socket]) -> Path:
    other, server = bait
    url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
    path.write_text(LISTS[kind].format(file=other.name, url=url))
    return path


@contextmanager
def opened_meanwhile(path: Path) -> Iterator[list[bytes]]:
    """What inotify tells of a file that anybody opens, whatever the language."""
    libc, told = ctypes.CDLL(None), []
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, os.fsencode(path), 0x20) >= 0  # IN_OPEN
    try:
        yield told
        told.append(os.read(watch, 4096))
    except BlockingIOError:
        pass
    finally:
        os.close(watch)


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
@pytest.mark.parametrize("kind", LISTS)
def test_a_list_opens_nothing(tmp_path, decoder, faults, bait, kind) -> None:
    faults("ffconcat, m3u8 and SDP text named .mp4", passes_when=REFUSED)
    path = write_list(tmp_path / "a.mp4", kind, bait)
    with opened_meanwhile(bait[0]) as told, pytest.raises(MediaError, match=r"not a video|format"):
        decoder.open(MediaFile(path, path.name))
    assert told == []
    with pytest.raises(BlockingIOError):
        bait[1].accept()


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_the_bait_is_taken_by_whoever_follows_lists(tmp_path, bait) -> None:
    """Else the test above would tell nothing."""
    (tmp_path / "a.ffconcat").write_text(f"ffconcat version 1.0\nfile '{bait[0].name}'\n")
    with opened_meanwhile(bait[0]) as told, av.open(str(tmp_path / "a.ffconcat")):
        pass
    assert told


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("kind", LISTS)
def test_the_system_sees_no_socket(tmp_path, faults, bait, kind) -> None:
    faults("the same, under strace", passes_when="no socket, and no other file of that folder")
    path = write_list(tmp_path / "a.mp4", kind, bait)
    log = tmp_path / "strace.log"
    script = (
        "import sys; from pathlib import Path; from emoscan.media.find import MediaFile;"
        "from emoscan.media.video import open_video; open_video(MediaFile(Path(sys.argv[1]), 'a'))"
    )
    trace = ["strace", "-f", "-o", str(log), "-e", "trace=open,openat,socket,connect,bind"]
    ended = subprocess.run(
        [*trace, sys.executable, "-c", script, str(path)], capture_output=True, check=False
    )
    assert b"MediaError" in ended.stderr
    lines = log.read_text().splitlines()
    assert not [line for line in lines if "socket(" in line or "connect(" in line]
    opened = {line.split('"')[1] for line in lines if f'"{tmp_path}' in line}
    assert {os.path.basename(name) for name in opened if str(tmp_path) in name} <= {"a.mp4"}  # noqa: PTH119
