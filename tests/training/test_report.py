from dataclasses import asdict

import numpy as np
import pytest
from sklearn.metrics import classification_report

from emoscan.emotions import EMOTIONS
from tests.training.recipes import tiny_recipe
from training.evaluate import Evaluation
from training.events import EpochDone
from training.metrics import measure
from training.network import VOTE_CLASSES
from training.protocol import flattery
from training.report import evaluation_report, training_report

# Three of each class: two right, and the third taken for the next class.
LABELS = np.repeat(np.arange(7), 3)
PREDICTED = np.where(np.arange(21) % 3 == 2, (LABELS + 1) % 7, LABELS)
PROBABILITIES = np.full((21, 7), 0.05)
PROBABILITIES[np.arange(21), PREDICTED] = 0.7
ANGRY_VOTES = np.array([[8] + [0] * (len(VOTE_CLASSES) - 1)] * 21, np.uint8)


def evaluation(*, warnings: tuple[str, ...] = (), **changes: object) -> Evaluation:
    about = {
        "split": "private",
        "tta": "none",
        "model_id": "emoscan-test",
        "model_sha256": "0123abcd",
        "selected_on": "PublicTest",
        "device": "cpu",
        "precision": "fp32",
        "without_near_copies": {
            "accuracy": 0.5,
            "accuracy_ci95": [0.3, 0.7],
            "n": 18,
            "removed": 3,
        },
    }
    figures = measure(PROBABILITIES, LABELS, votes=ANGRY_VOTES) | about | changes
    return Evaluation(figures, PROBABILITIES, LABELS, list(warnings))


def lines(report: str, start: str) -> list[str]:
    return [line for line in report.splitlines() if line.startswith(start)]


def test_the_headline_has_the_accuracy_its_interval_and_the_images() -> None:
    report = evaluation_report(evaluation())
    assert report.startswith("# emoscan-test on PrivateTest\n")
    # Wilson's interval of 14 of 21.
    assert "**66.67 % (95 % interval 45.4 to 82.8)** of the 21 images of PrivateTest" in report
    assert "0123abcd" in report


def test_each_class_has_a_row() -> None:
    report = evaluation_report(evaluation())
    for name in EMOTIONS:
        rows = lines(report, f"| {name} |")
        assert rows == [f"| {name} | 66.67 % | 20.8 to 93.9 | 66.67 % | 0.6667 | 3 |"]
    assert lines(report, "| **angry** |") == ["| **angry** | 2 | 1 | 0 | 0 | 0 | 0 | 0 |"]


def test_scikit_learns_report_is_the_one_of_the_predictions() -> None:
    expected = classification_report(LABELS, PREDICTED, target_names=EMOTIONS, digits=4)
    assert f"```\n{expected.rstrip()}\n```" in evaluation_report(evaluation())


@pytest.mark.parametrize(("ece", "verdict"), [(0.06, "no more than"), (0.11, "is more than")])
def test_calibration_stands_beside_what_chance_gives(ece, verdict) -> None:
    chance = {"mean": 0.04, "p95": 0.1}
    report = evaluation_report(evaluation(ece=ece, ece_if_calibrated=chance))
    assert all(text in report for text in (f"{100 * ece:.2f} %", "4.00 %", "10.00 %", verdict))


def test_near_copies_are_counted_and_their_method_is_told() -> None:
    report = evaluation_report(evaluation())
    assert "3 of the images have a near copy" in report and "less than 2.5 of 255" in report
    assert "the other 18: 50.00 % (95 % interval 30.0 to 70.0)" in report
    nothing_left = {"accuracy": None, "accuracy_ci95": None, "n": 0, "removed": 21}
    assert "the other 0: none" in evaluation_report(evaluation(without_near_copies=nothing_left))


def test_agreement_with_ferplus_or_why_there_is_none() -> None:
    # All votes say angry; so does the model in three of 21: two angry ones, and one surprise.
    assert "agrees with them in 14.29 %" in evaluation_report(evaluation())
    assert "no votes of FER+" in evaluation_report(evaluation(ferplus_agreement=None))


