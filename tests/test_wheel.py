"""The wheel, installed into an empty environment, does the main job from an empty folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.data import write_dataset

ROOT = Path(__file__).parent.parent


def call(*words: object, cwd: Path) -> str:
    """Run a command without what points at this checkout or its environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A new environment with nothing but the wheel and what it asks for; 6 GB, so removed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".venv", ".git", "build", "dist", "demo", "runs")
    shutil.copytree(ROOT, source, ignore=ignored)
    call(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source, cwd=folder)
    call(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    call(scripts / "python", "-m", "pip", "install", "-q", *folder.glob("*.whl"), cwd=folder)
    yield scripts
    shutil.rmtree(folder)


def test_the_wheel_runs_the_main_job(environment, portrait_clip, tmp_path) -> None:
    call(environment / "emoscan", "video", portrait_clip, "--every", 10, cwd=tmp_path)
    table = tmp_path / "portrait.emotions.parquet"
    code = f"import emoscan; print(len(emoscan.read_timeline({str(table)!r})))"
    assert int(call(environment / "python", "-c", code, cwd=tmp_path)) >= 5
    assert "PrivateTest" in call(environment / "emoscan", "info", cwd=tmp_path)


def test_the_wheel_trains_and_evaluates(environment, tmp_path) -> None:
    emoscan, data = environment / "emoscan", ("--data", write_dataset(tmp_path / "fer2013"))
    small = (
        "--set",
        "batch_size=32",
        "--precision",
        "fp32",
        "--set",
        "sides_px=[48]",
        "--set",
        "side_shares=[1]",
    )
    call(emoscan, "train", *data, "--epochs", 1, *small, "--out", "run", cwd=tmp_path)
    words = ("evaluate", *data, "--weights", "run/best.safetensors", "--json")
    figures = json.loads(call(emoscan, *words, cwd=tmp_path))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert figures["accuracy"] == metrics["PrivateTest"]["accuracy"]
