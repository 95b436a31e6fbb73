"""What a video is to whoever looks at its frames, wherever they are decoded."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emoscan.media.find import MediaFile
from emoscan.media.packets import selected_indices
from emoscan.options import ScanOptions
from emoscan.types import Frame, Unreadable

# What decodes where no device does.
SOFTWARE = "software"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What is known of a video before its frames are looked at.

    `width` and `height` in px are upright; `rotation_deg` is the counterclockwise turn that makes
    them so. `duration_s` is what the file declares for the video stream, None if nothing.
    `start_s` and `video_start_s` are the container's and the video stream's times as stored.
    `packets` counts the frames that the file holds, readable or not. Long videos are looked at in
    segments, the first from frame 0, the others from `segment_starts`.
    """

    codec: str
    container: str
    pixel_format: str
    width: int
    height: int
    rotation_deg: int
    frame_rate: float | None
    duration_s: float | None
    start_s: float
    video_start_s: float
    packets: int
    times_synthesised: bool
    segment_starts: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Every field as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """What `as_dict` gave, through JSON."""
        return cls(**fields | {"segment_starts": tuple(fields["segment_starts"])})


class VideoSource(ABC):
    """One video file, a context manager.

    `damage` tells in sentences what was wrong with the range that the last iteration covered, so
    far while it goes on: () is a healthy file. `decoded_by` counts the frames that it gave by what
    decoded them, "software" or a device such as "cuda"; `note` is a sentence worth knowing about
    that choice, None if there is none. `decodes_ahead` tells whether it decodes while nobody asks.
    """

    decodes_ahead = False

    def __init__(self, file: MediaFile, info: VideoInfo) -> None:
        self.file = file
        self.info = info
        self.damage: tuple[str, ...] = ()
        self.decoded_by: Counter[str] = Counter()
        self.note: str | None = None
        self._running: Generator[Frame | Unreadable] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    @abstractmethod
    def time_s(self) -> NDArray[np.float64]:
        """(N,) when each frame of the file is shown, readable or not."""

    @abstractmethod
    def _selected(self, options: ScanOptions, first: int) -> Generator[Frame | Unreadable]:
        """What `frames` gives."""

    def close(self) -> None:
        """End the iteration at work, if there is one."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def expected_frames(self, options: ScanOptions) -> int:
        """How many frames `frames(options)` gives, unreadable ones included."""
        return len(selected_indices(self.time_s, options))

    def frames(self, options: ScanOptions, *, first: int = 0) -> Generator[Frame | Unreadable]:
        """The frames that the options select, from index `first` on, their pixels made already.

        Unreadable where a packet gave none, or one that cannot be made RGB.
        """
        self.close()
        self._running = self._selected(options, first)
        return self._running


# Opens a file, or raises MediaError.
OpenVideo = Callable[[MediaFile], VideoSource]
