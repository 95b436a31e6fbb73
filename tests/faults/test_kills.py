"""kill -9 at random moments: what is there is whole, and the next run makes the rest."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import emoscan
from tests.batch.conftest import long_clip, quick, run_options  # noqa: F401 - fixtures
from tests.faults.conftest import runs

ROOT = Path(__file__).parents[2]
KILLS = runs(20, 200)
# All work of one run takes about this long; a kill lies anywhere in it, or in the start before it.
WORK_S = 1.2

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")


def start(*words: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.faults.quick_scan", *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=env)


def tables(folder: Path) -> list[Path]:
    return sorted((folder / "timelines").glob("*.parquet"))


@pytest.mark.usefixtures("quick")
def test_kills_at_random_moments(tmp_path, long_clip, faults) -> None:  # noqa: F811
    videos = tmp_path / "in"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        shutil.copy(long_clip, videos / name)
    emoscan.scan(videos, tmp_path / "clean", run=run_options())
    moments, out, finished = random.Random(5), tmp_path / "out", 0
    for _ in range(KILLS):
        process = start(videos, out, "--resume")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0, WORK_S))
        process.kill()
        process.wait()
        for table in tables(out):
            assert len(emoscan.read_timeline(table)) > 0  # whole, or not there
        if len(tables(out)) == 4:  # begin anew, so that later kills meet work as well
            finished += 1
            shutil.rmtree(out)
    emoscan.scan(videos, out, run=run_options(resume=True))
    for mine, clean in zip(tables(out), tables(tmp_path / "clean"), strict=True):
        pd.testing.assert_frame_equal(
            emoscan.read_timeline(mine), emoscan.read_timeline(clean), rtol=0, atol=0
        )
    assert not list(out.rglob("*.writing")) and not list(out.rglob("*.parts"))
    faults("kill -9 at a random moment, then --resume", tried=KILLS, passes_when=(
        "no final file is unreadable, and the final rows equal an uninterrupted run's"
    ))  # fmt: skip
