"""Pictures on a GPU: each goes there once, in a thread that is ahead of whoever looks at it."""

import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoscan.lanes import Lane, stream
from emoscan.runtime import halving_on_out_of_memory, is_out_of_memory
from emoscan.types import Frame, Picture, Unreadable

Item = TypeVar("Item", bound=Frame | Unreadable)

# Frames are copied by so many, or so many pixels, into memory that is taken at once.
TOGETHER, TOGETHER_PX = 10, 2**24

# On their way they are copied into memory that the device reads by itself, by so many threads for
# all videos: on one machine four copied 5,600 frames of 720p a second, one 2,200 and the driver,
# which takes them from anywhere, 2,300.
COPYING_THREADS = 4
_COPYING = ThreadPoolExecutor(COPYING_THREADS, thread_name_prefix="emoscan-copy")


@dataclass(slots=True, eq=False)
class Upload:
    """Pixels on a device, and which of its `streams` have worked with them."""

    pixels: Tensor
    streams: tuple[torch.cuda.Stream, ...] = ()

    def taken(self) -> Tensor:
        """The pixels, for the work that this thread gives to the device from now on."""
        if not self.pixels.is_cuda:
            return self.pixels
        lane = torch.cuda.current_stream(self.pixels.device)
        if lane not in self.streams:
            # Else what comes next could get this memory while that work still reads it.
            self.pixels.record_stream(lane)
            self.streams += (lane,)
        return self.pixels

    def fetched(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 in the main memory again."""
        pixels: NDArray[np.uint8] = self.taken().cpu().numpy()
        return pixels


def upload(images: Sequence[NDArray[np.uint8]], device: torch.device) -> list[Upload]:
    """(H, W, 3) uint8 of one size, there when this returns; a CPU has the same pixels.

    The device works on meanwhile. Raises torch.OutOfMemoryError.
    """
    if device.type != "cuda":
        return [Upload(to_device(image, device)) for image in images]
    shape = (len(images), *images[0].shape)
    pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
    _copy(images, pinned.numpy())
    copies = stream(device, Lane.COPIES)
    with torch.cuda.stream(copies):
        there = pinned.to(device, non_blocking=True)
    _when_done(copies).synchronize()
    return [Upload(pixels) for pixels in there.unbind()]


def _copy(images: Sequence[NDArray[np.uint8]], there: NDArray[np.uint8]) -> None:
    """(N, H, W, 3) of N images, as many of all rows by each copying thread."""
    count, height = there.shape[:2]

    def some(number: int) -> None:
        first, end = (count * height * of // COPYING_THREADS for of in (number, number + 1))
        for place in range(first // height, -(-end // height)):
            rows = slice(max(0, first - place * height), end - place * height)
            there[place, rows] = images[place][rows]

    list(_COPYING.map(some, range(COPYING_THREADS)))


def _when_done(queue: torch.cuda.Stream) -> torch.cuda.Event:
    """What has been given to it so far; who waits leaves the processor to others."""
    event = torch.cuda.Event(blocking=True)
    event.record(queue)
    return event


class Uploads:
    """What has been uploaded of the pictures that somebody still holds."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Picture], Upload]] = {}

    def ahead(self, items: Iterable[Item], device: torch.device) -> Iterator[list[Item]]:
        """The items, some at once, when their pixels are there, and there alone.

        What held them in the main memory, a decoder's slot perhaps, is free when the next item is
        taken.
        """
        for part in _parts(items):
            frames = [item for item in part if isinstance(item, Frame)]
            try:
                uploads = upload([frame.rgb() for frame in frames], device) if frames else []
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                uploads = []  # they go there when somebody looks at them
            for frame, there in zip(frames, uploads, strict=False):
                self._keep(frame.picture, there)
                frame.picture.hand_over(there.fetched)
            yield part

    def of(self, frame: Frame, device: torch.device) -> Upload:
        """(H, W, 3) uint8 RGB on the device, which must not be changed."""
        picture, there = self._kept.get(id(frame.picture), (None, None))
        if there and picture and picture() is frame.picture and there.pixels.device == device:
            return there
        there = Upload(halving_on_out_of_memory(lambda _: to_device(frame.rgb(), device), 1))
        self._keep(frame.picture, there)
        return there

    def _keep(self, picture: Picture, there: Upload) -> None:
        key = id(picture)
        self._kept[key] = (weakref.ref(picture, lambda _: self._kept.pop(key, None)), there)


def _parts(items: Iterable[Item]) -> Iterator[list[Item]]:
    """TOGETHER items each, or fewer of many pixels, or where frames of another size follow."""
    part: list[Item] = []
    size = (0, 0)
    for item in items:
        its = (item.width, item.height) if isinstance(item, Frame) else size
        if part and (its != size or len(part) >= _most(its)):
            yield part
            part = []
        part.append(item)
        size = its
    if part:
        yield part


def _most(size: tuple[int, int]) -> int:
    return max(1, min(TOGETHER, TOGETHER_PX // max(1, math.prod(size))))


def on_its_way_back(numbers: Tensor) -> Callable[[], NDArray[np.float32]]:
    """What the device works out, (…) float32, brought here; whoever calls for it waits for it.

    A GPU may be given other work meanwhile, which may write over the numbers there.
    """
    if not numbers.is_cuda:
        return numbers.cpu().numpy
    pinned = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    pinned.copy_(numbers, non_blocking=True)
    done = _when_done(torch.cuda.current_stream(numbers.device))

    def arrived() -> NDArray[np.float32]:
        done.synchronize()
        found: NDArray[np.float32] = pinned.numpy()
        return found

    return arrived


def to_device(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pixels there when this returns."""
    return on_host(pixels).to(device)


def on_host(pixels: NDArray[np.uint8]) -> Tensor:
    """The same pixels; of arrays that may not be written a copy, as torch wants it."""
    return torch.from_numpy(np.require(pixels, requirements=["C", "W"]))


# One for all: whoever detects and whoever classifies look at the same pictures.
UPLOADS = Uploads()
