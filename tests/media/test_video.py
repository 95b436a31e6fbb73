import gc
import struct
import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emoscan.ahead import read_ahead
from emoscan.errors import MediaError
from emoscan.media.colours import Converter
from emoscan.media.find import MediaFile
from emoscan.media.order import by_output, in_order
from emoscan.media.video import Video, open_video
from emoscan.media_kind import MediaKind
from emoscan.options import ScanOptions
from emoscan.types import Frame, Unreadable
from tests.clips import (
    cut_copy,
    even_times,
    level,
    noise_picture,
    remux,
    sound_only,
    trimmed_copy,
    write_clip,
    write_yuv,
    zeroed_copy,
)
from tests.real_data import MEDIA

ALL = ScanOptions()
UNEVEN_MS = [0, 40, 100, 110, 300, 900, 1000, 1033, 1500, 2100]
OPEN_GOP = "open-gop=1:keyint=10:min-keyint=10:scenecut=0:bframes=2:b-adapt=0:log-level=none"


def opened(path: Path) -> Video:
    return open_video(MediaFile(path, path.name))


def read(path: Path, **options) -> tuple[list[Frame | Unreadable], Video]:
    """Everything that the options select, checked against what was expected."""
    with opened(path) as video:
        frames = list(video.frames(ScanOptions(**options)))
        assert len(frames) == video.expected_frames(ScanOptions(**options))
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    return frames, video


def lost(frames) -> list[int]:
    return [frame.index for frame in frames if isinstance(frame, Unreadable)]


def assert_healthy(path: Path, times_ms, **options) -> Video:
    """Every frame is there, with the time and the picture that were written."""
    frames, video = read(path, **options)
    assert video.damage == ()
    assert [frame.time_s for frame in frames] == pytest.approx(
        [t / 1000 for t in times_ms], abs=1e-3
    )
    for frame in frames:
        assert abs(int(frame.rgb()[20, 20, 1]) - level(frame.index)) < 10
    return video


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_variable_rate(tmp_path, suffix):
    clip = write_clip(tmp_path / f"a.{suffix}", UNEVEN_MS)
    video = assert_healthy(clip, UNEVEN_MS)
    assert video.info.packets == 10
    assert video.info.frame_rate == pytest.approx(9 / 2.1, abs=0.01)
    assert not video.info.times_synthesised


@pytest.mark.parametrize(
    ("suffix", "sound"), [("mkv", "aac"), ("mov", "pcm_s16le"), ("mp4", "aac")]
)
def test_video_that_starts_after_its_sound(tmp_path, suffix, sound):
    times = [400 + t for t in even_times(20)]
    clip = write_clip(tmp_path / f"a.{suffix}", times, audio_s=1.2, audio_codec=sound)
    video = assert_healthy(clip, times)
    assert video.info.video_start_s - video.info.start_s == pytest.approx(0.4, abs=1e-3)


def test_longer_sound_is_healthy(tmp_path):
    assert_healthy(write_clip(tmp_path / "a.mp4", even_times(20), audio_s=6), even_times(20))


def test_data_stream_is_healthy(tmp_path):
    assert_healthy(write_clip(tmp_path / "a.ts", even_times(20), data=True), even_times(20))


