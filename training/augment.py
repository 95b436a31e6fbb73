"""Random changes of training images, in batches on the device, drawn for each image by itself.

The transforms of torchvision draw once for a whole batch, which makes a batch of 128 images 128
times the same change; here every parameter is a vector with one number an image.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from training.recipe import Recipe

# A 3×3 mean with a heavier centre: PIL's and torchvision's softest image in "sharpness".
SOFT_CENTRE = 5.0


def augment(images: Tensor, recipe: "Recipe", *, side_px: int) -> Tensor:
    """(N, 1, H, W) gray levels in 0..1, changed at random and resampled to `side_px`.

    `flip_share` of the images are mirrored; they are turned by up to ±`rotation_deg`, scaled by
    1 ± `scaling`, shifted by up to ±`shift` of the side and sheared by up to ±`shear_deg`, in one
    bilinear step in which the outside repeats the edge. `autocontrast_share` are stretched to the
    full range; contrast is multiplied by 1 ± `contrast`, `brightness` added; `sharpness_share`
    become softer or sharper by a factor in 1 ± `sharpness` (0 is a 3×3 mean, 1 the image, 2 its
    unsharp mask); of `erase_share` a rectangle with sides of `erase_least` to `erase_most` of the
    image is filled with its mean (Zhong et al. 2017, arXiv 1708.04896).
    """
    changed = _move(images, recipe, side_px)
    changed = _autocontrast(changed, recipe.autocontrast_share)
    if recipe.contrast or recipe.brightness:
        changed = _relight(changed, contrast=recipe.contrast, brightness=recipe.brightness)
    if recipe.sharpness_share:
        changed = _sharpen(changed, share=recipe.sharpness_share, strength=recipe.sharpness)
    if recipe.erase_share:
        changed = _erase(changed, recipe)
    return changed


def mix(images: Tensor, targets: list[Tensor], alpha: float) -> tuple[Tensor, list[Tensor]]:
    """Each image blended with another one of the batch, and its targets likewise.

    The share is drawn for each image from Beta(alpha, alpha) (mixup, Zhang et al. 2018,
    arXiv 1710.09412); targets are (N, …) shares of classes.
    """
    share = torch.distributions.Beta(alpha, alpha).sample((len(images),)).to(images.device)
    other = torch.randperm(len(images), device=images.device)

    def blend(values: Tensor) -> Tensor:
        weight = share.view(-1, *[1] * (values.ndim - 1))
        return weight * values + (1 - weight) * values[other]

    return blend(images), [blend(target) for target in targets]


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    """(N,) numbers, one an image."""
    return torch.empty(len(images), device=images.device).uniform_(low, high)


def _chosen(images: Tensor, share: float) -> Tensor:
    """(N, 1, 1, 1) bool, true for about this share of the images."""
    return (torch.rand(len(images), device=images.device) < share).view(-1, 1, 1, 1)


def _move(images: Tensor, recipe: "Recipe", side_px: int) -> Tensor:
    moves = (recipe.flip_share, recipe.rotation_deg, recipe.scaling, recipe.shift, recipe.shear_deg)
    if not any(moves) and images.shape[-1] == side_px:
        return images
    turn = math.radians(recipe.rotation_deg)
    slope = math.tan(math.radians(recipe.shear_deg))
    angle = _uniform(images, -turn, turn)
    shear = _uniform(images, -slope, slope)
    scale = _uniform(images, 1 - recipe.scaling, 1 + recipe.scaling)
    flip = 1 - 2 * _chosen(images, recipe.flip_share).view(-1).float()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    # The side is 2 in affine_grid's coordinates.
    shifts = [_uniform(images, -2 * recipe.shift, 2 * recipe.shift) for _ in range(2)]
    rows = [
        torch.stack([flip * cos, flip * (shear * cos - sin), shifts[0]], dim=1),
        torch.stack([sin, shear * sin + cos, shifts[1]], dim=1),
    ]
    size = [len(images), 1, side_px, side_px]
    grid = functional.affine_grid(torch.stack(rows, dim=1), size, align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _autocontrast(images: Tensor, share: float) -> Tensor:
    if not share:
        return images
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    stretched = (images - low) / (high - low).clamp(min=1e-3)
    return torch.where(_chosen(images, share), stretched, images)


def _relight(images: Tensor, *, contrast: float, brightness: float) -> Tensor:
    factor = _uniform(images, 1 - contrast, 1 + contrast).view(-1, 1, 1, 1)
    offset = _uniform(images, -brightness, brightness).view(-1, 1, 1, 1)
    mean = images.mean((2, 3), keepdim=True)
    return ((images - mean) * factor + mean + offset).clamp(0, 1)


def _sharpen(images: Tensor, *, share: float, strength: float) -> Tensor:
    kernel = torch.ones(1, 1, 3, 3, device=images.device)
    kernel[..., 1, 1] = SOFT_CENTRE
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    soft = functional.conv2d(padded, kernel / kernel.sum())
    factor = _uniform(images, 1 - strength, 1 + strength).view(-1, 1, 1, 1)
    changed = (soft + factor * (images - soft)).clamp(0, 1)
    return torch.where(_chosen(images, share), changed, images)


def _erase(images: Tensor, recipe: "Recipe") -> Tensor:
    rows, columns = (
        _random_span(images, size, least=recipe.erase_least, most=recipe.erase_most)
        for size in images.shape[2:]
    )
    hole = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
    hole &= _chosen(images, recipe.erase_share)
    return torch.where(hole, images.mean((2, 3), keepdim=True), images)


def _random_span(images: Tensor, size: int, *, least: float, most: float) -> Tensor:
    """(N, size) bool, one contiguous run of True a row."""
    length = (_uniform(images, least, most) * size).round().long().unsqueeze(1)
    start = (_uniform(images, 0, 1).unsqueeze(1) * (size - length + 1)).long()
    position = torch.arange(size, device=images.device)
    return (position >= start) & (position < start + length)
