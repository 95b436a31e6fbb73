"""Work ahead of the consumer, in one thread or in several, by a bounded number of items."""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(
    items: Iterable[T], *, depth: int, wake: Callable[[], None] = lambda: None
) -> Generator[T, None, None]:
    """Yield `items`, which a thread of their own produces up to `depth` items ahead.

    What fails in the thread is raised here after the items before it. When the consumer stops
    early the thread stops after the item at work and is waited for, whatever interrupts that.
    The thread closes `items` in the end if it is a generator; what a generator expression
    iterates over is not `items`, and closed by whoever made it. `wake` is called when the thread is
    to stop, for one that waits within `items` for something that its consumer does.
    """
    ahead = _Ahead(items, depth, wake)
    _AT_WORK.add(ahead)
    # A daemon: others Python waits for before anybody could stop them as it ends.
    thread = threading.Thread(target=ahead.produce, name="emoscan-read-ahead", daemon=True)
    try:
        thread.start()
        yield from ahead.consume()
    finally:
        _end(thread, ahead)


# Those whose threads have to be stopped as Python ends, and what that may take.
_AT_WORK: "WeakSet[_Ahead[Any]]" = WeakSet()
PATIENCE_S = 5.0


@atexit.register
def _stop_all() -> None:
    """While threads still run: whoever waits for a daemon later, as Python ends, waits for ever.

    One that hangs is left, and nobody waits for it any more. Whoever still reads gets an error.
    """
    waiting, until_s = list(_AT_WORK), time.monotonic() + PATIENCE_S
    for ahead in waiting:
        with suppress(Exception):
            ahead.ask_to_stop()
    for ahead in waiting:
        ahead.wait_for_end(most_s=max(0.0, until_s - time.monotonic()))
        ahead.is_left = True


if hasattr(os, "register_at_fork"):  # the threads are not there in a process that was forked
    os.register_at_fork(after_in_child=_AT_WORK.clear)


# A thread that is done early has another item to go on with while a slower one holds up the rest.
ITEMS_A_THREAD = 3


def mapped(function: Callable[[T], R], items: Iterable[T], *, threads: int) -> Generator[R]:
    """`function` of each item, in their order, by as many threads.

    At most ITEMS_A_THREAD times as many items are taken and results kept at once. What fails is
    raised here in its turn. Whoever stops early closes it: what is at work is waited for.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="emoscan-mapped") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ITEMS_A_THREAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _end(thread: threading.Thread, ahead: "_Ahead[T]") -> None:
    """Stop the thread and wait for it; what interrupts the wait is raised afterwards."""
    interrupt: BaseException | None = None
    while True:
        try:
            ahead.stop()
        except BaseException as raised:  # whatever a signal handler raises
            interrupt = raised
        else:
            break
    if thread.is_alive() and not ahead.is_left:
        thread.join()
    if interrupt is not None:
        raise interrupt


class _Ahead(Generic[T]):
    """The buffer between the two threads; every field is guarded by `changed`."""

    def __init__(self, items: Iterable[T], depth: int, wake: Callable[[], None]) -> None:
        self.items = items
        self.depth = depth
        self.wake = wake
        self.buffer: deque[T] = deque()
        self.changed = threading.Condition()
        self.begun = False
        self.stopped = False
        self.finished = False
        self.error: BaseException | None = None
        self.is_left = False

    def produce(self) -> None:
        """What the thread does."""
        with self.changed:
            self.begun = True
        error: BaseException | None = None
        try:
            self._fill()
        except BaseException as raised:  # handed to the consumer, whatever it is
            error = raised
        with self.changed:
            self.error, self.finished = error, True
            self.changed.notify_all()

    def _fill(self) -> None:
        iterator = iter(self.items)
        try:
            while self._has_room():
                self._put(next(iterator))
        except StopIteration:
            pass
        finally:
            close = getattr(iterator, "close", None)
            if close:
                close()

    def _has_room(self) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or len(self.buffer) < self.depth)
            return not self.stopped

    def _put(self, item: T) -> None:
        with self.changed:
            self.buffer.append(item)
            self.changed.notify_all()

    def consume(self) -> Iterator[T]:
        while self._has_item():
            yield self._get()
        if self.error:
            raise self.error
        if self.stopped:  # by `_stop_all`, for `_end` comes later: what came is not all there is
            raise RuntimeError("Python ends while items are read ahead")

    def _has_item(self) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.buffer or self.finished)
            return bool(self.buffer)

    def _get(self) -> T:
        with self.changed:
            self.changed.notify_all()
            return self.buffer.popleft()

    def stop(self) -> None:
        """Have the thread end; back when it makes no item any more.

        This is waited for and not `Thread.join`, which takes a running thread for an ended one
        after an interrupt (Python 3.11 and 3.12).
        """
        if self.is_left:
            return
        self.ask_to_stop()
        self.wait_for_end()

    def ask_to_stop(self) -> None:
        """Have it make nothing more than what it is at."""
        with self.changed:
            self.stopped = True
            self.buffer.clear()
            self.changed.notify_all()
        self.wake()

    def wait_for_end(self, *, most_s: float | None = None) -> None:
        """Until the thread has ended what it is at, or for so long."""
        with self.changed:
            self.changed.wait_for(lambda: self.finished or not self.begun, most_s)