def test_no_declared_duration_is_healthy(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", even_times(20), muxer={"live": "1"})
    assert assert_healthy(clip, even_times(20)).info.duration_s is None


def test_edit_list_leaves_out_the_beginning(tmp_path):
    times = even_times(100)
    whole = write_clip(tmp_path / "a.mp4", times, muxer={"video_track_timescale": "1000"})
    clip = trimmed_copy(whole, tmp_path / "b.mp4", trim_ms=2200)
    frames, video = read(clip)
    assert video.damage == ()
    assert video.info.duration_s == pytest.approx(1.8)
    assert [frame.time_s for frame in frames] == pytest.approx([t / 1000 for t in times[:45]])
    assert abs(int(frames[0].rgb()[9, 9, 0]) - level(55)) < 6


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"x264-params": OPEN_GOP.replace(":log-level=none", "")}),
        ("a.ts", "libx264", {"x264-params": OPEN_GOP.replace(":log-level=none", "")}),
        ("a.mkv", "libx265", {"x265-params": OPEN_GOP}),
        ("a.mpg", "mpeg2video", {"g": "10"}),
        ("a.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    ],
)
def test_any_start_gives_the_frames_from_there(tmp_path, name, codec, options):
    times = even_times(50)
    tick = Fraction(1, 25) if codec == "mpeg2video" else Fraction(1, 1000)
    clip = write_clip(tmp_path / name, times, codec=codec, options=options, time_base=tick)
    assert_healthy(clip, times)
    whole, _ = read(clip)
    for start in range(1, 50, 3):
        assert_healthy(clip, times[start:], start_s=times[start] / 1000)
        first = read(clip, start_s=times[start] / 1000)[0][0]
        assert np.array_equal(first.rgb(), whole[start].rgb())


def test_start_seeks(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "a.mp4", even_times(100), options={"g": "10"})
    decoded = []
    monkeypatch.setattr(
        "emoscan.media.video.decode",
        lambda stream, packet, failed: (
            decoded.append(packet) or stream.codec_context.decode(packet)
        ),
    )
    with opened(clip) as video:
        decoded.clear()
        assert [f.index for f in video.frames(ScanOptions(start_s=3.2, end_s=3.4))] == [
            *range(80, 85)
        ]
    assert len(decoded) < 40


def test_start_without_seeking(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "a.mp4", even_times(40), options={"g": "10"})
    monkeypatch.setattr("emoscan.media.video._seek", lambda *_, **__: False)
    assert_healthy(clip, even_times(40)[25:], start_s=1)


def test_start_beyond_the_end_of_a_cut_file(tmp_path, noisy):
    frames, video = read(cut_copy(noisy, tmp_path / "a.mp4", 0.4), start_s=3)
    assert frames == []
    assert "though it declares 4.0 s" in video.damage[0]


