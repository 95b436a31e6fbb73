"""`emoscan train` and `emoscan evaluate` as a user meets them, on a tiny generated dataset."""

import csv
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emoscan.emotion.checkpoint import load_checkpoint, save_checkpoint, shipped_weights
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.options import Precision, TrainOptions
from emoscan.runtime import choose_runtime
from tests.training.recipes import tiny_recipe
from training.events import ignore
from training.run import _taught
from training.setup import prepare
from training.state import locked

RUN_FILES = {
    ".lock",
    "best.safetensors",
    "confusion.png",
    "curves.png",
    "history.csv",
    "metrics.json",
    "recipe.toml",
    "report.md",
    "state.pt",
}
EVALUATION_KEYS = {
    "accuracy",
    "accuracy_ci95",
    "balanced_accuracy",
    "macro_f1",
    "top2",
    "nll",
    "ece",
    "n",
    "split",
    "tta",
    "model_sha256",
    "without_near_copies",
    "ferplus_agreement",
}


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    recipe = tiny_recipe(
        epochs=2,
        name="tiny",
        learning_rate=0.01,
        kernel_rate=0.02,
        sides_px=(48,),
        side_shares=(1.0,),
    )
    path.write_text(recipe.as_toml())
    return path


@pytest.fixture
def train(run, dataset, recipe_file):
    """Run `emoscan train` on the dataset with the tiny recipe."""

    def call(*words: object):
        return run(
            "train", "--data", dataset, "--recipe", recipe_file, "--precision", "fp32", *words
        )

    return call


