"""Whether a file ends before the end that its outermost structure declares."""

from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Self

from emoscan.media.matroska import broken_at, is_matroska, segment_end
from emoscan.media.watchdog import Alive, nobody_waits

# What lies side by side in an ISO base media file; behind anything else nothing is believed.
BOXES = frozenset(
    b"ftyp styp moov moof mdat free skip wide uuid sidx ssix mfra meta udta pnot prft emsg".split()
)
UNKNOWN_RIFF = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Structure:
    """How whole a file is by what it declares: see `missing_bytes` and `broken_at`.

    `missing_frames` are in its index and nowhere else.
    """

    missing_bytes: int = 0
    broken_at: int | None = None
    missing_frames: int = 0

    @classmethod
    def of(
        cls, path: Path, *, has_gap: bool, missing_frames: int = 0, alive: Alive = nobody_waits
    ) -> Self:
        """Look at it; for holes, which takes a read for each block, only where there is a gap."""
        try:
            broken = broken_at(path, alive) if has_gap else None
            return cls(missing_bytes(path), broken, missing_frames)
        except OSError:  # whoever reads on meets it
            return cls(missing_frames=missing_frames)


def missing_bytes(path: Path) -> int:
    """By how many bytes a file is shorter than it declares; 0 where it declares nothing.

    mp4 and mov declare the length of each box (ISO/IEC 14496-12, 4.2), AVI that of its RIFF,
    Matroska and WebM that of their segment (RFC 8794, 6.2), unless they were written live. Raises
    OSError.
    """
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            end = _riff_end(head)
        elif is_matroska(head):
            end = segment_end(file) or 0
        else:
            end = _boxes_end(file, size)
    return max(0, end - size)


def _riff_end(head: bytes) -> int:
    length = int.from_bytes(head[4:8], "little")
    return 0 if length == UNKNOWN_RIFF else 8 + length


def _boxes_end(file: RawIOBase, size: int) -> int:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16) or b""
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # the length itself is a longer one
            length = int.from_bytes(head[8:16], "big")
        if head[4:8] not in BOXES or length < 8:  # 0: up to the end, wherever that is
            break
        at += length
    return at
