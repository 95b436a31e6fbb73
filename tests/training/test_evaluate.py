import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from emoscan.emotion.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import CropSettings, Normalisation, enlarge
from emoscan.emotion.network import POOLED, create_network
from emoscan.emotions import EMOTIONS
from emoscan.errors import MissingPartError, NoMediaError, OutputError
from emoscan.events import Note
from emoscan.options import EvaluateOptions, EvaluationSplit, EvaluationTta
from emoscan.runtime import choose_runtime
from emoscan.types import Emotions
from training.evaluate import CHUNK_IMAGES, evaluate, predict, write_evaluation
from training.events import ImagesDone
from training.fer2013 import Split, load_dataset

ABOUT = Checkpoint(
    model_id="untrained",
    architecture=POOLED,
    labels=EMOTIONS,
    crop=CropSettings(),
    normalisation=Normalisation(0.5, 0.25),
    temperature=1.5,
    metrics={},
    training_data={"selected_on": "PublicTest"},
)


def save_untrained(path: Path, *, seed: int = 0, **training_data: object) -> Path:
    torch.manual_seed(seed)
    about = replace(ABOUT, training_data=training_data or ABOUT.training_data)
    save_checkpoint(path, create_network().state_dict(), about)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return save_untrained(tmp_path_factory.mktemp("weights") / "one.safetensors")


class LeftHalf:
    """A classifier that is as sure of angry as the left half is bright, and keeps what it saw."""

    def __init__(self, *, brightest: float = 1.0) -> None:
        self.seen: list[np.ndarray] = []
        self._brightest = brightest

    def classify_crops(self, crops: np.ndarray) -> Emotions:
        torch.from_numpy(crops)  # refuses what the real one could not take
        self.seen.append(crops)
        angry = crops[:, :, :24].mean(axis=(1, 2)) / 255 * self._brightest
        rest = np.repeat((1 - angry)[:, None] / 6, 6, axis=1)
        return Emotions(np.concatenate([angry[:, None], rest], axis=1).astype(np.float32))


def half_white() -> np.ndarray:
    image = np.zeros((1, 48, 48), np.uint8)
    image[:, :, :24] = 255
    return image


def test_the_mean_over_an_image_and_its_mirror_image() -> None:
    plain = predict([LeftHalf()], half_white(), EvaluationTta.NONE)
    assert plain.dtype == np.float64 and plain[0] == pytest.approx([1, 0, 0, 0, 0, 0, 0])
    flipped = predict([LeftHalf()], half_white(), EvaluationTta.FLIP)
    assert flipped[0] == pytest.approx([1 / 2] + [1 / 12] * 6)


def test_the_mean_over_an_ensemble() -> None:
    both = [LeftHalf(), LeftHalf(brightest=0.4)]
    assert predict(both, half_white(), EvaluationTta.NONE)[0, 0] == pytest.approx(0.7)
    assert predict(both, half_white(), EvaluationTta.FLIP)[0, 0] == pytest.approx(0.35)


def test_ten_crops_are_four_corners_the_centre_and_their_mirror_images() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    classifier = LeftHalf()
    probabilities = predict([classifier], image[None], EvaluationTta.TENCROP)
    wanted = []
    corners = [image[:44, :44], image[:44, 4:], image[4:, :44], image[4:, 4:], image[2:46, 2:46]]
    for corner in corners:
        enlarged = np.empty((48, 48), np.uint8)
        enlarge(np.ascontiguousarray(corner), enlarged)
        wanted += [enlarged, enlarged[:, ::-1]]
    assert sorted(view.tobytes() for view in classifier.seen) == sorted(w.tobytes() for w in wanted)
    each = [LeftHalf().classify_crops(view).probabilities for view in classifier.seen]
    assert probabilities == pytest.approx(np.mean(each, axis=0))


def test_images_go_through_the_classifier_that_serves(weights) -> None:
    classifier = EmotionClassifier(choose_runtime("cpu"), weights)
    images = np.random.default_rng(1).integers(0, 256, (5, 48, 48), np.uint8)
    served = classifier.classify_crops(images).probabilities
    assert predict([classifier], images, EvaluationTta.NONE) == pytest.approx(served)


def test_it_says_how_many_images_are_done() -> None:
    said: list[object] = []
    images = np.zeros((CHUNK_IMAGES + 3, 48, 48), np.uint8)
    probabilities = predict([LeftHalf()], images, EvaluationTta.NONE, listener=said.append)
    count = len(images)
    assert said == [ImagesDone(CHUNK_IMAGES, count), ImagesDone(count, count)]
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(count))


def options(dataset: Path, **changes: object) -> EvaluateOptions:
    return EvaluateOptions(**({"data": dataset, "device": "cpu"} | changes))


def test_an_evaluation_measures_the_split_and_says_what_was_measured(dataset, weights) -> None:
    evaluation = evaluate(options(dataset, weights=(weights,)))
    figures = evaluation.figures
    private = load_dataset(dataset).split(Split.PRIVATE)
    classifier = EmotionClassifier(choose_runtime("cpu"), weights)
    expected = classifier.classify_crops(private.images).probabilities
    assert evaluation.probabilities == pytest.approx(expected)
    assert evaluation.labels.tolist() == private.labels.tolist()
    assert figures["accuracy"] == (expected.argmax(axis=1) == private.labels).mean()
    assert (figures["split"], figures["tta"], figures["n"]) == ("private", "none", 21)
    assert figures["model_id"] == "untrained"
    assert figures["model_sha256"] == load_checkpoint(weights).sha256
    assert figures["selected_on"] == "PublicTest"
    assert figures["ferplus_agreement"]["n"] == 21
    assert evaluation.warnings == []
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


