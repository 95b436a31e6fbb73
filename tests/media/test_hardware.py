"""Hardware decoding: by an imitation of a device, and by real ones that cannot be opened here."""

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec import Codec
from av.codec.hwaccel import hwdevices_available

import emoscan
from emoscan import RunOptions, ScanOptions
from emoscan.errors import UsageError
from emoscan.events import FileKept, Note
from emoscan.media import hardware
from emoscan.media.colours import Converter, Upright
from emoscan.media.find import MediaFile
from emoscan.media.process import MOST_ENDS_WITH_HARDWARE, DecoderProcess
from emoscan.media.video import open_video
from emoscan.types import Frame
from tests.batch.conftest import quick, run_options  # noqa: F401 - a fixture
from tests.clips import even_times, noise_picture, write_clip, zeroed_copy
from tests.media.devices import (
    DEADLY_FAULTS,
    DEVICE,
    FAULTS,
    FAULTY_FRAME,
    Device,
    as_hardware_stores,
)

FRAMES = 60
BIG = {"picture": lambda index: noise_picture(index, (128, 96)), "size": (128, 96)}
BY_IMITATION = (
    "import sys; fault = {fault!r}; path = sys.argv[3:]; sys.argv[3:] = [fault];"
    "sys.path[:] = path; from tests.media.devices import main; main()"
)


def named(path: Path) -> MediaFile:
    return MediaFile(path, path.name)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return write_clip(folder / "a.mp4", even_times(FRAMES), options={"g": "10"}, **BIG)


@pytest.fixture(scope="module")
def ten_bits(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("ten") / "a.mp4"
    return write_clip(path, even_times(FRAMES), pixel_format="yuv420p10le", rotation_deg=90, **BIG)


@pytest.fixture(scope="module")
def damaged(clip) -> Path:
    return zeroed_copy(clip, clip.with_name("damaged.mp4"), start=0.5, stop=0.56)


def read(video, **sampling):
    """Facts and pixels of every frame, and what is said of them."""
    with video:
        items = list(video.frames(ScanOptions(**sampling)))
    facts = [(type(i), i.index, i.time_s, getattr(i, "height", None)) for i in items]
    pixels = [item.rgb() for item in items if isinstance(item, Frame)]
    return facts, pixels, video.damage


def assert_equal(one, other) -> None:
    assert one[0] == other[0] and one[2] == other[2]
    assert all(np.array_equal(a, b) for a, b in zip(one[1], other[1], strict=True))


def by_imitation(monkeypatch, path: Path, fault: str = "none", **sampling):
    with monkeypatch.context() as patch:
        Device(fault).install(patch.setattr)
        video = open_video(named(path))
        return video, read(video, **sampling)


@pytest.mark.parametrize("name", ["clip", "ten_bits"])
@pytest.mark.parametrize("sampling", [{}, {"every": 7, "start_s": 0.9}, {"fps": 9, "end_s": 1.9}])
def test_a_device_gives_the_pixels_of_software(request, monkeypatch, name, sampling):
    path = request.getfixturevalue(name)
    video, given = by_imitation(monkeypatch, path, **sampling)
    assert_equal(given, read(open_video(named(path)), **sampling))
    assert video.decoded_by == {DEVICE: len(given[0])} and video.note == f"{DEVICE} is used."


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"none"}))
def test_what_a_device_does_not_give_software_does(monkeypatch, clip, fault):
    video, given = by_imitation(monkeypatch, clip, fault)
    assert_equal(given, read(open_video(named(clip))))
    at_once = fault in ("cannot open", "not the first")
    by_device = 0 if at_once else FAULTY_FRAME
    assert +video.decoded_by == +type(video.decoded_by)(
        {DEVICE: by_device, "software": FRAMES - by_device}
    )
    words = {
        "raises": "at 0.920 s (generic error in an external library)",
        "drops": "at 0.920 s (a frame is missing or damaged)",
        "ends": "at 0.920 s (its frames end too early)",
        "cannot open": "h264 in yuv420p (operation not permitted)",
        "not the first": "h264 in yuv420p (invalid argument)",
    }
    assert words[fault] in video.note and "software" in video.note


@pytest.mark.parametrize("sampling", [{}, {"start_s": 0.5}, {"every": 5}])
def test_damage_is_what_software_finds(monkeypatch, clip, damaged, sampling):
    video, given = by_imitation(monkeypatch, damaged, **sampling)
    in_software = read(open_video(named(damaged)), **sampling)
    assert given[0] == in_software[0] and given[2] == in_software[2] != ()
    assert set(video.decoded_by) == {DEVICE, "software"}
    whole = pixels_by_index(read(open_video(named(clip)), **sampling))
    mine, theirs = pixels_by_index(given), pixels_by_index(in_software)
    # Of a picture with errors nobody knows how it should be: it depends on where decoding began.
    healthy = [index for index in theirs if np.array_equal(theirs[index], whole[index])]
    assert len(healthy) > len(theirs) - 5
    assert all(np.array_equal(mine[index], theirs[index]) for index in healthy)


def pixels_by_index(given) -> dict[int, np.ndarray]:
    indices = [index for kind, index, *_ in given[0] if kind is Frame]
    return dict(zip(indices, given[1], strict=True))


