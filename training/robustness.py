"""What worse pictures cost: FER2013's images made smaller, blurred, noisy, darker, covered.

    python -m training.robustness --data DIR --out robustness.json

Faces in real videos are small, compressed and badly lit. Each change is made to the same images,
and what is right then is set beside what is right on the clean ones.
"""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np

from training.redetect import (
    Figures,
    Images,
    Scores,
    Study,
    nats,
    number,
    percent,
    points,
    run_study,
    score,
    table,
)

SEED = 0
THIRDS = {"upper": 0, "middle": 1, "lower": 2}

Change = Callable[[Images], Images]


def reduced(images: Images, side_px: int) -> Images:
    """Shrunk to this side, averaged over areas, and enlarged back, cubic: a face far away."""

    def far_away(image: Images) -> Images:
        small = cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA)
        return _gray(cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_CUBIC))

    return _each(images, far_away)


def blurred(images: Images, sigma_px: float) -> Images:
    """Gaussian blur: a face out of focus."""

    def out_of_focus(image: Images) -> Images:
        edge = cv2.BORDER_REPLICATE
        return _gray(cv2.GaussianBlur(image, (0, 0), sigmaX=sigma_px, borderType=edge))

    return _each(images, out_of_focus)


def noisy(images: Images, sigma: float) -> Images:
    """Gaussian noise of `sigma` gray levels of 255, the same in each run: a dark room."""
    noise = np.random.default_rng(SEED).normal(0, sigma, images.shape)
    return _levels(images + noise)


def compressed(images: Images, quality: int) -> Images:
    """Through a JPEG of this quality, 0 to 100."""

    def through_jpeg(image: Images) -> Images:
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return _gray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))

    return _each(images, through_jpeg)


def brightened(images: Images, factor: float) -> Images:
    """Gray levels times this factor, cut off at white."""
    return _levels(images * np.float64(factor))


def occluded(images: Images, third: str) -> Images:
    """The `upper`, `middle` or `lower` third filled with each image's mean: a hand, a mask."""
    height = images.shape[1] // len(THIRDS)
    top = THIRDS[third] * height
    covered = images.copy()
    covered[:, top : top + height] = _levels(images.mean(axis=(1, 2), keepdims=True))
    return covered


def _each(images: Images, change: Change) -> Images:
    changed = np.empty_like(images)
    for image, out in zip(images, changed, strict=True):
        out[:] = change(image)
    return changed


def _gray(pixels: object) -> Images:
    return np.asarray(pixels, np.uint8)


def _levels(values: np.ndarray) -> Images:
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)


# Every one takes (N, 48, 48) uint8 and gives the same.
CHANGES: dict[str, Change] = {
    **{f"reduced to {side} px": partial(reduced, side_px=side) for side in (32, 24, 16)},
    **{f"blurred, sigma {sigma} px": partial(blurred, sigma_px=sigma) for sigma in (1, 2)},
    **{f"noise, sigma {sigma} of 255": partial(noisy, sigma=sigma) for sigma in (10, 25)},
    "JPEG of quality 20": partial(compressed, quality=20),
    **{f"brightness × {factor}": partial(brightened, factor=factor) for factor in (0.7, 1.3)},
    **{f"{third} third covered": partial(occluded, third=third) for third in THIRDS},
}


def measure(study: Study) -> Figures:
    """The clean images, and every change against them."""

    def scores_of(images: Images) -> Scores:
        return score(study.classifier, images, study.images.labels)

    clean = scores_of(study.images.images)
    changed = {name: scores_of(change(study.images.images)) for name, change in CHANGES.items()}
    return {
        "clean": clean.figures(),
        "changes": {name: of.figures() | of.against(clean) for name, of in changed.items()},
    }


def report(figures: Figures) -> str:
    """What `measure` found, as Markdown."""
    clean = figures["clean"]
    rows = [["clean", percent(clean["accuracy"]), "", number(clean["log_likelihood"]), ""]]
    for name, of in figures["changes"].items():
        accuracy, log_likelihood = percent(of["accuracy"]), number(of["log_likelihood"])
        change, nats_change = points(of["accuracy_gain"]), nats(of["log_likelihood_gain"])
        rows.append([name, accuracy, change, log_likelihood, nats_change])
    header = ["images", "accuracy", "change, points", "mean log-likelihood", "change, nats"]
    return f"{table(header, rows)}\n\nn = {clean['n']:,}; changes pair by pair, ± standard error."


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    run_study(__doc__, measure, report=report, words=words)


if __name__ == "__main__":
    main()
