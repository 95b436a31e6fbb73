"""From a frame and its boxes to the network's input: the one way, in training and in serving."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from emoscan.squares import cut_square

CROP_SIDE_PX = 48

# The side of the square around a box's centre, as a share of the box's height. MTCNN's boxes on
# 600 images of FER2013 are, in the median, 1.06 image sides high and centred within 2 % of the
# image: an image of FER2013 is the square of 0.95 times the height of the box.
SIDE_PER_BOX_HEIGHT = 0.95


@dataclass(frozen=True, slots=True)
class CropSettings:
    """How a square is cut around a box; stored in the checkpoint."""

    side_px: int = CROP_SIDE_PX
    side_per_box_height: float = SIDE_PER_BOX_HEIGHT


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation of gray levels in 0..1; stored in the checkpoint."""

    mean: float
    std: float


def crop_faces(
    pixels: NDArray[np.uint8], boxes: NDArray[np.float32], settings: CropSettings
) -> NDArray[np.uint8]:
    """Cut one gray square a box out of a frame.

    `pixels` are (H, W) gray or (H, W, 3) RGB, `boxes` (N, 4) x0 y0 x1 y1 in px; gives (N, side_px,
    side_px), as `cut_square` does.
    """
    out_px, is_rgb = settings.side_px, pixels.ndim == 3
    crops = np.empty((len(boxes), out_px, out_px), np.uint8)
    for crop, (left, top, side) in zip(crops, _squares(boxes, settings).tolist(), strict=True):
        crop[:] = cut_square(pixels, left=left, top=top, side=side, out_px=out_px, gray=is_rgb)
    return crops


def _squares(boxes: NDArray[np.float32], settings: CropSettings) -> NDArray[np.float64]:
    """(N, 3) left, top and side."""
    x0, y0, x1, y1 = boxes.astype(np.float64).T
    side = np.maximum(1, (y1 - y0) * settings.side_per_box_height)
    return np.stack([(x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side], axis=1)


def enlarge(square: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Fill `out` (M, M) with the smaller (N, N) square, cubically."""
    cv2.resize(square, out.shape[::-1], dst=out, interpolation=cv2.INTER_CUBIC)


def normalise(levels: torch.Tensor, normalisation: Normalisation) -> torch.Tensor:
    """Gray levels in 0..1, of any shape, as the network wants them."""
    return (levels - normalisation.mean) / normalisation.std


def to_levels(crops: torch.Tensor) -> torch.Tensor:
    """(N, side, side) uint8 crops as (N, 1, side, side) float32 gray levels in 0..1."""
    return crops.unsqueeze(1).float() / 255


def to_input(crops: torch.Tensor, normalisation: Normalisation) -> torch.Tensor:
    """(N, side, side) uint8 crops as (N, 1, side, side) normalised float32."""
    return normalise(to_levels(crops), normalisation)
