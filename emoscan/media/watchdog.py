"""An end for what hangs: a thread that looks on while another waits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_S = 0.5

# What work that takes long calls now and then: whoever waits learns that there is progress.
Alive = Callable[[], None]


def nobody_waits() -> None:
    """For who is not told that there is progress."""


class Watchdog:
    """Calls `bite` once where a wait takes longer than `silence_s`."""

    def __init__(self, bite: Callable[[], None], *, silence_s: float) -> None:
        self._bite, self._silence_s = bite, silence_s
        self._waits = 0
        self._wait = 0  # the number of the wait that goes on, 0 for none
        self._over = threading.Event()
        self.bitten_after_s: float | None = None
        threading.Thread(target=self._look_on, name="emoscan-watchdog", daemon=True).start()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The block is one wait."""
        self._waits += 1
        self._wait = self._waits
        try:
            yield
        finally:
            self._wait = 0

    def end(self) -> None:
        """Look on no more."""
        self._over.set()

    def _look_on(self) -> None:
        """By looks, not by the clock: where all processes were stopped, nothing was silent."""
        silent_looks, last_wait = 0, 0
        while not self._over.wait(LOOK_S):
            wait = self._wait  # the other thread may end its wait at any moment
            silent_looks = silent_looks + 1 if wait and wait == last_wait else 0
            last_wait = wait
            if silent_looks * LOOK_S > self._silence_s:
                self.bitten_after_s = self._silence_s
                self._bite()
                return
