"""Photos in which only large faces are looked for, read smaller or whole.

    python -m benchmarks.large_photos --media DIR [--min-face 256] [--side 4032] [--rounds 5]

Faces are counted in the folder's JPEGs and in every eighth frame of its videos as such, classes of
those that are as large as asked for; what is found in pictures that were read whole counts as
right. Beside it stands what changes where one row and one column are cut off and the rest is saved
again. Photos a second are those of the JPEGs enlarged until their longer side is that of a phone's
photo, with a little noise, read either way in turns; loading the networks is left out.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.backend_parity import batches
from benchmarks.speed.quality import compare_tables
from emoscan import RunOptions, ScanOptions
from emoscan.analyzer import Analyzer
from emoscan.batch.rows import photo_rows
from emoscan.media import images
from emoscan.media.find import MediaFile, find_media
from emoscan.media_kind import MediaKind
from emoscan.outcome import Problem
from emoscan.timeline.records import FaceRecord

EVERY = 8
COPIES = 4
NOISE_LEVELS = 4
FRAME_QUALITY, LARGE_QUALITY = 95, 90


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--min-face", type=int, default=256, help="px")
    parser.add_argument("--side", type=int, default=4032, help="px")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if not any(args.media.glob("*.jpg")):
        parser.error(f"{args.media} has no .jpg")
    analyzer = Analyzer(ScanOptions(min_face=args.min_face), RunOptions())
    runtime = analyzer.runtime
    print(f"{runtime.device_name}, {runtime.backend.value}, {runtime.precision.value}")
    with tempfile.TemporaryDirectory() as folder:
        _print_faces(_as_they_are(args.media, Path(folder)), analyzer, args.min_face)
    with tempfile.TemporaryDirectory() as folder:
        _print_rates(_large(args.media, Path(folder), side_px=args.side), analyzer, args.rounds)


def _print_faces(files: Sequence[MediaFile], analyzer: Analyzer, least_px: int) -> None:
    with _read_whole():
        wanted = _table(_rows(files, analyzer))
        with tempfile.TemporaryDirectory() as folder:
            cut = _table(_rows(_cut(files, Path(folder)), analyzer))
    smaller = _table(_rows(files, analyzer))
    print(f"{len(files)} photos as they are, read smaller by: {_factors(files, analyzer)}")
    for name, table in (("read smaller", smaller), ("a row and a column less", cut)):
        found = compare_tables(wanted, table, class_min_px=least_px)
        print(
            f"{name}: of {found.reference} faces {found.matched} are found,"
            f" {found.found - found.matched} others;"
            f" of {found.compared} as large as asked for {found.agreeing} have the same class"
        )


def _print_rates(files: Sequence[MediaFile], analyzer: Analyzer, rounds: int) -> None:
    print(f"{len(files)} photos enlarged, read smaller by: {_factors(files, analyzer)}")
    many = [*files] * COPIES
    seconds: dict[str, list[float]] = {"smaller": [], "whole": []}
    for _ in range(rounds):
        seconds["smaller"].append(_seconds(many, analyzer))
        with _read_whole():
            seconds["whole"].append(_seconds(many, analyzer))
    for name, its in seconds.items():
        rates = [len(many) / one_s for one_s in its]
        middle, least, most = statistics.median(rates), min(rates), max(rates)
        print(f"read {name}: {middle:.1f} photos/s ({least:.1f} to {most:.1f})")


def _factors(files: Sequence[MediaFile], analyzer: Analyzer) -> dict[int, int]:
    """How many are read smaller by which factor."""
    read = (images.read_photo(file, min_face=analyzer.min_face).shrunk for file in files)
    return dict(sorted(Counter(read).items()))


def _seconds(files: Sequence[MediaFile], analyzer: Analyzer) -> float:
    began_s = time.perf_counter()
    _rows(files, analyzer)
    return time.perf_counter() - began_s


def _rows(files: Sequence[MediaFile], analyzer: Analyzer) -> list[FaceRecord]:
    problems: list[Problem] = []
    with photo_rows(files, analyzer, problems=problems, fail_fast=True) as its:
        rows = [row for batch in its for row in batch]
    assert not problems, problems
    return rows


def _read_whole() -> AbstractContextManager[object]:
    return patch.object(images, "SHRINKS", ())


def _as_they_are(media: Path, folder: Path) -> Sequence[MediaFile]:
    for path in media.glob("*.jpg"):
        (folder / path.name).write_bytes(path.read_bytes())
    for frame in (frame for batch in batches(media, EVERY) for frame in batch):
        if frame.time_s is not None:
            name = f"{frame.source}_{frame.index:06}.jpg"
            Image.fromarray(frame.rgb()).save(folder / name, quality=FRAME_QUALITY)
    return _photos(folder)


def _cut(files: Sequence[MediaFile], folder: Path) -> Sequence[MediaFile]:
    for file in files:
        with Image.open(file.path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        less = upright.crop((1, 1, *upright.size))
        less.save(folder / file.path.name, quality=FRAME_QUALITY)
    return _photos(folder)


def _large(media: Path, folder: Path, *, side_px: int) -> Sequence[MediaFile]:
    random = np.random.default_rng(0)
    for path in sorted(media.glob("*.jpg")):
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        share = side_px / max(upright.size)
        size = (round(upright.width * share), round(upright.height * share))
        large = np.asarray(upright.resize(size, Image.Resampling.LANCZOS))
        noise = random.normal(0, NOISE_LEVELS, (*large.shape[:2], 1))
        noisy: NDArray[np.uint8] = (large + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / path.name, quality=LARGE_QUALITY)
    return _photos(folder)


def _photos(folder: Path) -> Sequence[MediaFile]:
    return list(find_media([folder], MediaKind.PHOTO, recursive=False).files)


def _table(rows: Sequence[FaceRecord]) -> pd.DataFrame:
    """What `compare_tables` takes, each photo as a frame of its own."""
    number = {source: place for place, source in enumerate(sorted({row.source for row in rows}))}
    names = ("x", "y", "width", "height", "emotion", "status")
    columns = {name: [getattr(row, name) for row in rows] for name in names}
    return pd.DataFrame({"frame": [number[row.source] for row in rows], **columns})


if __name__ == "__main__":
    main()
