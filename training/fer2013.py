"""FER2013 in the Kaggle folder layout (`train/<class>/*.jpg`, `test/<class>/*.jpg`) as arrays."""

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from emoscan.cache import cache_folder
from emoscan.emotion.checkpoint import Checkpoint
from emoscan.emotions import EMOTIONS, Emotion
from emoscan.errors import MediaError, NoMediaError, UsageError
from training.network import VOTE_CLASSES

IMAGE_SIDE_PX = 48
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ENVIRONMENT = "EMOSCAN_FER2013"
USUAL_PLACES = ("fer2013", "/kaggle/input/fer2013")
VOTES_FILE = "ferplus.csv"
VOTES_NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
SELECTION_SHARE = 0.1
MOST_PROBLEMS_NAMED = 3


class Split(StrEnum):
    """The official splits, as the file names' prefixes say them, and the folders."""

    TRAINING = "Training"
    PUBLIC = "PublicTest"
    PRIVATE = "PrivateTest"


FOLDERS = {Split.TRAINING: "train", Split.PUBLIC: "test", Split.PRIVATE: "test"}
OFFICIAL_COUNTS = {Split.TRAINING: 28_709, Split.PUBLIC: 3_589, Split.PRIVATE: 3_589}


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """`images` (N, 48, 48) uint8, `labels` (N,) int64 indices into EMOTIONS.

    `votes` (N, 8) uint8 counts FER+'s votes for VOTE_CLASSES, zeros where it has none or the file
    is not there; `paths` are relative to the dataset, with forward slashes.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.uint8]
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "LabelledImages":
        """Some of the images, in the order of `rows`."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        paths = tuple(self.paths[row] for row in rows)
        return LabelledImages(self.images[rows], self.labels[rows], self.votes[rows], paths)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The folders `train` and `test`; `notes` are sentences on what is unusual about them."""

    folder: Path
    train: LabelledImages
    test: LabelledImages
    notes: tuple[str, ...]

    @property
    def has_official_splits(self) -> bool:
        """Whether every name tells its split, and both PublicTest and PrivateTest are there."""
        return {_prefix(path) for path in self.train.paths} == {Split.TRAINING} and {
            _prefix(path) for path in self.test.paths
        } == {Split.PUBLIC, Split.PRIVATE}

    def split(self, split: Split) -> LabelledImages:
        """An official split. Raises NoMediaError where the names do not tell it."""
        images = self.train if FOLDERS[split] == "train" else self.test
        rows = np.array([_prefix(path) == split for path in images.paths])
        if not rows.any():
            raise NoMediaError(
                f"{self.folder} holds no {split}_*.jpg in {FOLDERS[split]}/<class>/: its names do "
                "not tell the official splits; use --split test or --select test."
            )
        return images.take(rows)


def find_data(given: str | Path | None) -> Path:
    """The dataset's folder: what was given, else $EMOSCAN_FER2013, else the usual places.

    Raises NoMediaError where none of them holds `train` and `test`.
    """
    named = given or os.environ.get(ENVIRONMENT)
    for place in map(Path, [named] if named else USUAL_PLACES):
        if (place / "train").is_dir() and (place / "test").is_dir():
            return place
    where = str(named) if named else f"Neither of {', '.join(USUAL_PLACES)}"
    raise NoMediaError(
        f"{where} {'does not hold' if named else 'holds'} FER2013: get it from Kaggle "
        "(msambare/fer2013) and name with --data the folder that holds train/<class>/*.jpg and "
        f"test/<class>/*.jpg for the classes {', '.join(EMOTIONS)}."
    )


def load_dataset(folder: Path) -> Dataset:
    """Check the layout, then read all images: from the packed cache where nothing has changed.

    Raises NoMediaError where folders, classes or images are missing, MediaError where images are
    unreadable or not 48×48; the message names the first of them.
    """
    listed = {name: _list(folder, name) for name in ("train", "test")}
    _refuse_test_images(listed["train"])
    votes = _read_votes(folder / VOTES_FILE)
    arrays = _packed(folder, listed)
    parts = {
        name: LabelledImages(
            images=arrays[name],
            labels=np.array([_label(path) for path in paths], np.int64),
            votes=_votes_of(paths, folder, votes),
            paths=tuple(path.relative_to(folder).as_posix() for path in paths),
        )
        for name, paths in listed.items()
    }
    return Dataset(folder, **parts, notes=_notes(parts))


def check_side(about: Checkpoint) -> None:
    """Raises UsageError where weights take crops of another size than the images have."""
    if about.crop.side_px != IMAGE_SIDE_PX:
        raise UsageError(
            f"{about.model_id} takes crops of {about.crop.side_px} px; FER2013's images have "
            f"{IMAGE_SIDE_PX} px."
        )


def stratified_tenth(labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """(N,) bool: a random tenth of each class, at least one image of each."""
    random = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = max(1, round(len(rows) * SELECTION_SHARE))
        chosen[random.choice(rows, count, replace=False)] = True
    return chosen


def _label(path: Path) -> int:
    return EMOTIONS.index(Emotion(path.parent.name))


def _prefix(path: str) -> str:
    return path.rsplit("/", 1)[-1].split("_", 1)[0]


def _list(folder: Path, name: str) -> list[Path]:
    """All images of one folder, class by class, in a stable order."""
    classes = sorted(path.name for path in (folder / name).glob("*") if path.is_dir())
    if unknown := [entry for entry in classes if entry not in set(EMOTIONS)]:
        raise NoMediaError(
            f"{folder / name} holds the unknown class {', '.join(unknown)}; "
            f"FER2013's are {', '.join(EMOTIONS)}."
        )
    paths: list[Path] = []
    for emotion in EMOTIONS:
        within = folder / name / emotion
        found = sorted(p for p in within.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise NoMediaError(f"{within} holds no image; FER2013 has some in each class.")
        paths += found
    return paths


def _refuse_test_images(train: Sequence[Path]) -> None:
    for path in train:
        if _prefix(path.name) in (Split.PUBLIC, Split.PRIVATE):
            raise NoMediaError(f"{path} lies in `train`, but its name says that it is for testing.")


def _packed(folder: Path, listed: dict[str, list[Path]]) -> dict[str, NDArray[np.uint8]]:
    """The pixels of every list: one (N, 48, 48) array each."""
    cache = cache_folder() / f"fer2013-{_fingerprint(folder, listed)}.npz"
    try:
        with np.load(cache) as stored:
            return {name: stored[name] for name in listed}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        arrays = {name: _read_all(paths) for name, paths in listed.items()}
    _store(cache, arrays)
    return arrays


def _fingerprint(folder: Path, listed: dict[str, list[Path]]) -> str:
    """Of names, sizes and times: an image that was exchanged is read again."""
    digest = hashlib.sha256()
    for path in (path for paths in listed.values() for path in paths):
        try:
            about = path.stat()
        except OSError as error:
            raise MediaError(f"{path} cannot be read: {error.strerror}.") from error
        line = f"{path.relative_to(folder).as_posix()} {about.st_size} {about.st_mtime_ns}\n"
        digest.update(line.encode())
    return digest.hexdigest()[:24]


def _store(cache: Path, arrays: dict[str, NDArray[np.uint8]]) -> None:
    """Keep the arrays for the next run; without a place for them it only starts slower."""
    writing = cache.with_name(f".{cache.stem}-{os.getpid()}.npz")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(writing, **arrays)  # type: ignore[arg-type]
        writing.replace(cache)
    except OSError:
        with suppress(OSError):
            writing.unlink()


def _read_all(paths: Sequence[Path]) -> NDArray[np.uint8]:
    images = np.empty((len(paths), IMAGE_SIDE_PX, IMAGE_SIDE_PX), np.uint8)
    with ThreadPoolExecutor() as pool:
        problems = [problem for problem in pool.map(_read, paths, images) if problem]
    if problems:
        more = len(problems) - MOST_PROBLEMS_NAMED
        named = "; ".join(problems[:MOST_PROBLEMS_NAMED])
        named += f"; and {more} more" if more > 0 else ""
        raise MediaError(f"Not all images can be used: {named}. Repair or remove them.")
    return images


def _read(path: Path, out: NDArray[np.uint8]) -> str | None:
    """Decode one image into `out`; what is wrong with it, if anything is."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return f"{path} cannot be read"
    if pixels.shape != out.shape:
        return f"{path} is {pixels.shape[1]}×{pixels.shape[0]}, not {IMAGE_SIDE_PX}×{IMAGE_SIDE_PX}"
    out[:] = pixels
    return None


