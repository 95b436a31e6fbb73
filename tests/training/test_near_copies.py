import numpy as np
import pytest

from tests.real_data import FER2013
from training.fer2013 import Split, load_dataset
from training.near_copies import CHUNK_IMAGES, find_near_copies


def noise(count: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), np.uint8)


def plain(level: int) -> np.ndarray:
    return np.full((1, 48, 48), level, np.uint8)


def test_the_limit_is_a_mean_difference_and_not_reached() -> None:
    image = plain(100)
    at_limit = plain(102)
    at_limit[:, ::2] += 1  # every other row: 2.5 in the mean
    below = at_limit.copy()
    below[0, 0, 0] -= 1
    assert find_near_copies(image, below).tolist() == [True]
    assert find_near_copies(image, at_limit).tolist() == [False]
    assert find_near_copies(image, at_limit, limit=2.51).tolist() == [True]


def test_darker_and_brighter_pixels_do_not_cancel_out() -> None:
    image = plain(100)
    chequered = image.copy()
    chequered[:, ::2, ::2] += 20
    chequered[:, 1::2, 1::2] -= 20
    assert not find_near_copies(image, chequered).any()


def test_mirror_images_are_other_images() -> None:
    images = noise(3)
    assert find_near_copies(images, images).all()
    assert not find_near_copies(images, images[:, :, ::-1]).any()


def test_it_finds_what_comparing_all_pairs_finds() -> None:
    random = np.random.default_rng(1)
    # Smooth images of near brightness, so that the sums over blocks alone cannot tell them apart.
    among = (120 + random.integers(-6, 7, (60, 48, 48))).astype(np.uint8)
    changes = random.integers(-1, 2, (CHUNK_IMAGES + 44, 48, 48)) * random.integers(0, 6)
    strength = random.integers(0, 5, (len(changes), 1, 1))
    images = (among[random.integers(0, 60, len(changes))] + changes * strength).astype(np.uint8)
    expected = [np.abs(among.astype(int) - image).mean(axis=(1, 2)).min() < 2.5 for image in images]
    assert 0 < sum(expected) < len(images)
    assert find_near_copies(images, among).tolist() == expected


def test_nothing_to_compare_with() -> None:
    assert find_near_copies(noise(2), noise(0)).tolist() == [False, False]
    assert find_near_copies(noise(0), noise(2)).tolist() == []


@pytest.mark.skipif(not FER2013.is_dir(), reason="needs EMOSCAN_FER2013, a folder with FER2013")
def test_as_many_of_publictest_as_were_counted() -> None:
    data = load_dataset(FER2013)
    found = find_near_copies(data.split(Split.PUBLIC).images, data.train.images)
    assert found.sum() == 289
