"""What is trained and what is served cannot differ."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import (
    CropSettings,
    Normalisation,
    crop_faces,
    normalise,
    to_input,
    to_levels,
)
from emoscan.options import EvaluationTta
from emoscan.runtime import choose_runtime
from training.augment import augment
from training.evaluate import predict
from training.recipe import Recipe, load_recipe

NORMALISATION = Normalisation(mean=0.5077, std=0.2551)
SWITCHED_OFF = (
    "flip_share", "rotation_deg", "scaling", "shift", "shear_deg", "brightness", "contrast",
    "sharpness_share", "autocontrast_share", "erase_share", "erase_least", "mixup_alpha",
)  # fmt: skip


def without_changes() -> Recipe:
    return replace(load_recipe("best"), **dict.fromkeys(SWITCHED_OFF, 0.0))


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)


def test_from_the_crop_on_training_and_serving_are_the_same_bits(crops) -> None:
    levels = augment(to_levels(torch.from_numpy(crops)), without_changes(), side_px=48)
    trained = normalise(levels, NORMALISATION)
    assert torch.equal(trained, to_input(torch.from_numpy(crops), NORMALISATION))


@pytest.mark.parametrize("side_per_box_height", [0.9, 0.95, 1.1])
def test_a_frame_and_its_box_give_the_image_that_was_trained_on(crops, side_per_box_height) -> None:
    settings = CropSettings(side_per_box_height=side_per_box_height)
    height = 48 / side_per_box_height
    for crop in crops:
        frame = np.pad(crop, 40, mode="edge")
        centre = 40 + 24
        box = [centre - height / 3, centre - height / 2, centre + height / 3, centre + height / 2]
        served = crop_faces(frame, np.array([box], np.float32), settings, landmarks=None)[0]
        assert np.abs(served.astype(int) - crop).max() <= 1


def test_evaluation_goes_through_the_classifier_that_serves(crops) -> None:
    classifier = EmotionClassifier(choose_runtime("cpu"))
    served = classifier.classify_crops(crops).probabilities
    assert np.array_equal(predict([classifier], crops, EvaluationTta.NONE), served)
