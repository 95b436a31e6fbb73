"""Small clips with known times and pictures, healthy and damaged, written with PyAV."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
MS = Fraction(1, 1000)
AUDIO_RATE_HZ = 48000
SIZE = (64, 48)


def level(index: int) -> int:
    """The gray level of frame `index`: neighbours differ by much more than coding does."""
    return 30 + index * 37 % 190


def gray_picture(index: int, size: tuple[int, int] = SIZE) -> Picture:
    """(H, W, 3) of one gray level that tells the index."""
    width, height = size
    return np.full((height, width, 3), level(index), np.uint8)


def noise_picture(index: int, size: tuple[int, int] = SIZE) -> Picture:
    """(H, W, 3) blocks of noise, so that packets have some size to damage."""
    width, height = size
    blocks = np.random.default_rng(index).integers(0, 255, (height // 4, width // 4, 3), np.uint8)
    return blocks.repeat(4, 0).repeat(4, 1)


def even_times(count: int, fps: float = 25) -> list[int]:
    """Times in ms of `count` frames at an even rate."""
    return [round(1000 * index / fps) for index in range(count)]


def write_clip(
    path: Path,
    times_ms: Sequence[int],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    b_frames: int = 2,
    time_base: Fraction = MS,
    size: tuple[int, int] = SIZE,
    picture: Callable[[int], Picture] | None = None,
    rotation_deg: int = 0,
    mirrored: bool = False,
    audio_s: float = 0,
    audio_codec: str = "aac",
    data: bool = False,
    muxer: dict[str, str] | None = None,
    file_format: str | None = None,
) -> Path:
    """Write one frame at each of `times_ms`; sound lasts from 0 to `audio_s`."""
    with av.open(str(path), "w", format=file_format, options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        stream.codec_context.max_b_frames = b_frames
        if rotation_deg or mirrored:
            stream.set_display_rotation(rotation_deg, hflip=mirrored)
        sound = container.add_stream(audio_codec, rate=AUDIO_RATE_HZ) if audio_s else None
        extra = container.add_data_stream() if data else None
        if sound is not None:
            _write_sound(container, sound, audio_s)
        if extra is not None:
            packet = av.Packet(b"data")
            packet.stream, packet.pts, packet.dts, packet.time_base = extra, 0, 0, MS
            container.mux(packet)
        for index, time_ms in enumerate(times_ms):
            pixels = picture(index) if picture else gray_picture(index, size)
            frame = av.VideoFrame.from_ndarray(pixels).reformat(format=pixel_format)
            frame.pts, frame.time_base = time_ms, MS
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _write_sound(container: av.container.OutputContainer, stream: av.AudioStream, s: float) -> None:
    samples = 1024
    for start in range(0, int(s * AUDIO_RATE_HZ), samples):
        format_name, layout = stream.codec_context.format.name, stream.codec_context.layout.name
        frame = av.AudioFrame(format=format_name, layout=layout, samples=samples)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = AUDIO_RATE_HZ, start
        frame.time_base = Fraction(1, AUDIO_RATE_HZ)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_yuv(
    path: Path,
    planes: Sequence[int],
    *,
    size: tuple[int, int],
    colorspace: int,
    color_range: int,
    pixel_format: str = "yuv420p",
) -> Path:
    """A lossless clip of two frames of one Y, U, V, with its matrix and range as metadata."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.colorspace = colorspace
        stream.codec_context.color_range = color_range
        for index in range(2):
            frame = av.VideoFrame(*size, pixel_format)
            for plane, value in zip(frame.planes, planes, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.colorspace, frame.color_range, frame.pts = colorspace, color_range, index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def remux(source: Path, target: Path, *, drop_pts: bool = False) -> Path:
    """The video stream of `source` in another container."""
    with av.open(str(source)) as original, av.open(str(target), "w") as container:
        stream = original.streams.video[0]
        copy = container.add_stream_from_template(stream)
        for packet in original.demux(stream):
            if packet.size:
                packet.stream = copy
                packet.pts = None if drop_pts else packet.pts
                container.mux(packet)
    return target


def sound_only(path: Path) -> Path:
    """Half a second of silence without a video stream."""
    with av.open(str(path), "w") as container:
        _write_sound(container, container.add_stream("aac", rate=AUDIO_RATE_HZ), 0.5)
    return path


def cut_copy(source: Path, target: Path, share: float) -> Path:
    """The first `share` of the bytes."""
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


def zeroed_copy(source: Path, target: Path, *, start: float, stop: float) -> Path:
    """A copy with zeros between two shares of an mp4's media data."""
    content = bytearray(source.read_bytes())
    at = content.index(b"mdat") + 4
    length = int.from_bytes(content[at - 8 : at - 4], "big") - 8
    first, last = at + int(start * length), at + int(stop * length)
    content[first:last] = bytes(last - first)
    target.write_bytes(content)
    return target


def trimmed_copy(source: Path, target: Path, *, trim_ms: int) -> Path:
    """A copy of an mp4 with ticks of 1 ms whose edit list leaves out its beginning."""
    content = bytearray(source.read_bytes())
    at = content.index(b"elst") + 12  # behind version, flags and the count of entries
    for place, change_ms in ((at, -trim_ms), (at + 4, trim_ms)):  # duration, then media time
        value = int.from_bytes(content[place : place + 4], "big") + change_ms
        content[place : place + 4] = value.to_bytes(4, "big")
    target.write_bytes(content)
    return target


def write_heic(path: Path, pixels: Picture) -> Path:
    """A HEIC photo: nothing at hand writes them, so one HEVC frame is put into HEIF's boxes."""
    height, width = pixels.shape[:2]
    clip = write_clip(
        path.with_suffix(".mp4"),
        [0],
        codec="libx265",
        options={"x265-params": "log-level=none", "crf": "5"},
        b_frames=0,  # with them x265 gives a single frame a random decoding time at times
        size=(width, height),
        picture=lambda _: pixels,
    )
    content = clip.read_bytes()
    at = content.index(b"hvcC") - 4
    hvcc = content[at : at + int.from_bytes(content[at : at + 4], "big")]
    with av.open(str(clip)) as container:
        coded = bytes(next(container.demux(video=0)))
    path.write_bytes(_heif(coded, hvcc, width, height))
    return path


def _heif(coded: bytes, hvcc: bytes, width: int, height: int) -> bytes:
    """ISO/IEC 23008-12: one item of type hvc1 with its two properties."""
    ftyp = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    ispe = _box(b"ispe", bytes(4), _number(width, 4), _number(height, 4))
    infe = _box(b"infe", b"\x02\0\0\0", _number(1, 2), bytes(2), b"hvc1\0")
    ipma = _box(b"ipma", bytes(4), _number(1, 4), _number(1, 2), b"\x02\x81\x02")

    def meta(offset: int) -> bytes:
        extent = _number(offset, 4) + _number(len(coded), 4)
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", bytes(4), _number(1, 2)),
            _box(b"iloc", bytes(4), b"\x44\0", *(_number(n, 2) for n in (1, 1, 0, 1)), extent),
            _box(b"iinf", bytes(4), _number(1, 2), infe),
            _box(b"iprp", _box(b"ipco", hvcc, ispe), ipma),
        )

    return ftyp + meta(len(ftyp) + len(meta(0)) + 8) + _box(b"mdat", coded)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _number(len(body) + 8, 4) + kind + body


def _number(value: int, length: int) -> bytes:
    return value.to_bytes(length, "big")
