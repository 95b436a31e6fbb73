"""An end for what hangs: a thread that looks on while another waits."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_S = 0.5


class Watchdog:
    """Calls `bite` once where a wait takes longer than `silence_s`."""

    def __init__(self, bite: Callable[[], None], *, silence_s: float) -> None:
        self._bite, self._silence_s = bite, silence_s
        self._since_s: float | None = None
        self._over = threading.Event()
        self.bitten_after_s: float | None = None
        threading.Thread(target=self._look_on, name="emoscan-watchdog", daemon=True).start()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The block is one wait."""
        self._since_s = time.monotonic()
        try:
            yield
        finally:
            self._since_s = None

    def end(self) -> None:
        """Look on no more."""
        self._over.set()

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_S):
            since_s = self._since_s  # the other thread may end its wait at any moment
            if since_s is not None and time.monotonic() - since_s > self._silence_s:
                self.bitten_after_s = self._silence_s
                self._bite()
                return
