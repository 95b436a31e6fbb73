"""One run at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from emoscan.errors import OutputError

LOCK_FILE = ".emoscan.lock"


@contextmanager
def locked(path: Path, *, patience_s: float = 0) -> Iterator[None]:
    """Hold the lock of this file, in a folder that is made where it is missing.

    It is the system's: one that a process held when it died is free. Raises OutputError where
    another run holds it for longer than `patience_s`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=patience_s)
        lock.acquire()
    except Timeout as error:
        raise _another_run(path.parent) from error
    except OSError as error:
        raise OutputError(
            f"{path.parent} cannot be written ({error.strerror}); choose another place with --out."
        ) from error
    try:
        yield
    finally:
        lock.release()


def refuse_held(path: Path) -> None:
    """Raise OutputError where another run holds the lock of this file."""
    try:
        with FileLock(path, timeout=0):
            pass
    except Timeout as error:
        raise _another_run(path.parent) from error


def _another_run(folder: Path) -> OutputError:
    return OutputError(
        f"Another run of emoscan is writing into {folder}; wait for its end, or choose another "
        "place with --out."
    )
