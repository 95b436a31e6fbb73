"""From a frame and its boxes to the network's input: the one way, in training and in serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from emoscan.squares import cut_square
from emoscan.types import Faces

CROP_SIDE_PX = 48

# The side of the square around a box's centre, as a share of the box's height. MTCNN's boxes on
# 600 images of FER2013 are, in the median, 1.06 image sides high and centred within 2 % of the
# image: an image of FER2013 is the square of 0.95 times the height of the box.
SIDE_PER_BOX_HEIGHT = 0.95

# Heads that are tilted by more are turned back to so much: chosen on PublicTest, see "The crop" in
# training/EXPERIMENTS.md. Heads tilted by less are seen as well as they are.
UPRIGHT_BEYOND_DEG = 10.0
# The line through the eyes says nothing of a head that is seen from the side, where both eyes are
# in one place: as their distance falls from so much of the box's height to so much, turning fades.
# Of FER2013's faces 0.6 % have them nearer than the first.
EYES_APART = 0.20
EYES_TOGETHER = 0.10
# A tilt counts up to here: beyond, the detector finds hardly any face, and eyes mostly by mistake.
MOST_TILT_DEG = 45.0

LEFT_EYE, RIGHT_EYE = 0, 1  # as the viewer sees them


@dataclass(frozen=True, slots=True)
class CropSettings:
    """How a square is cut around a box; stored in the checkpoint.

    `upright_beyond_deg`: a head tilted by more is turned back to so much; from 45 on, none is.
    """

    side_px: int = CROP_SIDE_PX
    side_per_box_height: float = SIDE_PER_BOX_HEIGHT
    upright_beyond_deg: float = UPRIGHT_BEYOND_DEG


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation of gray levels in 0..1; stored in the checkpoint."""

    mean: float
    std: float


def crop_faces(
    pixels: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    settings: CropSettings,
    *,
    landmarks: NDArray[np.float32] | None,
) -> NDArray[np.uint8]:
    """Cut one gray square a box out of a frame, turned back with heads that are tilted far.

    `pixels` are (H, W) gray or (H, W, 3) RGB, `boxes` (N, 4) x0 y0 x1 y1 and `landmarks` (N, 5, 2)
    x y in px; gives (N, side_px, side_px). Without landmarks none is turned; with them, those that
    are not turned are the same bits.
    """
    turns = None if landmarks is None else upright_turns_deg(boxes, landmarks, settings)
    return crop_turned(pixels, boxes, settings, turns_deg=turns)


@dataclass(frozen=True, slots=True)
class TurnedSquares:
    """What `crop_faces` cuts out, of the faces of several frames, N in all.

    `frames` (N,) counts these, `squares` (N, 3) are left, top and side in px, `turns_deg` (N,).
    """

    frames: NDArray[np.int64]
    squares: NDArray[np.float64]
    turns_deg: NDArray[np.float64]

    @classmethod
    def of(cls, faces: Sequence[Faces], settings: CropSettings) -> Self:
        """Of one `faces` a frame."""
        boxes = np.concatenate([its.boxes for its in faces])
        landmarks = np.concatenate([its.landmarks for its in faces])
        return cls(
            np.repeat(np.arange(len(faces)), [len(its) for its in faces]),
            _squares(boxes, settings),
            upright_turns_deg(boxes, landmarks, settings),
        )


def crop_turned(
    pixels: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    settings: CropSettings,
    *,
    turns_deg: NDArray[np.float64] | None,
) -> NDArray[np.uint8]:
    """As `crop_faces`, turned counter-clockwise by (N,) angles; by None none is."""
    out_px, is_rgb = settings.side_px, pixels.ndim == 3
    crops = np.empty((len(boxes), out_px, out_px), np.uint8)
    turns = np.zeros(len(boxes)) if turns_deg is None else turns_deg
    squares = np.column_stack([_squares(boxes, settings), turns]).tolist()
    for crop, (left, top, side, turn) in zip(crops, squares, strict=True):
        crop[:] = cut_square(
            pixels, left=left, top=top, side=side, out_px=out_px, gray=is_rgb, turn_deg=turn
        )
    return crops


def tilts_deg(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) angles of the lines from the left to the right eyes of (N, 5, 2) landmarks.

    Positive where the right one is lower: turned counter-clockwise by it, a face is upright.
    """
    across, down = _between_eyes(landmarks)
    return np.asarray(np.degrees(np.arctan2(down, across)))


def upright_turns_deg(
    boxes: NDArray[np.float32], landmarks: NDArray[np.float32], settings: CropSettings
) -> NDArray[np.float64]:
    """(N,) angles by which faces with (N, 4) boxes and (N, 5, 2) landmarks are turned back.

    Counter-clockwise; exactly 0 up to a tilt of `upright_beyond_deg`, from there on the rest of the
    tilt, so that no crop jumps while a head is being tilted.
    """
    tilts = tilts_deg(landmarks).clip(-MOST_TILT_DEG, MOST_TILT_DEG)
    beyond = np.maximum(0, np.abs(tilts) - settings.upright_beyond_deg)
    return np.asarray(np.copysign(beyond, tilts) * _trust(boxes, landmarks))


def _trust(boxes: NDArray[np.float32], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) shares, from 0 for eyes in one place to 1 for eyes that are well apart."""
    height = np.maximum(1, (boxes[:, 3] - boxes[:, 1]).astype(np.float64))
    apart = np.hypot(*_between_eyes(landmarks)) / height
    return np.asarray(((apart - EYES_TOGETHER) / (EYES_APART - EYES_TOGETHER)).clip(0, 1))


def _between_eyes(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2, N) px to the right and down from the left to the right eyes."""
    eyes = landmarks.astype(np.float64)
    return np.asarray((eyes[:, RIGHT_EYE] - eyes[:, LEFT_EYE]).T)


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