def test_a_device_is_tried_anew_for_each_range(monkeypatch, clip):
    Device("raises").install(monkeypatch.setattr)
    video = open_video(named(clip))
    read(video)
    assert "stopped" in video.note
    read(video, end_s=0.5)
    assert video.decoded_by == {DEVICE: 13} and video.note == f"{DEVICE} is used."


@pytest.mark.parametrize("fault", ["none", "drops"])
def test_a_process_tells_what_decodes_there(monkeypatch, clip, fault):
    monkeypatch.setattr("emoscan.media.process.BOOT", BY_IMITATION.format(fault=fault))
    with DecoderProcess(hwaccel="auto") as process:
        video = process.open(named(clip))
        given = read(video)
    here, expected = by_imitation(monkeypatch, clip, fault)
    assert_equal(given, expected)
    assert (video.decoded_by, video.note) == (here.decoded_by, here.note)


@pytest.mark.parametrize("fault", DEADLY_FAULTS)
def test_a_driver_that_ends_the_process_costs_no_frame(monkeypatch, tmp_path, clip, fault):
    monkeypatch.setattr("emoscan.media.process.BOOT", BY_IMITATION.format(fault=fault))
    with DecoderProcess(hwaccel="auto") as process:
        for number in range(4):
            path = tmp_path / str(number) / clip.name
            path.parent.mkdir()
            path.write_bytes(clip.read_bytes())
            video = process.open(named(path))
            assert_equal(read(video), read(open_video(named(clip))))
            assert sum(video.decoded_by.values()) == FRAMES
            by_device = fault == "dies" and number < MOST_ENDS_WITH_HARDWARE
            assert 0 <= video.decoded_by[DEVICE] <= FAULTY_FRAME * by_device
            assert (video.note is not None) == (number < MOST_ENDS_WITH_HARDWARE)
            if video.note:
                last = number + 1 == MOST_ENDS_WITH_HARDWARE
                whose = "this and what follows are" if last else f"{path.name} is"
                assert video.note == (
                    "With --hwaccel auto the decoder's process ended with exit code 9: "
                    f"{whose} decoded in software."
                )
            read(video)  # once more, in the process that there is
            assert video.decoded_by == {"software": FRAMES} and video.damage == ()


def test_the_chroma_of_two_by_turns_is_read_as_of_two_planes(clip):
    """swscale alone would make other colours of it."""
    with av.open(str(clip)) as container:
        frame = next(container.decode(video=0))
    stored = as_hardware_stores(frame)
    assert stored.format.name == "nv12"
    plain, turned = (Converter(Upright(), "a").rgb(f) for f in (frame, stored))
    assert np.array_equal(plain, turned)
    direct = stored.reformat(format="rgb24").to_ndarray().astype(int)
    assert np.abs(direct - plain).max() > 10


def test_full_levels_stay_full(tmp_path):
    options = {"codec": "mjpeg", "pixel_format": "yuvj420p", "b_frames": 0}
    path = write_clip(tmp_path / "a.avi", even_times(2), **options, **BIG)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    plain, turned = (Converter(Upright(), "a").rgb(f) for f in (frame, as_hardware_stores(frame)))
    assert np.array_equal(plain, turned)


def test_none_opens_no_device(monkeypatch, clip):
    monkeypatch.setattr(hardware, "HWAccel", None)
    video = open_video(named(clip))
    read(video)
    assert video.decoded_by == {"software": FRAMES} and video.note is None


class Broken:
    """A device of any type that cannot be opened, whatever this machine has."""

    def __init__(self, *_, **__) -> None:
        pass

    def create(self, _) -> None:
        raise av.error.PermissionError(1, "Operation not permitted")


@pytest.fixture
def without_devices(monkeypatch):
    monkeypatch.setattr(hardware, "HWAccel", Broken)
    monkeypatch.setattr(hardware, "_devices", lambda _: ["cuda", "vaapi"])
    hardware._failure.cache_clear()
    yield
    hardware._failure.cache_clear()


@pytest.mark.parametrize(
    ("wanted", "note"),
    [
        (
            "auto",
            "Nothing here decodes h264 by hardware (tried: cuda, vaapi): it is decoded in "
            "software.",
        ),
        (
            "vaapi",
            "--hwaccel vaapi finds no device or no driver here (FFmpeg: operation not permitted): "
            "videos are decoded in software.",
        ),
        ("qsv", "PyAV has no h264 decoder for qsv: h264 is decoded in software."),
    ],
)
@pytest.mark.usefixtures("without_devices")
def test_why_software_decodes(clip, wanted, note):
    video = open_video(named(clip), hwaccel=wanted)
    assert_equal(read(video), read(open_video(named(clip))))
    assert video.note == note and video.decoded_by == {"software": FRAMES}


