"""The scenes of `benchmarks.tracking` as videos: a portrait that moves on its paths.

The portrait is NASA's of Eileen Collins, in the public domain, from scikit-image's wheel, as in
`examples.demo_clip`. A covered face has a hand before it, or what passes for one: an oval.
"""

from collections.abc import Iterator
from pathlib import Path as FilePath

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from benchmarks.tracking_scenes import HEIGHT_PX, WIDTH_PX, Scene, Spot, frame_times

RATE = 25

# In the portrait: the middle of the face as the detector boxes it, and the face's height.
FACE_X_PX, FACE_Y_PX, FACE_PX = 222, 118, 126
OVAL_HALF_WIDTH_PX, OVAL_HALF_HEIGHT_PX = 95, 125
HAND_RGB = 196, 150, 128

Pixels = NDArray[np.uint8]


def write_scene(scene: Scene, path: FilePath) -> None:
    """Write 1280×720 H.264 at 25 frames/s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for picture in pictures(scene):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def pictures(scene: Scene) -> Iterator[Pixels]:
    """(720, 1280, 3) each; the nearest person is painted last."""
    portraits = [_portrait(mirrored=index % 2 == 1) for index in range(len(scene.persons))]
    backgrounds = _backgrounds()
    for time_s in frame_times(scene.seconds, RATE, seed=0):
        shot = sum(at_s <= time_s for at_s in scene.cuts_s)
        picture = backgrounds[shot % len(backgrounds)].copy()
        for person, portrait in reversed(list(zip(scene.persons, portraits, strict=True))):
            spot = person.path(time_s)
            if spot is not None:
                _paste(picture, portrait, spot)
                if person.is_covered(time_s):
                    _cover(picture, spot)
        yield picture


def _backgrounds() -> list[Pixels]:
    """Out of focus, and different from each other."""
    photos = (skimage.data.coffee(), skimage.data.rocket()[::-1], skimage.data.chelsea()[:, ::-1])
    return [
        cv2.GaussianBlur(cv2.resize(photo, (WIDTH_PX, HEIGHT_PX)), (0, 0), 12).astype(np.uint8)
        for photo in photos
    ]


def _portrait(*, mirrored: bool) -> NDArray[np.float32]:
    """(512, 512, 4) RGB in 0..255 and opacity in 0..1; a mirrored one keeps the face's place."""
    rgb = skimage.data.astronaut()
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    radius = np.hypot((x - FACE_X_PX) / OVAL_HALF_WIDTH_PX, (y - FACE_Y_PX) / OVAL_HALF_HEIGHT_PX)
    opacity = ((1 - radius) * 10).clip(0, 1)
    whole = np.dstack([rgb, opacity]).astype(np.float32)
    if mirrored:
        whole = np.roll(whole[:, ::-1], 2 * FACE_X_PX + 1 - whole.shape[1], axis=1)
    return whole


def _paste(picture: Pixels, portrait: NDArray[np.float32], spot: Spot) -> None:
    x, y, side = spot
    scale = side / FACE_PX
    matrix = np.array([[scale, 0, x - scale * FACE_X_PX], [0, scale, y - scale * FACE_Y_PX]])
    layer = cv2.warpAffine(portrait, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_AREA)
    opacity = layer[:, :, 3:]
    picture[:] = (picture * (1 - opacity) + layer[:, :, :3] * opacity).astype(np.uint8)


def _cover(picture: Pixels, spot: Spot) -> None:
    x, y, side = spot
    half = round(0.6 * side), round(0.75 * side)
    cv2.ellipse(picture, (round(x), round(y)), half, 20, 0, 360, HAND_RGB, -1, cv2.LINE_AA)
