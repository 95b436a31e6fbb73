"""Ctrl-C between two steps that belong together."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

# SIGHUP, a closed terminal, is not known on Windows.
_SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is done, then let them through.

    Raised halfway through, KeyboardInterrupt would leave Arrow's writer unusable, and rows
    written twice or never. Outside the main thread, where it never arrives, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    with ExitStack() as afterwards:  # all of it, even if a signal comes through halfway
        afterwards.callback(_raise_again, arrived)
        for number in _SIGNALS:
            handler = signal.getsignal(number) or signal.SIG_DFL
            afterwards.callback(signal.signal, number, handler)
            signal.signal(number, remember)
        yield


def _raise_again(numbers: list[int]) -> None:
    for number in numbers:
        signal.raise_signal(number)
