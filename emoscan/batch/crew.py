"""Tasks side by side, each thread with a tool of its own, and an end that nobody waits for long.

The main thread only waits here: so a Ctrl-C, which Python raises there, meets no half-written
table. It is a request to stop: whoever works ends what is at hand, closes its table and leaves.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

Tool = TypeVar("Tool")
Task = Callable[[Tool], bool]

# After a Ctrl-C: for the batch at hand; then, with the tools taken away, for closing the tables.
GRACE_S = 2.5
LAST_S = 0.75
WORKER = "emoscan-worker"
# Windows lets a Ctrl-C through only between two waits.
POLL_S = 0.5


class StoppedError(BaseException):
    """What a task raises when it has been asked to stop: no failure, and not for `except`s."""


class Crew(Generic[Tool]):
    """One thread for each tool."""

    def __init__(self, tools: Sequence[Tool], *, take_away: Callable[[Tool], None]) -> None:
        """`take_away` makes whoever waits for a tool wait no more; another thread calls it."""
        self._tools, self._take_away = tools, take_away
        self._stopped = threading.Event()
        self._waiting: deque[Task[Tool]] = deque()
        self._changed = threading.Condition()
        self._at_work = 0
        self._errors: list[BaseException] = []

    def look(self) -> None:
        """For tasks, between two steps: raises StoppedError where the crew has been stopped."""
        if self._stopped.is_set():
            raise StoppedError

    def run(self, tasks: Sequence[Task[Tool]]) -> None:
        """Do each task once, in their order; after one that gives False none begins any more.

        What a task raises stops the others, and is raised here once all have ended.
        """
        self._waiting = deque(tasks)
        try:
            for tool in self._tools[: max(1, len(tasks))]:
                self._start(tool)
            self._wait(None)
        except BaseException:
            self._end()
            self._errors.clear()
            raise
        self._raise_first()

    def _raise_first(self) -> None:
        """An error holds on to all that its frames hold: nothing here may hold on to it."""
        errors, self._errors = self._errors, []
        try:
            if errors:
                raise errors[0]
        finally:
            del errors

    def _start(self, tool: Tool) -> None:
        # A daemon, for one that hangs must not keep the process from its exit.
        thread = threading.Thread(target=self._work, args=(tool,), name=WORKER, daemon=True)
        with self._changed:
            self._at_work += 1  # before it starts: a Ctrl-C may come in between
            try:
                thread.start()
            except RuntimeError:  # no thread can be had
                self._at_work -= 1
                raise

    def _work(self, tool: Tool) -> None:
        try:
            while not self._stopped.is_set() and self._do_next(tool):
                pass
        except StoppedError:
            pass
        except BaseException as error:  # handed to the main thread, whatever it is
            self._errors.append(error)
            self._stopped.set()
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def _do_next(self, tool: Tool) -> bool:
        try:
            task = self._waiting.popleft()
        except IndexError:
            return False
        if not task(tool):
            self._waiting.clear()
        return True

    def _wait(self, patience_s: float | None) -> bool:
        """Whether all have ended, within `patience_s` if that is given."""
        until_s = math.inf if patience_s is None else time.monotonic() + patience_s
        while time.monotonic() < until_s:
            with self._changed:
                if self._changed.wait_for(lambda: not self._at_work, POLL_S):
                    return True
        return False

    def _end(self) -> None:
        """Have all of them end; a second interrupt takes their tools away at once."""
        self._stopped.set()
        with suppress(KeyboardInterrupt):
            if self._wait(GRACE_S):
                return
        for tool in self._tools:
            self._take_away(tool)
        with suppress(KeyboardInterrupt):
            self._wait(LAST_S)
