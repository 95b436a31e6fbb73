"""Pictures and the original's sound to H.264 in MP4 or Matroska, at exact times."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from emoscan.media.original import AudioPacket, Original
from emoscan.media.source import VideoInfo

Pixels = NDArray[np.uint8]

FORMATS = {".mp4": "mp4", ".mkv": "matroska"}
# What players find in an MP4 as well; Matroska holds whatever FFmpeg knows a name for.
MP4_SOUNDS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
AAC_RATES_HZ = frozenset({96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000})
AAC_LAYOUTS = frozenset({"mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"})
AAC_BITS_PER_CHANNEL = 96_000

# Small letters and coloured lines stay crisp. `veryfast` is as small as slower presets nearly, and
# keeps up with playing on two cores.
X264_OPTIONS = {"preset": "veryfast", "crf": "20"}
KEY_FRAME_S = 2.0  # for a player that jumps about
LEAST_RATE, MOST_RATE = Fraction(1), Fraction(240)
# The ticks of the pictures' times are the original's, or fractions of them at least so fine.
LEAST_TICKS_PER_S, MOST_TICKS_PER_S = 10_000, 1_000_000

BT709, UNSPECIFIED = 1, 2
# H.273, matrix 1, at 8 bits and limited range: rows for Y, Cb and Cr of R, G, B and 1.
KR, KB = 0.2126, 0.0722
_LUMA = np.array([KR, 1 - KR - KB, KB])
_TO_YUV = np.vstack(
    [
        np.append(_LUMA * 219 / 255, 16),
        np.append((np.array([0, 0, 1]) - _LUMA) / (2 - 2 * KB) * 224 / 255, 128),
        np.append((np.array([1, 0, 0]) - _LUMA) / (2 - 2 * KR) * 224 / 255, 128),
    ]
)


class Movie:
    """One video that is being written; a context manager, whose end closes the file.

    Its pictures have the upright size that `info` tells of the original, padded to even numbers:
    H.264 in 4:2:0 knows no others. Pictures of other sizes are fitted in. `recoded` names the
    codecs of sound that the container cannot hold, and that is coded anew as AAC.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        original: Original,
        *,
        info: VideoInfo,
        audio: bool,
    ) -> None:
        self._size = info.width, info.height
        self._ticks_per_s = _ticks_per_s(original.time_base)
        self._last_ticks: int | None = None
        self._container = _create(path, FORMATS[suffix], self._ticks_per_s)
        try:
            self._video = self._container.add_stream(
                "libx264", rate=_rate(info.frame_rate), options=X264_OPTIONS
            )
            self._set_up_video(original, is_turned=info.rotation_deg % 180 != 0)
            self._sound = _Sound(self._container, original) if audio else None
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def recoded(self) -> tuple[str, ...]:
        """The codecs of the sound that is coded anew."""
        return self._sound.recoded if self._sound else ()

    @property
    def has_sound(self) -> bool:
        """Whether there is any sound in it."""
        return self._sound is not None and self._sound.streams > 0

    def write(self, pixels: Pixels, *, time_s: float, duration_s: float) -> None:
        """Add (H, W, 3) uint8 RGB, shown from `time_s` on; the sound up to there goes before it."""
        if self._sound:
            self._sound.write_until(time_s)
        frame = _frame(_padded(_fitted(pixels, self._size)))
        ticks = round(time_s * self._ticks_per_s)
        # Where a file gives two frames one time, players need two.
        ticks = ticks if self._last_ticks is None else max(ticks, self._last_ticks + 1)
        frame.time_base = Fraction(1, self._ticks_per_s)
        frame.pts = self._last_ticks = ticks
        frame.duration = max(1, round(duration_s * self._ticks_per_s))
        self._container.mux(self._video.encode(frame))

    def finish(self) -> None:
        """Write what the encoder holds, and the rest of the sound."""
        self._container.mux(self._video.encode(None))
        if self._sound:
            self._sound.finish()

    def _set_up_video(self, original: Original, *, is_turned: bool) -> None:
        video, width, height = self._video, *self._size
        video.width, video.height = width + width % 2, height + height % 2
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.thread_type = "FRAME"  # slices would make whoever writes wait for each frame
        context.time_base = Fraction(1, self._ticks_per_s)
        context.gop_size = max(1, round(KEY_FRAME_S * context.framerate))
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = _told(original.primaries)
        context.color_trc = _told(original.transfer)
        if (aspect := original.pixel_aspect) is not None:
            context.sample_aspect_ratio = 1 / aspect if is_turned else aspect


