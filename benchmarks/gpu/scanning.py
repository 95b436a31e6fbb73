"""A whole scan of files, and when it began and ended; as a process of its own, too.

    python -m benchmarks.gpu.scanning

is a worker, as `benchmarks.speed.protocol` says, that scans one shard of a folder.
"""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import emoscan
from benchmarks.gpu.bench import MIN_FACE_PX
from benchmarks.gpu.watch import tree_cpu_s
from benchmarks.speed.protocol import Answer, Handlers, serve
from emoscan.events import Event, FileFinished, Note, ScanStarted
from emoscan.options import MinFace, RunOptions, ScanOptions, Shard

MIN_FACE = MinFace(px=MIN_FACE_PX)
# Libraries load what they need for a shape when it is met first.
WARM_S = 4.0


class Clock:
    """A listener that notes the time from the first file's turn to the last one's end.

    To load the networks comes before. The clock goes on from one process to another.
    """

    def __init__(self) -> None:
        self.began_s = self.ended_s = time.monotonic()
        self.began_cpu_s = self.ended_cpu_s = 0.0
        self.frames = self.faces = 0
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._lock = threading.Lock()  # several files may end at the same time

    def __call__(self, event: Event) -> None:
        """Hear what the scan says."""
        with self._lock:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        if isinstance(event, ScanStarted):
            self.began_cpu_s = tree_cpu_s(os.getpid())
            self.began_s = time.monotonic()
        elif isinstance(event, FileFinished):
            self.ended_s = time.monotonic()
            self.ended_cpu_s = tree_cpu_s(os.getpid())
            self.frames += event.frames
            self.faces += event.faces
            self.problems += [event.problem] if event.problem else []
        elif isinstance(event, Note):
            self.notes.append(event.text)

    def answer(self) -> Answer:
        """What was measured. Raises ValueError where a file was not read as it should."""
        if self.problems or not self.frames:
            raise ValueError(" ".join(self.problems) or "no frame was read")
        return {
            "frames": self.frames,
            "faces": self.faces,
            "began_s": self.began_s,
            "ended_s": self.ended_s,
            "cpu_s": self.ended_cpu_s - self.began_cpu_s,
            "notes": self.notes,
        }


def scan(paths: Sequence[Path], out: Path, *, options: ScanOptions, run: RunOptions) -> Answer:
    """`emoscan.scan`, with the clock on. Raises ValueError where something went wrong."""
    clock = Clock()
    emoscan.scan(
        list(paths),
        out,
        options=replace(options, min_face=MIN_FACE),
        run=replace(run, overwrite=True),
        listener=clock,
    )
    return clock.answer()


def shard_worker() -> Handlers:
    """Scans a shard of a folder when it is asked to, and before, to be warm, a single file."""

    def warm(path: str, out: str, device: str) -> Answer:
        run = RunOptions(device=device)
        return scan([Path(path)], Path(out), options=ScanOptions(end_s=WARM_S), run=run)

    def shard(
        folder: str, out: str, *, number: int, of: int, workers: int, end_s: float, device: str
    ) -> Answer:
        run = RunOptions(device=device, workers=workers, shard=Shard(number, of))
        return scan([Path(folder)], Path(out), options=ScanOptions(end_s=end_s), run=run)

    return {"warm": warm, "shard": shard}


if __name__ == "__main__":
    serve(shard_worker)
