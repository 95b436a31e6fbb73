"""The small types that pass from stage to stage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS

NO_TRACK = -1
# How far probabilities may be from summing to 1.
SUM_TOLERANCE = 1e-3


class Picture(Protocol):
    """Pixels that are decoded on demand and kept; rotation and colours are right already."""

    def rgb(self, scale: float = 1) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; H and W are the upright size times `scale`, rounded."""
        ...

    def gray(self) -> NDArray[np.uint8]:
        """(H, W) uint8 full-range BT.601 luma of `rgb()`."""
        ...

    def sample(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8, each n-th pixel of each n-th row of `rgb()`: enough for a glance."""
        ...

    def hand_over(self, fetch: Callable[[], NDArray[np.uint8]]) -> None:
        """Somebody else keeps the pixels from now on; whoever still asks has them fetched.

        For the one thread that has the picture at that time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame of a video, or a photo.

    `index` is the rank of its presentation time among the stream's packets, 0 for a photo;
    `time_s` is None for a photo; `width` and `height` are those of the upright picture in px, each
    of which stands for `shrunk` by `shrunk` pixels of the file: photos may be read smaller.
    """

    source: str
    index: int
    time_s: float | None
    width: int
    height: int
    picture: Picture
    shrunk: int = 1

    def rgb(self, scale: float = 1) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of the upright picture."""
        return self.picture.rgb(scale)

    def gray(self) -> NDArray[np.uint8]:
        """(H, W) uint8 full-range BT.601 luma of the upright picture."""
        return self.picture.gray()

    def sample(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8, each n-th pixel of each n-th row of `rgb()`: enough for a glance."""
        return self.picture.sample()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place in a video where a packet gave no frame; `time_s` is what the packet says."""

    source: str
    index: int
    time_s: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """One frame's faces, largest first, as a struct of arrays of equal length N.

    `boxes` (N, 4) float32 x0 y0 x1 y1 in pixels of the upright frame, `scores` (N,) float32,
    `landmarks` (N, 5, 2) float32 x y of left eye, right eye, nose, left and right mouth corner
    (left as the viewer sees it), `tracks` (N,) int32, NO_TRACK where there is none, `followed`
    (N,) bool, whether a box was followed from other frames and not found by the whole detector.
    Raises ValueError where shapes or dtypes differ from that.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    tracks: NDArray[np.int32]
    followed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.boxes)
        _check("boxes", self.boxes, shape=(count, 4), dtype=np.float32)
        _check("scores", self.scores, shape=(count,), dtype=np.float32)
        _check("landmarks", self.landmarks, shape=(count, 5, 2), dtype=np.float32)
        _check("tracks", self.tracks, shape=(count,), dtype=np.int32)
        _check("followed", self.followed, shape=(count,), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True, eq=False)
class Emotions:
    """`probabilities` (N, 7) float32 in the order of EMOTIONS, rows summing to 1."""

    probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.probabilities)
        _check("probabilities", self.probabilities, shape=(count, len(EMOTIONS)), dtype=np.float32)
        sums = self.probabilities.sum(axis=1)
        if not (np.abs(sums - 1) <= SUM_TOLERANCE).all():
            raise ValueError(f"probabilities must sum to 1 in each row, got sums {sums}")

    def __len__(self) -> int:
        return len(self.probabilities)


def _check(name: str, array: NDArray[np.generic], *, shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != dtype:
        wanted = f"{shape} {np.dtype(dtype)}"
        raise ValueError(
            f"{name} must be {wanted}, got {array.shape} {array.dtype}: {array!r:.200}"
        )
