"""Videos to Frames: one pass over the packets for the times, then decoding on demand."""

import math
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from fractions import Fraction
from typing import Literal

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from emoscan.errors import MediaError
from emoscan.media.colours import Converter, Upright
from emoscan.media.container import (
    DECODE_ERRORS,
    VideoPacket,
    decode,
    is_shown,
    no_picture,
    open_container,
    packets,
    reason,
    refuse_encrypted,
    video_stream,
)
from emoscan.media.cut_off import Structure
from emoscan.media.find import MediaFile, counted
from emoscan.media.hardware import (
    DeviceFailedError,
    Hardware,
    accelerated,
    choose_hardware,
)
from emoscan.media.order import by_output, in_order
from emoscan.media.packets import (
    PacketLog,
    PacketTimes,
    packet_times,
    rate_or_default,
    selected_indices,
)
from emoscan.media.picture import OnDemand, Pixels
from emoscan.media.source import SOFTWARE, VideoInfo, VideoSource
from emoscan.media.watchdog import Alive, nobody_waits
from emoscan.options import NO_HARDWARE, ScanOptions
from emoscan.types import Frame, Unreadable

Threads = Literal["AUTO", "SLICE"]

# Containers whose header declares a duration for each stream; in others FFmpeg estimates one.
DECLARING = ("mov", "avi", "asf", "mxf")
# Containers that store no presentation times. FFmpeg makes some up, in the order of the packets,
# which are wrong where the codec reorders frames.
WITHOUT_PTS = ("avi",)
# Of a chunk in an AVI: its name and its length.
CHUNK_HEAD_BYTES = 8
# How far before a key frame to seek: FFmpeg may overshoot it, as in transport streams.
SEEK_BACK_S = (0, 2, 20)
# Some minutes: to read so much takes a slow disk seconds.
SEEK_STEP_FRAMES = 10_000
MICROSECOND = Fraction(1, 1_000_000)
# Whoever analyses a segment of a video alone finds in it what an analysis of all of it finds.
SEGMENT_S = 600.0


def open_video(
    file: MediaFile, alive: Alive = nobody_waits, *, hwaccel: str = NO_HARDWARE
) -> "Video":
    """Read the times of all packets and the first frame. Raises MediaError.

    `alive` is called at every packet, now and while frames are read. `hwaccel` is what RunOptions
    calls so; the first frame, which tells what the file is like, is decoded by software always.
    """
    with open_container(file) as container:
        stream = video_stream(container, file)
        log, sample = _survey(container, stream, file, alive)
        if sample is None:
            raise no_picture(stream, file)
        start_s = _start_s(container, stream, log)
        times = _times(stream, log, start_s)
        info = _info(container, stream, sample=sample, times=times, start_s=float(start_s))
        converter = Converter(Upright.of(sample), file.source)
        hardware = choose_hardware(hwaccel, stream.codec_context.codec)
    converter.rgb(sample)  # better to learn now of pixels that cannot be converted
    structure = Structure.of(
        file.path,
        has_gap=times.longest_gap() is not None,
        missing_frames=log.missing,
        alive=alive,
    )
    return Video(
        file,
        info=info,
        times=times,
        converter=converter,
        structure=structure,
        hardware=hardware,
        alive=alive,
    )


