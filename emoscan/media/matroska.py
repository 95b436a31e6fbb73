"""The structure of Matroska and WebM files, which FFmpeg passes over in silence where it is broken.

Elements are an id, a length and that many bytes (RFC 8794, 4 to 6): clusters of blocks lie in one
segment (RFC 9559, 5.1).
"""

from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from emoscan.media.watchdog import Alive, nobody_waits

EBML, SEGMENT, CLUSTER, VOID, CRC = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xEC, 0xBF
BESIDE_SEGMENT = frozenset({EBML, SEGMENT, VOID})
# Seek head, info, tracks, cues, attachments, chapters, tags.
IN_SEGMENT = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
# Timestamp, silent tracks, position, previous size, blocks of three kinds.
IN_CLUSTER = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF}
KNOWN = frozenset({CLUSTER, VOID, CRC} | IN_SEGMENT | IN_CLUSTER)
HEAD_BYTES = 12


@dataclass(frozen=True, slots=True)
class Element:
    """Where one lies; `end` is None where its length is not known, as in what is written live."""

    kind: int
    content: int
    end: int | None


def is_matroska(head: bytes) -> bool:
    """Whether a file begins as Matroska and WebM do."""
    return head[:4] == EBML.to_bytes(4, "big")


def segment_end(file: RawIOBase) -> int | None:
    """Where the segment ends by what it declares, None where it does not."""
    segment = _segment(file)
    return segment.end if segment else None


def broken_at(path: Path, alive: Alive = nobody_waits) -> int | None:
    """The first byte at which no element begins though one should, None in a sound file.

    What lies in a block is not looked at; `alive` is called at each. Raises OSError.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        if not is_matroska(file.read(4)) or (segment := _segment(file)) is None:
            return None
        return _first_break(file, segment.content, min(size, segment.end or size), alive)


def _first_break(file: RawIOBase, at: int, end: int, alive: Alive) -> int | None:
    while at < end:
        alive()
        element = _element(file, at)
        if element is None or element.kind not in KNOWN:
            return at
        # Of a cluster come its elements next: one of unknown length ends with the next cluster.
        at = element.content if element.kind == CLUSTER else element.end or end
    return None


def _segment(file: RawIOBase) -> Element | None:
    at = 0
    while (element := _element(file, at)) and element.kind in BESIDE_SEGMENT:
        if element.kind == SEGMENT:
            return element
        if element.end is None:
            break
        at = element.end
    return None


def _element(file: RawIOBase, at: int) -> Element | None:
    """The element that begins there, if one does."""
    file.seek(at)
    head = file.read(HEAD_BYTES) or b""
    id_bytes = _length(head[:1])
    length_bytes = _length(head[id_bytes : id_bytes + 1])
    content = at + id_bytes + length_bytes
    if not 1 <= id_bytes <= 4 or not length_bytes or len(head) < content - at:
        return None
    length = int.from_bytes(head[id_bytes : id_bytes + length_bytes], "big")
    most = (1 << 7 * length_bytes) - 1
    length &= most  # without the marker of its own length
    kind = int.from_bytes(head[:id_bytes], "big")
    return Element(kind, content, None if length == most else content + length)


def _length(first: bytes) -> int:
    """How many bytes a number of EBML takes by its first byte; 0 for what is none."""
    return 9 - first[0].bit_length() if first and first[0] else 0
