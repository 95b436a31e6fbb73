"""`emoscan evaluate`: weights on FER2013, through the classifier that serves, and the report."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import enlarge
from emoscan.emotions import EMOTIONS
from emoscan.errors import OutputError
from emoscan.events import Note
from emoscan.options import EvaluateOptions, EvaluationSplit, EvaluationTta, Precision
from emoscan.runtime import Runtime, choose_runtime, serving_runtime
from training.events import ImagesDone, Listener, ignore
from training.fer2013 import Dataset, LabelledImages, Split, check_side, find_data, load_dataset
from training.metrics import accuracy_figures, measure, reliability
from training.near_copies import find_near_copies
from training.plots import draw_confusion, draw_reliability
from training.protocol import UNKNOWN, chosen_on, flattered_by, flattery
from training.report import CONFUSION_FILE, RELIABILITY_FILE, evaluation_report, set_name
from training.state import (
    BEST_FILE,
    METRICS_FILE,
    REPORT_FILE,
    STATE_FILE,
    refusing_in_a_sentence,
)

CHUNK_IMAGES = 256
# The side of the ten crops that published results on FER2013 mostly use.
TENCROP_PX = 44
OFFICIAL = {EvaluationSplit.PRIVATE: Split.PRIVATE, EvaluationSplit.PUBLIC: Split.PUBLIC}


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What came out: `figures` as JSON can hold them, and the (N, 7) and (N,) they come from.

    `warnings` are sentences that belong beside the headline.
    """

    figures: dict[str, Any]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    warnings: list[str]


def evaluate(options: EvaluateOptions, listener: Listener = ignore) -> Evaluation:
    """Measure one model, or the mean of several, on a split.

    Raises UsageError for the device, MissingPartError for weights, NoMediaError and MediaError for
    the data, OutputError where `options.out` cannot be made: before the work, not after it.
    """
    runtime = _runtime(options)
    classifiers = [EmotionClassifier(runtime, weights) for weights in options.weights or (None,)]
    for classifier in classifiers:
        check_side(classifier.about)
    data = load_dataset(find_data(options.data))
    chosen = _choose(data, options.split)
    if options.out:
        _refuse_other_reports(options.out)
        _make_folder(options.out)
    for text in filter(None, (runtime.note, *data.notes)):
        listener(Note(text))
    probabilities = predict(classifiers, chosen.images, options.tta, listener=listener)
    figures = (
        {"split": options.split.value, "tta": options.tta.value}
        | _describe(classifiers)
        | {"device": runtime.device_name, "precision": runtime.precision.value}
        | measure(probabilities, chosen.labels, votes=chosen.votes)
        | {"without_near_copies": _without_near_copies(probabilities, chosen, data.train)}
    )
    warnings = _warnings(classifiers, options.split)
    figures["warnings"] = warnings
    return Evaluation(figures, probabilities, chosen.labels, warnings)


def _runtime(options: EvaluateOptions) -> Runtime:
    """By torch, but for int8, which OpenVINO alone has; on all cores."""
    if options.precision is Precision.INT8:
        runtime = serving_runtime(options.device, options.precision)
        return replace(runtime, threads=torch.get_num_threads(), streams=1)
    return choose_runtime(options.device, options.precision)


def predict(
    classifiers: Sequence[EmotionClassifier],
    images: NDArray[np.uint8],
    tta: EvaluationTta,
    *,
    listener: Listener = ignore,
) -> NDArray[np.float64]:
    """(N, 7) probabilities of (N, 48, 48) images: the mean over classifiers and views.

    `flip` adds the mirror image. `tencrop` takes the four corners and the centre of the image,
    enlarged to its size again, and their mirror images (Krizhevsky et al. 2012).
    """
    probabilities = np.zeros((len(images), len(EMOTIONS)))
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = slice(start, start + CHUNK_IMAGES)
        each = [
            classifier.classify_crops(view).probabilities
            for view in _views(images[chunk], tta)
            for classifier in classifiers
        ]
        probabilities[chunk] = np.mean(each, axis=0, dtype=np.float64)
        listener(ImagesDone(min(chunk.stop, len(images)), len(images)))
    return probabilities


def _views(images: NDArray[np.uint8], tta: EvaluationTta) -> Iterator[NDArray[np.uint8]]:
    upright = _five_crops(images) if tta is EvaluationTta.TENCROP else [images]
    for view in upright:
        yield view
        if tta is not EvaluationTta.NONE:
            # torch takes no array that runs backwards.
            yield np.ascontiguousarray(view[:, :, ::-1])


def _five_crops(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    last = images.shape[1] - TENCROP_PX
    for top, left in ((0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2)):
        enlarged = np.empty_like(images)
        for image, out in zip(images, enlarged, strict=True):
            enlarge(image[top : top + TENCROP_PX, left : left + TENCROP_PX], out)
        yield enlarged


def _choose(data: Dataset, split: EvaluationSplit) -> LabelledImages:
    return data.test if split is EvaluationSplit.TEST else data.split(OFFICIAL[split])


def _describe(classifiers: Sequence[EmotionClassifier]) -> dict[str, Any]:
    """What was measured: one value each for one model, else lists."""
    columns = {
        "model_id": [classifier.about.model_id for classifier in classifiers],
        "model_sha256": [classifier.sha256 for classifier in classifiers],
        "selected_on": [chosen_on(classifier.about)[0] for classifier in classifiers],
    }
    return {name: values[0] if len(values) == 1 else values for name, values in columns.items()}


def _without_near_copies(
    probabilities: NDArray[np.float64], chosen: LabelledImages, train: LabelledImages
) -> dict[str, Any]:
    """The accuracy on the images that are no near copies of some in `train`."""
    near = find_near_copies(chosen.images, train.images)
    figures = accuracy_figures(probabilities.argmax(axis=1)[~near], chosen.labels[~near])
    return figures | {"removed": int(near.sum())}


def _warnings(classifiers: Sequence[EmotionClassifier], split: EvaluationSplit) -> list[str]:
    names = {name for classifier in classifiers for name in chosen_on(classifier.about)}
    official = str(OFFICIAL.get(split, split.value))
    warnings = [flattery(name) for name in flattered_by(names, official)]
    if UNKNOWN in names:
        warnings.append("The weights do not say on which images their epoch was chosen.")
    return warnings


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Fill the folder: metrics.json, report.md and two pictures. Raises OutputError."""
    _make_folder(folder)
    figures = evaluation.figures
    of = f"the {figures['n']:,} images of {set_name(figures['split'])}"
    with refusing_in_a_sentence(folder):
        draw_confusion(
            figures["confusion"],
            folder / CONFUSION_FILE,
            title=f"{100 * figures['accuracy']:.1f} % of {of} right",
        )
        draw_reliability(
            reliability(evaluation.probabilities, evaluation.labels),
            folder / RELIABILITY_FILE,
            title=f"Calibration on {of}",
            ece=figures["ece"],
            ece_if_calibrated=figures["ece_if_calibrated"],
        )
        (folder / REPORT_FILE).write_text(evaluation_report(evaluation), encoding="utf-8")
        text = json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / METRICS_FILE).write_text(text, encoding="utf-8")


def _refuse_other_reports(folder: Path) -> None:
    for name in (METRICS_FILE, BEST_FILE, STATE_FILE):
        if (folder / name).exists():
            raise OutputError(
                f"{folder} holds {name}, of another report or run: use another --out."
            )


def _make_folder(folder: Path) -> None:
    with refusing_in_a_sentence(folder):
        folder.mkdir(parents=True, exist_ok=True)
