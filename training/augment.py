"""Random changes of training images, in batches, with parameters drawn for each image."""

import math

import torch
from torch import Tensor
from torch.nn import functional

MAX_ROTATION_RAD = math.radians(12)
MAX_SCALING = 0.15
MAX_SHIFT = 0.12
MAX_LIGHT = 0.3
ERASE_SHARE = 0.5
ERASE_SIDE_PX = (6, 20)


def augment(images: Tensor) -> Tensor:
    """(N, 1, H, W) float gray levels in 0..1, changed at random, each image by its own draw."""
    moved = _move(images)
    return _erase(_relight(moved))


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.empty(count).uniform_(low, high)


def _move(images: Tensor) -> Tensor:
    """Flip, rotate, scale and shift; what comes in from outside repeats the edge."""
    count = len(images)
    angle = _uniform(count, -MAX_ROTATION_RAD, MAX_ROTATION_RAD)
    scale = _uniform(count, 1 - MAX_SCALING, 1 + MAX_SCALING)
    flip = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0] = flip * scale * angle.cos()
    affine[:, 0, 1] = -flip * scale * angle.sin()
    affine[:, 1, 0] = scale * angle.sin()
    affine[:, 1, 1] = scale * angle.cos()
    # A shift of the whole side is 2 in affine_grid's coordinates.
    affine[:, :, 2] = torch.empty(count, 2).uniform_(-2 * MAX_SHIFT, 2 * MAX_SHIFT)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _relight(images: Tensor) -> Tensor:
    count = len(images)
    contrast = _uniform(count, 1 - MAX_LIGHT, 1 + MAX_LIGHT).view(-1, 1, 1, 1)
    brightness = _uniform(count, -MAX_LIGHT / 2, MAX_LIGHT / 2).view(-1, 1, 1, 1)
    mean = images.mean(dim=(2, 3), keepdim=True)
    return ((images - mean) * contrast + mean + brightness).clamp(0, 1)


def _erase(images: Tensor) -> Tensor:
    """Fill a random rectangle with its image's mean (Zhong et al. 2017, arXiv 1708.04896)."""
    count, _, height, width = images.shape
    rows, columns = _random_span(count, height), _random_span(count, width)
    chosen = (torch.rand(count) < ERASE_SHARE).view(-1, 1, 1)
    hole = (rows[:, :, None] & columns[:, None, :] & chosen).unsqueeze(1)
    return torch.where(hole, images.mean(dim=(2, 3), keepdim=True), images)


def _random_span(count: int, size: int) -> Tensor:
    """(count, size) bool, one contiguous run of True a row."""
    length = torch.randint(*ERASE_SIDE_PX, (count, 1))
    start = (torch.rand(count, 1) * (size - length + 1)).long()
    position = torch.arange(size)
    return (position >= start) & (position < start + length)