class _Sound:
    """The original's sound on its way into the copy."""

    def __init__(self, container: OutputContainer, original: Original) -> None:
        self._container, self._original = container, original
        self._is_mp4 = container.format.name == "mp4"
        holds = MP4_SOUNDS if self._is_mp4 else container.supported_codecs
        self._recoding = [sound for sound in original.sounds if _codec(sound) not in holds]
        self._targets = {
            sound.index: _aac(container, sound)
            if sound in self._recoding
            else container.add_stream_from_template(sound)
            for sound in original.sounds
        }
        self._packets = original.packets()
        self._next = next(self._packets, None)

    @property
    def streams(self) -> int:
        return len(self._targets)

    @property
    def recoded(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(_codec, self._recoding)))

    def write_until(self, time_s: float) -> None:
        while self._next is not None and _time_s(self._next) <= time_s:
            self._write(self._next)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        self.write_until(float("inf"))
        for sound in self._recoding:
            for packet in self._encoded(None, sound):
                self._container.mux(packet)
            self._container.mux(self._targets[sound.index].encode(None))

    def _write(self, packet: AudioPacket) -> None:
        sound = packet.stream
        if sound in self._recoding:
            for coded in self._encoded(packet, sound):
                self._container.mux(coded)
        # Matroska would move everything to give what is heard by nobody a time from 0 on.
        elif self._is_mp4 or not packet.is_discard:
            packet.stream = self._targets[sound.index]
            self._container.mux(packet)

    def _encoded(self, packet: AudioPacket | None, sound: AudioStream) -> Iterator[AudioPacket]:
        for frame in self._original.decoded(packet, sound):
            yield from self._targets[sound.index].encode(frame)


def _create(path: Path, format_name: str, ticks_per_s: int) -> OutputContainer:
    # By default the start of a track is rounded to milliseconds.
    exact = {"movie_timescale": str(ticks_per_s), "video_track_timescale": str(ticks_per_s)}
    options = exact | {"movflags": "faststart"} if format_name == "mp4" else {}
    return av.open(f"file:{path}", "w", format=format_name, container_options=options)


def _ticks_per_s(time_base: Fraction) -> int:
    ticks_per_s = time_base.denominator
    factor = -(-LEAST_TICKS_PER_S // ticks_per_s)
    return min(ticks_per_s * factor, MOST_TICKS_PER_S)


def _rate(frame_rate: float | None) -> Fraction:
    return max(LEAST_RATE, min(Fraction(frame_rate or 25).limit_denominator(1001), MOST_RATE))


def _told(tag: int) -> int:
    return BT709 if tag in (0, UNSPECIFIED) else tag


def _codec(sound: AudioStream) -> str:
    return sound.codec_context.codec.canonical_name


def _aac(container: OutputContainer, sound: AudioStream) -> AudioStream:
    rate_hz = sound.rate if sound.rate in AAC_RATES_HZ else 48000
    stream = container.add_stream("aac", rate=rate_hz)
    few = "mono" if sound.channels == 1 else "stereo"
    stream.layout = sound.layout.name if sound.layout.name in AAC_LAYOUTS else few
    stream.bit_rate = AAC_BITS_PER_CHANNEL * stream.channels
    return stream


def _time_s(packet: AudioPacket) -> float:
    return float((packet.pts or 0) * packet.time_base)


def _fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """In the middle of black where a video changes its size on the way."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    scale = min(size[0] / width, size[1] / height)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    whole = np.zeros((size[1], size[0], 3), np.uint8)
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    whole[top : top + height, left : left + width] = resized
    return whole


def _padded(pixels: Pixels) -> Pixels:
    """With the last column and row once more where there is an odd number of them."""
    height, width = pixels.shape[:2]
    if not height % 2 and not width % 2:
        return pixels
    padded = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def _frame(pixels: Pixels) -> VideoFrame:
    """(H, W, 3) RGB to BT.709's limited-range 4:2:0; twice as fast as swscale's way."""
    height, width = pixels.shape[:2]
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    _, cb, cr = cv2.split(cv2.transform(half, _TO_YUV))
    planes = np.empty((height * 3 // 2, width), np.uint8)
    # All three, for OpenCV has no fast way to make one channel of three.
    cv2.extractChannel(cv2.transform(pixels, _TO_YUV), 0, dst=planes[:height])
    planes[height:].reshape(2, height // 2, width // 2)[:] = cb, cr
    return VideoFrame.from_numpy_buffer(planes, format="yuv420p")