def test_range_and_sampling(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", even_times(50))

    def indices(**options):
        return [frame.index for frame in read(clip, **options)[0]]

    assert indices(every=7) == [*range(0, 50, 7)]
    assert indices(every=7, start_s=0.5, end_s=1.4) == [14, 21, 28]
    assert indices(start_s=0.4, end_s=0.48) == [10, 11]
    assert indices(fps=5) == [*range(0, 50, 5)]
    assert indices(fps=10) == [
        0,
        3,
        5,
        8,
        10,
        13,
        15,
        18,
        20,
        23,
        25,
        28,
        30,
        33,
        35,
        38,
        40,
        43,
        45,
        48,
    ]
    assert indices(fps=1000) == [*range(50)]
    assert indices(start_s=60) == []
    assert read(clip, end_s=1)[1].damage == ()


def test_sampling_of_uneven_times(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", UNEVEN_MS)
    assert [f.time_s for f in read(clip, fps=2)[0]] == [0, 0.9, 1.0, 1.5, 2.1]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_rotation(tmp_path, rotation_deg, mirrored):
    upright = np.zeros((48, 32, 3), np.uint8)
    upright[:24, :16], upright[:24, 16:], upright[24:, :16] = 60, 140, 220
    stored = np.rot90(upright[:, ::-1] if mirrored else upright, -rotation_deg // 90)
    height, width = stored.shape[:2]
    clip = write_clip(
        tmp_path / "a.mp4",
        even_times(3),
        size=(width, height),
        picture=lambda _: np.ascontiguousarray(stored),
        rotation_deg=rotation_deg,
        mirrored=mirrored,
    )
    frames, video = read(clip)
    assert (video.info.width, video.info.height) == (frames[0].width, frames[0].height) == (32, 48)
    assert (
        np.abs(frames[0].rgb()[4:44:39, 4:28:23, 0].astype(int) - [[60, 140], [220, 0]]).max() < 8
    )
    if not mirrored:
        assert video.info.rotation_deg == rotation_deg


WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def to_yuv(rgb, matrix: str, *, full: bool) -> list[int]:
    """ITU-R BT.601 and BT.709, full range as in JPEG."""
    red, green, blue = (value / 255 for value in rgb)
    kr, kb = WEIGHTS[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / 2 / (1 - kb), (red - luma) / 2 / (1 - kr)
    if full:
        return [round(255 * luma), *(round(255 * value + 128) for value in chroma)]
    return [round(16 + 219 * luma), *(round(224 * value + 128) for value in chroma)]


@pytest.mark.parametrize("rgb", [(200, 60, 50), (40, 160, 70), (60, 80, 200), (235, 235, 235)])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "colorspace", "size"),
    [
        ("bt601", 5, (64, 48)),
        ("bt709", 1, (64, 48)),
        ("bt601", 6, (32, 720)),
        ("bt709", 1, (32, 720)),
        ("bt601", 2, (64, 48)),
        ("bt709", 2, (32, 720)),
    ],
)
def test_colours(tmp_path, matrix, colorspace, size, full, rgb):
    clip = write_yuv(
        tmp_path / "a.mp4",
        to_yuv(rgb, matrix, full=full),
        size=size,
        colorspace=colorspace,
        color_range=2 if full else 1,
        pixel_format="yuvj420p" if full else "yuv420p",
    )
    pixels = read(clip)[0][0].rgb()
    assert np.abs(pixels.astype(int) - rgb).max() <= 4


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format"),
    [
        ("mp4", "libx264", "yuv420p10le"),
        ("mp4", "libx264", "yuv444p"),
        ("mkv", "ffv1", "gray"),
        ("mov", "prores_ks", "yuva444p10le"),
        ("mov", "qtrle", "rgb24"),
        ("mkv", "ffv1", "bgr0"),
        ("mkv", "ffv1", "gray16le"),
        ("mkv", "ffv1", "yuva420p"),
        ("avi", "mjpeg", "yuvj422p"),
        ("mov", "png", "rgba"),
        ("gif", "gif", "rgb8"),
    ],
)
def test_pixel_formats(tmp_path, suffix, codec, pixel_format):
    path = tmp_path / f"a.{suffix}"
    tick = Fraction(1, 25)
    write_clip(
        path, even_times(4), codec=codec, pixel_format=pixel_format, time_base=tick, b_frames=0
    )
    frames, video = read(path)
    assert (len(frames), video.damage) == (4, ())
    tolerance = 70 if pixel_format == "rgb8" else 6
    for frame in frames:
        assert frame.rgb().shape == (48, 64, 3)
        assert np.abs(frame.rgb()[5:40, 5:60].astype(int) - level(frame.index)).max() < tolerance


def test_odd_sizes_and_scaling(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", even_times(2), pixel_format="yuv444p", size=(61, 37))
    frame = read(clip)[0][1]
    assert frame.rgb().shape == (37, 61, 3)
    assert frame.rgb(0.5).shape == (18, 30, 3)
    assert frame.gray().shape == (37, 61)
    assert frame.rgb() is frame.rgb()
    assert np.abs(frame.rgb().astype(int) - level(1)).max() < 6


def fail_at(monkeypatch, index: int, error: type[Exception]) -> list[int]:
    """Have the conversion of one frame fail; gives the indices that are converted."""
    converted: list[int] = []
    real = Converter._converted

    def convert(self, frame):
        converted.append(frame.pts)
        if frame.pts == index:
            raise error("odd")
        return real(self, frame)

    monkeypatch.setattr(Converter, "_converted", convert)
    return converted


@pytest.mark.parametrize("error", [MemoryError, ValueError, cv2.error])
def test_a_frame_that_cannot_be_converted_is_one_loss(tmp_path, monkeypatch, error):
    clip = write_clip(tmp_path / "a.mp4", even_times(10))
    fail_at(monkeypatch, 3, error)
    frames, video = read(clip)
    assert lost(frames) == [3]
    assert frames[3].time_s == pytest.approx(0.12)
    assert [frame.rgb().shape for frame in frames if isinstance(frame, Frame)] == [(48, 64, 3)] * 9
    assert video.damage == (
        "1 of 10 frames are unreadable, the first at 0.120 s (pixels that cannot be made RGB).",
    )


def test_only_what_is_selected_is_converted(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "a.mp4", even_times(10))
    with opened(clip) as video:
        converted = fail_at(monkeypatch, 3, MemoryError)
        for frame in video.frames(ScanOptions(every=2)):
            assert converted[-1] == frame.index  # before it is given away
    assert converted == [0, 2, 4, 6, 8]
    assert video.damage == ()


def declaring(path: Path, side: int) -> Path:
    """A tiny clip whose header, and so its decoder, takes the pictures for squares of `side`."""
    write_clip(
        path,
        even_times(3),
        codec="qtrle",
        pixel_format="rgb24",
        time_base=Fraction(1, 25),
        b_frames=0,
    )
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack(">HH", 64, 48), content.index(b"stsd"))
    content[at : at + 4] = struct.pack(">HH", side, side)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (14_000, "14000 × 14000 pixels, which is more than is safe"),
        (30_000, "no size, or one far beyond 178,956,970 pixels"),
    ],
)
def test_a_size_that_fills_the_memory_is_refused(tmp_path, side, words):
    with pytest.raises(MediaError, match=words):
        opened(declaring(tmp_path / "a.mov", side))


