"""What a copy of a video takes over from it beside its pictures: ticks, tags, and the sound."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Self, cast

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Discard

from emoscan.media.container import (
    DECODE_ERRORS,
    MAX_ERRORS_IN_A_ROW,
    open_container,
    reason,
    video_stream,
)
from emoscan.media.find import MediaFile
from emoscan.media.packets import JUMP_S

if TYPE_CHECKING:
    AudioPacket = Packet[AudioStream]
else:  # generic for type checkers only
    AudioPacket = Packet

MICROSECOND = Fraction(1, 1_000_000)
# FFmpeg's AVColorTransferCharacteristic: PQ and HLG.
HDR_TRANSFERS = (16, 18)


class Original:
    """A video file opened for all but its pictures; a context manager. Raises MediaError.

    `start_s` is the file's start as `VideoInfo` has it, from which times are counted.
    `time_base` is that of the video stream, `pixel_aspect` the width of a pixel by its height as
    stored, None if nothing is said; `primaries` and `transfer` are H.273's numbers, 2 if nothing
    is said. After iterating over packets `damage` has the sound's first error, None if it is well.
    """

    def __init__(self, file: MediaFile, *, start_s: float) -> None:
        self._container = open_container(file)
        self._start_s = Fraction(start_s)
        video = video_stream(self._container, file)
        self.time_base = video.time_base or MICROSECOND
        self.pixel_aspect = video.sample_aspect_ratio or None
        self.primaries = int(video.codec_context.color_primaries)
        self.transfer = int(video.codec_context.color_trc)
        self.sounds = tuple(s for s in self._container.streams.audio if s.codec_context is not None)
        self.damage: str | None = None
        video.discard = Discard.all
        for sound in self.sounds:
            sound.discard = Discard.default

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def is_hdr(self) -> bool:
        """Whether its light is coded for HDR screens."""
        return self.transfer in HDR_TRANSFERS

    def packets(self) -> Iterator[AudioPacket]:
        """The sound as it is stored; times from the file's start, rising within each stream.

        What an edit list leaves out is left out, but for the packet before each part that is to
        be heard: decoders need it.
        """
        clocks = {sound.index: _Clock.of(sound, self._start_s) for sound in self.sounds}
        silent: dict[int, AudioPacket] = {}
        for packet in self._demuxed():
            clock = clocks[packet.stream.index]
            if packet.is_discard:
                silent[packet.stream.index] = packet
                continue
            before = silent.pop(packet.stream.index, None)
            for item in (before, packet) if before is not None else (packet,):
                clock.set(item)
                yield item

    def decoded(self, packet: AudioPacket | None, sound: AudioStream) -> list[AudioFrame]:
        """A packet's samples, at last those for None; nothing where it is damaged."""
        try:
            return sound.codec_context.decode(packet)
        except DECODE_ERRORS as error:
            self._failed(error)
            return []

    def _demuxed(self) -> Iterator[AudioPacket]:
        errors = 0
        while self.sounds and errors < MAX_ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux(*self.sounds):
                    if packet.size:
                        errors = 0
                        yield cast("AudioPacket", packet)  # of the streams that were asked for
                return
            except DECODE_ERRORS as error:
                errors += 1
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.damage = self.damage or f"Its sound is damaged: {reason(error)}."


@dataclass(slots=True)
class _Clock:
    """The times of one stream's packets, in its ticks from the file's start.

    Times fall where recordings were joined: there they go on, as those of the pictures do.
    """

    start: int
    least_fall: int
    shift: int = 0
    last: int | None = None
    end: int = field(default=0)

    @classmethod
    def of(cls, sound: AudioStream, start_s: Fraction) -> Self:
        tick_s = sound.time_base or MICROSECOND
        return cls(start=round(start_s / tick_s), least_fall=round(JUMP_S / tick_s))

    def set(self, packet: AudioPacket) -> None:
        """Give a packet its time."""
        stored = packet.pts if packet.pts is not None else packet.dts
        ticks = self.end if stored is None else stored - self.start + self.shift
        if self.last is not None:
            if ticks < self.last - self.least_fall:
                self.shift += self.end - ticks
                ticks = self.end
            ticks = max(ticks, self.last + 1)
        packet.pts = packet.dts = self.last = ticks
        self.end = ticks + (packet.duration or 0)
