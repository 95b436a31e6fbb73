import json
import math
import warnings

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from emoscan.emotions import EMOTIONS
from training.metrics import (
    accuracy_figures,
    cross_entropy,
    ece_if_calibrated,
    ferplus_agreement,
    fit_temperature,
    fit_votes_share,
    measure,
    reliability,
    wilson_ci95,
)
from training.network import VOTE_CLASSES

ANGRY, DISGUST, FEAR, HAPPY = range(4)
CONTEMPT = VOTE_CLASSES.index("contempt")


def rows(*pairs: tuple[int, float]) -> np.ndarray:
    """Probabilities of one class each; the other six share the rest."""
    probabilities = np.array([[(1 - share) / 6] * 7 for _, share in pairs])
    for row, (label, share) in zip(probabilities, pairs, strict=True):
        row[label] = share
    return probabilities


def votes(**counts: int) -> np.ndarray:
    return np.array([[counts.get(name, 0) for name in VOTE_CLASSES]], np.uint8)


# Four images, two of them angry, of which one is taken for fear; one disgust, one fear.
FOUR = rows((ANGRY, 0.9), (FEAR, 0.6), (DISGUST, 0.5), (FEAR, 0.8))
FOUR_LABELS = np.array([ANGRY, ANGRY, DISGUST, FEAR])


