"""Pictures of a training and of an evaluation, as PNG of 200 dpi; the same numbers, the same file.

Colours are Okabe and Ito's, which the colour-blind tell apart; lines differ in dashes as well.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from emoscan.emotions import EMOTIONS
from training.metrics import RELIABILITY_BINS, Reliability, wilson_ci95

DPI = 200
BLUE, VERMILION, GRAY = "#0072B2", "#D55E00", "#555555"
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRAY,
    "axes.grid": True,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.titlesize": 13,
    "font.family": "DejaVu Sans",  # matplotlib brings it along
    "font.size": 10,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
}
# The share from which the heatmap's blue is too dark for black letters.
DARK_FROM = 65
# So many epochs at most are drawn with a dot each: a single one has no line.
EPOCHS_WITH_DOTS = 12


def draw_curves(
    history: Sequence[dict[str, Any]], path: Path, *, selected_on: str, images: int | None = None
) -> None:
    """Loss and accuracy over the epochs, the best epoch marked; rows are those of `EpochDone`.

    `selected_on` names the set that chose the best epoch, `images` is their number. Where the
    side of the input changes, its stretches of epochs are shaded in turn and named.
    """
    best = history[history[-1]["best_epoch"] - 1]
    of = f"the {images:,} images of {selected_on}" if images else selected_on
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5), layout="constrained")
        losses, accuracies = figure.subplots(1, 2)
        _draw_curve(losses, history, "loss", selected_on=selected_on, factor=1)
        _draw_curve(accuracies, history, "accuracy", selected_on=selected_on, factor=100)
        losses.set_ylabel("cross-entropy (nats)")
        accuracies.set_ylabel("accuracy (%)")
        # Below both panels, where no curve can run into it.
        figure.legend(*losses.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.suptitle(
            f"Best epoch {best['epoch']} of {len(history)}: "
            f"{100 * best['select_accuracy']:.1f} % of {of} right"
        )
        _save(figure, path)


def _draw_curve(
    axes: Axes, history: Sequence[dict[str, Any]], what: str, *, selected_on: str, factor: float
) -> None:
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(history) <= EPOCHS_WITH_DOTS else None
    for of, name, colour, dashes in (
        ("train", "training, on randomly changed images", BLUE, "--"),
        ("select", f"selection, on {selected_on}", VERMILION, "-"),
    ):
        values = [factor * row[f"{of}_{what}"] for row in history]
        axes.plot(epochs, values, dashes, color=colour, marker=marker, markersize=4, label=name)
    best = history[-1]["best_epoch"]
    value = factor * history[best - 1][f"select_{what}"]
    axes.axvline(best, color=GRAY, linewidth=1, linestyle=":")
    axes.plot(best, value, "D", color=VERMILION, markersize=8, mec="white", label="best epoch")
    axes.set_xlim(0.5, max(len(history), 2) + 0.5)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _shade_sides(axes, history)


def _shade_sides(axes: Axes, history: Sequence[dict[str, Any]]) -> None:
    stretches = [
        (side, [row["epoch"] for row in rows])
        for side, rows in groupby(history, key=lambda row: row["side_px"])
    ]
    if len(stretches) == 1:
        return
    for number, (side, epochs) in enumerate(stretches):
        left, right = epochs[0] - 0.5, epochs[-1] + 0.5
        axes.axvspan(left, right, color="#F3F3F3" if number % 2 == 0 else "white", zorder=-1)
        axes.text(
            (left + right) / 2,
            1.01,
            f"{side} px",
            color=GRAY,
            fontsize=9,
            ha="center",
            va="bottom",
            transform=axes.get_xaxis_transform(),
        )


def draw_confusion(confusion: Sequence[Sequence[int]], path: Path, *, title: str) -> None:
    """The (7, 7) counts, rows the truth: each cell with its share of the row, and its count."""
    counts = np.asarray(confusion, dtype=np.int64)
    support = counts.sum(axis=1)
    shares = 100 * counts / np.maximum(support, 1)[:, None]
    texts = [
        [f"{share:.0f} %\n{count:,}" for share, count in zip(*row, strict=True)]
        for row in zip(shares, counts, strict=True)
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 7.4), layout="constrained")
        axes = figure.subplots()
        seaborn.heatmap(
            shares,
            annot=np.array(texts),
            fmt="",
            cmap="Blues",
            vmin=0,
            vmax=100,
            square=True,
            linewidths=1,
            cbar_kws={"label": "share of the row (%)", "shrink": 0.8},
            xticklabels=EMOTIONS,
            yticklabels=[f"{name}\n{n:,}" for name, n in zip(EMOTIONS, support, strict=True)],
            ax=axes,
        )
        for text, share in zip(axes.texts, shares.ravel(), strict=True):
            text.set_color("white" if share > DARK_FROM else "black")
        axes.tick_params(length=0)
        axes.tick_params(axis="y", rotation=0)
        axes.set_xlabel("predicted")
        axes.set_ylabel("label, and its number of images")
        figure.suptitle(title)
        _save(figure, path)


def draw_reliability(
    bins: Reliability, path: Path, *, title: str, ece: float, ece_if_calibrated: dict[str, float]
) -> None:
    """How often the likeliest class is right, by its probability, over a histogram of them.

    Bars are 95 % intervals of the accuracies; `ece` and what a perfectly calibrated model would
    score are as `training.metrics` gives them, in 0..1.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 7.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_bins(above, bins)
        mean, most = 100 * ece_if_calibrated["mean"], 100 * ece_if_calibrated["p95"]
        words = (
            f"calibration error {100 * ece:.1f} %\n"
            f"if perfectly calibrated: {mean:.1f} %,\n"
            f"95 times of 100 at most {most:.1f} %"
        )
        above.text(0.98, 0.03, words, transform=above.transAxes, ha="right", linespacing=1.5)
        _draw_histogram(below, bins)
        figure.suptitle(title)
        _save(figure, path)


def _draw_bins(axes: Axes, bins: Reliability) -> None:
    filled = bins.count > 0
    accuracy = bins.accuracy[filled]
    intervals = np.array(
        [
            wilson_ci95(round(share * n), int(n))
            for share, n in zip(accuracy, bins.count[filled], strict=True)
        ]
    )
    axes.plot([0, 100], [0, 100], "--", color=GRAY, linewidth=1, label="perfectly calibrated")
    axes.errorbar(
        100 * bins.confidence[filled],
        100 * accuracy,
        # Rounding may leave an end of an interval on the wrong side of its point.
        yerr=100 * np.abs(intervals.T - accuracy),
        fmt="o",
        color=BLUE,
        markersize=6,
        capsize=3,
        clip_on=False,
        label="measured, with 95 % intervals",
    )
    axes.set(xlim=(0, 100), ylim=(0, 100), ylabel="right (%)")
    axes.legend(loc="upper left")


def _draw_histogram(axes: Axes, bins: Reliability) -> None:
    width = 100 / RELIABILITY_BINS
    lefts = width * np.arange(RELIABILITY_BINS)
    axes.bar(lefts, bins.count, width, align="edge", color=BLUE, edgecolor="white", linewidth=1)
    axes.set(xlabel="probability of the likeliest class (%)", ylabel="images")


def _save(figure: Figure, path: Path) -> None:
    # Without matplotlib's name and version, so that the same numbers give the same bytes.
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
