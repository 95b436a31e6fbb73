"""Pictures on a GPU: each goes there once, in a thread that is ahead of those who look at it."""

import math
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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

# Frames are copied by so many, or so many pixels: for each copy Python's threads wait for each
# other a few times.
TOGETHER, TOGETHER_PX = 10, 2**24
# Pinned memory that is filled while what was filled before is still being copied from.
SLOTS = 3
PINS = True


@dataclass(slots=True, eq=False)
class Upload:
    """Pixels on a device, or on their way there.

    They are there when the device has reached `arrived`, if that is given; it is told so once in
    each of its `streams` that work with them.
    """

    pixels: Tensor
    arrived: torch.cuda.Event | None = None
    streams: tuple[torch.cuda.Stream, ...] = ()

    def taken(self) -> Tensor:
        """The pixels, for the work that this thread gives to the device from now on."""
        if not self.pixels.is_cuda:
            return self.pixels
        stream = torch.cuda.current_stream(self.pixels.device)
        if stream not in self.streams:
            if self.arrived is not None:
                stream.wait_event(self.arrived)
            # Else what comes next could get this memory while that work still reads it.
            self.pixels.record_stream(stream)
            self.streams += (stream,)
        return self.pixels


class Uploader:
    """Copies pixels to a device beside its work, from one thread; to a CPU it copies nothing."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = stream(device, Lane.COPIES) if device.type == "cuda" else None
        self._filled: deque[tuple[Tensor, torch.cuda.Event]] = deque()

    def send(self, images: Sequence[NDArray[np.uint8]]) -> list[Upload]:
        """(H, W, 3) uint8 of one size, on their way when this returns.

        A GPU has copies, a CPU the same pixels. Raises torch.OutOfMemoryError.
        """
        if self._stream is None:
            return [Upload(to_device(image, self._device)) for image in images]
        shape = (len(images), *images[0].shape)
        if not PINS:
            with torch.cuda.stream(self._stream):
                there = torch.empty(shape, dtype=torch.uint8, device=self._device)
                for slot, image in zip(there.unbind(), images, strict=True):
                    slot.copy_(on_host(image))
            return [Upload(pixels) for pixels in there.unbind()]
        pinned = self._pinned(math.prod(shape))
        # By NumPy: torch has as many threads as there are cores copy, which then keep those busy.
        for slot, image in zip(pinned.view(shape).numpy(), images, strict=True):
            np.copyto(slot, image)
        with torch.cuda.stream(self._stream):
            there = torch.empty(shape, dtype=torch.uint8, device=self._device)
            there.copy_(pinned.view(shape), non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
        self._filled.append((pinned, arrived))
        return [Upload(pixels, arrived) for pixels in there.unbind()]

    def _pinned(self, size: int) -> Tensor:
        """Pinned memory of this size which nothing is being copied from any more."""
        if len(self._filled) == SLOTS:
            pinned, arrived = self._filled.popleft()
            arrived.synchronize()
            if pinned.numel() == size:
                return pinned
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)


class Uploads:
    """What has been uploaded of the pictures that somebody still holds."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Picture], Upload]] = {}

    def ahead(self, items: Iterable[Item], device: torch.device) -> Iterator[list[Item]]:
        """The items, some at once, when their pixels are on their way."""
        uploader = Uploader(device)
        for part in _parts(items):
            frames = [item for item in part if isinstance(item, Frame)]
            try:
                uploads = uploader.send([frame.rgb() for frame in frames]) if frames else []
            except RuntimeError as error:  # pinned memory has no error of its own
                if not is_out_of_memory(error):
                    raise
                uploads = []  # they go there when somebody looks at them
            for frame, upload in zip(frames, uploads, strict=False):
                self._keep(frame.picture, upload)
            yield part

    def of(self, frame: Frame, device: torch.device) -> Upload:
        """(H, W, 3) uint8 RGB on the device, which must not be changed."""
        picture, upload = self._kept.get(id(frame.picture), (None, None))
        if upload and picture and picture() is frame.picture and upload.pixels.device == device:
            return upload
        pixels = halving_on_out_of_memory(lambda _: to_device(frame.rgb(), device), 1)
        upload = Upload(pixels)
        self._keep(frame.picture, upload)
        return upload

    def _keep(self, picture: Picture, upload: Upload) -> None:
        key = id(picture)
        self._kept[key] = (weakref.ref(picture, lambda _: self._kept.pop(key, None)), upload)


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
    """A copy of what the device works out, (…) float32; whoever calls for it waits for it.

    The device may be given other work meanwhile, which may write over the numbers there.
    """
    if not numbers.is_cuda:
        return numbers.numpy
    pinned = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    pinned.copy_(numbers, non_blocking=True)
    done = torch.cuda.Event(blocking=True)  # the cores have other things to do
    done.record(torch.cuda.current_stream(numbers.device))

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
