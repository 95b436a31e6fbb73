"""Whether two pictures show one scene, on photographs."""

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from emoscan.faces.view import NO_VIEW, View, show_same_scene, view_of
from emoscan.types import Frame
from tests.pictures import ArrayPicture

Pixels = NDArray[np.uint8]


def view(pixels: Pixels) -> View:
    height, width = pixels.shape[:2]
    return view_of(Frame("a.mp4", 0, 0.0, width, height, ArrayPicture(pixels)))


def same(a: Pixels, b: Pixels) -> bool:
    return bool(show_same_scene(view(a)[None], view(b))[0])


def photo(name: str) -> Pixels:
    return cv2.resize(getattr(skimage.data, name)(), (640, 360)).astype(np.uint8)


PHOTOS = ["astronaut", "coffee", "chelsea", "rocket"]


@pytest.mark.parametrize("name", PHOTOS)
def test_a_scene_stays_itself_in_noise_in_a_flash_and_in_the_hand(name: str) -> None:
    picture = photo(name)
    noise = np.random.default_rng(0).normal(0, 15, picture.shape)
    noisy = (picture + noise).clip(0, 255).astype(np.uint8)
    flash = (picture * 1.5 + 60).clip(0, 255).astype(np.uint8)
    dark = (picture * 0.2).astype(np.uint8)
    for other in (picture, noisy, flash, dark, np.roll(picture, (6, 12), (0, 1))):
        assert same(picture, other)


@pytest.mark.parametrize("name", PHOTOS)
def test_other_scenes_are_others_even_in_the_dark(name: str) -> None:
    for other in set(PHOTOS) - {name}:
        assert not same(photo(name), photo(other))
        assert not same(photo(name) // 4, photo(other) // 4)


def test_a_person_who_moves_leaves_the_scene_as_it_is() -> None:
    portrait = cv2.resize(photo("astronaut"), (160, 200))
    before, after = photo("coffee"), photo("coffee")
    before[100:300, 100:260] = portrait
    after[110:310, 220:380] = portrait
    assert same(before, after)


def test_the_size_of_the_picture_does_not_matter() -> None:
    small = cv2.resize(photo("coffee"), (160, 90)).astype(np.uint8)
    assert same(photo("coffee"), small)
    assert view(np.zeros((1, 1, 3), np.uint8)).shape == NO_VIEW.shape


def test_nothing_is_recognised_where_there_is_nothing_to_see() -> None:
    black = np.zeros((360, 640, 3), np.uint8)
    assert np.isfinite(view(black)).all()
    assert not same(black, photo("coffee")) and not same(photo("coffee"), black)


def test_no_view_is_like_itself() -> None:
    assert show_same_scene(np.stack([NO_VIEW, NO_VIEW]), NO_VIEW).all()
    assert show_same_scene(np.zeros((0, NO_VIEW.size), np.float32), NO_VIEW).shape == (0,)
