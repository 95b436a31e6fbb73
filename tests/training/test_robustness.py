import json

import cv2
import numpy as np
import pytest

from tests.training.test_redetect import StubClassifier, labelled, portrait
from training import robustness
from training.redetect import Study
from training.robustness import (
    CHANGES,
    blurred,
    brightened,
    compressed,
    noisy,
    occluded,
    reduced,
)


def plain(level: int, *, count: int = 1) -> np.ndarray:
    return np.full((count, 48, 48), level, np.uint8)


def faces() -> np.ndarray:
    return np.stack([portrait(), portrait()[:, ::-1]])


def sharpness(images: np.ndarray) -> float:
    return float(np.abs(np.diff(images.astype(int), axis=2)).mean())


def test_what_is_measured() -> None:
    assert list(CHANGES) == [
        "reduced to 32 px",
        "reduced to 24 px",
        "reduced to 16 px",
        "blurred, sigma 1 px",
        "blurred, sigma 2 px",
        "noise, sigma 10 of 255",
        "noise, sigma 25 of 255",
        "JPEG of quality 20",
        "brightness × 0.7",
        "brightness × 1.3",
        "upper third covered",
        "middle third covered",
        "lower third covered",
    ]


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_gives_other_images_of_the_same_shape_and_the_same_each_time(name) -> None:
    images = faces()
    changed = CHANGES[name](images)
    assert changed.shape == images.shape and changed.dtype == np.uint8
    assert (images == faces()).all(), "the clean images were changed"
    assert all((new != old).any() for new, old in zip(changed, images, strict=True))
    assert (CHANGES[name](images) == changed).all()
    assert CHANGES[name](images[:0]).shape == (0, 48, 48)


def test_reduced_images_have_lost_what_is_fine_and_kept_what_is_coarse() -> None:
    stripes = plain(100)
    stripes[:, :, ::2] = 140
    assert np.abs(reduced(stripes, 24).astype(int) - 120).max() <= 1
    halves = plain(0)
    halves[:, 24:] = 200
    kept = reduced(halves, 16)
    assert (kept[:, :18] <= 2).all() and (kept[:, -18:] >= 198).all()
    by_side = [sharpness(reduced(faces(), side)) for side in (32, 24, 16)]
    assert sharpness(faces()) > by_side[0] > by_side[1] > by_side[2]


def test_a_blurred_point_has_the_width_that_was_asked_for() -> None:
    point = plain(0)
    point[0, 24, 24] = 255
    weights = blurred(point, 2)[0, 24].astype(float)
    spread = np.sqrt((weights * (np.arange(48) - 24) ** 2).sum() / weights.sum())
    assert spread == pytest.approx(2, abs=0.3)
    assert (blurred(plain(90), 2) == 90).all()


def test_noise_is_as_strong_as_asked_for_and_differs_between_images() -> None:
    noise = noisy(plain(128, count=8), 25).astype(float) - 128
    assert noise.std() == pytest.approx(25, rel=0.05) and abs(noise.mean()) < 1
    assert (noise[0] != noise[1]).mean() > 0.9
    assert noisy(plain(250), 25).max() == 255, "cut off, not wrapped around"


def test_jpeg_at_a_low_quality_loses_more() -> None:
    losses = [np.abs(compressed(faces(), q).astype(int) - faces()).mean() for q in (95, 20)]
    assert losses[0] < 2 < losses[1] < 20
    _, encoded = cv2.imencode(".jpg", portrait(), [cv2.IMWRITE_JPEG_QUALITY, 20])
    assert (compressed(faces(), 20)[0] == cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)).all()


def test_brightness_is_a_factor_cut_off_at_white() -> None:
    assert (brightened(plain(101), 0.7) == 71).all()
    assert (brightened(plain(100), 1.3) == 130).all()
    assert (brightened(plain(220), 1.3) == 255).all()


@pytest.mark.parametrize(("third", "top"), [("upper", 0), ("middle", 16), ("lower", 32)])
def test_a_third_is_covered_with_the_images_own_mean(third, top) -> None:
    images = np.concatenate([plain(30), plain(200)])
    images[:, :, :24] += 10
    covered = occluded(images, third)
    rows = np.arange(top, top + 16)
    assert (covered[0, rows] == 35).all() and (covered[1, rows] == 205).all()
    others = np.setdiff1d(np.arange(48), rows)
    assert (covered[:, others] == images[:, others]).all()


def test_changes_are_compared_with_the_clean_images() -> None:
    # The stub tells classes 30 gray levels apart: 130 stays class 4, and 0.7 × 130 is class 3.
    images = np.concatenate([plain(130), plain(0)])
    figures = robustness.measure(Study(StubClassifier(), None, labelled(images, [4, 0]), {}))
    assert (figures["clean"]["accuracy"], figures["clean"]["n"]) == (1.0, 2)
    darker = figures["changes"]["brightness × 0.7"]
    assert darker["accuracy"] == 0.5
    assert darker["accuracy_gain"] == pytest.approx({"mean": -0.5, "se": 0.5})
    assert figures["changes"]["blurred, sigma 2 px"]["accuracy_gain"]["mean"] == 0
    assert "| brightness × 0.7 | 50.0 % | -50.0 ± 50.0 |" in robustness.report(figures)


def test_the_command_line(dataset, tmp_path, capsys) -> None:
    out = tmp_path / "robustness.json"
    robustness.main(["--data", str(dataset), "--device", "cpu", "--out", str(out)])
    said = capsys.readouterr().out
    assert said.count("\n| ") == len(CHANGES) + 3 and "n = 21" in said
    figures = json.loads(out.read_text())
    assert list(figures["changes"]) == list(CHANGES) and figures["images"] == 21
