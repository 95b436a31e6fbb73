"""`emoscan train` from its options to a run folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from emoscan.emotion.classifier import EmotionClassifier
from emoscan.errors import UsageError
from emoscan.events import Note
from emoscan.options import Precision, TrainOptions, Tta
from emoscan.runtime import is_out_of_memory
from training.events import Listener, ignore
from training.finish import finish
from training.fit import Progress, Taught, Trainer
from training.initialise import start_network
from training.setup import Run, prepare, refuse_finished, write_recipe
from training.state import locked


def train(options: TrainOptions, listener: Listener = ignore) -> tuple[Path, dict[str, Any]]:
    """Train by the options and fill the run folder; gives the folder and its metrics.

    Raises what `prepare` raises, and MissingPartError for what `init` names.
    """
    run = prepare(options, listener)
    try:
        with locked(run.folder):
            refuse_finished(run.folder)
            write_recipe(run)
            return run.folder, finish(run, fit(run, listener))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UsageError(
            f"{run.runtime.device_name} has too little memory: lower batch_size with "
            "--set batch_size=N, and use another --out."
        ) from error


def fit(run: Run, listener: Listener = ignore) -> Progress:
    """Train to the last epoch, or go on with a run that was stopped."""
    torch.manual_seed(run.recipe.seed)
    trainer = Trainer(
        run.recipe,
        start_network(run.recipe),
        normalisation=run.normalisation,
        runtime=run.runtime,
        listener=listener,
    )
    protocol = run.protocol
    return trainer.run(
        protocol.train,
        protocol.select,
        taught=_taught(run, listener),
        folder=run.folder,
        selected_on=protocol.selected_on,
    )


def _taught(run: Run, listener: Listener) -> Taught | None:
    """What the recipe's teacher says of the images that train, in fp32, if there is one.

    Its probabilities at its own temperature, in the mean over each image and its mirror image,
    neither of them changed: computed here, for a run that goes on as well.
    """
    if run.teacher is None:
        return None
    count = len(run.protocol.train)
    listener(Note(f"The teacher looks at the {count:,} images first: minutes without a GPU."))
    runtime = replace(run.runtime, precision=Precision.FP32)
    teacher = EmotionClassifier(runtime, run.teacher.path, tta=Tta.FLIP)
    emotions = teacher.classify_crops(run.protocol.train.images)
    return Taught(emotions.probabilities, run.teacher.sha256)
