"""Pixels that are made on demand, and may move elsewhere."""

import weakref

import numpy as np
import pytest

from emoscan.media.picture import SAMPLED_SIDE, OnDemand, sampled


class Memory(np.ndarray):
    """An array whose end can be watched."""


def pixels(height: int = 100, width: int = 150) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_pixels_are_made_once_and_only_when_asked_for() -> None:
    made = []
    picture = OnDemand(lambda: made.append(1) or pixels())  # type: ignore[func-returns-value]
    assert not made
    assert picture.rgb() is picture.rgb() and picture.gray() is picture.gray()
    assert picture.rgb(0.5).shape == (50, 75, 3)
    assert len(made) == 1


@pytest.mark.parametrize("size", [(1, 1), (47, 90), (48, 48), (95, 300), (96, 96), (1080, 1920)])
def test_a_sample_is_small_and_has_enough_rows(size: tuple[int, int]) -> None:
    sample = sampled(pixels(*size))
    assert min(sample.shape[:2]) >= min(SAMPLED_SIDE, *size)
    assert min(sample.shape[:2]) < 2 * SAMPLED_SIDE


def test_who_hands_pixels_over_keeps_a_sample_and_has_them_fetched() -> None:
    held = pixels().view(Memory)
    end, wanted = weakref.ref(held), held.copy()
    picture = OnDemand(lambda held=held: held)
    asked = []
    picture.hand_over(lambda: asked.append(1) or wanted)  # type: ignore[func-returns-value]
    del held
    assert end() is None
    assert np.array_equal(picture.sample(), wanted[::2, ::2]) and not asked
    assert np.array_equal(picture.rgb(), wanted) and asked == [1]
