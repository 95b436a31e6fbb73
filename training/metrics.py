"""What is measured on probabilities and labels, and what is fitted on them: pure functions.

Probabilities are (N, 7) floats whose rows sum to 1, labels (N,) int64, both in the order of
EMOTIONS.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
    top_k_accuracy_score,
)

from emoscan.emotions import EMOTIONS

Floats = NDArray[np.floating[Any]]

CLASSES = list(range(len(EMOTIONS)))
RELIABILITY_BINS = 15
SIMULATIONS = 1000
SIMULATION_SEED = 0
MAJORITY_VOTES = 5  # of FER+'s ten
TEMPERATURES = (0.05, 20.0)
SHARE_STEPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How often the likeliest class is right, by its probability, in bins of equal width.

    All are (RELIABILITY_BINS,): `count` of images, `confidence` and `accuracy` their means in
    0..1, NaN where a bin is empty.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """The expected calibration error, in 0..1 (Guo et al. 2017, arXiv 1706.04599)."""
        filled = self.count > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float(np.average(gaps, weights=self.count[filled]))


def measure(
    probabilities: Floats, labels: NDArray[np.int64], *, votes: NDArray[np.uint8] | None = None
) -> dict[str, Any]:
    """Every figure of an evaluation, as JSON can hold it; shares are in 0..1.

    `votes` (N, 8) are FER+'s for VOTE_CLASSES, zeros where there are none. Classes without
    images count in `macro_f1` and do not in `balanced_accuracy`. Raises ValueError where shapes
    differ from that or there is no image.
    """
    _check(probabilities, labels)
    # Sums of float32 are off by more than log_loss lets pass.
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    predicted = probabilities.argmax(axis=1)
    present = np.unique(labels)
    return accuracy_figures(predicted, labels) | {
        "balanced_accuracy": float(
            recall_score(labels, predicted, labels=present, average="macro", zero_division=0)
        ),
        "macro_f1": float(
            f1_score(labels, predicted, labels=CLASSES, average="macro", zero_division=0)
        ),
        "top2": float(top_k_accuracy_score(labels, probabilities, k=2, labels=CLASSES)),
        "nll": float(log_loss(labels, probabilities, labels=CLASSES)),
        "ece": reliability(probabilities, labels).ece,
        "ece_if_calibrated": ece_if_calibrated(probabilities),
        "per_class": _per_class(predicted, labels),
        "confusion": confusion_matrix(labels, predicted, labels=CLASSES).tolist(),
        "ferplus_agreement": None if votes is None else ferplus_agreement(predicted, votes),
    }


def _check(probabilities: Floats, labels: NDArray[np.int64]) -> None:
    wanted = (len(labels), len(EMOTIONS))
    if probabilities.shape != wanted:
        raise ValueError(f"probabilities are {probabilities.shape}, not {wanted}")
    if not len(labels):
        raise ValueError("there is no image to measure on")


def accuracy_figures(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, Any]:
    """`accuracy`, its 95 % interval and `n`, of (N,) classes; null where N is 0."""
    n = len(labels)
    hits = int(accuracy_score(labels, predicted, normalize=False)) if n else 0
    return _share(hits, n)


def _share(hits: int, n: int) -> dict[str, Any]:
    return {"accuracy": hits / n if n else None, "accuracy_ci95": wilson_ci95(hits, n), "n": n}


def wilson_ci95(hits: int, n: int) -> list[float] | None:
    """The 95 % interval of a share, [low, high] in 0..1 (Wilson 1927); None where n is 0."""
    if not n:
        return None
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def _per_class(
    predicted: NDArray[np.int64], labels: NDArray[np.int64]
) -> dict[str, dict[str, Any]]:
    columns = precision_recall_fscore_support(labels, predicted, labels=CLASSES, zero_division=0)
    figures = {}
    for label, (precision, recall, f1, support) in enumerate(zip(*columns, strict=True)):
        hits = int(((predicted == label) & (labels == label)).sum())
        figures[EMOTIONS[label]] = {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "support": int(support),
            "recall_ci95": wilson_ci95(hits, int(support)),
        }
    return figures


def ferplus_agreement(
    predicted: NDArray[np.int64], votes: NDArray[np.uint8]
) -> dict[str, Any] | None:
    """How often FER+'s majority agrees, among the images where there is one.

    `predicted` (N,) are classes, `votes` (N, 8) FER+'s for VOTE_CLASSES (Barsoum et al. 2016,
    arXiv 1608.01041). A majority is at least five of the ten votes for one of our seven classes;
    where they split five to five between two of them, either agrees. None without a majority.
    """
    # Ten is FER+'s number of taggers: votes for "unknown" and "no face" are not among these.
    is_majority = votes[:, : len(EMOTIONS)] >= MAJORITY_VOTES
    agrees = is_majority[np.arange(len(votes)), predicted]
    n = int(is_majority.any(axis=1).sum())
    return _share(int(agrees.sum()), n) if n else None


def reliability(probabilities: Floats, labels: NDArray[np.int64]) -> Reliability:
    """The bins of a reliability diagram, by the probability of the likeliest class."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = _bins(confidence)
    count = np.bincount(bins, minlength=RELIABILITY_BINS)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(bins, weights=values, minlength=RELIABILITY_BINS)
        means = np.full(RELIABILITY_BINS, np.nan)
        np.divide(sums, count, out=means, where=count > 0)
        return means

    return Reliability(count, mean(confidence), mean(probabilities.argmax(axis=1) == labels))


