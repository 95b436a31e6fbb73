from itertools import combinations

import pytest
import torch
from torch import Tensor

from tests.training.recipes import UNCHANGED, tiny_recipe
from training.augment import augment, mix
from training.recipe import Recipe

SIDE_PX = 48
# One kind of change each; those with a share take only some of the images.
ALONE = {
    "rotation": {"rotation_deg": 10.0},
    "scaling": {"scaling": 0.1},
    "shift": {"shift": 0.1},
    "shear": {"shear_deg": 10.0},
    "brightness": {"brightness": 0.2},
    "contrast": {"contrast": 0.3},
    "sharpness": {"sharpness": 1.0, "sharpness_share": 1.0},
    "erasing": {"erase_share": 1.0, "erase_least": 0.1, "erase_most": 0.4},
}
SHARED = {
    "flip": {"flip_share": 0.5},
    "autocontrast": {"autocontrast_share": 0.5},
    "sharpness": {"sharpness": 1.0, "sharpness_share": 0.5},
    "erasing": {"erase_share": 0.5, "erase_least": 0.1, "erase_most": 0.4},
}
ALL = {
    "flip_share": 0.5,
    "rotation_deg": 30.0,
    "scaling": 0.5,
    "shift": 0.5,
    "shear_deg": 20.0,
    "brightness": 0.5,
    "contrast": 1.0,
    "sharpness": 3.0,
    "sharpness_share": 0.9,
    "autocontrast_share": 0.5,
    "erase_share": 0.5,
    "erase_least": 0.1,
    "erase_most": 1.0,
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def only(**changes: float) -> Recipe:
    """A recipe with these changes of images and no others."""
    return tiny_recipe(**(UNCHANGED | changes))


def picture(count: int = 1) -> Tensor:
    """Equal images, soft ones, in levels that leave room for brighter and darker."""
    coarse = 0.3 + 0.4 * torch.rand(1, 1, 8, 8)
    image = torch.nn.functional.interpolate(coarse, SIDE_PX, mode="bilinear")
    return image.repeat(count, 1, 1, 1)


def ramp(count: int) -> Tensor:
    """From dark to light in x: how it has moved can be read from its slope."""
    row = (torch.arange(SIDE_PX) + 0.5) / SIDE_PX
    return row.expand(count, 1, SIDE_PX, SIDE_PX)


def slopes(images: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) mean differences in x and in y in the middle of a ramp, 1 and 0 where nothing moved."""
    middle = images[:, 0, 20:28, 20:28] * SIDE_PX
    return middle.diff(dim=2).mean((1, 2)), middle.diff(dim=1).mean((1, 2))


@pytest.mark.parametrize("changes", ALONE.values(), ids=ALONE)
def test_equal_images_of_a_batch_come_out_different(changes: dict[str, float]) -> None:
    changed = augment(picture(8), only(**changes), side_px=SIDE_PX)
    differences = [float((one - two).abs().max()) for one, two in combinations(changed, 2)]
    assert min(differences) > 1e-4


@pytest.mark.parametrize("changes", SHARED.values(), ids=SHARED)
def test_only_a_share_of_the_images_changes(changes: dict[str, float]) -> None:
    images = picture(200)
    changed = augment(images, only(**changes), side_px=SIDE_PX)
    count = ((changed - images).abs().amax((1, 2, 3)) > 1e-3).sum()
    assert 70 <= count <= 130


def test_with_all_changes_off_an_image_stays_as_it_is() -> None:
    images = torch.rand(4, 1, SIDE_PX, SIDE_PX)
    assert torch.allclose(augment(images, only(), side_px=SIDE_PX), images, atol=1e-5)


def test_a_move_by_nothing_leaves_an_image_as_it_is() -> None:
    """Through the resampling itself, unlike with all changes off."""
    images = torch.rand(4, 1, SIDE_PX, SIDE_PX)
    changed = augment(images, only(rotation_deg=1e-7), side_px=SIDE_PX)
    assert torch.allclose(changed, images, atol=1e-5)


@pytest.mark.parametrize("side_px", [16, 24, 48, 64])
def test_images_come_out_at_the_side_that_is_asked_for(side_px: int) -> None:
    for changes in ({}, ALL):
        changed = augment(picture(3), only(**changes), side_px=side_px)
        assert changed.shape == (3, 1, side_px, side_px)


def test_half_the_side_is_the_mean_of_four_pixels() -> None:
    images = torch.rand(2, 1, SIDE_PX, SIDE_PX)
    expected = torch.nn.functional.avg_pool2d(images, 2)
    assert torch.allclose(augment(images, only(), side_px=24), expected, atol=1e-5)


@pytest.mark.parametrize("changes", [ALL, *ALONE.values()], ids=["all", *ALONE])
def test_gray_levels_stay_between_0_and_1(changes: dict[str, float]) -> None:
    images = torch.rand(32, 1, SIDE_PX, SIDE_PX).round()  # black and white: nowhere left to go
    changed = augment(images, only(**changes), side_px=SIDE_PX)
    assert changed.min() >= -1e-6 and changed.max() <= 1 + 1e-6


def test_the_same_seed_gives_the_same_changes() -> None:
    def draw() -> Tensor:
        torch.manual_seed(3)
        return augment(picture(4), only(**ALL), side_px=24)

    assert torch.equal(draw(), draw())


def test_images_themselves_are_left_alone() -> None:
    images = picture(4)
    before = images.clone()
    augment(images, only(**ALL), side_px=SIDE_PX)
    assert torch.equal(images, before)


def test_a_flip_mirrors_left_and_right() -> None:
    images = torch.rand(4, 1, SIDE_PX, SIDE_PX)
    changed = augment(images, only(flip_share=1.0), side_px=SIDE_PX)
    assert torch.allclose(changed, images.flip(3), atol=1e-5)


def test_images_turn_to_both_sides_by_the_degrees_at_most() -> None:
    in_x, in_y = slopes(augment(ramp(100), only(rotation_deg=12.0), side_px=SIDE_PX))
    degrees = torch.rad2deg(torch.atan2(in_y, in_x))
    assert torch.allclose(in_x.hypot(in_y), torch.ones(100), atol=1e-2)
    assert -12.1 <= degrees.min() < -10 and 10 < degrees.max() <= 12.1


def test_a_flipped_image_turns_without_being_distorted() -> None:
    """The ramps in x and in y stay at right angles, mirrored."""
    recipe, found = only(flip_share=1.0, rotation_deg=30.0), []
    for images in (ramp(50), ramp(50).mT):
        torch.manual_seed(1)
        found.append(torch.stack(slopes(augment(images, recipe, side_px=SIDE_PX))))
    assert (found[0] * found[1]).sum(0).abs().max() < 1e-2
    assert (found[0][0] < -0.8).all() and (found[1][1] > 0.8).all()


def test_images_shrink_and_grow_by_the_scaling_at_most() -> None:
    in_x, in_y = slopes(augment(ramp(100), only(scaling=0.2), side_px=SIDE_PX))
    assert 0.795 <= in_x.min() < 0.85 and 1.15 < in_x.max() <= 1.205
    assert in_y.abs().max() < 1e-3


def test_images_move_by_the_shift_at_most_and_repeat_their_edge() -> None:
    changed = augment(ramp(100), only(shift=0.25), side_px=SIDE_PX)
    moved = (changed - ramp(100))[:, 0, 24, 24]
    assert -0.251 <= moved.min() < -0.2 and 0.2 < moved.max() <= 0.251
    assert changed.min() >= 0.5 / SIDE_PX - 1e-6  # the outside is not black


def test_images_are_sheared_by_the_degrees_at_most() -> None:
    in_x, in_y = slopes(augment(ramp(100), only(shear_deg=10.0), side_px=SIDE_PX))
    degrees = torch.rad2deg(torch.atan(in_y / in_x))
    assert -10.1 <= degrees.min() < -8 and 8 < degrees.max() <= 10.1
    assert torch.allclose(in_x, torch.ones(100), atol=1e-2)


def test_brightness_is_added_to_all_of_an_image() -> None:
    images = picture(100)
    added = augment(images, only(brightness=0.2), side_px=SIDE_PX) - images
    assert (added.amax((1, 2, 3)) - added.amin((1, 2, 3))).max() < 1e-5
    assert -0.2001 <= added.min() < -0.15 and 0.15 < added.max() <= 0.2001


def test_contrast_keeps_the_mean() -> None:
    images = picture(100)
    changed = augment(images, only(contrast=0.3), side_px=SIDE_PX)
    assert torch.allclose(changed.mean((2, 3)), images.mean((2, 3)), atol=1e-4)
    factors = changed.std((2, 3)) / images.std((2, 3))
    assert 0.699 <= factors.min() < 0.75 and 1.25 < factors.max() <= 1.301


def test_sharpness_makes_some_images_softer_and_some_sharper() -> None:
    images = 0.4 + 0.2 * torch.rand(1, 1, SIDE_PX, SIDE_PX).repeat(50, 1, 1, 1)
    changed = augment(images, only(sharpness=1.0, sharpness_share=1.0), side_px=SIDE_PX)
    factors = changed.std((2, 3)) / images.std((2, 3))
    assert factors.min() < 0.8 and factors.max() > 1.2
    assert torch.allclose(changed.mean((2, 3)), images.mean((2, 3)), atol=5e-3)


def test_autocontrast_stretches_to_the_full_range() -> None:
    images = picture(4)
    changed = augment(images, only(autocontrast_share=1.0), side_px=SIDE_PX)
    assert changed.amin((2, 3)).abs().max() < 1e-5
    assert (changed.amax((2, 3)) - 1).abs().max() < 1e-5


def test_autocontrast_of_an_image_of_one_level_is_no_division_by_zero() -> None:
    images = torch.full((2, 1, SIDE_PX, SIDE_PX), 0.5)
    assert augment(images, only(autocontrast_share=1.0), side_px=SIDE_PX).isfinite().all()


def test_a_rectangle_of_the_sides_that_are_asked_for_gets_the_mean() -> None:
    images = picture(50) + 0.01 * torch.rand(50, 1, SIDE_PX, SIDE_PX)
    recipe = only(erase_share=1.0, erase_least=0.25, erase_most=0.5)
    changed = augment(images, recipe, side_px=SIDE_PX)
    for image, result in zip(images[:, 0], changed[:, 0], strict=True):
        hole = image != result
        height, width = hole.any(1).sum(), hole.any(0).sum()
        assert 12 <= height <= 24 and 12 <= width <= 24
        assert hole.sum() >= 0.95 * height * width  # but where a pixel had the mean already
        assert torch.allclose(result[hole], image.mean(), atol=1e-5)


def told_apart(count: int) -> tuple[Tensor, Tensor]:
    """Images with one white pixel each, at a place of its own, and targets likewise."""
    targets = torch.eye(count)
    images = torch.zeros(count, 1, 8, 8)
    images.flatten(1)[:, :count] = targets
    return images, targets


def test_mixing_takes_the_same_shares_of_images_and_targets() -> None:
    images, targets = told_apart(16)
    numbers = torch.arange(16.0)
    mixed, (mixed_targets, mixed_numbers) = mix(images, [targets, numbers], 0.4)
    assert torch.allclose(mixed.flatten(1)[:, :16], mixed_targets)
    assert torch.allclose(mixed_numbers, mixed_targets @ numbers, atol=1e-5)


def test_mixing_keeps_the_targets_sums() -> None:
    targets = torch.rand(16, 7)
    targets /= targets.sum(1, keepdim=True)
    _, (mixed,) = mix(torch.rand(16, 1, 8, 8), [targets], 0.4)
    assert torch.allclose(mixed.sum(1), torch.ones(16)) and not torch.allclose(mixed, targets)


def test_mixing_draws_a_share_for_each_image_and_takes_two_of_them() -> None:
    images, targets = told_apart(16)
    _, (mixed,) = mix(images, [targets], 1.0)
    assert ((mixed > 0).sum(1) <= 2).all()
    own = mixed.diagonal()[mixed.diagonal() < 1]
    assert len(own) > 8 and len(own.unique()) == len(own)