class Video(VideoSource):
    """As `VideoSource`; `open_video` makes it. Its iteration holds the file open.

    `decoder` is what decoded the last frame.
    """

    def __init__(
        self,
        file: MediaFile,
        *,
        info: VideoInfo,
        times: PacketTimes,
        converter: Converter,
        structure: Structure,
        hardware: Hardware,
        alive: Alive = nobody_waits,
    ) -> None:
        super().__init__(file, info)
        self.decoder = SOFTWARE
        self._hardware = hardware
        self._structure = structure
        self._times = times
        self._converter = converter
        self._alive = alive

    @property
    def time_s(self) -> NDArray[np.float64]:
        """(N,) when each frame of the file is shown, readable or not."""
        return self._times.time_s

    def start_behind(self, index: int, *, skip_s: float) -> int:
        """As `PacketTimes.start_behind`."""
        return self._times.start_behind(index, skip_s=skip_s)

    def _selected(self, options: ScanOptions, first: int) -> Generator[Frame | Unreadable]:
        wanted = selected_indices(self.time_s, options, first=first)
        self.damage, self.note = (), None if self._hardware.device else self._hardware.note
        self.decoded_by = Counter()
        if not len(wanted):
            self.damage = (*self._gap(options), *self._early_end(options))
            return
        losses = Losses(int(wanted[0]), int(wanted[-1]) + 1)
        selected = np.zeros(losses.stop, np.bool_)
        selected[wanted] = True
        for index, frame in self._each(losses):
            losses.count(index, frame)
            item = self._made(index, frame, losses) if selected[index] else None
            if losses.grew():
                self.damage = tuple(losses.sentences(self._times))
            if item is not None:
                yield item
            del item
            del frame  # or its buffer would live on while the next one is decoded
        of_packets = losses.sentences(self._times)
        self.damage = (*of_packets, *self._gap(options), *self._early_end(options))

    def _made(self, index: int, frame: VideoFrame | None, losses: "Losses") -> Frame | Unreadable:
        time_s = float(self._times.time_s[index])
        pixels = None if frame is None else self._pixels(index, frame, losses)
        if pixels is None:
            return Unreadable(self.file.source, index, time_s)
        self.decoded_by[self.decoder] += 1
        height, width = pixels.shape[:2]
        return Frame(self.file.source, index, time_s, width, height, OnDemand(lambda: pixels))

    def _pixels(self, index: int, frame: VideoFrame, losses: "Losses") -> Pixels | None:
        try:
            return self._converter.rgb(frame)
        except MediaError:  # one bad frame does not end the video
            losses.unconverted(index)
            return None

    def _each(self, losses: "Losses") -> Iterator[tuple[int, VideoFrame | None]]:
        """Every index of the range once, in order, with its frame or None."""
        # Where an error meets PyAV as it flushes a decoder, it drops the frames that the
        # decoder's threads still hold: what lacks at the end is tried again without them.
        attempts: tuple[Threads, ...] = ("AUTO", "SLICE")
        first = losses.first
        for index, frame in self._by_device(losses):
            first = index + 1
            yield index, frame
            del frame
        if first == losses.stop:
            return
        self.decoder = SOFTWARE
        for threads in attempts:
            decoded = self._decoded(first, threads, losses)
            for index, frame in in_order(decoded, first=first):
                first = index + 1
                yield index, frame
                del frame
                if first == losses.stop:
                    decoded.close()
                    return
        for index in range(first, losses.stop):
            yield index, None

    def _by_device(self, losses: "Losses") -> Generator[tuple[int, VideoFrame | None]]:
        """The frames of the range up to the first that the device does not give without fault.

        So what is wrong with a file is found, and told, by software alone.
        """
        device, first = self._hardware.device, losses.first
        if device is None:
            return
        self.decoder = device
        trial = Trial(first, losses.stop)
        try:
            # A device has units of its own and gains nothing from threads that decode ahead.
            with closing(self._decoded(first, "SLICE", trial, device=device)) as decoded:
                for index, frame in in_order(decoded, first=first):
                    if frame is None or frame.is_corrupt:
                        raise DeviceFailedError("a frame is missing or damaged")
                    if first == losses.first:
                        self.note = self._hardware.note
                    first = index + 1
                    yield index, frame
                    del frame
                    if first == losses.stop:
                        losses.untimed += trial.untimed
                        return
            raise DeviceFailedError("its frames end too early")
        except DeviceFailedError as failure:
            self.note = self._why_software(device, failure, first=first, begun=first > losses.first)

    def _why_software(
        self, device: str, failure: DeviceFailedError, *, first: int, begun: bool
    ) -> str:
        if not begun:
            what = f"{self.info.codec} in {self.info.pixel_format}"
            return f"{device} does not decode some {what} ({failure}): it is decoded in software."
        return (
            f"{device} stopped decoding {self.file.source} at {self._times.time_s[first]:.3f} s "
            f"({failure}): the rest of it was decoded in software."
        )

    def _decoded(
        self, first: int, threads: Threads, losses: "Losses", *, device: str | None = None
    ) -> Generator[tuple[int, VideoFrame]]:
        """Indices and frames as the decoder gives them, from `first` or some way before it.

        Raises DeviceFailedError where the device takes no file.
        """
        with self._opened_before(first, device) as container:
            stream = video_stream(container, self.file)
            stream.thread_type = threads
            frames = _numbered_frames(
                container, stream, times=self._times, losses=losses, alive=self._alive
            )
            yield from by_output(frames) if self._times.ordered_by_decoder else frames

    def _opened_before(self, index: int, device: str | None) -> InputContainer:
        """The container at a key frame from which `index` can be decoded."""
        container = self._opened(device)
        key = self._times.key_before(index) if self._times.unique else 0
        stream = video_stream(container, self.file)
        if key and not _seek(container, stream, self._times, key=key, alive=self._alive):
            container.close()
            container = self._opened(device)
        return container

    def _opened(self, device: str | None) -> InputContainer:
        if device is None:
            return open_container(self.file)
        try:
            return open_container(self.file, accelerated(device))
        except (MediaError, RuntimeError) as error:
            cause = error.__cause__
            raise DeviceFailedError(
                reason(cause if isinstance(cause, Exception) else error)
            ) from error

    def _early_end(self, options: ScanOptions) -> Iterator[str]:
        """What is to say if the frames, or the bytes, end before the end that is declared."""
        duration_s, end_s = self.info.duration_s, self._times.end_s
        declared_end_s = end_s
        if duration_s is not None:
            declared_end_s = self.info.video_start_s - self.info.start_s + duration_s
        if options.end_s is not None and options.end_s < declared_end_s:
            return
        if declared_end_s - end_s > max(1.0, (duration_s or 0) / 100):
            yield f"It ends at {end_s:.1f} s, though it declares {declared_end_s:.1f} s."
        if missing := self._structure.missing_bytes:
            yield f"It is cut off: {missing:,} bytes are missing at its end."

    def _gap(self, options: ScanOptions) -> Iterator[str]:
        """What is to say if frames are missing though no packet tells so."""
        gap_s, structure = self._times.longest_gap(), self._structure
        if gap_s is None:
            return
        start_s, end_s = gap_s
        if (options.end_s or math.inf) <= start_s or (options.start_s or 0) >= end_s:
            return
        where = f"most likely between {start_s:.3f} and {end_s:.3f} s"
        if structure.broken_at is not None:
            broken_at = f"Its structure is broken at byte {structure.broken_at:,}"
            yield f"{broken_at}, and frames may be missing, {where}."
        if structure.missing_frames:
            frames = counted(structure.missing_frames, "frame")
            yield f"{frames} of its index cannot be found, {where}."


