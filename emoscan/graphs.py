"""Work of a GPU that is recorded once and then started by one call: CUDA graphs.

A network of fifty small steps takes the host longer to hand over than the GPU to do, and each step
is a place where Python's threads wait for each other. Elsewhere than on CUDA nothing is recorded.
"""

import warnings
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from emoscan.lanes import Lane, stream, turn
from emoscan.runtime import is_out_of_memory, remember_to_ask

# The first calls of a shape run as they come: libraries choose their kernels then, and most shapes
# of photos are never met again. So many shapes are counted at once.
CALLS_BEFORE = 2
COUNTED = 16

# Batches of crops are filled up to one of these, so that few are recorded.
SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)

# Where less than this share of a device's memory is free, what torch keeps is given back before
# something is recorded: it is slow to get again.
SCARCE = 0.25

Given = tuple[Tensor, ...]
Work = Callable[..., tuple[Tensor, ...]]
Key = tuple[Hashable, ...]


class Replayed:
    """What work gives the GPU to do, recorded once for each shape of its input and its settings.

    Work makes tensors of tensors and of settings, which hold all else that it reads; it neither
    waits for the device nor copies anything there. Of what was recorded the last `kept` are kept,
    with their settings. What a call gives is valid until the next call: calls come in turns, all in
    one lane. Its recordings share memory for what they need while they run; another's must not,
    for it would write over what this one gave.
    """

    def __init__(self, lane: Lane, *, kept: int) -> None:
        self._lane = lane
        self._kept = kept
        self._calls: OrderedDict[Key, int] = OrderedDict()
        self._recorded: OrderedDict[Key, _Recording] = OrderedDict()
        self._device: torch.device | None = None
        self._pool: Any = None
        self._lacked_memory = self._has_failed = False
        remember_to_ask(self)

    def __call__(self, work: Work, given: Given, *settings: Hashable) -> tuple[Tensor, ...]:
        """What `work` gives for them: the same work in every call."""
        device = given[0].device
        if device.type != "cuda":
            return work(*given, *settings)
        if torch.cuda.current_stream(device) != stream(device, self._lane):
            raise ValueError(f"This is recorded in its turn, in the lane {self._lane}")
        self._device = device
        recording = self._recording(work, given, settings)
        return work(*given, *settings) if recording is None else recording.replay(given)

    def forget(self) -> bool:
        """Give the memory of all recordings back; whether there was any."""
        if self._device is None:  # it has never met a GPU
            self._calls.clear()
            return False
        with turn(self._device, self._lane):
            had = bool(self._recorded)
            if had:
                torch.cuda.synchronize(self._device)  # what still runs reads that memory
            self._recorded.clear()
            self._calls.clear()
            self._pool = None  # torch does not take up memory again that nobody records in
        return had

    def _recording(
        self, work: Work, given: Given, settings: tuple[Hashable, ...]
    ) -> "_Recording | None":
        device = given[0].device
        key = (*((its.shape, its.dtype) for its in given), *settings)
        if key in self._recorded:
            self._recorded.move_to_end(key)
            return self._recorded[key]
        if self._has_failed or self._is_new(key):
            return None
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            own = stream(device, self._lane, records=True)
            recording = _Recording(lambda *its: work(*its, *settings), given, self._pool, own)
        except RuntimeError as error:
            self._take(error, device)
            return None
        except BaseException:  # an interrupt
            self._abandon(device)
            raise
        if len(self._recorded) == self._kept:
            torch.cuda.synchronize(device)  # what still runs reads its memory
            self._recorded.popitem(last=False)
        self._recorded[key] = recording
        return recording

    def _take(self, error: RuntimeError, device: torch.device) -> None:
        """Go on unrecorded, which loses nothing but time; what failed once would fail again.

        Where memory lacks, it may be there the next time.
        """
        lacks_memory = is_out_of_memory(error)
        self._has_failed = self._lacked_memory or not lacks_memory
        self._lacked_memory = self._lacked_memory or lacks_memory
        if self._has_failed:
            warnings.warn(f"The GPU's work is not recorded: {error}", stacklevel=4)
        self._abandon(device)

    def _abandon(self, device: torch.device) -> None:
        _give_up(device, self._pool)
        self.forget()

    def _is_new(self, key: Key) -> bool:
        """Count a call; one that comes after CALLS_BEFORE others is not new, and counted anew."""
        calls = self._calls.pop(key, 0)
        if calls < CALLS_BEFORE:
            self._calls[key] = calls + 1
            if len(self._calls) > COUNTED:
                self._calls.popitem(last=False)
        return calls < CALLS_BEFORE


