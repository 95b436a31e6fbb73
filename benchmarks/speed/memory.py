"""The peak memory of a process and of those that it starts, watched from outside; on Linux."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

PERIOD_S = 0.05
BYTES_IN_KIB, BYTES_IN_MB = 1024, 1_000_000


class MemoryWatch:
    """Looks at a process again and again while it is open, a context manager.

    `peak_mb` is the most memory that it and its descendants had at one time.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peak_mb = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(PERIOD_S):
            self.peak_mb = max(self.peak_mb, tree_mb(self._pid))


def tree_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, in MB of a million bytes.

    What they share to pass pixels on counts once. It is at least what the process alone had at
    its peak, which may have been short.
    """
    processes = [_status_mb(each) for each in (pid, *descendants(pid))]
    own = sum(each.get("RssAnon", 0.0) + each.get("RssFile", 0.0) for each in processes)
    shared = max(each.get("RssShmem", 0.0) for each in processes)
    return max(own + shared, processes[0].get("VmHWM", 0.0))


def _status_mb(pid: int) -> dict[str, float]:
    """The kinds of memory of a process by the kernel's names, {} of one that is gone."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        fields = (line.split() for line in lines if line.endswith(" kB"))
        return {name[:-1]: int(kib) * BYTES_IN_KIB / BYTES_IN_MB for name, kib, _ in fields}
    return {}


def descendants(pid: int) -> list[int]:
    """The processes that it started, and they, and so on.

    Without a child that is its parent still: what was forked a moment ago, to run another.
    """
    children = [child for child in _children(pid) if _command(child) != _command(pid)]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            children += map(int, (thread / "children").read_text().split())
    return children


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