def _read_votes(path: Path) -> dict[str, list[int]]:
    """FER+'s votes for VOTE_CLASSES, by the image's path; empty where there is no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return {
                row["path"]: [_votes(row[VOTES_NAMES.get(name, name)]) for name in VOTE_CLASSES]
                for row in csv.DictReader(lines)
            }
    except FileNotFoundError:
        return {}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise MediaError(f"{path} is no table of FER+'s votes: {error}.") from error


def _votes(text: str) -> int:
    votes = int(text)
    if not 0 <= votes <= np.iinfo(np.uint8).max:
        raise ValueError(f"{votes} votes for one class")
    return votes


def _votes_of(
    paths: Sequence[Path], folder: Path, votes: dict[str, list[int]]
) -> NDArray[np.uint8]:
    none = [0] * len(VOTE_CLASSES)
    rows = [votes.get(path.relative_to(folder).as_posix(), none) for path in paths]
    return np.array(rows, np.uint8)


def _notes(parts: dict[str, LabelledImages]) -> tuple[str, ...]:
    notes = []
    counts = Counter(_prefix(path) for part in parts.values() for path in part.paths)
    for split, official in OFFICIAL_COUNTS.items():
        if counts[split] not in (0, official):
            notes.append(f"{split} has {counts[split]:,} images here, {official:,} in FER2013.")
    if not parts["train"].votes.any():
        notes.append(f"No {VOTES_FILE} has votes for these images: FER+'s votes are not used.")
    return tuple(notes)