def test_auto_takes_the_first_that_opens(monkeypatch):
    failures = {"cuda": "no such device", "vaapi": None, "vulkan": None}
    monkeypatch.setattr(hardware, "_devices", lambda _: list(failures))
    monkeypatch.setattr(hardware, "_failure", lambda device, _: failures[device])
    chosen = hardware.choose_hardware("auto", Codec("h264", "r"))
    assert chosen == hardware.Hardware("vaapi", "h264 is decoded by vaapi.")
    assert hardware.choose_hardware("vulkan", Codec("h264", "r")) == hardware.Hardware("vulkan")


def test_the_types_are_those_of_the_build():
    for known in ("none", "auto", *hwdevices_available()):
        hardware.require_known(known)
    with pytest.raises(UsageError, match=r"none, auto.* with this build of PyAV, not “warp”\."):
        hardware.require_known("warp")


@pytest.mark.skipif("cuda" not in hwdevices_available(), reason="this PyAV has no cuda")
@pytest.mark.parametrize("wanted", ["cuda", "auto"])
def test_a_real_device_that_cannot_be_opened(clip, wanted):
    """`conftest` hides all GPUs from CUDA."""
    with DecoderProcess(hwaccel=wanted) as process:
        video = process.open(named(clip))
        assert_equal(read(video), read(open_video(named(clip))))
    assert video.decoded_by == {"software": FRAMES} and "in software" in video.note


@pytest.mark.skipif("EMOSCAN_HWACCEL" not in os.environ, reason="EMOSCAN_HWACCEL names no device")
@pytest.mark.parametrize("name", ["clip", "ten_bits"])
def test_a_real_device_gives_the_pixels_of_software(request, monkeypatch, name):
    """For a machine that has one: EMOSCAN_HWACCEL=cuda."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    device, path = os.environ["EMOSCAN_HWACCEL"], request.getfixturevalue(name)
    with DecoderProcess(hwaccel=device) as process:
        video = process.open(named(path))
        given = read(video)
    assert video.decoded_by[device] > 0, video.note
    assert_equal(given, read(open_video(named(path))))


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="needs /proc")
def test_addresses_are_not_limited_where_drivers_reserve_them(clip):
    with DecoderProcess(hwaccel="auto") as process:
        process.open(named(clip))
        limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    soft = {line[:26].strip(): line[26:].split()[0] for line in limits}
    own = {line[:26].strip(): line[26:].split()[0] for line in _own_limits()}
    assert soft["Max data size"] == str(16 * 2**30)
    assert soft["Max address space"] == own["Max address space"]


def _own_limits() -> list[str]:
    return Path("/proc/self/limits").read_text().splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts so on Linux")
def test_reserved_addresses_are_free_and_memory_is_not():
    script = (
        "import mmap, numpy; from emoscan.media.decoder import _limit_memory;"
        "_limit_memory('cuda'); mmap.mmap(-1, 2**38, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS"
        " | 0x4000, prot=mmap.PROT_READ); numpy.zeros(2**28); print('reserved');"
        "numpy.zeros(2**32)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "reserved\n" and "MemoryError" in ended.stderr, ended.stderr


@pytest.fixture
def videos(tmp_path, clip) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / "in" / name).write_bytes(clip.read_bytes())
    return tmp_path / "in"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("fault", "notes"), [("none", 1), ("raises", 4), ("not the first", 1)])
def test_a_batch_has_the_rows_of_software_and_each_note_once(
    monkeypatch, tmp_path, videos, fault, notes
):
    emoscan.scan(videos, tmp_path / "plain", run=RunOptions())
    monkeypatch.setattr("emoscan.media.process.BOOT", BY_IMITATION.format(fault=fault))
    events: list[object] = []
    run = RunOptions(hwaccel="auto", workers=2)
    report = emoscan.scan(videos, tmp_path / "out", run=run, listener=events.append)
    assert not report.problems
    told = [e.text for e in events if isinstance(e, Note) and DEVICE in e.text]
    assert len(told) == len(set(told)) == notes
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        plain, table = (
            emoscan.read_timeline(tmp_path / place / "timelines" / f"{name}.parquet")
            for place in ("plain", "out")
        )
        assert table.equals(plain) and len(plain) > FRAMES
        assert plain.attrs["media"]["decoded_by"] == {"software": FRAMES}
        by = table.attrs["media"]["decoded_by"]
        assert sum(by.values()) == FRAMES and (DEVICE in by) == (fault != "not the first")
        assert table.attrs["run_options"]["hwaccel"] == "auto"


@pytest.mark.usefixtures("quick")
def test_resume_keeps_what_was_decoded_elsewhere(tmp_path, videos):
    emoscan.scan(videos, tmp_path / "out", run=run_options())
    kept: list[object] = []
    run = run_options(resume=True, hwaccel="auto")
    report = emoscan.scan(videos, tmp_path / "out", run=run, listener=kept.append)
    assert report.done_before == 3
    assert sum(isinstance(event, FileKept) for event in kept) == 3


def test_an_unknown_type_is_refused_before_any_work(run, clip):
    result = run("video", clip, "--out", "t.parquet", "--hwaccel", "warp")
    assert result.code == 2 and "auto" in result.err and "not “warp”" in result.err
    assert not list(Path().iterdir())
    with pytest.raises(UsageError, match="not “warp”"):
        next(emoscan.analyze_video(clip, run=RunOptions(hwaccel="warp")))
