"""From the best epoch to a run folder: calibrate, save, look at the final images once, report."""

import csv
import hashlib
import json
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoscan.emotion.checkpoint import Checkpoint, save_checkpoint
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import CropSettings, Normalisation, to_input
from emoscan.emotion.network import create_network
from emoscan.emotions import EMOTIONS
from emoscan.options import EvaluationTta, Precision
from training.evaluate import predict
from training.fit import EVALUATION_BATCH, Progress
from training.initialise import SCRATCH
from training.metrics import cross_entropy, fit_temperature, fit_votes_share, measure
from training.network import TrainingNetwork
from training.plots import draw_confusion, draw_curves
from training.report import CONFUSION_FILE, CURVES_FILE, training_report
from training.setup import Run
from training.state import BEST_FILE, METRICS_FILE, REPORT_FILE, refusing_in_a_sentence

MODEL_PREFIX = "emoscan-resnet18"
HEADLINES = ("accuracy", "accuracy_ci95", "balanced_accuracy", "macro_f1", "nll", "ece", "n")


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is fitted on the selection: the second head's share, and the temperature."""

    votes_share: float
    temperature: float
    nll_before: float
    nll_after: float


def finish(run: Run, progress: Progress) -> dict[str, Any]:
    """Fill the run folder, the weights last; gives what metrics.json holds.

    All figures are those of the saved, half-precision weights, computed in fp32 by the classifier
    that serves.
    """
    network = _best_network(run, progress)
    calibration = calibrate(network, run)
    served = network.serving_network(run.recipe.architecture, calibration.votes_share).half()
    about = _about(run, progress, calibration)
    writing = run.folder / f".{BEST_FILE}.writing"
    with refusing_in_a_sentence(run.folder):
        save_checkpoint(writing, served.state_dict(), about)
        figures = _look_at_splits(writing, run)
        save_checkpoint(writing, served.state_dict(), replace(about, metrics=_headlines(figures)))
        metrics = _metrics(run, progress, calibration) | figures
        metrics["model_sha256"] = hashlib.sha256(writing.read_bytes()).hexdigest()
        _write(run, progress, metrics)
        writing.replace(run.folder / BEST_FILE)
    return metrics


def _best_network(run: Run, progress: Progress) -> TrainingNetwork:
    """The best epoch's weights, as half precision leaves them, in fp32 on the CPU."""
    network = TrainingNetwork(create_network(run.recipe.architecture), dropout=0.0)
    network.load_state_dict(progress.best_state)
    return network.half().float().eval()


def calibrate(network: TrainingNetwork, run: Run) -> Calibration:
    """Fit the second head's share and the temperature on the images that chose the epoch.

    Both at once, by the cross-entropy to FER2013's labels; without votes the share is 0.
    """
    data = run.protocol.select
    head, votes = _logits(network, data.images, run.normalisation)
    share, temperature = (
        fit_votes_share(head, votes, data.labels)
        if run.recipe.votes_weight and run.protocol.train.votes.any()  # else it learned nothing
        else (0.0, fit_temperature(head, data.labels))
    )
    mixed = (1 - share) * head + share * votes
    return Calibration(
        votes_share=share,
        temperature=round(temperature, 4),
        nll_before=cross_entropy(mixed, data.labels),
        nll_after=cross_entropy(mixed, data.labels, temperature=temperature),
    )


@torch.inference_mode()
def _logits(
    network: TrainingNetwork, images: NDArray[np.uint8], normalisation: Normalisation
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 7) logits of both heads for our classes."""
    batches = torch.from_numpy(images).split(EVALUATION_BATCH)
    heads, votes = zip(*(network(to_input(batch, normalisation)) for batch in batches), strict=True)
    return torch.cat(heads).numpy(), torch.cat(votes)[:, : len(EMOTIONS)].numpy()


def _about(run: Run, progress: Progress, calibration: Calibration) -> Checkpoint:
    return Checkpoint(
        model_id=f"{MODEL_PREFIX}-{run.folder.resolve().name}",
        architecture=run.recipe.architecture,
        labels=EMOTIONS,
        crop=CropSettings(),
        normalisation=run.normalisation,
        temperature=calibration.temperature,
        metrics={},
        training_data={
            "name": f"FER2013, {run.protocol.trained_on}",
            "images": len(run.protocol.train),
            "selected_on": run.protocol.selected_on,
            "initialised": "random" if run.recipe.init == SCRATCH else run.recipe.init,
            "init_selected_on": run.init_selected_on,
            "teacher": run.teacher and {"id": run.teacher.model_id, "sha256": run.teacher.sha256},
            "epochs": run.recipe.epochs,
            "best_epoch": progress.best_epoch,
            "seed": run.recipe.seed,
            "votes_share": calibration.votes_share,
            "recipe": run.recipe.as_dict(),
        },
    )


def _look_at_splits(weights: Path, run: Run) -> dict[str, Any]:
    """All figures by split, the selection's first; the final images are looked at here alone."""
    classifier = EmotionClassifier(replace(run.runtime, precision=Precision.FP32), weights)
    splits = {run.protocol.selected_on: run.protocol.select}
    splits[run.protocol.final_name] = run.protocol.final
    return {
        name: measure(
            predict([classifier], data.images, EvaluationTta.NONE), data.labels, votes=data.votes
        )
        for name, data in splits.items()
    }


def _headlines(figures: dict[str, Any]) -> dict[str, Any]:
    """What the weights file says of itself."""
    return {
        name: {key: of[key] for key in HEADLINES}
        | {"recall": {emotion: row["recall"] for emotion, row in of["per_class"].items()}}
        for name, of in figures.items()
    }


def _metrics(run: Run, progress: Progress, calibration: Calibration) -> dict[str, Any]:
    best = progress.history[progress.best_epoch - 1]
    return {
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "selected_on": run.protocol.selected_on,
        "final": run.protocol.final_name,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "train_accuracy": best["train_accuracy"],
        "best_train_accuracy": max(row["train_accuracy"] for row in progress.history),
        "train_images": len(run.protocol.train),
        "votes_share": calibration.votes_share,
        "temperature": calibration.temperature,
        "nll_before_temperature": calibration.nll_before,
        "nll_after_temperature": calibration.nll_after,
        "hours": sum(row["seconds"] for row in progress.history) / 3600,
        "device": run.runtime.device_name,
        "precision": run.runtime.precision.value,
        "versions": {"emoscan": version("emoscan"), "torch": torch.__version__},
        "notes": list(run.notes),
        "warnings": list(run.warnings),
    }


def _write(run: Run, progress: Progress, metrics: dict[str, Any]) -> None:
    folder, final = run.folder, metrics[run.protocol.final_name]
    with (folder / "history.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(progress.history[0]))
        writer.writeheader()
        writer.writerows(progress.history)
    text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    (folder / METRICS_FILE).write_text(text, encoding="utf-8")
    draw_curves(
        progress.history,
        folder / CURVES_FILE,
        selected_on=run.protocol.selected_on,
        images=len(run.protocol.select),
    )
    title = (
        f"{100 * final['accuracy']:.1f} % of the {final['n']:,} images of "
        f"{run.protocol.final_name} right"
    )
    draw_confusion(final["confusion"], folder / CONFUSION_FILE, title=title)
    report = training_report(run.recipe, metrics, progress.history)
    (folder / REPORT_FILE).write_text(report, encoding="utf-8")
