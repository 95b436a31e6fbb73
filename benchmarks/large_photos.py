"""Large photos in which only large faces are looked for, read smaller or whole.

    python -m benchmarks.large_photos --media DIR [--min-face 5%] [--side 4032] [--rounds 5]

The JPEGs of the folder, enlarged until their longer side is that of a phone's photo, with a little
noise, are scanned in turns: read as emoscan reads them, and whole. Loading the networks is left
out. What is found in those that were read whole counts as right.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmarks.speed.quality import Quality, compare_tables
from emoscan import RunOptions, ScanOptions
from emoscan.analyzer import Analyzer
from emoscan.batch.rows import photo_rows
from emoscan.emotions import EMOTIONS
from emoscan.media import images
from emoscan.media.find import MediaFile, find_media
from emoscan.media_kind import MediaKind
from emoscan.options import parse_min_face
from emoscan.outcome import Problem
from emoscan.timeline.records import FaceRecord

COPIES = 4
NOISE_LEVELS = 4
QUALITY = 90


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--min-face", type=parse_min_face, default="5%")
    parser.add_argument("--side", type=int, default=4032, help="px")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    analyzer = Analyzer(ScanOptions(min_face=args.min_face), RunOptions())
    with tempfile.TemporaryDirectory() as folder:
        files = _large(args.media, Path(folder), side_px=args.side)
        shrunk = [images.read_photo(file, min_face=analyzer.min_face).shrunk for file in files]
        with _read_whole():
            wanted = _rows(files, analyzer)
        found = _rows(files, analyzer)
        smaller_s, whole_s = _times_s(files * COPIES, analyzer, rounds=args.rounds)
    print(f"{len(files)} photos, smallest face {args.min_face}, read smaller by: {shrunk}")
    for name, seconds in (("smaller", smaller_s), ("whole", whole_s)):
        rates = [COPIES * len(files) / one_s for one_s in seconds]
        middle, least, most = statistics.median(rates), min(rates), max(rates)
        print(f"read {name}: {middle:.1f} photos/s ({least:.1f} to {most:.1f})")
    print(_said(compare_tables(_table(wanted), _table(found))))


def _times_s(
    files: Sequence[MediaFile], analyzer: Analyzer, *, rounds: int
) -> tuple[list[float], list[float]]:
    """Of reading smaller and whole, in turns."""
    smaller_s, whole_s = [], []
    for _ in range(rounds):
        began_s = time.perf_counter()
        _rows(files, analyzer)
        smaller_s.append(time.perf_counter() - began_s)
        with _read_whole():
            began_s = time.perf_counter()
            _rows(files, analyzer)
            whole_s.append(time.perf_counter() - began_s)
    return smaller_s, whole_s


def _rows(files: Sequence[MediaFile], analyzer: Analyzer) -> list[FaceRecord]:
    problems: list[Problem] = []
    with photo_rows(files, analyzer, problems=problems, fail_fast=True) as batches:
        rows = [row for batch in batches for row in batch]
    assert not problems, problems
    return rows


def _read_whole() -> AbstractContextManager[object]:
    return patch.object(images, "SHRINKS", ())


def _large(media: Path, folder: Path, *, side_px: int) -> list[MediaFile]:
    random = np.random.default_rng(0)
    for path in sorted(media.glob("*.jpg")):
        with Image.open(path) as image:
            share = side_px / max(image.size)
            size = (round(image.width * share), round(image.height * share))
            large = np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        noise = random.normal(0, NOISE_LEVELS, (*large.shape[:2], 1))
        noisy: NDArray[np.uint8] = (large + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / path.name, quality=QUALITY)
    return list(find_media([folder], MediaKind.PHOTO, recursive=False).files)


def _table(rows: Sequence[FaceRecord]) -> pd.DataFrame:
    """What `compare_tables` takes, each photo as a frame of its own."""
    number = {source: place for place, source in enumerate(sorted({row.source for row in rows}))}
    names = ("x", "y", "width", "height", "emotion", "status", *EMOTIONS)
    columns = {name: [getattr(row, name) for row in rows] for name in names}
    return pd.DataFrame({"frame": [number[row.source] for row in rows], **columns})


def _said(quality: Quality) -> str:
    return (
        f"of {quality.reference} faces {quality.matched} are found,"
        f" {quality.found - quality.matched} others;"
        f" of these {quality.agreeing} have the same class"
    )


if __name__ == "__main__":
    main()