def test_a_training_fills_its_run_folder(train, tmp_path) -> None:
    out = tmp_path / "runs" / "one"
    result = train("--out", out)
    assert result.code == 0, result.err
    assert {path.name for path in out.iterdir()} == RUN_FILES
    rows = list(csv.DictReader((out / "history.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    metrics = json.loads((out / "metrics.json").read_text())
    loaded = load_checkpoint(out / "best.safetensors")
    assert metrics["model_sha256"] == loaded.sha256
    assert loaded.about.model_id == "emoscan-resnet18-one"
    assert loaded.about.training_data["selected_on"] == "PublicTest"
    assert loaded.about.training_data["images"] == 140
    assert loaded.about.temperature == metrics["temperature"]
    stated = loaded.about.metrics["PrivateTest"]["accuracy"]
    assert stated == metrics["PrivateTest"]["accuracy"]
    assert "PrivateTest" in (out / "report.md").read_text()
    for picture in ("curves.png", "confusion.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    assert "epoch   2" in result.err and "PrivateTest" in result.err


def test_evaluate_agrees_with_what_training_said(train, run, dataset, tmp_path) -> None:
    out = tmp_path / "one"
    assert train("--out", out).code == 0
    weights = out / "best.safetensors"
    result = run("evaluate", "--weights", weights, "--data", dataset, "--json", "--out", "report")
    assert result.code == 0, result.err
    figures = json.loads(result.out)
    assert set(figures) >= EVALUATION_KEYS
    metrics = json.loads((out / "metrics.json").read_text())
    assert figures["accuracy"] == metrics["PrivateTest"]["accuracy"]
    assert figures["model_sha256"] == metrics["model_sha256"]
    assert figures["n"] == 21 and figures["split"] == "private"
    assert json.loads(Path("report/metrics.json").read_text()) == figures
    names = {path.name for path in Path("report").iterdir()}
    assert names == {"metrics.json", "confusion.png", "reliability.png", "report.md"}
    shown = run("evaluate", "--weights", weights, "--data", dataset, "--split", "test")
    assert "42" in shown.out and "recall" in shown.out
    both = run("evaluate", "--weights", weights, "--weights", shipped_weights(),
               "--data", dataset, "--tta", "flip", "--json")  # fmt: skip
    assert len(json.loads(both.out)["model_sha256"]) == 2
    silent = run("evaluate", "--weights", weights, "--data", dataset, "--quiet")
    assert (silent.code, silent.out, silent.err) == (0, "", "")


def test_a_killed_training_goes_on_to_the_same_weights(dataset, recipe_file, tmp_path) -> None:
    """Killed with the first epoch's state on disk; resumed, it equals a run in one go."""
    words = ["train", "--data", str(dataset), "--recipe", str(recipe_file)]
    words += ["--precision", "fp32", "--out"]
    code = (
        "import os, signal, training.state as state, emoscan.cli.app as app\n"
        "save = state.save\n"
        "def save_and_die(*values, **named):\n"
        "    save(*values, **named)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "state.save = save_and_die\n"
        "app.main()\n"
    )

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=False
        )

    killed = call("-c", code, *words, str(tmp_path / "killed"))
    assert killed.returncode < 0 and not (tmp_path / "killed" / "best.safetensors").exists()
    again = call("-m", "emoscan", *words, str(tmp_path / "killed"))
    assert again.returncode == 7 and "--resume" in again.stderr
    resumed = call("-m", "emoscan", *words, str(tmp_path / "killed"), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "Going on after epoch 1" in resumed.stderr
    whole = call("-m", "emoscan", *words, str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    states = [load_checkpoint(tmp_path / n / "best.safetensors").state for n in ("whole", "killed")]
    assert all(states[0][name].equal(states[1][name]) for name in states[0])
    finished = call("-m", "emoscan", *words, str(tmp_path / "killed"), "--resume")
    assert finished.returncode == 7 and "finished run" in finished.stderr


def test_the_documented_protocol_says_what_it_is(train, run, dataset) -> None:
    result = train("--out", "test", "--select", "test", "--set", "votes_weight=0")
    assert result.code == 0 and "This figure flatters" in result.err
    assert "This figure flatters" in Path("test/report.md").read_text()
    about = load_checkpoint(Path("test/best.safetensors")).about
    assert about.training_data["selected_on"] == "test"
    shown = run("evaluate", "--weights", "test/best.safetensors", "--data", dataset)
    assert "test" in shown.out and "chosen" in shown.err


def test_weights_chosen_on_the_test_images_do_not_ship() -> None:
    assert load_checkpoint(shipped_weights()).about.training_data["selected_on"] == "PublicTest"


def test_the_documented_recipe_from_scratch_is_another_experiment(run, dataset) -> None:
    words = [
        "--set",
        "batch_size=32",
        "--precision",
        "fp32",
        "--epochs",
        1,
        "--init",
        "scratch",
        "--out",
        "d",
        "--json",
    ]
    result = run("train", "--data", dataset, "--recipe", "documented", *words)
    assert result.code == 0, result.err
    assert "another experiment" in result.err
    metrics = json.loads(result.out)
    assert metrics["votes_share"] == 0 and metrics["epochs"] == 1
    assert "frozen = []" in Path("d/recipe.toml").read_text()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--recipe", "documentd"], 2, "Did you mean “documented”?"),
        (["--set", "epoch=3"], 2, "Did you mean “epochs”?"),
        (["--set", "epochs=three"], 2, "a whole number"),
        (["--epochs", "0"], 2, "at least 1"),
        (["--init", "absent.safetensors"], 6, "absent.safetensors"),
        (["--set", "teacher_weight=1"], 2, "name its weights with --set teacher=FILE"),
        (["--set", "teacher=absent.safetensors"], 2, "--set teacher_weight=1"),
        (
            ["--set", "teacher=absent.safetensors", "--set", "teacher_weight=1"],
            6,
            "--set teacher=absent.safetensors",
        ),
        (["--precision", "fp16"], 2, "fp16"),
        (["--data", "nowhere"], 3, "train/<class>"),
    ],
)
def test_what_does_not_fit_is_one_sentence(train, words, code, sentence) -> None:
    result = train("--out", "new", *words)
    assert result.code == code
    assert sentence in result.err
    assert not Path("new/best.safetensors").exists()


def test_damaged_data_are_told_before_the_first_step(run, dataset, recipe_file, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    image = next((copy / "train" / "happy").iterdir())
    image.write_bytes(b"no picture")
    result = run("train", "--data", copy, "--recipe", recipe_file, "--out", "new")
    assert result.code == 5
    assert image.name in result.err and "epoch" not in result.err


def test_evaluating_without_official_splits_names_the_way_out(run, dataset, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    for path in list((copy / "test").glob("*/*.jpg")):
        path.rename(path.with_name(path.name.replace("Test_", "-")))
    result = run("evaluate", "--data", copy)
    assert result.code == 3 and "--split test" in result.err
    assert run("evaluate", "--data", copy, "--split", "test", "--json").code == 0


def test_evaluating_what_is_no_checkpoint_is_one_sentence(run, dataset) -> None:
    Path("text.safetensors").write_text("no weights")
    result = run("evaluate", "--data", dataset, "--weights", "text.safetensors")
    assert result.code == 6 and "safetensors" in result.err


def test_an_ensemble_of_the_same_weights_is_those_weights(run, dataset, tmp_path) -> None:
    loaded = load_checkpoint(shipped_weights())
    copy = tmp_path / "copy.safetensors"
    save_checkpoint(copy, loaded.state, replace(loaded.about, model_id="copy"))
    one = json.loads(run("evaluate", "--data", dataset, "--json").out)
    two = json.loads(
        run("evaluate", "--data", dataset, "--json", "--weights", copy, "--weights", copy).out
    )
    assert two["nll"] == pytest.approx(one["nll"], abs=1e-6)


def test_without_votes_the_second_head_rests(run, dataset, recipe_file, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    (copy / "ferplus.csv").unlink()
    words = ["--data", copy, "--recipe", recipe_file, "--precision", "fp32", "--epochs", 1]
    result = run("train", *words, "--out", "new", "--json")
    assert result.code == 0 and "votes are not used" in result.err
    assert json.loads(result.out)["votes_share"] == 0


def test_a_teacher_is_asked_once_and_named_in_the_weights(train, run) -> None:
    assert train("--out", "first", "--select", "test", "--epochs", 1).code == 0
    words = ["--set", "teacher=first/best.safetensors", "--set", "teacher_weight=1"]
    taught = train("--out", "taught", "--epochs", 1, *words)
    assert taught.code == 0, taught.err
    assert taught.err.count("The teacher looks at the") == 1
    assert "started or learnt from were chosen on the same images" in " ".join(taught.err.split())
    about = load_checkpoint(Path("taught/best.safetensors")).about.training_data
    teacher = load_checkpoint(Path("first/best.safetensors"))
    assert about["teacher"] == {"id": teacher.about.model_id, "sha256": teacher.sha256}
    assert about["recipe"]["teacher"] == "first/best.safetensors"
    assert "test" in about["init_selected_on"]


def test_what_is_taught_is_the_mean_over_images_and_their_mirror_images(run, dataset) -> None:
    recipe = replace(tiny_recipe(), teacher=str(shipped_weights()), teacher_weight=1.0)
    Path("taught.toml").write_text(recipe.as_toml())
    options = TrainOptions(recipe="taught.toml", data=dataset, out=Path("taught"))
    its = prepare(options)
    taught = _taught(its, ignore)
    teacher = EmotionClassifier(choose_runtime("cpu", Precision.FP32), shipped_weights())
    images = its.protocol.train.images
    views = [images, np.ascontiguousarray(images[:, :, ::-1])]
    wanted = np.mean([teacher.classify_crops(view).probabilities for view in views], axis=0)
    assert np.allclose(taught.probabilities, wanted, atol=1e-5)
    assert taught.probabilities.std(axis=0).max() > 0.01  # not all alike
    assert taught.sha256 == load_checkpoint(shipped_weights()).sha256


def test_weights_keep_saying_what_chose_those_they_started_from(train, run, dataset) -> None:
    assert train("--out", "first", "--select", "test", "--epochs", 1).code == 0
    again = train("--out", "then", "--epochs", 1, "--init", "first/best.safetensors")
    assert again.code == 0, again.err
    assert "flatters" in again.err and "flatters" in Path("then/report.md").read_text()
    assert json.loads(Path("then/metrics.json").read_text())["warnings"]
    third = train("--out", "third", "--epochs", 1, "--init", "then/best.safetensors")
    about = load_checkpoint(Path("third/best.safetensors")).about
    assert about.training_data["init_selected_on"] == ["PublicTest", "test"], third.err
    shown = run("evaluate", "--weights", "third/best.safetensors", "--data", dataset)
    assert "flatters" in shown.err
    kept = Path("first/metrics.json").read_bytes()
    lost = run(
        "evaluate", "--weights", "first/best.safetensors", "--data", dataset, "--out", "first"
    )
    assert lost.code == 7 and "another --out" in lost.err
    assert Path("first/metrics.json").read_bytes() == kept


def test_a_recipe_is_not_written_over(run, dataset, recipe_file) -> None:
    Path("mine").mkdir()
    shutil.copy(recipe_file, "mine/recipe.toml")
    result = run("train", "--data", dataset, "--recipe", "mine/recipe.toml", "--out", "mine")
    assert result.code == 7 and Path("mine/recipe.toml").read_bytes() == recipe_file.read_bytes()


def test_a_run_goes_on_with_the_recipe_in_its_folder(train, run, dataset) -> None:
    assert train("--out", "one").code == 0
    Path("one/best.safetensors").unlink()  # as if killed before its last step
    words = ["--data", dataset, "--recipe", "one/recipe.toml", "--precision", "fp32"]
    result = run("train", *words, "--out", "one", "--resume")
    assert result.code == 0 and Path("one/best.safetensors").exists(), result.err


def test_two_runs_in_one_folder_are_refused(train) -> None:
    Path("one").mkdir()
    with locked(Path("one")):
        result = train("--out", "one")
    assert result.code == 7 and "Another run works in one" in result.err
    assert not Path("one/recipe.toml").exists()


def test_the_report_of_an_evaluation_is_not_trained_over(train) -> None:
    Path("one").mkdir()
    Path("one/metrics.json").write_text("{}")
    result = train("--out", "one")
    assert result.code == 7 and "another --out" in result.err
    assert Path("one/metrics.json").read_text() == "{}"


def test_the_next_command_can_be_pasted(train, run, dataset) -> None:
    result = train("--out", "my run", "--epochs", 1, "--select", "test")
    line = result.err.partition("Next: ")[2].replace("\n", "")
    words = shlex.split(line)
    assert words[:2] == ["emoscan", "evaluate"]
    assert words[words.index("--split") + 1] == "test"
    assert run(*words[1:]).code == 0


def test_a_damaged_state_is_one_sentence(train) -> None:
    Path("new").mkdir()
    Path("new/state.pt").write_bytes(b"no state")
    result = train("--out", "new", "--resume")
    assert result.code == 7 and "damaged" in result.err


def test_test_images_among_the_training_images_are_refused(run, dataset, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    shutil.copy(copy / "test/happy/PrivateTest_0.jpg", copy / "train/happy/PrivateTest_0.jpg")
    result = run("train", "--data", copy, "--out", "new")
    assert result.code == 3 and "for testing" in result.err
