"""Photos in threads: whoever is first, rows and problems come in the order of the files."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from emoscan.batch import rows
from emoscan.errors import MediaError
from emoscan.media import images
from emoscan.media.find import MediaFile
from emoscan.options import MinFace, ScanOptions
from emoscan.types import Frame, Unreadable
from tests.pictures import ArrayPicture


def files(count: int) -> list[MediaFile]:
    return [MediaFile(Path(f"{number:02d}.jpg"), f"{number:02d}.jpg") for number in range(count)]


@dataclass
class Lists:
    """In place of an Analyzer: its rows are the names of a batch's photos."""

    photo_threads: int = 3
    min_face: MinFace = ScanOptions().min_face

    def batch_frames(self, width_px: int, height_px: int) -> int:
        return max(1, min(4, 1200 // (width_px * height_px)))

    def photo_rows(self, items: list[Frame | Unreadable]) -> list[str]:
        return [item.source for item in items]


@pytest.fixture
def unread(monkeypatch) -> None:
    """Photos of 10 by 10 px that need no file; each third cannot be read, and takes longest."""

    def read(file: MediaFile, *, min_face: MinFace) -> Frame:
        if int(file.source[:2]) % 3 == 0:
            time.sleep(0.01)
            raise MediaError(f"{file.source} is broken.")
        pixels = np.zeros((10, 10, 3), np.uint8)
        return Frame(file.source, 0, None, 10, 10, ArrayPicture(pixels))

    monkeypatch.setattr(images, "read_photo", read)
    monkeypatch.setattr(images, "photo_size", lambda _, **how: (10, 10))


def looked_at(count: int, *, fail_fast: bool = False) -> tuple[list[str], list[str]]:
    problems = []
    with rows.photo_rows(files(count), Lists(), problems=problems, fail_fast=fail_fast) as batches:
        names = [name for batch in batches for name in batch]
    return names, [problem.source for problem in problems]


@pytest.mark.usefixtures("unread")
def test_rows_and_problems_come_in_the_order_of_the_files() -> None:
    names = [file.source for file in files(50)]
    assert looked_at(50) == (names, names[::3])


@pytest.mark.usefixtures("unread")
def test_problems_come_with_their_rows_and_not_before() -> None:
    problems = []
    with rows.photo_rows(files(50), Lists(), problems=problems, fail_fast=False) as batches:
        photos = 0
        for batch in batches:
            photos += len(batch)
            assert len(problems) == (photos + 2) // 3
            time.sleep(0.005)  # for the threads to be ahead


@pytest.mark.usefixtures("unread")
def test_fail_fast_ends_with_the_first_photo_that_fails() -> None:
    assert looked_at(50, fail_fast=True) == (["00.jpg"], ["00.jpg"])


@pytest.mark.usefixtures("unread")
def test_photos_are_read_side_by_side(monkeypatch) -> None:
    all_three = threading.Barrier(3, timeout=10)
    read, waited = images.read_photo, set()

    def together(file: MediaFile, *, min_face: MinFace) -> Frame:
        if file.source in {"00.jpg", "04.jpg", "08.jpg"}:  # the first of each batch
            all_three.wait()  # none gets on without the others
            waited.add(file.source)
        return read(file, min_face=min_face)

    monkeypatch.setattr(images, "read_photo", together)
    looked_at(50)
    assert waited == {"00.jpg", "04.jpg", "08.jpg"}


def test_a_batch_is_as_many_photos_as_their_sizes_allow(monkeypatch) -> None:
    sizes = [(10, 10)] * 6 + [(20, 30), (20, 30), (10, 10), (90, 90), (10, 10), (20, 20)]
    monkeypatch.setattr(images, "photo_size", lambda file, **how: sizes[int(file.source[:2])])
    batches = rows._batches(iter(files(len(sizes))), Lists())
    assert [len(batch) for batch in batches] == [4, 3, 2, 1, 2]
