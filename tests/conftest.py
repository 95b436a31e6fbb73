import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Set before torch is imported: the suite runs alike with and without a GPU, but for test_on_gpu.py.
if not os.environ.get("EMOSCAN_TEST_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

from emoscan.cli.app import main
from emoscan.media.process import DecoderProcess
from examples.demo_clip import write_demo_clip

# A busy machine is no fault of what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Shells start background jobs with Ctrl-C ignored, nohup with SIGHUP, and Python leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@dataclass(frozen=True)
class Result:
    """What a command line gave: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capfd, tmp_path_factory):
    """Run a command line in an empty folder of its own."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    kept = {number: signal.getsignal(number) for number in numbers}

    def call(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["emoscan", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return Result(int(end.value.code or 0), *capfd.readouterr())

    yield call
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def portrait_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 50 frames: one face that leaves, nobody, two faces, one face."""
    path = tmp_path_factory.mktemp("clips") / "portrait.mp4"
    write_demo_clip(path, seconds=2.0)
    return path


@pytest.fixture(scope="session")
def decoder() -> Iterator[DecoderProcess]:
    """One process for the videos of all tests: to start one takes longer than most of these."""
    with DecoderProcess() as process:
        yield process
