"""The clips and photos that are measured on, made of the media folder's."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle, islice, takewhile
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

TALKING, STREET = "talking_720p.mp4", "street_1080p.mp4"
# Near-lossless: what the detector sees is the original's picture.
ENCODING = {"preset": "medium", "crf": "10"}
GRID = 4
GRID_FACES = GRID * GRID

Pixels = NDArray[np.uint8]


class Clips:
    """Each is made once, when it is first asked for, in `folder`."""

    def __init__(self, media: Path, folder: Path) -> None:
        self._media = media.resolve()
        self._folder = folder

    @property
    def talking_720p(self) -> Path:
        """One face throughout, 1280×720."""
        return self._media / TALKING

    @property
    def street_1080p(self) -> Path:
        """A crowd, 1920×1080."""
        return self._media / STREET

    @property
    def street_720p(self) -> Path:
        """The crowd at 1280×720."""
        return self._made("street_720p.mp4", lambda out: scale(self.street_1080p, out, height=720))

    def talking(self, *, height: int, seconds: float) -> Path:
        """The beginning of the clip of one face, scaled."""
        name = f"talking_{height}p_{seconds:g}s.mp4"
        return self._made(
            name, lambda out: scale(self.talking_720p, out, height=height, seconds=seconds)
        )

    def tiled(self, *, faces: int, seconds: float) -> Path:
        """4×4 small copies at 1280×720, all but `faces` negatives, in which no face is found."""
        name = f"tiled_{faces}_{seconds:g}s.mp4"
        return self._made(
            name, lambda out: tile(self.talking_720p, out, faces=faces, seconds=seconds)
        )

    def repeated(self, *, seconds: float) -> Path:
        """The clip of one face again and again, until it lasts so long."""
        return self._made(
            f"talking_{seconds:g}s.mp4",
            lambda out: repeat(self.talking_720p, out, seconds=seconds),
        )

    def photos(self, count: int) -> Path:
        """A folder of so many photos: the media folder's .jpg again and again."""
        folder = self._folder / f"photos_{count}"
        if not folder.exists():
            folder.mkdir()
            originals = sorted(self._media.glob("*.jpg"))
            for number, photo in enumerate(islice(cycle(originals), count)):
                shutil.copyfile(photo, folder / f"{number:03}_{photo.name}")
        return folder

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        path = self._folder / name
        if not path.exists():
            make(path)
        return path


def scale(source: Path, out: Path, *, height: int, seconds: float | None = None) -> None:
    """Write the pictures of a clip at another size, near-losslessly."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        width = round(stream.width * height / stream.height / 2) * 2
        frames = (
            frame.reformat(width=width, height=height, interpolation="AREA")
            for frame in _frames(container, seconds)
        )
        _encode(frames, out, like=stream, size=(width, height))


def tile(source: Path, out: Path, *, faces: int, seconds: float) -> None:
    """Write a clip of 4×4 small copies of another, of which all but `faces` are negatives."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        frames = (_tiled(frame, faces=faces) for frame in _frames(container, seconds))
        _encode(frames, out, like=stream, size=(stream.width, stream.height))


def repeat(source: Path, out: Path, *, seconds: float) -> None:
    """Write the packets of a clip again and again, with later times, until it lasts so long."""
    with av.open(str(source)) as container, av.open(str(out), "w") as made:
        stream = container.streams.video[0]
        copy = made.add_stream_from_template(stream)
        assert stream.time_base is not None
        ticks, offset = seconds / stream.time_base, 0
        while offset < ticks:
            container.seek(0)
            end = offset
            for packet in container.demux(stream):
                if packet.pts is None or packet.dts is None:  # the end
                    continue
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                end = max(end, packet.pts + (packet.duration or 0))
                packet.stream = copy
                made.mux(packet)
            offset = end


def _frames(container: InputContainer, seconds: float | None) -> Iterator[VideoFrame]:
    frames = container.decode(video=0)
    return takewhile(lambda frame: seconds is None or frame.time < seconds, frames)


def _tiled(frame: VideoFrame, *, faces: int) -> VideoFrame:
    pixels = frame.to_ndarray(format="rgb24")
    height, width = (side // GRID for side in pixels.shape[:2])
    small: Pixels = np.asarray(
        cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8
    )
    cells = [small if number < faces else 255 - small for number in range(GRID_FACES)]
    rows = [np.hstack(cells[start : start + GRID]) for start in range(0, GRID_FACES, GRID)]
    picture = VideoFrame.from_ndarray(np.vstack(rows), format="rgb24")
    picture.pts, picture.time_base = frame.pts, frame.time_base
    return picture


def _encode(
    frames: Iterator[VideoFrame], out: Path, *, like: VideoStream, size: tuple[int, int]
) -> None:
    with av.open(str(out), "w") as made, closing(made):
        stream = made.add_stream("libx264", rate=like.average_rate, options=ENCODING)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if like.time_base is not None:
            stream.codec_context.time_base = like.time_base
        for frame in frames:
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