def test_a_size_that_grows_beyond_the_limit_is_unreadable(tmp_path, monkeypatch):
    for name, size in (("a", (64, 48)), ("b", (96, 64)), ("c", (64, 48))):
        write_clip(tmp_path / f"{name}.ts", even_times(10), size=size)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join((tmp_path / f"{name}.ts").read_bytes() for name in "abc"))
    monkeypatch.setattr("emoscan.media.container.MAX_PIXELS", 64 * 48)
    frames, video = read(joined)
    assert lost(frames) == [*range(10, 20)]
    assert video.damage[0].startswith("10 of 30 frames are unreadable")


def test_size_that_changes_on_the_way(tmp_path):
    first = write_clip(tmp_path / "a.ts", even_times(10))
    second = write_clip(tmp_path / "b.ts", even_times(10), size=(96, 64))
    joined = tmp_path / "c.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    frames, video = read(joined)
    assert video.info.times_synthesised  # the second recording's times begin anew
    assert [frame.time_s for frame in frames] == pytest.approx(
        [i / 25 for i in range(20)], abs=0.05
    )
    assert {frame.rgb().shape for frame in frames} == {(48, 64, 3), (64, 96, 3)}


def test_times_are_made_where_there_are_none(tmp_path):
    clip = write_clip(tmp_path / "a.h264", even_times(30), time_base=Fraction(1, 25))
    video = assert_healthy(clip, even_times(30))
    assert video.info.times_synthesised
    assert video.info.frame_rate == pytest.approx(25)


def test_avi(tmp_path):
    clip = write_clip(
        tmp_path / "a.avi", even_times(30), codec="mpeg4", time_base=Fraction(1, 25), b_frames=0
    )
    assert_healthy(clip, even_times(30))
    assert_healthy(clip, even_times(30)[13:], start_s=0.52)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory) -> Path:
    """Four seconds, its index in front, big enough to be damaged."""
    return write_clip(
        tmp_path_factory.mktemp("noisy") / "noisy.mp4",
        even_times(100),
        picture=noise_picture,
        options={"g": "20"},
        muxer={"movflags": "faststart"},
    )


def test_cut_off(tmp_path, noisy):
    frames, video = read(cut_copy(noisy, tmp_path / "a.mp4", 0.6))
    assert 50 < len(frames) < 70
    assert len(lost(frames)) <= 1
    assert any("though it declares 4.0 s" in sentence for sentence in video.damage)
    assert read(tmp_path / "a.mp4", end_s=1)[1].damage == ()