def random_logits(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from just the probabilities that they say."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 7)) * 2
    draws = random.random((count, 1))
    return logits, (softmax(logits, axis=1).cumsum(axis=1) < draws).sum(axis=1).clip(0, 6)


def test_the_figures_of_four_images() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scikit-learn warns of classes that are absent
        figures = measure(FOUR, FOUR_LABELS)
    assert figures["n"] == 4
    assert figures["accuracy"] == 3 / 4
    assert figures["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    # F1 of angry and of fear is 2/3, of disgust 1, of the four absent classes 0.
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 7)
    angry_where_fear_is_likelier = 0.4 / 6
    expected = -np.log([0.9, angry_where_fear_is_likelier, 0.5, 0.8]).mean()
    assert figures["nll"] == pytest.approx(expected)
    # Four bins with an image each: |1 - .9|, |0 - .6|, |1 - .5|, |1 - .8|.
    assert figures["ece"] == pytest.approx((0.1 + 0.6 + 0.5 + 0.2) / 4)
    angry = figures["per_class"]["angry"]
    assert (angry["precision"], angry["recall"], angry["support"]) == (1, 1 / 2, 2)
    assert angry["f1"] == pytest.approx(2 / 3)
    assert angry["recall_ci95"] == wilson_ci95(1, 2)
    assert figures["per_class"]["happy"]["recall_ci95"] is None
    assert list(figures["per_class"]) == list(EMOTIONS)
    confusion = np.zeros((7, 7), int)
    confusion[[ANGRY, ANGRY, DISGUST, FEAR], [ANGRY, FEAR, DISGUST, FEAR]] = 1
    assert figures["confusion"] == confusion.tolist()
    assert figures["ferplus_agreement"] is None
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_the_second_likeliest_class_counts_in_top2() -> None:
    probabilities = np.array([[0.4, 0.3, 0.2, 0.1, 0, 0, 0]] * 3)
    figures = measure(probabilities, np.array([ANGRY, DISGUST, FEAR]))
    assert figures["accuracy"] == pytest.approx(1 / 3)
    assert figures["top2"] == pytest.approx(2 / 3)


def test_float32_probabilities_are_as_good() -> None:
    logits, labels = random_logits(300, seed=0)
    probabilities = softmax(logits, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = (measure(p, labels) for p in (probabilities, probabilities.astype(np.float32)))
    assert one["accuracy"] == two["accuracy"] and one["nll"] == pytest.approx(two["nll"], rel=1e-5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 6\), not \(4, 7\)"):
        measure(FOUR[:, :6], FOUR_LABELS)
    with pytest.raises(ValueError, match=r"\(4, 7\), not \(3, 7\)"):
        measure(FOUR, FOUR_LABELS[:3])
    with pytest.raises(ValueError, match="no image"):
        measure(FOUR[:0], FOUR_LABELS[:0])


def test_wilsons_interval() -> None:
    # Wilson 1927, by hand for 8 of 10: (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n).
    z, p, n = 1.959964, 0.8, 10
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = [(centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)]
    assert wilson_ci95(8, 10) == pytest.approx(expected, abs=1e-6)
    assert wilson_ci95(0, 0) is None
    low, high = wilson_ci95(5, 5)
    assert 0.5 < low < 0.6 and high == 1


def test_the_accuracy_of_no_image_is_null() -> None:
    none = np.empty(0, np.int64)
    assert accuracy_figures(none, none) == {"accuracy": None, "accuracy_ci95": None, "n": 0}


def test_reliability_bins_by_the_likeliest_class() -> None:
    # 0.6 is the upper border of the ninth bin of fifteen and belongs to it.
    bins = reliability(
        rows((ANGRY, 0.59), (ANGRY, 0.6), (ANGRY, 0.61), (FEAR, 1.0)),
        np.array([ANGRY, DISGUST, ANGRY, FEAR]),
    )
    assert bins.count.tolist() == [0] * 8 + [2, 1, 0, 0, 0, 0, 1]
    assert bins.confidence[[8, 9, 14]] == pytest.approx([0.595, 0.61, 1.0])
    assert bins.accuracy[[8, 9, 14]] == pytest.approx([0.5, 1.0, 1.0])
    assert np.isnan(bins.accuracy[0]) and np.isnan(bins.confidence[0])
    assert bins.ece == pytest.approx((2 * 0.095 + 0.39) / 4)


def test_the_error_of_perfect_calibration_is_what_chance_gives() -> None:
    # One bin: the error is |hits/n - 0.65|, the mean of which is √(2/π) standard deviations.
    n = 400
    chance = ece_if_calibrated(rows(*[(ANGRY, 0.65)] * n))
    deviation = math.sqrt(0.65 * 0.35 / n)
    assert chance["mean"] == pytest.approx(math.sqrt(2 / math.pi) * deviation, rel=0.1)
    assert chance["p95"] == pytest.approx(1.96 * deviation, rel=0.1)
    assert ece_if_calibrated(rows((ANGRY, 1.0), (FEAR, 1.0))) == {"mean": 0, "p95": 0}


def test_the_error_of_labels_that_the_model_drew_itself_is_within_chance() -> None:
    logits, labels = random_logits(3000, seed=1)
    calibrated, boasting = (measure(softmax(k * logits, axis=1), labels) for k in (1, 2))
    assert calibrated["ece"] < calibrated["ece_if_calibrated"]["p95"]
    assert boasting["ece"] > 2 * boasting["ece_if_calibrated"]["p95"]
    again = measure(softmax(logits, axis=1), labels)
    assert again == calibrated


def test_ferplus_majority_takes_five_of_ten_votes() -> None:
    angry = np.array([ANGRY])
    assert ferplus_agreement(angry, votes(angry=5, happy=4))["accuracy"] == 1
    assert ferplus_agreement(angry, votes(angry=4, happy=5))["accuracy"] == 0
    # Four votes of six are no majority: the other four went to "unknown".
    assert ferplus_agreement(angry, votes(angry=4, happy=2)) is None
    assert ferplus_agreement(angry, votes(contempt=7, angry=3)) is None
    assert ferplus_agreement(angry, votes()) is None


def test_either_of_two_equal_majorities_agrees() -> None:
    tied = votes(angry=5, fear=5)
    agrees = [ferplus_agreement(np.array([label]), tied)["accuracy"] for label in range(7)]
    assert agrees == [1, 0, 1, 0, 0, 0, 0]


def test_ferplus_agreement_counts_images_with_a_majority_alone() -> None:
    of_four = np.concatenate([votes(angry=8), votes(), votes(fear=9), votes(fear=6, contempt=4)])
    figures = measure(FOUR, FOUR_LABELS, votes=of_four)["ferplus_agreement"]
    # Predicted are angry, fear, disgust, fear.
    assert figures == {"accuracy": 2 / 3, "accuracy_ci95": wilson_ci95(2, 3), "n": 3}


def test_cross_entropy_by_hand() -> None:
    logits = np.zeros((1, 7))
    logits[0, HAPPY] = math.log(4)
    happy = np.array([HAPPY])
    assert cross_entropy(logits, happy) == pytest.approx(-math.log(4 / 10))
    assert cross_entropy(logits, happy, temperature=2) == pytest.approx(-math.log(2 / 8))


def test_the_temperature_undoes_a_scale() -> None:
    logits, labels = random_logits(5000, seed=2)
    own = fit_temperature(logits, labels)
    assert own == pytest.approx(1, abs=0.05)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * own, rel=1e-3)
    # Logits and log-probabilities are the same to it.
    assert fit_temperature(log_softmax(logits, axis=1), labels) == pytest.approx(own, rel=1e-3)
    losses = [cross_entropy(logits, labels, temperature=own + step) for step in (-0.02, 0, 0.02)]
    assert losses[1] == min(losses)


def test_the_share_of_the_votes_is_that_of_least_cross_entropy() -> None:
    wanted, labels = random_logits(4000, seed=3)
    noise = np.random.default_rng(4).normal(size=wanted.shape)
    contempt = np.zeros((len(labels), 1))
    # (1 - 0.35) · head + 0.35 · votes is 1.5 · wanted: nothing else fits the labels better.
    head = 1.5 * wanted - 0.35 * noise
    second = np.concatenate([1.5 * wanted + 0.65 * noise, contempt], axis=1)
    share, temperature = fit_votes_share(head, second, labels)
    assert share == pytest.approx(0.35, abs=0.051) and share == round(share, 2)
    assert temperature == pytest.approx(1.5, abs=0.1)
    assert fit_votes_share(wanted, noise, labels)[0] == 0
    assert fit_votes_share(noise, wanted, labels)[0] == 1