class Losses:
    """What goes wrong with the frames from `first` to before `stop`."""

    def __init__(self, first: int, stop: int) -> None:
        self.first = first
        self.stop = stop
        self.place = first
        self.lost = 0
        self.first_lost: int | None = None
        self.corrupt = 0
        self.error: str | None = None
        self.untimed = 0
        self._told: tuple[int, int, int, str | None] = (0, 0, 0, None)

    def grew(self) -> bool:
        """Whether there are more of them than when this was last asked."""
        before, self._told = self._told, (self.lost, self.corrupt, self.untimed, self.error)
        return before != self._told

    def at(self, index: int | None) -> None:
        """Errors from now on belong to the packet of this index; None: to the last known."""
        self.place = self.place if index is None else index

    def failed(self, error: Exception) -> None:
        """Demuxing or decoding raised; outside of the range that is no loss."""
        if self.error is None and self.first <= self.place < self.stop:
            self.error = reason(error)

    def count(self, index: int, frame: VideoFrame | None) -> None:
        """Take note of what became of an index."""
        if frame is None:
            self._lose(index)
        elif frame.is_corrupt:
            self.corrupt += 1

    def unconverted(self, index: int) -> None:
        """A frame that was decoded is lost all the same: its pixels cannot be made RGB."""
        self._lose(index)
        self.error = self.error or "pixels that cannot be made RGB"

    def _lose(self, index: int) -> None:
        self.lost += 1
        self.first_lost = index if self.first_lost is None else self.first_lost

    def sentences(self, times: PacketTimes) -> Iterator[str]:
        """What was wrong, in words."""
        if self.lost and self.first_lost is not None:
            first_s = times.time_s[self.first_lost]
            why = f" ({self.error})" if self.error else ""
            of_all = f"{self.lost:,} of {self.stop - self.first:,} frames"
            yield f"{of_all} are unreadable, the first at {first_s:.3f} s{why}."
        if self.corrupt:
            yield f"{_frames(self.corrupt)} decoded with errors in the picture."
        if self.untimed:
            yield f"{_frames(self.untimed)} without a time left out."
        if self.error and not self.lost:
            yield f"Its data are damaged: {self.error}."


