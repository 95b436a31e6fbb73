"""From a frame and its boxes to the network's input: the one way, in training and in serving."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

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
    gray: NDArray[np.uint8], boxes: NDArray[np.float32], settings: CropSettings
) -> NDArray[np.uint8]:
    """Cut one square a box out of a gray frame.

    `gray` is (H, W), `boxes` (N, 4) x0 y0 x1 y1 in px; gives (N, side_px, side_px). What lies
    outside the frame repeats its edge; shrinking averages over areas, so nothing aliases.
    """
    crops = np.empty((len(boxes), settings.side_px, settings.side_px), np.uint8)
    for crop, (left, top, side) in zip(crops, _squares(boxes, settings).tolist(), strict=True):
        resize(_cut(gray, left=left, top=top, side=side), crop)
    return crops


def _squares(boxes: NDArray[np.float32], settings: CropSettings) -> NDArray[np.int64]:
    """(N, 3) left, top and side in whole pixels."""
    centre_x = (boxes[:, 0] + boxes[:, 2]) / 2
    centre_y = (boxes[:, 1] + boxes[:, 3]) / 2
    side = np.maximum(1, np.rint((boxes[:, 3] - boxes[:, 1]) * settings.side_per_box_height))
    squares = np.stack([centre_x - side / 2, centre_y - side / 2, side], axis=1)
    # Halves go up: rounded to even, an odd side would jump to and fro as its box moves.
    whole: NDArray[np.int64] = np.floor(squares + 0.5).astype(np.int64)
    return whole


def _cut(gray: NDArray[np.uint8], *, left: int, top: int, side: int) -> NDArray[np.uint8]:
    height, width = gray.shape
    # At least one row and one column stay inside the frame, for their pixels to be repeated.
    left, top = min(max(left, 1 - side), width - 1), min(max(top, 1 - side), height - 1)
    right, bottom = left + side, top + side
    inside = gray[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    if inside.shape == (side, side):
        return inside
    padded = cv2.copyMakeBorder(
        inside,
        top=max(-top, 0),
        bottom=max(bottom - height, 0),
        left=max(-left, 0),
        right=max(right - width, 0),
        borderType=cv2.BORDER_REPLICATE,
    )
    return np.asarray(padded, np.uint8)


def resize(square: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Fill `out` (M, M) with the (N, N) square: averaged over areas to shrink, else cubic."""
    shrinks = square.shape[0] > out.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    cv2.resize(square, out.shape[::-1], dst=out, interpolation=how)


def normalise(levels: torch.Tensor, normalisation: Normalisation) -> torch.Tensor:
    """Gray levels in 0..1, of any shape, as the network wants them."""
    return (levels - normalisation.mean) / normalisation.std


def to_levels(crops: torch.Tensor) -> torch.Tensor:
    """(N, side, side) uint8 crops as (N, 1, side, side) float32 gray levels in 0..1."""
    return crops.unsqueeze(1).float() / 255


def to_input(crops: torch.Tensor, normalisation: Normalisation) -> torch.Tensor:
    """(N, side, side) uint8 crops as (N, 1, side, side) normalised float32."""
    return normalise(to_levels(crops), normalisation)
