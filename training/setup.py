"""What a training works with, checked and read before the first step."""

from collections.abc import Sequence
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
from training.initialise import SCRATCH, Teacher, check_init, find_teacher
from training.protocol import Protocol, choose_protocol, flattered_by, flattery
from training.recipe import Recipe, load_recipe
from training.state import BEST_FILE, METRICS_FILE, STATE_FILE, refusing_in_a_sentence

RECIPE_FILE = "recipe.toml"


@dataclass(frozen=True, slots=True)
class Run:
    """What a training works with: settled before the first step."""

    recipe: Recipe
    folder: Path
    protocol: Protocol
    normalisation: Normalisation
    runtime: Runtime
    notes: tuple[str, ...]
    init_selected_on: tuple[str, ...]  # of the weights of ours that it starts or learns from
    warnings: tuple[str, ...]  # sentences that belong beside the headline
    teacher: Teacher | None = None


def prepare(options: TrainOptions, listener: Listener = ignore) -> Run:
    """Check everything, read the images, make the folder.

    Raises UsageError for options that do not fit, MissingPartError for what `init` names,
    NoMediaError and MediaError for the data, OutputError for the folder.
    """
    recipe = _recipe(options)
    folder = options.out or Path("runs") / recipe.name
    _check_folder(folder, options)
    init_selected_on, teacher = check_init(recipe.init), find_teacher(recipe)
    if teacher:
        init_selected_on = tuple(dict.fromkeys(init_selected_on + teacher.selected_on))
    runtime = training_runtime(options.device, options.precision)
    data = load_dataset(find_data(options.data))
    protocol = choose_protocol(data, options.select, seed=recipe.seed)
    inherited = _inherited_flattery(init_selected_on, protocol)
    own = map(flattery, flattered_by([protocol.selected_on], protocol.final_name))
    other = _other_experiment(recipe)
    notes = tuple(filter(None, (*data.notes, other, protocol.warning, *inherited)))
    for text in filter(None, (runtime.note, _nothing_to_resume(folder, options), *notes)):
        listener(Note(text))
    with refusing_in_a_sentence(folder):
        folder.mkdir(parents=True, exist_ok=True)
    norm = normalisation_of(protocol.train)
    warnings = (*own, *inherited)
    return Run(recipe, folder, protocol, norm, runtime, notes, init_selected_on, warnings, teacher)


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


def refuse_finished(folder: Path) -> None:
    """Raises OutputError where the weights of a run lie already."""
    if (folder / BEST_FILE).exists():
        raise OutputError(f"{folder} holds a finished run: use another --out.")


def _check_folder(folder: Path, options: TrainOptions) -> None:
    refuse_finished(folder)
    if (folder / STATE_FILE).exists():
        if options.resume:
            return
        raise OutputError(f"{folder} holds a run that was stopped: add --resume to go on with it.")
    if (folder / METRICS_FILE).exists():
        raise OutputError(
            f"{folder} holds the {METRICS_FILE} of something else: use another --out."
        )
    if (folder / RECIPE_FILE).resolve() == Path(options.recipe).resolve():
        raise OutputError(f"{options.recipe} would be written anew by this run: use another --out.")


def _nothing_to_resume(folder: Path, options: TrainOptions) -> str | None:
    if options.resume and not (folder / STATE_FILE).exists():
        return f"{folder} holds no run to go on with: a new one begins there."
    return None


def write_recipe(run: Run) -> None:
    """Before the first step; a run that goes on has it already, or is another one's."""
    if not (run.folder / STATE_FILE).exists():
        with refusing_in_a_sentence(run.folder):
            (run.folder / RECIPE_FILE).write_text(run.recipe.as_toml(), encoding="utf-8")


def _inherited_flattery(init_selected_on: Sequence[str], protocol: Protocol) -> list[str]:
    return [
        f"The figure on {protocol.final_name} flatters: the weights that this run started or "
        f"learnt from were chosen on the same images ({name})."
        for name in flattered_by(init_selected_on, protocol.final_name)
    ]


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