def test_warnings_stand_under_the_headline() -> None:
    report = evaluation_report(evaluation(warnings=("This figure flatters.",)))
    assert report.splitlines()[4] == "> **This figure flatters.**"
    assert "flatters" not in evaluation_report(evaluation())


def test_an_ensembles_models_are_all_named() -> None:
    changes = {"model_id": ["one", "two"], "model_sha256": ["11", "22"], "selected_on": ["a", "b"]}
    report = evaluation_report(evaluation(**changes))
    assert report.startswith("# one, two on PrivateTest")
    assert "| SHA-256 | 11, 22 |" in report and "| epoch chosen on | a, b |" in report


def test_a_bar_does_not_end_a_cell() -> None:
    assert "| model | a\\|b |" in evaluation_report(evaluation(model_id="a|b"))


EPOCH = EpochDone(
    epoch=1,
    side_px=24,
    learning_rate=0.1,
    train_loss=1.0,
    train_accuracy=0.4,
    select_loss=1.0,
    select_accuracy=0.5,
    best_epoch=1,
    best_accuracy=0.5,
    seconds=10.0,
    images_per_s=100.0,
)
HISTORY = [asdict(EPOCH), asdict(EPOCH) | {"epoch": 2, "train_accuracy": 0.9}]


def metrics(**changes: object) -> dict:
    select = measure(PROBABILITIES[:3], LABELS[:3])
    values = {
        "selected_on": "PublicTest",
        "final": "PrivateTest",
        "epochs": 2,
        "best_epoch": 1,
        "train_accuracy": 0.4,
        "train_images": 28709,
        "votes_share": 0.35,
        "temperature": 1.25,
        "nll_before_temperature": 1.1,
        "nll_after_temperature": 1.05,
        "hours": 1.5,
        "device": "cpu (2 threads)",
        "precision": "bf16",
        "versions": {"emoscan": "9.9", "torch": "2.5"},
        "notes": ["There is no ferplus.csv."],
        "warnings": [],
        "PublicTest": select,
        "PrivateTest": measure(PROBABILITIES, LABELS),
    }
    return values | changes


def test_the_report_of_a_training() -> None:
    recipe = tiny_recipe(seed=7, learning_rate=0.0123)
    report = training_report(recipe, metrics(), HISTORY)
    assert "**66.67 % (95 % interval 45.4 to 82.8)** of the 21 images of PrivateTest" in report
    assert "Epoch 1 of 2 was the best on PublicTest, with 50.00 %" in report
    assert "that epoch was right in 40.00 %" in report
    assert "flatters" not in report
    assert "divided by 1.2500" in report and "from 1.1000 to 1.0500" in report and "35%" in report
    expected = classification_report(LABELS, PREDICTED, target_names=EMOTIONS, digits=4)
    assert expected.rstrip() in report
    assert "](curves.png)" in report and "](confusion.png)" in report
    assert "| learning_rate | 0.0123 |" in report and "| seed | 7 |" in report
    assert "| sides_px | [24, 48] |" in report
    assert "| training images | 28,709 |" in report and "| hours | 1.50 |" in report
    assert "| torch | 2.5 |" in report and "- There is no ferplus.csv." in report
    row = lines(report, "| images |")
    assert row == ["| images | 3 | 21 |"]


def test_a_training_that_chose_on_its_final_images_says_so() -> None:
    test = measure(PROBABILITIES, LABELS)
    values = metrics(selected_on="test", final="test", test=test, warnings=[flattery("test")])
    report = training_report(tiny_recipe(), values, HISTORY)
    assert "flatters" in report
    assert lines(report, "| images |") == ["| images | 21 |"]


def test_a_training_without_votes_or_notes() -> None:
    report = training_report(tiny_recipe(), metrics(votes_share=0.0, notes=[]), HISTORY)
    assert "FER+'s votes" not in report and "## Notes" not in report
