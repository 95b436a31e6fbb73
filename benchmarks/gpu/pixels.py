"""Decoded frames in memory: the clips that stages are measured on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emoscan.media.find import MediaFile
from emoscan.media.picture import OnDemand, Pixels
from emoscan.media.video import open_video
from emoscan.options import ScanOptions
from emoscan.types import Frame


@dataclass(frozen=True, slots=True)
class Clip:
    """A file of the media folder, scaled to another height where it is given."""

    name: str
    title: str
    file: str
    height: int | None = None


# The first is the one that is promised something.
CLIPS = (
    Clip("talking_720p", "one face, 720p", "talking_720p.mp4"),
    Clip("talking_336p", "one face, 336p", "talking_336p.mp4"),
    Clip("street_1080p", "crowd, 1080p", "street_1080p.mp4"),
    Clip("street_720p", "crowd, 720p", "street_1080p.mp4", 720),
    Clip("talking_1080p", "one face, 1080p", "talking_720p.mp4", 1080),
)


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """Pixels (H, W, 3) uint8 RGB, and when each is shown."""

    name: str
    pixels: Sequence[Pixels]
    time_s: Sequence[float | None]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def width(self) -> int:
        """Of each, in px."""
        return int(self.pixels[0].shape[1])

    @property
    def height(self) -> int:
        """Of each, in px."""
        return int(self.pixels[0].shape[0])

    def frames(self, passes: int = 1) -> list[Frame]:
        """Frames that nobody has seen before: whoever keeps pixels on a device has none of them.

        With several `passes` it is a longer video, which shows the same again and again.
        """
        return [self._frame(index) for index in range(passes * len(self))]

    def _frame(self, index: int) -> Frame:
        passes, place = divmod(index, len(self))
        # A new array on the same memory, for a cache may know arrays, too.
        picture = OnDemand(partial(np.ndarray.view, self.pixels[place]))
        picture.rgb()
        time_s = self.time_s[place]
        if time_s is not None:
            time_s += passes * self._lasts_s
        return Frame(self.name, index, time_s, self.width, self.height, picture)

    @property
    def _lasts_s(self) -> float:
        """From the first one's time to where the next pass begins."""
        first_s, last_s = self.time_s[0] or 0.0, self.time_s[-1] or 0.0
        return (last_s - first_s) * len(self) / max(1, len(self) - 1)


def load(clip: Clip, media: Path, *, count: int) -> Shots:
    """Its first frames, as many as there are up to `count`."""
    with open_video(MediaFile(media / clip.file, clip.file)) as video:
        items = islice(video.frames(ScanOptions()), count)
        frames = [item for item in items if isinstance(item, Frame)]
    pixels = [scaled(frame.rgb(), clip.height) for frame in frames]
    return Shots(clip.name, pixels, [frame.time_s for frame in frames])


def scaled(pixels: Pixels, height: int | None) -> Pixels:
    """At another height, the width in proportion."""
    if height is None:
        return np.ascontiguousarray(pixels)
    width = round(pixels.shape[1] * height / pixels.shape[0])
    how = cv2.INTER_AREA if height < pixels.shape[0] else cv2.INTER_CUBIC
    out: NDArray[np.uint8] = np.asarray(cv2.resize(pixels, (width, height), interpolation=how))
    return out
