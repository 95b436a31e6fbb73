"""How much the real Parquet writer's memory grows over millions of records.

`python -m benchmarks.writer_memory [--records 3000000]`
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emoscan.emotions import EMOTIONS
from emoscan.media.picture import OnDemand, Pixels
from emoscan.options import TableFormat
from emoscan.timeline.records import FaceRecord, frame_records
from emoscan.timeline.writers import TableWriter, open_table
from emoscan.types import Emotions, Faces, Frame

TARGET_GROWTH_MB = 50
WARM_UP_RECORDS = 100_000  # five row groups: every buffer has had its full size by then
FACES_PER_FRAME = 5
FRAMES_PER_BATCH = 16  # the writer gets what one batch of the scan gives
FPS = 25
KB_PER_MB = 1024


def _no_pixels() -> Pixels:
    raise AssertionError("records need no pixels")


@dataclass(frozen=True, slots=True)
class Figures:
    """Resident memory in MB, and the rate."""

    warm_mb: float
    peak_mb: float
    rows_per_s: float

    @property
    def growth_mb(self) -> float:
        """From the warm-up's end to the peak."""
        return self.peak_mb - self.warm_mb


def measure(records: int, out: Path) -> Figures:
    """Write that many generated records to `out`. Linux only: it reads /proc/self/status."""
    table = open_table(out, TableFormat.PARQUET, overwrite=True)
    warm_mb, start_s = 0.0, time.perf_counter()
    for batch in _batches(records):
        table.write(batch)
        if not warm_mb and table.rows >= min(WARM_UP_RECORDS, records):
            warm_mb = _status_mb("VmRSS")
    table.commit({"source": "generated"})
    rate = _rows_per_s(table, start_s)
    return Figures(warm_mb=warm_mb, peak_mb=_status_mb("VmHWM"), rows_per_s=rate)


def _rows_per_s(table: TableWriter, start_s: float) -> float:
    return table.rows / (time.perf_counter() - start_s)


def _batches(records: int) -> Iterator[list[FaceRecord]]:
    random = np.random.default_rng(0)
    for first in range(0, -(-records // FACES_PER_FRAME), FRAMES_PER_BATCH):
        frames = range(first, first + FRAMES_PER_BATCH)
        yield [record for index in frames for record in _frame_records(index, random)]


def _frame_records(index: int, random: np.random.Generator) -> list[FaceRecord]:
    # A long video a file of an hour each, so that the dictionary of sources grows too.
    source = f"interviews/{index // (3600 * FPS):04d}.mp4"
    frame = Frame(source, index, index / FPS, 1920, 1080, OnDemand(_no_pixels))
    corners = random.uniform(0, 900, (FACES_PER_FRAME, 2)).astype(np.float32)
    faces = Faces(
        boxes=np.hstack([corners, corners + 100]),
        scores=random.random(FACES_PER_FRAME, np.float32),
        landmarks=random.random((FACES_PER_FRAME, 5, 2), np.float32) * 1000,
        tracks=np.arange(FACES_PER_FRAME, dtype=np.int32) + index // 1000,
        followed=np.zeros(FACES_PER_FRAME, np.bool_),
    )
    odds = random.random((FACES_PER_FRAME, len(EMOTIONS)), np.float32)
    return frame_records(frame, faces, Emotions(odds / odds.sum(axis=1, keepdims=True)))


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / KB_PER_MB


def main() -> None:
    """Print the figures; exit 1 where the growth misses the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=3_000_000)
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "timeline.parquet"
        figures = measure(records, out)
        size_mb = out.stat().st_size / KB_PER_MB**2
    print(f"records          {records:>12,}   ({size_mb:,.0f} MB of Parquet)")
    print(f"RSS after {WARM_UP_RECORDS:,} {figures.warm_mb:>9.1f} MB")
    print(f"peak RSS         {figures.peak_mb:>12.1f} MB")
    print(f"growth           {figures.growth_mb:>12.1f} MB   (target: under {TARGET_GROWTH_MB})")
    print(f"rate             {figures.rows_per_s:>12,.0f} rows/s, records made and written")
    sys.exit(0 if figures.growth_mb < TARGET_GROWTH_MB else 1)


if __name__ == "__main__":
    main()