class Trial(Losses):
    """What goes wrong while a device decodes: the first loss ends it."""

    def failed(self, error: Exception) -> None:
        """Raises DeviceFailedError for what would be a loss."""
        super().failed(error)
        if self.error is not None:
            raise DeviceFailedError(self.error) from error


def _frames(number: int) -> str:
    return f"{number:,} frame was" if number == 1 else f"{number:,} frames were"


def _survey(
    container: InputContainer, stream: VideoStream, file: MediaFile, alive: Alive
) -> tuple[PacketLog, VideoFrame | None]:
    """Note every packet, and decode up to the first frame. Raises MediaError."""
    log = PacketLog()
    frames: list[VideoFrame] = []
    has_pts = container.format.name not in WITHOUT_PTS
    places = {} if has_pts else _indexed(stream)
    for packet in packets(container, stream, _ignore, alive):
        refuse_encrypted(packet, file)
        if is_shown(packet):
            log.missing += _missing_before(packet, places, log.missing)
            pts = packet.pts if has_pts else None
            dts = None if packet.dts is None else packet.dts + log.missing
            log.add(pts=pts, dts=dts, duration=packet.duration, key=packet.is_keyframe)
        frames = frames or decode(stream, packet, _ignore)
    frames = frames or decode(stream, None, _ignore)
    return log, frames[0] if frames and len(log.pts) else None


def _indexed(stream: VideoStream) -> dict[int, int]:
    """The numbers of an AVI's frames by the place of their data, as its index has them."""
    return {entry.pos + CHUNK_HEAD_BYTES: entry.timestamp for entry in stream.index_entries}


def _missing_before(packet: VideoPacket, places: Mapping[int, int], known: int) -> int:
    """How many frames are missing right before a packet, which FFmpeg counts as it finds them."""
    number = places.get(packet.pos) if packet.pos is not None else None
    return 0 if number is None or packet.dts is None else max(0, number - packet.dts - known)


def _ignore(error: Exception) -> None:
    """Whoever iterates over the frames meets the same errors again."""


def _times(stream: VideoStream, log: PacketLog, start_s: Fraction) -> PacketTimes:
    return packet_times(
        log,
        time_base=stream.time_base or MICROSECOND,
        start_s=start_s,
        frame_s=1 / rate_or_default(stream.guessed_rate, stream.average_rate),
    )


def _start_s(container: InputContainer, stream: VideoStream, log: PacketLog) -> Fraction:
    """The container's start, undone of its rounding to microseconds where a stream tells."""
    if container.start_time is None:
        return log.first_pts() * (stream.time_base or MICROSECOND)
    start_s = container.start_time * MICROSECOND
    of_streams = (
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base
    )
    return next((exact for exact in of_streams if abs(exact - start_s) < MICROSECOND), start_s)


