"""Does the input pipeline of the training starve the device?

    python -m benchmarks.training_input --recipe best

Compares images/s of the full loop (rows drawn, images changed at random, a step) with the bare
step on inputs that lie ready, for each side of the recipe, in interleaved rounds on made-up images.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from emoscan.emotion.crop import Normalisation
from emoscan.emotions import EMOTIONS
from emoscan.options import Precision
from training.fer2013 import LabelledImages
from training.fit import DeviceImages, Trainer, training_runtime
from training.initialise import start_network
from training.network import VOTE_CLASSES
from training.recipe import load_recipe

IMAGES = 4_096
NORMALISATION = Normalisation(mean=0.5077, std=0.255)


def main() -> None:
    """Print one line a side of the input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="best")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="in each round")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, ["init=scratch", "frozen=[]"])
    runtime = training_runtime(args.device, Precision.AUTO)
    print(f"{runtime.device_name}, {runtime.precision.value}, batches of {recipe.batch_size}")
    trainer = Trainer(recipe, start_network(recipe), normalisation=NORMALISATION, runtime=runtime)
    images = DeviceImages.upload(made_up_images(), runtime.device)
    for side_px in recipe.sides_px:
        full, bare = _measure(trainer, images, side_px=side_px, args=args)
        print(
            f"{side_px} px: full loop {full:.0f} images/s, bare step {bare:.0f} images/s, "
            f"{full / bare:.1%}"
        )


def made_up_images() -> LabelledImages:
    """Noise with labels and votes: the speed does not depend on what the images show."""
    random = np.random.default_rng(0)
    return LabelledImages(
        images=random.integers(0, 256, (IMAGES, 48, 48), np.uint8),
        labels=random.integers(0, len(EMOTIONS), IMAGES),
        votes=random.integers(0, 3, (IMAGES, len(VOTE_CLASSES)), np.uint8),
        paths=("",) * IMAGES,
    )


def _measure(
    trainer: Trainer, images: DeviceImages, *, side_px: int, args: argparse.Namespace
) -> tuple[float, float]:
    """Median images/s of the full loop and of the bare step."""
    size = trainer.recipe.batch_size
    rows = torch.randperm(len(images))[:size].to(images.images.device)
    inputs, targets = trainer.draw(images, rows, side_px=side_px)

    def full() -> None:
        order = torch.randperm(len(images))[:size].to(images.images.device)
        trainer.step(images, order, side_px=side_px)

    def bare() -> None:
        trainer.learn(inputs, targets)

    speeds: dict[str, list[float]] = {"full": [], "bare": []}
    full()
    bare()
    for _ in range(args.rounds):
        for name, once in (("full", full), ("bare", bare)):
            seconds = _seconds(once, steps=args.steps)
            speeds[name].append(args.steps * size / seconds)
    return statistics.median(speeds["full"]), statistics.median(speeds["bare"])


def _seconds(once: Callable[[], None], *, steps: int) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        once()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
