"""One run at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from emoscan.errors import OutputError

LOCK_FILE = ".emoscan.lock"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file, in a folder that is made where it is missing.

    It is the system's: one that a process held when it died is free. Raises OutputError where
    another run holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"Another run of emoscan is writing into {path.parent}; wait for its end, or choose "
            "another place with --out."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{path.parent} cannot be written ({error.strerror}); choose another place with --out."
        ) from error
    try:
        yield
    finally:
        lock.release()