def _info(
    container: InputContainer,
    stream: VideoStream,
    *,
    sample: VideoFrame,
    times: PacketTimes,
    start_s: float,
) -> VideoInfo:
    width, height = Upright.of(sample).size(sample.width, sample.height)
    video_start_s = float(times.time_s[0]) + start_s
    return VideoInfo(
        codec=stream.codec_context.codec.canonical_name,
        container=container.format.name,
        pixel_format=sample.format.name,
        width=width,
        height=height,
        rotation_deg=sample.rotation % 360,
        frame_rate=times.frame_rate(),
        duration_s=_declared_duration_s(container, stream, video_start_s),
        start_s=start_s,
        video_start_s=video_start_s,
        packets=len(times),
        times_synthesised=times.synthesised,
        segment_starts=tuple(times.segment_starts(SEGMENT_S)),
    )


def _declared_duration_s(
    container: InputContainer, stream: VideoStream, video_start_s: float
) -> float | None:
    """What the header says of the video stream; Matroska has a tag with the time of its end."""
    names = container.format.name.split(",")
    if "matroska" in names:
        tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
        if tag is None:
            return None
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return 3600 * hours + 60 * minutes + seconds - video_start_s
    if stream.duration and stream.time_base and set(names) & set(DECLARING):
        return float(stream.duration * stream.time_base)
    return None


def _numbered_frames(
    container: InputContainer,
    stream: VideoStream,
    *,
    times: PacketTimes,
    losses: Losses,
    alive: Alive,
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode from where the container stands; each frame with the index of its packet."""
    index_of = _by_time(times) if times.unique else _by_place(times)
    for packet in packets(container, stream, losses.failed, alive):
        index = index_of(packet)
        losses.at(index)
        if packet.is_corrupt:
            losses.failed(ValueError("a packet is marked as damaged"))
        # Decoders hand a packet's time on to its frame, through all reordering and threads.
        packet.pts = index
        yield from _with_index(decode(stream, packet, losses.failed), losses)
    yield from _with_index(decode(stream, None, losses.failed), losses)


def _with_index(frames: list[VideoFrame], losses: Losses) -> Iterator[tuple[int, VideoFrame]]:
    frames.reverse()
    while frames:
        frame = frames.pop()
        if frame.pts is None:
            losses.untimed += 1
            continue
        yield frame.pts, frame


def _by_time(times: PacketTimes) -> Callable[[VideoPacket], int | None]:
    """The index of a packet by its stored time, wherever reading began."""
    return lambda packet: times.rank_of(packet.pts) if is_shown(packet) else None


def _by_place(times: PacketTimes) -> Callable[[VideoPacket], int | None]:
    """The index of a packet by its place among the packets, where times do not tell them apart."""
    ranks = iter(times.rank.tolist())

    def index_of(packet: VideoPacket) -> int | None:
        timed = packet.pts is not None or times.ordered_by_decoder
        return next(ranks, None) if timed and is_shown(packet) else None

    return index_of


def _seek(
    container: InputContainer, stream: VideoStream, times: PacketTimes, *, key: int, alive: Alive
) -> bool:
    """Go to the key frame of index `key` or an earlier one; False if the file does not allow it."""
    ticks, time_base = int(times.ticks[key]), stream.time_base or MICROSECOND
    try:
        _approach(container, stream, times, key=key, alive=alive)
        for back_s in SEEK_BACK_S:
            target = ticks - round(back_s / time_base)
            container.seek(target, stream=stream)
            arrived = _next_key(container, stream, times, alive)
            if arrived is not None and arrived <= key:
                container.seek(target, stream=stream)
                return True
    except DECODE_ERRORS:
        pass
    return False


def _approach(
    container: InputContainer, stream: VideoStream, times: PacketTimes, *, key: int, alive: Alive
) -> None:
    """Go there by steps: of a file without an index FFmpeg reads all that lies before, in silence.

    What it has read on the way to one place it knows on the way to the next.
    """
    for step in range(SEEK_STEP_FRAMES, key, SEEK_STEP_FRAMES):
        container.seek(int(times.ticks[step]), stream=stream)
        alive()


def _next_key(
    container: InputContainer, stream: VideoStream, times: PacketTimes, alive: Alive
) -> int | None:
    """The index of the first key frame from where the container stands."""
    index_of = _by_time(times)
    keys = (
        index_of(packet)
        for packet in packets(container, stream, _ignore, alive)
        if packet.is_keyframe
    )
    return next((index for index in keys if index is not None), None)