class ReplayedBatches:
    """As `Replayed`, for work on each of N items by itself, of which SIZES make a batch.

    The work maps tensors (N, …) to one (N, …); what is given for them stays valid. Of what was
    recorded the last `kept` are kept. Calls come in turns in the lane FACES.
    """

    def __init__(self, *, kept: int = len(SIZES)) -> None:
        self._replayed = Replayed(Lane.FACES, kept=kept)

    def __call__(
        self, work: Callable[..., Tensor], *items: Tensor, settings: tuple[Hashable, ...] = ()
    ) -> Tensor:
        """What `work` gives for all of them: the same work in every call."""
        if items[0].device.type != "cuda" or not len(items[0]):
            return work(*items, *settings)
        parts = zip(*(its.split(SIZES[-1]) for its in items), strict=True)
        found = [self._batch(work, part, settings) for part in parts]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _batch(
        self, work: Callable[..., Tensor], items: Given, settings: tuple[Hashable, ...]
    ) -> Tensor:
        count = len(items[0])
        filled = tuple(_filled(its, size_for(count)) for its in items)
        out = self._replayed(lambda *its: (work(*its),), filled, *settings)[0]
        return out[:count].clone()


def size_for(count: int) -> int:
    """So many items are looked at for this many, up to the largest of SIZES."""
    return SIZES[bisect_left(SIZES, count)]


def _filled(items: Tensor, size: int) -> Tensor:
    if len(items) == size:
        return items
    filled = items.new_zeros(size, *items.shape[1:])
    filled[: len(items)] = items
    return filled


def _make_room(device: torch.device) -> None:
    """While something is recorded, torch gives back nothing that it keeps for later."""
    free, total = torch.cuda.mem_get_info(device)
    if free < SCARCE * total:
        torch.cuda.empty_cache()


def _give_up(device: torch.device, pool: Any) -> None:
    """Tell torch that a recording is over which failed: some versions do not notice everywhere."""
    for name in ("_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool"):
        with suppress(RuntimeError, AttributeError):
            getattr(torch._C, name)(device.index or 0, pool)
    with suppress(RuntimeError, AttributeError):  # a copy of the random numbers' state is at rest
        generator = torch.cuda.default_generators[device.index or 0]
        generator.graphsafe_set_state(generator.clone_state())


class _Recording:
    """One shape's; its memory is the same at each replay."""

    def __init__(self, work: Work, given: Given, pool: Any, own: torch.cuda.Stream) -> None:
        self._given = tuple(its.clone() for its in given)
        self._graph = torch.cuda.CUDAGraph()
        lane = torch.cuda.current_stream(own.device)
        work(*self._given)  # this thread's libraries get ready, which cannot be recorded
        _make_room(own.device)
        own.wait_stream(lane)
        with torch.cuda.stream(own):
            # Other threads go on with their work on the device meanwhile.
            self._graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                self._out = work(*self._given)
            finally:
                self._graph.capture_end()
        lane.wait_stream(own)

    def replay(self, given: Given) -> tuple[Tensor, ...]:
        for its, there in zip(given, self._given, strict=True):
            there.copy_(its)
        self._graph.replay()
        return self._out
