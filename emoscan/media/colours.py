"""Decoded frames in any pixel format, matrix, range and rotation to upright RGB."""

import threading
from dataclasses import dataclass
from typing import Self, cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from emoscan.errors import MediaError
from emoscan.media.picture import Pixels

# What a damaged frame, or one too large for the memory, makes the libraries raise.
CONVERT_ERRORS = (av.error.FFmpegError, cv2.error, MemoryError, ValueError)

# FFmpeg's AVColorSpace to swscale's.
COLORSPACES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
UNSPECIFIED_COLORSPACE = 2
# As hardware decoders store pictures, two kinds of chroma by turns, and as software does: swscale
# interpolates chroma in the first alone, and both shall give the same pixels.
PLANAR = {"nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p"}
# Where a file does not tell the matrix, players go by the height.
LEAST_HD_HEIGHT_PX = 720


@dataclass(frozen=True, slots=True)
class Upright:
    """How decoded pixels are turned upright: transposed first, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Self:
        """From the frame's display matrix, to the nearest quarter turn.

        The matrix is read and not `frame.rotation`, which knows no mirroring. Its first rows
        (a b) (c d) send a pixel x y to a·x + c·y, b·x + d·y.
        """
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        numbers = np.frombuffer(bytes(cast(SideData, matrix)), "<i4")
        (a, b), (c, d) = numbers.reshape(3, 3)[:2, :2].tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The upright width and height of a decoded picture."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) upright."""
        if self.transpose:
            pixels = np.asarray(cv2.transpose(pixels), np.uint8)
        if self.mirror_x:
            pixels = pixels[:, ::-1]
        if self.mirror_y:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


class Converter:
    """Makes RGB of the frames of one file, `source`; for several threads."""

    def __init__(self, upright: Upright, source: str) -> None:
        self.upright = upright
        self.source = source
        self._reformatter = VideoReformatter()  # kept, as it takes long to set up
        self._lock = threading.Lock()

    def rgb(self, frame: VideoFrame) -> Pixels:
        """(H, W, 3) uint8 RGB, upright. Raises MediaError."""
        try:
            pixels = np.asarray(self._converted(frame).to_ndarray(), np.uint8)
            return self.upright.apply(pixels)
        except CONVERT_ERRORS as error:
            text = f"{self.source} has pixels that cannot be made RGB ({frame.format.name})."
            raise MediaError(text) from error

    def _converted(self, frame: VideoFrame) -> VideoFrame:
        matrix, levels = _colorspace(frame), _color_range(frame)
        with self._lock:
            if planar := PLANAR.get(frame.format.name):
                frame = self._reformatter.reformat(
                    frame,
                    format=planar,
                    src_colorspace=matrix,
                    dst_colorspace=matrix,
                    src_color_range=levels,
                    dst_color_range=levels,
                    threads=1,
                )
            return self._reformatter.reformat(
                frame,
                format="rgb24",
                src_colorspace=matrix,
                src_color_range=levels,
                dst_color_range=ColorRange.JPEG,
                threads=1,
            )


def _has_chroma(frame: VideoFrame) -> bool:
    return not frame.format.is_rgb and len(frame.format.components) >= 3


def _colorspace(frame: VideoFrame) -> int | None:
    if not _has_chroma(frame):
        return None
    if frame.colorspace == UNSPECIFIED_COLORSPACE:
        hd = frame.height >= LEAST_HD_HEIGHT_PX
        return Colorspace.ITU709 if hd else Colorspace.ITU601
    return COLORSPACES.get(frame.colorspace)


def _color_range(frame: VideoFrame) -> int | None:
    if frame.color_range != ColorRange.UNSPECIFIED or not _has_chroma(frame):
        return frame.color_range
    return ColorRange.JPEG if frame.format.name.startswith("yuvj") else ColorRange.MPEG
