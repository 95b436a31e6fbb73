"""Training on a tiny generated dataset in the Kaggle layout."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from emoscan.emotion.checkpoint import load_checkpoint
from emoscan.emotions import EMOTIONS
from training.augment import augment
from training.fer2013 import load_split

SPLITS = {"Training": ("train", 20), "PublicTest": ("test", 3), "PrivateTest": ("test", 3)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Each class is a gray level of its own with some noise."""
    folder = tmp_path_factory.mktemp("fer2013")
    random = np.random.default_rng(0)
    for split, (where, count) in SPLITS.items():
        for label, emotion in enumerate(EMOTIONS):
            (folder / where / emotion).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                noise = random.integers(0, 20, (48, 48), np.uint8)
                image = Image.fromarray(noise + np.uint8(30 * label))
                image.save(folder / where / emotion / f"{split}_{number}.jpg")
    return folder


def fit(dataset: Path, out: Path, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "training.fit", "--data", str(dataset), "--out", str(out)]
        + [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_splits_are_told_by_the_names_prefix(dataset) -> None:
    for split, (_, count) in SPLITS.items():
        data = load_split(dataset, split)
        assert data.images.shape == (7 * count, 48, 48)
        assert np.bincount(data.labels).tolist() == [count] * 7


def test_a_folder_without_the_split_is_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="Training"):
        load_split(tmp_path, "Training")


def test_augmentation_draws_for_each_image() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 1, 48, 48)
    changed = augment(image.repeat(8, 1, 1, 1))
    assert changed.shape == (8, 1, 48, 48)
    assert changed.min() >= 0 and changed.max() <= 1
    pairs = [(changed[i] - changed[j]).abs().mean() for i in range(8) for j in range(i)]
    assert min(pairs) > 0.01


def test_a_killed_run_goes_on_to_the_same_weights(dataset, tmp_path) -> None:
    """The state after one epoch of a run of two, resumed, equals the run in one go."""
    whole = fit(dataset, tmp_path / "whole", "--epochs", 2)
    code = (
        "import sys, training.fit as fit\n"
        "save = fit._save\n"
        "def save_and_die(*state, **progress):\n"
        "    save(*state, **progress)\n"
        "    sys.exit(0)\n"
        "fit._save = save_and_die\n"
        "fit.main()\n"
    )
    words = ["--data", str(dataset), "--out", str(tmp_path / "killed"), "--epochs", "2"]
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)
    assert not (tmp_path / "killed" / "best.safetensors").exists()
    resumed = fit(dataset, tmp_path / "killed", "--epochs", 2)
    assert "epoch 1/2" in whole and "epoch 1/2" not in resumed
    one, two = (
        load_checkpoint(tmp_path / name / "best.safetensors") for name in ("whole", "killed")
    )
    assert one.about == two.about
    assert all(torch.equal(one.state[name], two.state[name]) for name in one.state)
    assert one.about.training_data["images"] == 140
    again = subprocess.run(
        [sys.executable, "-m", "training.fit", *words], capture_output=True, text=True, check=False
    )
    assert again.returncode == 1 and "PrivateTest is read once" in again.stderr
    assert set(one.about.metrics) == {"PublicTest", "PrivateTest", "best_epoch"}


def test_a_state_of_another_recipe_is_refused(dataset, tmp_path) -> None:
    words = ["--data", str(dataset), "--out", str(tmp_path), "--seed", "1"]
    fit(dataset, tmp_path, "--epochs", 1)
    (tmp_path / "best.safetensors").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "training.fit", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "belongs to" in done.stderr


def test_it_starts_from_a_file_in_torchvisions_format(dataset, tmp_path) -> None:
    start = tmp_path / "resnet18.safetensors"
    save_file(torchvision.models.resnet18(weights=None).state_dict(), start)
    fit(dataset, tmp_path / "out", "--epochs", 1, "--init", start)
    trained = load_checkpoint(tmp_path / "out" / "best.safetensors")
    assert trained.about.training_data["initialised"] == "resnet18.safetensors"
