"""What a training works with, checked and read before the first step."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emoscan.emotion.crop import Normalisation
from emoscan.errors import OutputError
from emoscan.events import Note
from emoscan.options import TrainOptions
from emoscan.runtime import Runtime
from training.events import Listener, ignore
from training.fer2013 import LabelledImages, find_data, load_dataset
from training.fit import training_runtime
from training.initialise import SCRATCH, check_init
from training.protocol import Protocol, choose_protocol
from training.recipe import Recipe, load_recipe
from training.state import STATE_FILE, refusing_in_a_sentence

BEST_FILE, RECIPE_FILE = "best.safetensors", "recipe.toml"


@dataclass(frozen=True, slots=True)
class Run:
    """What a training works with: settled before the first step."""

    recipe: Recipe
    folder: Path
    protocol: Protocol
    normalisation: Normalisation
    runtime: Runtime
    notes: tuple[str, ...]
    init_selected_on: str | None  # by weights of ours that it starts from


def prepare(options: TrainOptions, listener: Listener = ignore) -> Run:
    """Check everything, read the images, make the folder.

    Raises UsageError for options that do not fit, MissingPartError for what `init` names,
    NoMediaError and MediaError for the data, OutputError for the folder.
    """
    recipe = _recipe(options)
    folder = options.out or Path("runs") / recipe.name
    _check_folder(folder, options)
    init_selected_on = check_init(recipe.init)
    runtime = training_runtime(options.device, options.precision)
    data = load_dataset(find_data(options.data))
    protocol = choose_protocol(data, options.select, seed=recipe.seed)
    notes = tuple(filter(None, (*data.notes, _other_experiment(recipe), protocol.warning)))
    for text in filter(None, (runtime.note, _nothing_to_resume(folder, options), *notes)):
        listener(Note(text))
    _make_folder(folder, recipe)
    norm = normalisation_of(protocol.train)
    return Run(recipe, folder, protocol, norm, runtime, notes, init_selected_on)


def _recipe(options: TrainOptions) -> Recipe:
    recipe = load_recipe(options.recipe, options.set)
    recipe = replace(
        recipe,
        init=options.init or recipe.init,
        epochs=options.epochs or recipe.epochs,
        seed=recipe.seed if options.seed is None else options.seed,
    )
    # Layers at random that rest would never become anything.
    return replace(recipe, frozen=()) if recipe.init == SCRATCH else recipe


def _check_folder(folder: Path, options: TrainOptions) -> None:
    if (folder / BEST_FILE).exists():
        raise OutputError(f"{folder} holds a finished run: use another --out.")
    if (folder / STATE_FILE).exists() and not options.resume:
        raise OutputError(f"{folder} holds a run that was stopped: add --resume to go on with it.")
    if (folder / RECIPE_FILE).resolve() == Path(options.recipe).resolve():
        raise OutputError(f"{options.recipe} would be written anew by this run: use another --out.")


def _nothing_to_resume(folder: Path, options: TrainOptions) -> str | None:
    if options.resume and not (folder / STATE_FILE).exists():
        return f"{folder} holds no run to go on with: a new one begins there."
    return None


def _make_folder(folder: Path, recipe: Recipe) -> None:
    with refusing_in_a_sentence(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / STATE_FILE).exists():  # else it may be another run's, which is refused
            (folder / RECIPE_FILE).write_text(recipe.as_toml(), encoding="utf-8")


def _other_experiment(recipe: Recipe) -> str | None:
    if recipe.name == "documented" and recipe.init == SCRATCH:
        return (
            "The documented recipe starts from ImageNet and freezes layers; from scratch nothing "
            "is frozen, which is another experiment."
        )
    return None


def normalisation_of(train: LabelledImages) -> Normalisation:
    """Mean and standard deviation of all gray levels, rounded to four digits."""
    # From the histogram: exact, and without the images as floats.
    counts = np.bincount(train.images.reshape(-1), minlength=256)
    levels = np.arange(256) / 255
    mean = float(np.average(levels, weights=counts))
    std = float(np.average((levels - mean) ** 2, weights=counts)) ** 0.5
    return Normalisation(mean=round(mean, 4), std=round(std, 4))