def _bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each: a border belongs to the bin below it, as in Guo et al. 2017."""
    bins: NDArray[np.int64] = np.ceil(confidence * RELIABILITY_BINS).astype(np.int64) - 1
    return bins.clip(0, RELIABILITY_BINS - 1)


def ece_if_calibrated(probabilities: Floats) -> dict[str, float]:
    """What the calibration error would be if every probability were right: `mean` and `p95`.

    Even then chance keeps it above 0, the more so the fewer images there are. So labels are
    drawn again and again: the likeliest class is right with its own probability.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = _bins(confidence)
    random = np.random.default_rng(SIMULATION_SEED)
    gaps = np.zeros(SIMULATIONS)
    for number in np.unique(bins):  # bin by bin, which bounds the memory
        within = confidence[bins == number]
        hits = (random.random((SIMULATIONS, len(within))) < within).sum(axis=1)
        gaps += np.abs(hits - within.sum())
    errors = gaps / len(confidence)
    return {"mean": float(errors.mean()), "p95": float(np.quantile(errors, 0.95))}


def cross_entropy(logits: Floats, labels: NDArray[np.int64], *, temperature: float = 1.0) -> float:
    """The mean negative log-likelihood, in nats, of softmax(logits / temperature).

    `logits` are (N, 7); log-probabilities will do, since a row's constant does not matter.
    """
    scaled = log_softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    return float(-scaled[np.arange(len(labels)), labels].mean())


def fit_temperature(log_probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature of least cross-entropy, between 0.05 and 20.

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599): (N, 7) log-probabilities, or logits,
    are divided by it before the softmax.
    """
    return _fit(log_probabilities, labels)[1]


def _fit(logits: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    """The least cross-entropy, and the temperature that gives it."""
    # The logarithm of a temperature is what a logit's scale is linear in.
    found = minimize_scalar(
        lambda power: cross_entropy(logits, labels, temperature=float(np.exp(power))),
        bounds=tuple(np.log(TEMPERATURES)),
        method="bounded",
    )
    return float(found.fun), float(np.exp(found.x))


def fit_votes_share(
    head_logits: Floats, votes_logits: Floats, labels: NDArray[np.int64]
) -> tuple[float, float]:
    """The share of the second head's logits, and the temperature, of least cross-entropy.

    `head_logits` are (N, 7), `votes_logits` (N, 7) or, with contempt as VOTE_CLASSES have it,
    (N, 8). The logits (1 - share) · head + share · votes are divided by the temperature, and both
    are fitted at once; shares are tried from 0 to 1 in steps of 0.05.
    """
    votes_logits = votes_logits[:, : len(EMOTIONS)]
    fits = []
    for step in range(SHARE_STEPS + 1):
        share = round(step / SHARE_STEPS, 2)
        loss, temperature = _fit((1 - share) * head_logits + share * votes_logits, labels)
        fits.append((loss, share, temperature))
    _, share, temperature = min(fits)
    return share, temperature
