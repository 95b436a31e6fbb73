"""What glibc keeps of memory that is free."""

import ctypes
from contextlib import suppress


def give_back_memory() -> None:
    """Give the system what is free: glibc would keep tens of MB that were needed only once."""
    with suppress(OSError, TypeError, AttributeError):  # Windows, macOS, musl
        ctypes.CDLL(None).malloc_trim(0)
