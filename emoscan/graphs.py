"""Work of a GPU that is recorded once and then started by one call: CUDA graphs.

A network of fifty small steps takes the host longer to hand over than the GPU to do, and each step
is a place where Python's threads wait for each other. Elsewhere than on CUDA nothing is recorded.
"""

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import Any

import torch
from torch import Tensor

# The first calls of a shape run as they come: libraries choose their kernels then, and most shapes
# of photos are never met again.
CALLS_BEFORE = 2

# Batches of crops are filled up to one of these, so that few are recorded.
SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)

# Whoever gives a GPU work, or waits for it, has its turn. Threads that did so side by side waited
# for Python's interpreter at each of hundreds of steps, and were slower together than one alone.
TURNS = RLock()

Work = Callable[..., tuple[Tensor, ...]]
Key = tuple[object, ...]


class Replayed:
    """`work`, recorded once for each shape of its input and each of its settings.

    `work` makes tensors of one tensor and of settings, and never waits for the device; of what was
    recorded the last `kept` are kept. What a call gives is valid until the next call, and calls
    come in TURNS. Its recordings share memory for what they need while they run;
    another's must not, for it would write over what this one gave.
    """

    def __init__(self, work: Work, *, kept: int) -> None:
        self._work = work
        self._kept = kept
        self._calls: Counter[Key] = Counter()
        self._recorded: OrderedDict[Key, _Recording | None] = OrderedDict()
        self._pool: Any = None

    def __call__(self, given: Tensor, *settings: object) -> tuple[Tensor, ...]:
        """What `work` gives for it."""
        if given.device.type != "cuda":
            return self._work(given, *settings)
        recording = self._recording((given.shape, given.dtype, *settings), given, settings)
        return self._work(given, *settings) if recording is None else recording.replay(given)

    def _recording(
        self, key: Key, given: Tensor, settings: tuple[object, ...]
    ) -> "_Recording | None":
        if key not in self._recorded:
            self._calls[key] += 1
            if self._calls[key] <= CALLS_BEFORE:
                return None
            if len(self._recorded) == self._kept:
                self._recorded.popitem(last=False)
            self._recorded[key] = self._record(given, settings)
        self._recorded.move_to_end(key)
        return self._recorded[key]

    def _record(self, given: Tensor, settings: tuple[object, ...]) -> "_Recording | None":
        """None where it cannot be recorded, for want of memory perhaps."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            return _Recording(lambda its: self._work(its, *settings), given, self._pool)
        except RuntimeError:
            _give_up(given.device)
            return None


class ReplayedBatches:
    """`work` on each of N items by itself, of which SIZES make a batch; for many threads.

    It maps (N, …) to (N, …), one tensor to one, and never waits for the device.
    """

    def __init__(self, work: Callable[[Tensor], Tensor]) -> None:
        self._work = work
        self._replayed = Replayed(lambda items: (work(items),), kept=len(SIZES))

    def __call__(self, items: Tensor) -> Tensor:
        """What `work` gives for all of them."""
        if items.device.type != "cuda" or not len(items):
            return self._work(items)
        with TURNS:
            return torch.cat([self._batch(part) for part in items.split(SIZES[-1])])

    def _batch(self, items: Tensor) -> Tensor:
        filled = items.new_zeros(_size_for(len(items)), *items.shape[1:])
        filled[: len(items)] = items
        return self._replayed(filled)[0][: len(items)].clone()


def _size_for(count: int) -> int:
    return SIZES[bisect_left(SIZES, count)]


def _give_up(device: torch.device) -> None:
    """torch's random numbers take a recording that failed for one that goes on: a copy does not."""
    with suppress(RuntimeError, AttributeError):
        generator = torch.cuda.default_generators[device.index or 0]
        generator.graphsafe_set_state(generator.clone_state())


class _Recording:
    """One shape's; its memory is the same at each replay."""

    def __init__(self, work: Work, given: Tensor, pool: Any) -> None:
        self._given = given.clone()
        self._graph = torch.cuda.CUDAGraph()
        beside, now = torch.cuda.Stream(given.device), torch.cuda.current_stream(given.device)
        beside.wait_stream(now)
        with torch.cuda.stream(beside):
            # Other threads go on with their work on the device meanwhile.
            self._graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                self._out = work(self._given)
            finally:
                self._graph.capture_end()
        now.wait_stream(beside)

    def replay(self, given: Tensor) -> tuple[Tensor, ...]:
        self._given.copy_(given)
        self._graph.replay()
        return self._out
