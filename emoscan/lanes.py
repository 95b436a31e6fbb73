"""Whose turn it is to give a GPU work, and in which of its queues."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from functools import cache
from threading import Lock, RLock

import torch

# Threads that gave work side by side waited for Python's interpreter at each of hundreds of steps,
# and were slower together than one alone. Copies of pictures go there beside it.
_TURNS = RLock()
_MAKING = Lock()


class Lane(Enum):
    """A queue of a GPU, which works through several at a time; all videos share them.

    In `FACES` little is to be done, and somebody waits for it: it goes before what is next in
    `PICTURES`. Each value ends in torch's priority.
    """

    COPIES = ("copies", 0)
    PICTURES = ("pictures", 0)
    FACES = ("faces", -1)


def turn(device: torch.device, lane: Lane) -> AbstractContextManager[None]:
    """One thread at a time gives work, which goes into the lane; elsewhere than on CUDA all do.

    What it gives is waited for after the turn.
    """
    return _turn(device, lane) if device.type == "cuda" else nullcontext()


@contextmanager
def _turn(device: torch.device, lane: Lane) -> Iterator[None]:
    with _TURNS, in_lane(device, lane):
        yield


def in_lane(device: torch.device, lane: Lane) -> AbstractContextManager[object]:
    """Work goes into the lane without a turn: for those that wait for the device in between."""
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
