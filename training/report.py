"""Reports in Markdown: of an evaluation, and of a training run."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import classification_report

from emoscan.emotions import EMOTIONS
from training.metrics import CLASSES, MAJORITY_VOTES, RELIABILITY_BINS, SIMULATIONS
from training.near_copies import NEAR_COPY_LIMIT

if TYPE_CHECKING:
    from training.evaluate import Evaluation
    from training.recipe import Recipe

CURVES_FILE, CONFUSION_FILE, RELIABILITY_FILE = "curves.png", "confusion.png", "reliability.png"
SET_NAMES = {"private": "PrivateTest", "public": "PublicTest", "test": "the folder test"}


def set_name(split: str) -> str:
    """What the option `--split` calls `private`, as FER2013 calls it."""
    return SET_NAMES.get(split, split)


def evaluation_report(evaluation: "Evaluation") -> str:
    """What `evaluate` found, as Markdown that stands beside its pictures."""
    figures = evaluation.figures
    name = set_name(figures["split"])
    sections = [
        f"# {_joined(figures['model_id'])} on {name}",
        _headline(figures, name),
        *(f"> **{warning}**" for warning in evaluation.warnings),
        _table(["setting", "value"], _settings(figures)),
        "## Figures",
        _figures_table({name: figures}),
        *_class_sections(figures),
        _picture("Confusion matrix", CONFUSION_FILE),
        "## Calibration",
        _calibration(figures),
        _picture("Reliability diagram", RELIABILITY_FILE),
        "## Near copies",
        _near_copies(figures["without_near_copies"]),
        "## FER+",
        _ferplus(figures["ferplus_agreement"]),
    ]
    return "\n\n".join(sections) + "\n"


def training_report(
    recipe: "Recipe", metrics: dict[str, Any], history: Sequence[dict[str, Any]]
) -> str:
    """What a training gave, as Markdown that stands beside its pictures.

    `metrics` are those of the run's metrics.json: `selected_on` and `final` name two sets, whose
    figures, as `measure` gives them, stand under these names. `history` has a row an epoch, as
    `EpochDone` has them.
    """
    selected_on, final_name = metrics["selected_on"], metrics["final"]
    final = metrics[final_name]
    sections = [
        f"# Training of “{recipe.name}”, seed {recipe.seed}",
        _headline(final, final_name),
        *(f"> **{warning}**" for warning in metrics["warnings"]),
        _best_epoch(metrics, history),
        _picture("Loss and accuracy over the epochs", CURVES_FILE),
        "## Figures",
        _figures_table({name: metrics[name] for name in dict.fromkeys((selected_on, final_name))}),
        *_class_sections(final),
        _picture("Confusion matrix", CONFUSION_FILE),
        "## Calibration",
        _temperature(metrics),
        _calibration(final),
        "## Settings",
        _table(["setting", "value"], _run_settings(metrics)),
        f"The recipe “{recipe.name}”:",
        _table(["setting", "value"], [[key, _cell(v)] for key, v in recipe.as_dict().items()]),
        *(["## Notes", _list(metrics["notes"])] if metrics["notes"] else []),
    ]
    return "\n\n".join(sections) + "\n"


def _headline(figures: dict[str, Any], name: str) -> str:
    return (
        f"**{_accuracy(figures)}** of the {figures['n']:,} images of {name} are classified right."
    )


def _accuracy(figures: dict[str, Any]) -> str:
    """With its interval."""
    if not figures["n"]:
        return "none"
    return f"{_percent(figures['accuracy'])} (95 % interval {_interval(figures['accuracy_ci95'])})"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _interval(interval: Sequence[float] | None) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if interval else ""


def _settings(figures: dict[str, Any]) -> list[list[str]]:
    return [
        ["model", _joined(figures["model_id"])],
        ["SHA-256", _joined(figures["model_sha256"])],
        ["epoch chosen on", _joined(figures["selected_on"])],
        ["images", set_name(figures["split"])],
        ["test-time augmentation", figures["tta"]],
        ["device", figures["device"]],
        ["precision", figures["precision"]],
    ]


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _figures_table(by_name: dict[str, dict[str, Any]]) -> str:
    """A row a figure, a column a set of images."""
    rows = {
        "accuracy": _accuracy,
        "images": lambda of: f"{of['n']:,}",
        "balanced accuracy": lambda of: _percent(of["balanced_accuracy"]),
        "macro F1": lambda of: f"{of['macro_f1']:.4f}",
        "in the first two": lambda of: _percent(of["top2"]),
        "cross-entropy (nats)": lambda of: f"{of['nll']:.4f}",
        "expected calibration error": lambda of: _percent(of["ece"]),
    }
    body = [[name, *map(show, by_name.values())] for name, show in rows.items()]
    return _table(["figure", *by_name], body)


def _class_sections(figures: dict[str, Any]) -> list[str]:
    return [
        "## Classes",
        _classes(figures["per_class"]),
        "scikit-learn's classification report:",
        f"```\n{_classification_report(figures['confusion'])}\n```",
        "How often each label (the rows) was taken for which class (the columns):",
        _confusion(figures["confusion"]),
    ]


def _classes(per_class: dict[str, dict[str, Any]]) -> str:
    rows = [
        [
            name,
            _percent(of["recall"]),
            _interval(of["recall_ci95"]),
            _percent(of["precision"]),
            f"{of['f1']:.4f}",
            f"{of['support']:,}",
        ]
        for name, of in per_class.items()
    ]
    header = ["class", "recall", "its 95 % interval (%)", "precision", "F1", "images"]
    return _table(header, rows)


def _classification_report(confusion: Sequence[Sequence[int]]) -> str:
    """From the counts alone: it depends on nothing else."""
    counts = np.asarray(confusion)
    labels, predicted = np.repeat(np.indices(counts.shape).reshape(2, -1), counts.ravel(), axis=1)
    report: str = classification_report(
        labels, predicted, labels=CLASSES, target_names=EMOTIONS, digits=4, zero_division=0
    )
    return report.rstrip()


def _confusion(confusion: Sequence[Sequence[int]]) -> str:
    rows = [
        [f"**{name}**", *(f"{count:,}" for count in row)]
        for name, row in zip(EMOTIONS, confusion, strict=True)
    ]
    return _table(["", *EMOTIONS], rows)


def _calibration(figures: dict[str, Any]) -> str:
    ece, chance = figures["ece"], figures["ece_if_calibrated"]
    verdict = (
        "no more than chance explains" if ece <= chance["p95"] else "more than chance explains"
    )
    return (
        f"The probability of the likeliest class is off from how often it is right by "
        f"{_percent(ece)} in the mean (expected calibration error, {RELIABILITY_BINS} bins of "
        f"equal width; Guo et al. 2017, arXiv 1706.04599). Were the same probabilities perfectly "
        f"calibrated, chance would still give {_percent(chance['mean'])} in the mean, and 95 times "
        f"of 100 at most {_percent(chance['p95'])} ({SIMULATIONS:,} simulated sets of labels): the "
        f"error is {verdict}."
    )


def _near_copies(without: dict[str, Any]) -> str:
    return (
        f"{without['removed']:,} of the images have a near copy in the folder `train`: an image "
        f"whose pixels differ by less than {NEAR_COPY_LIMIT} of 255 gray levels in the mean, "
        f"whatever its label. All pairs are compared, mirror images are not. Accuracy on the other "
        f"{without['n']:,}: {_accuracy(without)}."
    )


def _ferplus(agreement: dict[str, Any] | None) -> str:
    if agreement is None:
        return "There are no votes of FER+ for these images."
    return (
        f"Ten people looked at each image anew for FER+ (Barsoum et al. 2016, arXiv 1608.01041). "
        f"In {agreement['n']:,} of these images at least {MAJORITY_VOTES} of them chose the same "
        f"one of the seven classes; the model agrees with them in {_accuracy(agreement)}."
    )


def _best_epoch(metrics: dict[str, Any], history: Sequence[dict[str, Any]]) -> str:
    best = history[metrics["best_epoch"] - 1]
    return (
        f"Epoch {metrics['best_epoch']} of {metrics['epochs']} was the best on "
        f"{metrics['selected_on']}, with {_percent(best['select_accuracy'])}. On the training "
        f"images, changed at random and counted while the weights moved, that epoch was right in "
        f"{_percent(best['train_accuracy'])}."
    )


def _temperature(metrics: dict[str, Any]) -> str:
    text = (
        f"The logits are divided by {metrics['temperature']:.4f} (temperature scaling), fitted on "
        f"{metrics['selected_on']}, where it takes the cross-entropy from "
        f"{metrics['nll_before_temperature']:.4f} to {metrics['nll_after_temperature']:.4f} nats."
    )
    if not metrics["votes_share"]:
        return text
    return (
        f"{text} Of the served logits {metrics['votes_share']:.0%} are those of the head that "
        f"learned FER+'s votes, the rest those of the head that learned the labels."
    )


def _run_settings(metrics: dict[str, Any]) -> list[list[str]]:
    return [
        ["training images", f"{metrics['train_images']:,}"],
        ["epoch chosen on", metrics["selected_on"]],
        ["reported on", metrics["final"]],
        ["hours", f"{metrics['hours']:.2f}"],
        ["device", metrics["device"]],
        ["precision", metrics["precision"]],
        *([name, text] for name, text in metrics["versions"].items()),
    ]


def _cell(value: object) -> str:
    """A setting as the recipe's file writes it."""
    return json.dumps(value, ensure_ascii=False)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)


def _escaped(cell: str) -> str:
    # A path in a recipe, or a folder's name in a model's, may hold what ends a cell.
    return cell.replace("|", "\\|")


def _list(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _picture(title: str, file: str) -> str:
    return f"![{title}]({file})"
