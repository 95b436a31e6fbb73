"""Opening files with FFmpeg, safely, and reading their packets past damage."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from emoscan.errors import MediaError
from emoscan.media.find import MediaFile
from emoscan.media.picture import MAX_PIXELS
from emoscan.media.watchdog import Alive

# Containers only: FFmpeg also knows lists (concat, hls, dash), devices and generators (lavfi),
# through which a file could make us open others.
CONTAINERS = (
    "apng,asf,avi,av1,dv,flv,gif,h263,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp4,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,vc1,vvc,webm,wtv,yuv4mpegpipe"
)
OPEN_OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
# What damaged files make PyAV raise while it demuxes and decodes.
DECODE_ERRORS = (av.error.FFmpegError, AttributeError, IndexError, MemoryError, ValueError)
# Errors without a packet between them after which the rest of a file is given up.
MAX_ERRORS_IN_A_ROW = 1000
VP8_SHOW_FRAME = 0x10

Failed = Callable[[Exception], None]
if TYPE_CHECKING:
    VideoPacket = Packet[VideoStream]
else:  # generic for type checkers only
    VideoPacket = Packet


def open_container(file: MediaFile, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a video file and nothing else, its decoders on a device or not. Raises MediaError."""
    try:
        if file.path.stat().st_size == 0:
            raise MediaError(f"{file.source} is empty.")
        # With the protocol in front, a colon in a name starts no other one.
        return av.open(
            f"file:{file.path}",
            container_options=OPEN_OPTIONS,
            metadata_errors="replace",
            hwaccel=hwaccel,
        )
    except av.error.ArgumentError as error:
        raise MediaError(f"{file.source} is not in a video format that can be read.") from error
    except av.error.InvalidDataError as error:
        raise MediaError(
            f"{file.source} is not a video, or its index is missing as in a recording that was "
            "cut off."
        ) from error
    except (OSError, *DECODE_ERRORS) as error:
        raise MediaError(f"{file.source} cannot be opened: {reason(error)}.") from error


def video_stream(container: InputContainer, file: MediaFile) -> VideoStream:
    """The main video stream; packets of the others are not read. Raises MediaError."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise MediaError(f"{file.source} has no video stream, only {kinds}.")
    best = container.streams.best("video")
    stream = best if best in moving else moving[0]
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        raise MediaError(f"{file.source} has a video stream in a codec that FFmpeg cannot decode.")
    _limit_size(stream, file)
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    return stream


def _limit_size(stream: VideoStream, file: MediaFile) -> None:
    """Refuse what the file declares too large, and have the decoder refuse it on the way.

    `av.open` is given no such option: older PyAV may crash where it gets any (its issue 2010).
    """
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"{file.source} has pictures of {width} × {height} pixels, which is more than is "
            "safe: make it smaller."
        )
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}


def no_picture(stream: VideoStream, file: MediaFile) -> MediaError:
    """Why nothing can be decoded; FFmpeg sets a size that it finds impossible to 0."""
    sized = stream.codec_context.width and stream.codec_context.height
    why = "." if sized else f": it has no size, or one far beyond {MAX_PIXELS:,} pixels."
    return MediaError(f"{file.source} holds no frame that can be decoded{why}")


def packets(
    container: InputContainer, stream: VideoStream, failed: Failed, alive: Alive
) -> Iterator[VideoPacket]:
    """The stream's packets that hold data; `failed` is told of errors, reading goes on.

    `alive` is called at each: whoever waits for a frame learns that there is progress.
    """
    errors = 0
    while errors < MAX_ERRORS_IN_A_ROW:
        try:
            for packet in container.demux(stream):
                alive()
                if packet.size:
                    errors = 0
                    yield packet
            return
        except DECODE_ERRORS as error:
            errors += 1
            failed(error)


def decode(stream: VideoStream, packet: VideoPacket | None, failed: Failed) -> list[VideoFrame]:
    """What the decoder gives for a packet, or at last for None; `failed` is told of an error."""
    try:
        return stream.codec_context.decode(packet)
    except DECODE_ERRORS as error:
        failed(error)
        return []


def refuse_encrypted(packet: VideoPacket, file: MediaFile) -> None:
    """Raise MediaError: a decoder would make noise of it, and call that pictures."""
    if packet.has_sidedata("encryption_info"):
        raise MediaError(f"{file.source} is encrypted; decrypt it first.")


def is_shown(packet: VideoPacket) -> bool:
    """Whether the packet gives a frame that is to be seen.

    Not so before the start of an edit list, and not VP8's hidden reference frames (RFC 6386,
    9.1), which have packets of their own.
    """
    if packet.is_discard:
        return False
    hidden = (
        packet.stream.codec_context.name == "vp8" and not memoryview(packet)[0] & VP8_SHOW_FRAME
    )
    return not hidden


def reason(error: Exception) -> str:
    """The error in FFmpeg's or the system's words, to end a sentence with."""
    text = error.strerror if isinstance(error, OSError | av.error.FFmpegError) else str(error)
    return (text or type(error).__name__).lower()