def test_a_cut_of_less_than_a_second_is_stated(tmp_path, noisy):
    cut = cut_copy(noisy, tmp_path / "a.mp4", 0.95)
    missing = noisy.stat().st_size - cut.stat().st_size
    sentence = f"It is cut off: {missing:,} bytes are missing at its end."
    assert read(cut)[1].damage[-1] == sentence
    assert sentence not in read(cut, end_s=3)[1].damage


def test_a_hole_in_matroska_is_stated_where_it_is(tmp_path):
    settings = {"codec": "libvpx", "options": {"g": "10", "deadline": "realtime"}}
    clip = write_clip(tmp_path / "a.webm", even_times(100), picture=noise_picture, **settings)
    content = bytearray(clip.read_bytes())
    half = len(content) // 2
    content[half : half + len(content) // 10] = bytes(len(content) // 10)
    clip.write_bytes(content)
    frames, video = read(clip)
    assert len(frames) < 95
    (sentence,) = [words for words in video.damage if "structure is broken at byte" in words]
    assert "most likely between" in sentence
    assert not any("structure" in words for words in read(clip, end_s=1)[1].damage)
    assert not any("structure" in words for words in read(clip, start_s=3.5)[1].damage)


def test_zeros_in_the_middle(tmp_path, noisy):
    whole = [frame.time_s for frame in read(noisy)[0]]
    frames, video = read(zeroed_copy(noisy, tmp_path / "a.mp4", start=0.5, stop=0.56))
    assert [frame.time_s for frame in frames] == whole
    assert 1 <= len(lost(frames)) <= 12
    assert f"{len(lost(frames))} of 100 frames are unreadable" in video.damage[0]
    assert min(lost(frames)) > 40
    assert max(lost(frames)) < 70


def test_zeros_at_the_end(tmp_path, noisy):
    frames, video = read(zeroed_copy(noisy, tmp_path / "a.mp4", start=0.97, stop=1))
    assert lost(frames)
    assert min(lost(frames)) > 90
    assert video.damage


def test_the_selection_does_not_depend_on_damage(tmp_path, noisy):
    damaged = zeroed_copy(noisy, tmp_path / "a.mp4", start=0.3, stop=0.5)
    for options in ({"every": 3}, {"fps": 7}, {"start_s": 1.5, "every": 2}):
        frames, _ = read(damaged, **options)
        assert [frame.index for frame in frames] == [f.index for f in read(noisy, **options)[0]]
        assert lost(frames)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_damaged_anywhere_never_fails(tmp_path, noisy, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "avi":
        write_clip(
            path, even_times(60), codec="mpeg4", picture=noise_picture, time_base=Fraction(1, 25)
        )
    else:
        remux(noisy, path)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(8):
        damaged = bytearray(content)
        for at in random.integers(2000, len(content), 30):
            damaged[at] = random.integers(256)
        start = int(random.integers(2000, len(content) - 3000))
        damaged[start : start + 2000] = bytes(2000)
        path.write_bytes(damaged)
        frames, video = read(path)
        assert video.damage
        assert sum(isinstance(frame, Frame) for frame in frames) > len(frames) / 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"dear diary\n" * 50, "is not a video"),
        (b"ffconcat version 1.0\nfile 'other.mp4'\n", "is not in a video format"),
        (
            b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mp4\n",
            "not in a video format|not a video",
        ),
    ],
)
def test_what_is_no_video(tmp_path, content, words):
    write_clip(tmp_path / "other.mp4", even_times(5))
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=words):
        opened(tmp_path / "a.mp4")


