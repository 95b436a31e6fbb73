"""FER2013 in small: the Kaggle layout, the official names, and FER+'s votes beside it."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from emoscan.emotions import EMOTIONS

# The folder of each official split, and its images a class.
SPLITS = {"Training": ("train", 20), "PublicTest": ("test", 3), "PrivateTest": ("test", 3)}
GRAY_LEVELS_A_CLASS = 30
VOTES_COLUMNS = (
    "path", "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    "unknown", "NF",
)  # fmt: skip
FERPLUS_NAMES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
WITHOUT_VOTES = "Training_0.jpg"


def write_dataset(folder: Path) -> Path:
    """Each class is a gray level of its own; the first image of each has no votes."""
    random = np.random.default_rng(0)
    rows = []
    for split, (where, count) in SPLITS.items():
        for label, emotion in enumerate(EMOTIONS):
            for number in range(count):
                path = folder / where / emotion / f"{split}_{number}.jpg"
                write_image(path, GRAY_LEVELS_A_CLASS * label, random)
                if path.name != WITHOUT_VOTES:
                    rows.append({"path": path.relative_to(folder).as_posix()} | votes_for(label))
    write_votes(folder, rows)
    return folder


def write_image(path: Path, level: int, random: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = random.integers(0, 20, (48, 48), np.uint8)
    Image.fromarray(noise + np.uint8(level)).save(path)


def votes_for(label: int) -> dict[str, int]:
    """Seven for the class itself, two for contempt, one for nothing known."""
    none = dict.fromkeys(VOTES_COLUMNS[1:], 0)
    return none | {FERPLUS_NAMES[label]: 7, "contempt": 2, "unknown": 1}


def write_votes(folder: Path, rows: list[dict[str, object]]) -> None:
    with (folder / "ferplus.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, VOTES_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
