"""Timelines with known answers, written as emoscan writes them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from emoscan.emotions import EMOTIONS, Emotion
from emoscan.options import TableFormat
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import Origin, Status
from emoscan.timeline.writers import open_table

FPS = 25
SOURCE = "interview.mp4"
# Names that would be markup, script or a policy's end, were they not escaped.
HOSTILE = (
    "</script><script>window.stolen=1</script><img src=x onerror=window.stolen=2>"
    "<!--\"'`&amp;{{7*7}}\u2028\u202e\x00\x1b[31m"
)
METADATA: dict[str, Any] = {
    "emoscan_version": "0.1.0",
    "model": {"id": "emoscan-resnet18-3", "sha256": "c400" * 16},
    "options": {"fps": None, "every": 1, "min_face": "40", "detector_stride": "auto"},
    "device": "cpu (2 threads, x86_64)",
    "media": {
        "codec": "h264", "width": 640, "height": 360, "frame_rate": 25.0, "duration_s": 12.0,
        "packets": 300, "frames_read": 295, "frames_unreadable": 5, "damage": [],
    },
}  # fmt: skip


def scores(name: str, score: float) -> dict[str, float]:
    """All seven: what is left belongs to the others alike."""
    rest = (1 - score) / (len(EMOTIONS) - 1)
    return dict.fromkeys(EMOTIONS, rest) | {name: score}


def face(
    index: int,
    name: str,
    score: float = 0.9,
    *,
    track: int | None = 1,
    time_s: float | None = -1,
    source: str = SOURCE,
    label: str | None = None,
    height: float = 100,
) -> FaceRecord:
    """A face at 25 frames a second, or at `time_s`."""
    return FaceRecord(
        source, index, index / FPS if time_s == -1 else time_s, Status.FACE,
        face=0, track=track, label=label, origin=Origin.DETECTED,
        x=100, y=60, width=80, height=height, score=0.99,
        emotion=Emotion(name), confidence=score, **scores(name, score),
    )  # fmt: skip


def nobody(index: int, source: str = SOURCE, time_s: float | None = -1) -> FaceRecord:
    return FaceRecord(source, index, index / FPS if time_s == -1 else time_s, Status.NO_FACE)


def lost(index: int, source: str = SOURCE, time_s: float | None = -1) -> FaceRecord:
    return FaceRecord(source, index, index / FPS if time_s == -1 else time_s, Status.UNREADABLE)


def interview(label: str | None = None, source: str = SOURCE) -> list[FaceRecord]:
    """12 s: neutral to 4 s, happy to 8 s (the peak at 6 s), away to 9 s, then sad.

    At 10 s five frames cannot be read; a second face is there from 2 to 3 s.
    """
    rows: list[FaceRecord] = []
    for index in range(300):
        if 250 <= index < 255:
            rows.append(lost(index, source))
        elif 200 <= index < 225:
            rows.append(nobody(index, source))
        else:
            name = "neutral" if index < 100 else "happy" if index < 200 else "sad"
            score = 0.97 if index == 150 else 0.8
            rows.append(face(index, name, score, label=label, source=source))
        if 50 <= index < 75:
            rows.append(face(index, "surprise", 0.7, track=2, source=source))
    return rows


def photos() -> list[FaceRecord]:
    """Two folders and the top one: three happy faces, one sad, none, and an unreadable photo."""

    def photo(source: str, *names: str) -> Iterable[FaceRecord]:
        faces = [face(0, name, track=None, time_s=None, source=source) for name in names]
        return faces or [nobody(0, source, None)]

    return [
        *photo("beach/a.jpg", "happy", "happy"),
        *photo("beach/b.jpg"),
        *photo("town/c.jpg", "sad"),
        *photo("d.jpg", "happy"),
        lost(0, "town/e.jpg", None),
    ]


def write(
    path: Path, rows: Sequence[FaceRecord], metadata: dict[str, Any] | None = METADATA
) -> Path:
    """A table of any format; None: without metadata."""
    table = open_table(path, TableFormat(path.suffix[1:]), overwrite=True)
    table.write(rows)
    table.commit(metadata or {})
    if metadata is None:
        path.with_name(f"{path.name}.meta.json").unlink()
    return path
