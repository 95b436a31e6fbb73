"""Memory that two processes see.

Not `multiprocessing.shared_memory`: its names outlive a process that is killed, a third process
has to look after them, and it lies in /dev/shm, of which containers often have 64 MB: writing
beyond ends a process without a word.
"""

import ctypes
import mmap
import os
import secrets
import sys
import tempfile
import weakref
from collections.abc import Iterator
from queue import SimpleQueue

import numpy as np

from emoscan.media.picture import Pixels

Owner = ctypes.Array[ctypes.c_ubyte]


class SharedMemory:
    """Bytes without a name in the file system, so that nothing of them can be left behind.

    Whoever makes it without a key passes `key` on to the other process, and `handles` as
    `pass_fds` while starting that. One process calls `grow`, then the other `follow`.
    """

    def __init__(self, key: str | None = None) -> None:
        self.key = key or _new_key()
        self._closed = False
        self._map: mmap.mmap | None = None
        self._grown: list[mmap.mmap] = []
        self._lent: dict[int, tuple[weakref.ref[Owner], int]] = {}
        self._ended: SimpleQueue[weakref.ref[Owner]] = SimpleQueue()

    @property
    def handles(self) -> tuple[int, ...]:
        """File descriptors that the other process has to inherit."""
        return () if sys.platform == "win32" else (int(self.key),)

    def __len__(self) -> int:
        return len(self._map) if self._map is not None else 0

    def grow(self, size_bytes: int) -> None:
        """Make it this large; pixels in it stay where they are. Raises OSError."""
        if sys.platform != "win32":
            os.truncate(int(self.key), size_bytes)
        self.follow(size_bytes)
        assert self._map is not None
        # On Windows one of another size is other memory, which the reader may still look for.
        self._grown.append(self._map)

    def follow(self, size_bytes: int) -> None:
        """See all of what the other process has made so large. Raises OSError."""
        if size_bytes != len(self):  # the map until now ends with the last pixels that are lent
            self._map = _mapped(self.key, size_bytes)

    def view(self, offset: int, *, width_px: int, height_px: int) -> Pixels:
        """(H, W, 3) uint8 at an offset in bytes."""
        owner = self._owner(offset, width_px * height_px * 3)
        return np.frombuffer(memoryview(owner), np.uint8).reshape(height_px, width_px, 3)

    def lend(self, offset: int, *, width_px: int, height_px: int) -> Pixels:
        """As `view`; when nobody holds these pixels any more `returned` tells."""
        owner = self._owner(offset, width_px * height_px * 3)
        # Called whenever it ends: a function in Python would swallow a Ctrl-C that comes then.
        watch = weakref.ref(owner, self._ended.put)
        self._lent[id(watch)] = (watch, offset)
        return np.frombuffer(memoryview(owner), np.uint8).reshape(height_px, width_px, 3)

    @property
    def lent(self) -> int:
        """How many are lent that have not been told to be back."""
        return len(self._lent)

    def returned(self) -> Iterator[int]:
        """The offsets of what was lent and is not held by anybody any more, each told once."""
        while not self._ended.empty():
            yield self._lent.pop(id(self._ended.get()))[1]

    def _owner(self, offset: int, size_bytes: int) -> Owner:
        """What lives as long as any view of these bytes: NumPy's own arrays may end before."""
        assert self._map is not None
        return (ctypes.c_ubyte * size_bytes).from_buffer(self._map, offset)

    def close(self) -> None:
        """Give it back, but for what is lent still; the other process's part stays."""
        self._map, self._grown = None, []
        for handle in () if self._closed else self.handles:
            os.close(handle)
        self._closed = True


def _new_key() -> str:
    """Of a file descriptor; on Windows a part of names that end with the last who holds them."""
    if sys.platform == "win32":
        return f"emoscan-{secrets.token_hex(8)}"
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("emoscan-frames"), "rb") as file:
            return _beyond_standard_streams(file.fileno())
    with tempfile.TemporaryFile() as file:
        return _beyond_standard_streams(file.fileno())


def _beyond_standard_streams(handle: int) -> str:
    """A copy from 3 on: where stdin, say, is closed, the other process would get its own there."""
    import fcntl

    return str(fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 3))


def _mapped(key: str, size_bytes: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, size_bytes, tagname=f"{key}-{size_bytes}")
    return mmap.mmap(int(key), size_bytes)
