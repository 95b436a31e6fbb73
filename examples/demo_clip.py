"""Make a short clip of a moving face, without a download: `python examples/demo_clip.py OUT.mp4`.

The portrait is NASA's of Eileen Collins, in the public domain, from scikit-image's wheel
(`pip install scikit-image av opencv-python-headless`).
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX = 640, 360
FPS = 25
SECONDS = 8.0

# In the portrait: the middle of the face, which is 111 px high, and the oval around it that is
# shown (its half axes), with a soft rim.
FACE_X_PX, FACE_Y_PX = 224, 116
OVAL_X_PX, OVAL_Y_PX = 224, 150
OVAL_HALF_WIDTH_PX, OVAL_HALF_HEIGHT_PX = 120, 135
RIM_PX = 12.0

# The scenes, as shares of the clip.
LEAVING_ENDS = 0.40
EMPTY_ENDS = 0.50
PAIR_ENDS = 0.75

Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pose:
    """One face on the screen: the middle of the face in px, and its size and brightness."""

    x_px: float
    y_px: float
    scale: float = 1.2
    mirrored: bool = False
    brightness: float = 1.0


def write_demo_clip(path: Path, *, seconds: float = SECONDS) -> None:
    """Write 640×360 H.264 at 25 frames/s.

    One face moves and leaves the picture, nobody is there, two faces, one brighter and darker.
    """
    frame_count = round(seconds * FPS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for picture in _pictures(frame_count):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def poses_at(progress: float) -> list[Pose]:
    """Who is where at this share (0 to 1) of the clip."""
    swing = math.sin(progress * 8 * math.tau)
    if progress < LEAVING_ENDS:
        return [Pose(x_px=160 + 680 * progress / LEAVING_ENDS, y_px=150 + 8 * swing)]
    if progress < EMPTY_ENDS:
        return []
    if progress < PAIR_ENDS:
        left = Pose(x_px=180 + 10 * swing, y_px=150, scale=1.0)
        right = Pose(x_px=460, y_px=150 + 10 * swing, scale=1.0, mirrored=True)
        return [left, right]
    share = (progress - PAIR_ENDS) / (1 - PAIR_ENDS)
    return [Pose(x_px=320, y_px=150, brightness=1 + 0.6 * math.sin(share * math.tau))]


def _pictures(frame_count: int) -> Iterator[NDArray[np.uint8]]:
    portrait, background = _portrait(), _background()
    for index in range(frame_count):
        picture = background
        for pose in poses_at(index / frame_count):
            picture = _paste(picture, portrait, pose)
        yield picture.clip(0, 255).astype(np.uint8)


def _portrait() -> Pixels:
    """(512, 512, 4) RGB in 0..255 and opacity in 0..1."""
    rgb = skimage.data.astronaut()
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    radius = np.hypot((x - OVAL_X_PX) / OVAL_HALF_WIDTH_PX, (y - OVAL_Y_PX) / OVAL_HALF_HEIGHT_PX)
    opacity = ((1 - radius) * OVAL_HALF_WIDTH_PX / RIM_PX).clip(0, 1)
    return np.dstack([rgb, opacity]).astype(np.float32)


def _background() -> Pixels:
    """(H, W, 3): a soft grey, lighter at the top."""
    column = np.linspace(190, 130, HEIGHT_PX, dtype=np.float32)
    return np.broadcast_to(column[:, None, None], (HEIGHT_PX, WIDTH_PX, 3)).copy()


def _paste(picture: Pixels, portrait: Pixels, pose: Pose) -> Pixels:
    across = -pose.scale if pose.mirrored else pose.scale
    matrix = np.array(
        [
            [across, 0, pose.x_px - across * FACE_X_PX],
            [0, pose.scale, pose.y_px - pose.scale * FACE_Y_PX],
        ]
    )
    layer = cv2.warpAffine(portrait, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR)
    opacity = layer[:, :, 3:]
    pasted: Pixels = picture * (1 - opacity) + layer[:, :, :3] * pose.brightness * opacity
    return pasted


def main() -> None:
    """Write the clip where the first argument says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    write_demo_clip(parser.parse_args().out)


if __name__ == "__main__":
    main()
