"""Memory over very many photos, and how long it takes to see that all are done.

    python -m benchmarks.many_photos [--photos 100000]

Tiny photos in folders of a thousand, with the tests' quick analyzer in the place of the networks:
the rise of the memory between a tenth of the photos and all of them; then the same command with
--resume; then, half of the parts left as after a kill, what the rest takes.
"""

import argparse
import tempfile
import time
from pathlib import Path

from PIL import Image

import emoscan
import emoscan.pipeline
from emoscan import RunOptions, ScanReport
from emoscan.events import Event, FramesDone, Listener, ignore
from tests.batch.analyzers import QuickAnalyzer

A_FOLDER = 1_000


class Stopped(BaseException):
    """Half of it is done."""


def main() -> None:
    """Make the photos, scan them, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=100_000)
    photos = parser.parse_args().photos
    setattr(emoscan.pipeline, "Analyzer", QuickAnalyzer)  # noqa: B010 - mypy knows none there
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "photos"), Path(folder, "t.parquet")
        _write_photos(source, photos)
        early_mb: list[float] = []

        def look(event: Event) -> None:
            if isinstance(event, FramesDone) and event.frames >= photos / 10 and not early_mb:
                early_mb.append(_now_mb())

        seconds, report = _timed(source, out, RunOptions(), look)
        assert report.frames == photos
        print(f"{photos:,} photos in {seconds:.0f} s; at a tenth {early_mb[0]:.1f} MB,", end=" ")
        print(f"{_now_mb() - early_mb[0]:+.1f} MB at the end")
        seconds, report = _timed(source, out, RunOptions(resume=True), ignore)
        assert report.done_before == photos and not report.frames
        print(f"--resume where all is done: {seconds:.1f} s")
        out.unlink()
        _stop_half_way(source, out, photos)
        seconds, report = _timed(source, out, RunOptions(resume=True), ignore)
        assert report.frames == photos
        print(f"--resume where half is done: {seconds:.1f} s")


def _stop_half_way(source: Path, out: Path, photos: int) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, FramesDone) and event.frames >= photos / 2:
            raise Stopped

    try:
        _timed(source, out, RunOptions(), stop)
    except Stopped:
        return
    raise AssertionError("nothing stopped it")


def _timed(
    source: Path, out: Path, run: RunOptions, listener: Listener
) -> tuple[float, ScanReport]:
    began = time.monotonic()
    report = emoscan.scan(source, out, kind="photo", run=run, listener=listener)
    return time.monotonic() - began, report


def _write_photos(folder: Path, photos: int) -> None:
    for number in range(photos):
        place = folder / f"{number // A_FOLDER:05}"
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), number % 256).save(place / f"{number:07}.bmp")


def _now_mb() -> float:
    status = Path("/proc/self/status").read_text().split("VmRSS:")[1]
    return int(status.split()[0]) * 1024 / 1_000_000


if __name__ == "__main__":
    main()
