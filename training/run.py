"""`emoscan train` from its options to a run folder."""

from pathlib import Path
from typing import Any

import torch

from emoscan.errors import UsageError
from emoscan.options import TrainOptions
from emoscan.runtime import is_out_of_memory
from training.events import Listener, ignore
from training.finish import finish
from training.fit import Progress, Trainer
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
        protocol.train, protocol.select, folder=run.folder, selected_on=protocol.selected_on
    )
