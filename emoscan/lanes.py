"""Whose turn it is to give a GPU work, and in which of its queues."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from functools import cache
from threading import BoundedSemaphore, Lock, RLock

import torch

# Threads that gave work side by side waited for Python's interpreter at each of hundreds of steps,
# and were slower together than one alone. Copies of pictures go there beside it.
_TURNS = RLock()
_MAKING = Lock()


# Of several videos so many threads prepare work for a GPU and read what it says: more of them would
# mostly hand Python's interpreter to each other.
AT_WORK = 2
_AT_WORK = BoundedSemaphore(AT_WORK)


class Lane(Enum):
    """A queue of a GPU, which works through several at a time; all videos share them.

    In `FACES` little is to be done, and somebody waits for it: it goes before what is next in
    `PICTURES`. The values are torch's priorities.
    """

    COPIES = ("copies", 0)
    PICTURES = ("pictures", 0)
    FACES = ("faces", -1)


def turn(device: torch.device, lane: Lane) -> AbstractContextManager[None]:
    """One thread at a time gives work, which goes into the lane; elsewhere than on CUDA all do.

    Nobody waits for the device, or for memory that others hold, while it is their turn.
    """
    return _turn(device, lane) if device.type == "cuda" else nullcontext()


@contextmanager
def _turn(device: torch.device, lane: Lane) -> Iterator[None]:
    with _TURNS, in_lane(device, lane):
        yield


def in_lane(device: torch.device, lane: Lane) -> AbstractContextManager[object]:
    """Work goes into the lane, whoever else gives any: for those that wait for it in between."""
    if device.type != "cuda":
        return nullcontext()
    return torch.cuda.stream(stream(device, lane))


def nobody_else() -> AbstractContextManager[object]:
    """While this is held it is nobody's turn: nothing is being recorded."""
    return _TURNS


def stream(device: torch.device, lane: Lane, *, records: bool = False) -> torch.cuda.Stream:
    """The same one in every call: torch has 32 of each priority, and then the first ones again.

    What is recorded for a lane is recorded in another one, with `records`: memory that other
    threads give back meanwhile is marked in the streams that have used it, which may not be in one
    that is being recorded.
    """
    with _MAKING:
        return _stream(device, lane, records)


@cache
def _stream(device: torch.device, lane: Lane, records: bool) -> torch.cuda.Stream:
    return torch.cuda.Stream(device, priority=lane.value[1])


def at_work(device: torch.device) -> AbstractContextManager[object]:
    """AT_WORK threads at a time look at frames by a GPU, each at one block of them.

    Nobody waits there for other frames, or is at work twice.
    """
    return _AT_WORK if device.type == "cuda" else nullcontext()