def test_more_that_is_no_video(tmp_path, noisy):
    with pytest.raises(MediaError, match="has no video stream, only audio"):
        opened(sound_only(tmp_path / "sound.mp4"))
    with pytest.raises(MediaError, match="no such file"):
        opened(tmp_path / "missing.mp4")
    write_clip(tmp_path / "index_last.mp4", even_times(20))
    with pytest.raises(MediaError, match="its index is missing"):
        opened(cut_copy(tmp_path / "index_last.mp4", tmp_path / "cut.mp4", 0.3))
    with pytest.raises(MediaError, match="no frame that can be decoded"):
        opened(zeroed_copy(noisy, tmp_path / "zeros.mp4", start=0, stop=1))


def test_names_with_colons_and_beyond_ascii(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", even_times(3))
    for name in ("concat:a.mp4", "12:30 Gespräch 会話 %d.mp4"):
        renamed = tmp_path / name
        renamed.write_bytes(clip.read_bytes())
        assert_healthy(renamed, even_times(3))


def test_info_is_json(tmp_path):
    info = read(write_clip(tmp_path / "a.mp4", even_times(10)))[1].info.as_dict()
    assert (info["codec"], info["width"], info["height"], info["packets"]) == ("h264", 64, 48, 10)
    assert info["duration_s"] == pytest.approx(0.4)


def test_frames_can_be_read_ahead_and_given_up(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", even_times(100))
    with opened(clip) as video:
        ahead = read_ahead(video.frames(ALL), depth=4)
        assert [next(ahead).index for _ in range(3)] == [0, 1, 2]
        ahead.close()
        assert [f.index for f in read_ahead(video.frames(ScanOptions(every=50)), depth=4)] == [
            0,
            50,
        ]
    assert "emoscan-read-ahead" not in {thread.name for thread in threading.enumerate()}


def test_nothing_is_left_to_the_garbage_collector(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", even_times(50))
    gc.collect()
    gc.disable()
    try:
        with opened(clip) as video:
            for frame in video.frames(ALL):
                frame.rgb()
        alive = [o for o in gc.get_objects() if isinstance(o, av.VideoFrame | av.Packet)]
        assert len(alive) <= 2  # the first frame of the file, and the last that was read
    finally:
        gc.enable()


def test_order_is_restored_within_bounds():
    assert list(in_order([(2, "c"), (0, "a"), (1, "b"), (4, "e")], first=0)) == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
        (3, None),
        (4, "e"),
    ]
    assert list(in_order([(3, "lead-in"), (6, "g"), (6, "again"), (5, "f")], first=5)) == [
        (5, "f"),
        (6, "g"),
    ]


def test_places_in_the_output():
    healthy = [(n, n) for n in (0, 3, 1, 2, 6, 4, 5)]
    assert [place for place, _ in by_output(healthy)] == [*range(7)]
    one_lost = [(n, n) for n in range(40) if n != 12]
    assert [place for place, _ in by_output(one_lost)][-1] == 39


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the real media are not here")
def test_real_videos(tmp_path):
    for path in sorted(MEDIA.iterdir()):
        if path.suffix in MediaKind.VIDEO.suffixes:
            frames, video = read(path, every=20)
            assert not lost(frames)
            assert video.damage == ()
            assert frames[-1].rgb().shape == (video.info.height, video.info.width, 3)


def test_whoever_waits_hears_of_progress_while_the_file_is_wound_forward(tmp_path, monkeypatch):
    """A file without an index is read up to there, which may take minutes."""
    monkeypatch.setattr("emoscan.media.video.SEEK_STEP_FRAMES", 10)
    gops = {"g": "50", "sc_threshold": "0"}
    path = write_clip(tmp_path / "a.mkv", even_times(100), options=gops, muxer={"live": "1"})
    calls: list[None] = []
    with open_video(MediaFile(path, path.name), lambda: calls.append(None)) as video:
        calls.clear()
        frames = list(video.frames(ALL, first=60))
    assert [frame.index for frame in frames] == list(range(60, 100)) and video.damage == ()
    # Four steps up to the key frame at 50, that frame itself, every packet from there, the end.
    assert len(calls) == 4 + 1 + 50 + 1
