"""Pictures are uploaded once, in order, and forgotten with their frames."""

import gc
import weakref
from itertools import chain

import numpy as np
import pytest
import torch

from emoscan import uploads
from emoscan.media.picture import OnDemand
from emoscan.types import Frame, Unreadable
from emoscan.uploads import TOGETHER, Upload, Uploads, on_its_way_back
from tests.pictures import ArrayPicture

CPU = torch.device("cpu")


def frame(index: int, size: tuple[int, int] = (6, 4)) -> Frame:
    width, height = size

    def pixels() -> np.ndarray:
        return np.full((height, width, 3), index % 256, np.uint8)

    return Frame("a.mp4", index, float(index), width, height, OnDemand(pixels))


def test_items_come_in_their_order_with_their_pixels() -> None:
    kept = Uploads()
    items = [*map(frame, range(TOGETHER + 3)), Unreadable("a.mp4", 13, 13.0), frame(14, (8, 8))]
    seen = [*chain.from_iterable(kept.ahead(iter(items), CPU))]
    assert seen == items
    for item in seen:
        if isinstance(item, Frame):
            assert (kept.of(item, CPU).taken().numpy() == item.index).all()
            assert (item.rgb() == item.index).all()


def test_what_held_the_pixels_is_free_at_once_and_whoever_asks_has_them_fetched(
    monkeypatch,
) -> None:
    def copied(images, device):
        return [Upload(torch.from_numpy(image.copy())) for image in images]

    monkeypatch.setattr(uploads, "upload", copied)
    items = [frame(index, (100, 96)) for index in range(TOGETHER)]
    held = [weakref.ref(item.rgb()) for item in items]
    wanted = [item.rgb().copy() for item in items]
    [seen] = Uploads().ahead(items, CPU)
    assert not any(reference() is not None for reference in held)
    for item, its in zip(seen, wanted, strict=True):
        assert np.array_equal(item.sample(), its[::2, ::2])
        assert np.array_equal(item.rgb(), its)


def test_no_more_are_taken_than_go_together() -> None:
    taken: list[int] = []

    def items():
        for index in range(3 * TOGETHER):
            taken.append(index)
            yield frame(index)

    ahead = Uploads().ahead(items(), CPU)
    next(ahead)
    assert len(taken) <= TOGETHER + 1


def test_a_batch_is_of_one_size_and_of_few_pixels(monkeypatch) -> None:
    sizes: list[list[tuple[int, ...]]] = []
    send = uploads.upload

    def counted(images, device):
        sizes.append([image.shape for image in images])
        return send(images, device)

    monkeypatch.setattr(uploads, "upload", counted)
    wide, high = (6, 4), (4, 6)
    monkeypatch.setattr(uploads, "TOGETHER_PX", 3 * 24)
    places = [wide, wide, high, high, high, high, wide]
    list(Uploads().ahead([frame(i, size) for i, size in enumerate(places)], CPU))
    assert [len(batch) for batch in sizes] == [2, 3, 1, 1]
    assert all(len(set(batch)) == 1 for batch in sizes)


@pytest.mark.parametrize("height", [1, 3, 48])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 11])
def test_all_of_the_threads_copy_their_rows(count: int, height: int) -> None:
    images = np.random.default_rng(count).integers(0, 256, (count, height, 5, 3), np.uint8)
    there = np.full_like(images, 7)
    uploads._copy([*images], there)
    assert np.array_equal(there, images)


def test_it_is_uploaded_once_and_forgotten_with_the_picture() -> None:
    kept = Uploads()
    one = frame(1)
    first = kept.of(one, CPU)
    assert kept.of(one, CPU) is first
    del one
    gc.collect()
    assert not kept._kept


def test_pictures_that_may_not_be_written_are_left_alone() -> None:
    pixels = np.full((4, 6, 3), 7, np.uint8)
    pixels.flags.writeable = False
    there = Uploads().of(Frame("a.png", 0, None, 6, 4, ArrayPicture(pixels)), CPU).taken()
    assert np.array_equal(there.numpy(), pixels)


def test_what_comes_back_from_other_devices_comes_through_the_main_memory() -> None:
    """As from Apple's GPUs, whose tensors NumPy cannot read."""

    class Elsewhere:
        is_cuda = False

        def cpu(self) -> torch.Tensor:
            return torch.arange(3.0)

    assert on_its_way_back(Elsewhere())().tolist() == [0, 1, 2]  # type: ignore[arg-type]
    assert on_its_way_back(torch.ones(2))().tolist() == [1, 1]