@pytest.mark.parametrize(("split", "count"), [("public", 21), ("test", 42)])
def test_the_other_splits(dataset, weights, split, count) -> None:
    figures = evaluate(options(dataset, weights=(weights,), split=split)).figures
    assert (figures["split"], figures["n"]) == (split, count)


def test_an_ensemble_is_named_by_lists(dataset, weights, tmp_path) -> None:
    other = save_untrained(tmp_path / "other.safetensors", seed=1, selected_on="test")
    evaluation = evaluate(options(dataset, weights=(weights, other), tta="flip"))
    figures = evaluation.figures
    assert figures["model_sha256"] == [load_checkpoint(path).sha256 for path in (weights, other)]
    assert figures["model_id"] == ["untrained", "untrained"]
    assert figures["selected_on"] == ["PublicTest", "test"]
    alone = [evaluate(options(dataset, weights=(p,), tta="flip")) for p in (weights, other)]
    mean = (alone[0].probabilities + alone[1].probabilities) / 2
    assert evaluation.probabilities == pytest.approx(mean)
    assert len(evaluation.warnings) == 1 and "(test)" in evaluation.warnings[0]


@pytest.mark.parametrize(
    ("selected_on", "flattered"),
    [
        ("PublicTest", {"public", "test"}),
        ("PrivateTest", {"private", "test"}),
        ("test", {"private", "public", "test"}),
        ("a tenth of train", set()),
    ],
)
def test_it_warns_where_the_same_images_chose_the_epoch(
    dataset, tmp_path, selected_on, flattered
) -> None:
    weights = save_untrained(tmp_path / "one.safetensors", selected_on=selected_on)
    for split in EvaluationSplit:
        warnings = evaluate(options(dataset, weights=(weights,), split=split)).warnings
        assert bool(warnings) == (split in flattered)
        assert all("flatters" in warning for warning in warnings)


def test_it_warns_where_nobody_knows_which_images_chose_the_epoch(dataset, tmp_path) -> None:
    weights = save_untrained(tmp_path / "one.safetensors", name="somebody's")
    evaluation = evaluate(options(dataset, weights=(weights,)))
    assert evaluation.figures["selected_on"] == "unknown"
    assert "do not say" in evaluation.warnings[0]
    assert evaluation.figures["warnings"] == evaluation.warnings


def test_without_near_copies(dataset, weights, tmp_path) -> None:
    """Two of PrivateTest's images, put into train under another label."""
    copy = tmp_path / "fer2013"
    for path in dataset.rglob("*.jpg"):
        new = copy / path.relative_to(dataset)
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(path.read_bytes())
    for emotion in ("happy", "sad"):
        name = f"test/{emotion}/PrivateTest_1.jpg"
        pixels = np.asarray(Image.open(copy / name)).astype(int) + 1
        Image.fromarray(pixels.astype(np.uint8)).save(copy / f"train/fear/Training_{emotion}.png")
    evaluation = evaluate(options(copy, weights=(weights,)))
    without = evaluation.figures["without_near_copies"]
    assert (without["removed"], without["n"]) == (2, 19)
    hits = evaluation.probabilities.argmax(axis=1) == evaluation.labels
    paths = load_dataset(copy).split(Split.PRIVATE).paths
    kept = [path not in {f"test/{e}/PrivateTest_1.jpg" for e in ("happy", "sad")} for path in paths]
    assert without["accuracy"] == pytest.approx(hits[kept].mean())
    assert evaluate(options(dataset, weights=(weights,))).figures["without_near_copies"]["n"] == 21


def test_notes_on_the_data_are_told(dataset, weights) -> None:
    said: list[object] = []
    evaluate(options(dataset, weights=(weights,)), said.append)
    notes = load_dataset(dataset).notes
    assert notes and [event.text for event in said if isinstance(event, Note)] == list(notes)


def test_it_fills_the_folder(dataset, weights, tmp_path) -> None:
    folder = tmp_path / "a" / "report"
    evaluation = evaluate(options(dataset, weights=(weights,), out=folder, split="test"))
    write_evaluation(evaluation, folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"metrics.json", "report.md", "confusion.png", "reliability.png"}
    assert json.loads((folder / "metrics.json").read_text()) == evaluation.figures
    for name in names - {"metrics.json", "report.md"}:
        assert f"]({name})" in (folder / "report.md").read_text()


def test_a_folder_that_cannot_be_made_is_told_before_the_work(dataset, weights, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    said: list[object] = []
    with pytest.raises(OutputError, match="file cannot be written"):
        evaluate(options(dataset, weights=(weights,), out=tmp_path / "file"), said.append)
    assert not said


@pytest.mark.parametrize("name", ["metrics.json", "best.safetensors", "state.pt"])
def test_another_report_or_run_is_not_written_over(dataset, weights, tmp_path, name) -> None:
    (tmp_path / name).write_text("kept")
    with pytest.raises(OutputError, match=f"{name}.*another --out"):
        evaluate(options(dataset, weights=(weights,), out=tmp_path))
    assert (tmp_path / name).read_text() == "kept"


def test_what_cannot_be_written_is_an_output_error(dataset, weights, tmp_path) -> None:
    evaluation = evaluate(options(dataset, weights=(weights,)))
    (tmp_path / "confusion.png").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_evaluation(evaluation, tmp_path)


def test_what_is_missing_is_named(dataset, weights, tmp_path) -> None:
    with pytest.raises(MissingPartError, match="cannot be read"):
        evaluate(options(dataset, weights=(tmp_path / "absent.safetensors",)))
    with pytest.raises(NoMediaError, match="does not hold FER2013"):
        evaluate(options(tmp_path, weights=(weights,)))
