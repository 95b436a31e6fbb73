"""FER2013 in the Kaggle folder layout (`train/<class>/*.jpg`, `test/<class>/*.jpg`) as arrays."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emoscan.emotions import EMOTIONS

SPLIT_FOLDERS = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
IMAGE_SIDE_PX = 48


class LabelledImages(NamedTuple):
    """`images` (N, 48, 48) uint8 and `labels` (N,) int64, indices into EMOTIONS."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def load_split(folder: Path, split: str) -> LabelledImages:
    """Read one official split, told by the prefix of the file names, in a stable order.

    Raises FileNotFoundError if the folder holds no image of the split, ValueError if an image
    is not 48×48.
    """
    paths, labels = _list_split(folder, split)
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no {split}_*.jpg in {SPLIT_FOLDERS[split]}/<class>/"
        )
    return LabelledImages(np.stack([_read(path) for path in paths]), np.array(labels, np.int64))


def _list_split(folder: Path, split: str) -> tuple[list[Path], list[int]]:
    paths: list[Path] = []
    labels: list[int] = []
    for label, emotion in enumerate(EMOTIONS):
        found = sorted((folder / SPLIT_FOLDERS[split] / emotion).glob(f"{split}_*.jpg"))
        paths += found
        labels += [label] * len(found)
    return paths, labels


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    if pixels.shape != (IMAGE_SIDE_PX, IMAGE_SIDE_PX):
        raise ValueError(f"{path} is {pixels.shape[1]}×{pixels.shape[0]}, not 48×48")
    return pixels
