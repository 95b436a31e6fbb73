"""kill -9, Ctrl-C and SIGTERM at random moments: the next run makes the rest."""

import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

import emoscan
from tests.batch.conftest import long_clip, quick, run_options  # noqa: F401 - fixtures
from tests.faults.conftest import runs
from tests.faults.processes import assert_same_tables, start, tables

KILLS = runs(20, 200)
# All work of one run takes about this long; a kill lies anywhere in it, or in the start before it.
WORK_S = 1.2
# In CI other work may hold up the end.
END_S = runs(30, 5)
SIGNALS = {
    "Ctrl-C": ((signal.SIGINT,), 130),
    "Ctrl-C twice": ((signal.SIGINT, signal.SIGINT), 130),
    "SIGTERM": ((signal.SIGTERM,), 143),
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


@pytest.fixture
def videos(tmp_path, long_clip) -> Path:  # noqa: F811
    """Four, and the tables of an uninterrupted run beside them, in `clean`."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        shutil.copy(long_clip, folder / name)
    emoscan.scan(folder, tmp_path / "clean", run=run_options())
    return folder


@pytest.mark.usefixtures("quick")
def test_kills_at_random_moments(tmp_path, videos, faults) -> None:
    faults(
        "kill -9 at a random moment, then --resume",
        tried=KILLS,
        passes_when="no final file is unreadable, and the final rows equal an uninterrupted run's",
    )
    moments, out = random.Random(5), tmp_path / "out"
    for _ in range(KILLS):
        process = start("quick_scan", videos, out, "--resume")
        time.sleep(moments.uniform(0, WORK_S))
        process.kill()
        process.communicate()
        for table in tables(out):
            assert len(emoscan.read_timeline(table)) > 0  # whole, or not there
        if len(tables(out)) == 4:  # begin anew, so that later kills meet work as well
            shutil.rmtree(out)
    emoscan.scan(videos, out, run=run_options(resume=True))
    assert_same_tables(out, tmp_path / "clean")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("number", range(runs(1, 10)))
@pytest.mark.parametrize("name", SIGNALS)
def test_signals_at_random_moments(tmp_path, videos, faults, name, number) -> None:
    faults(
        "Ctrl-C, Ctrl-C twice and SIGTERM at a random moment, then --resume",
        passes_when=(
            "exit code 130 or 143 within 5 s (CI allows 30), then rows that equal an "
            "uninterrupted run's"
        ),
    )
    signals, code = SIGNALS[name]
    moments, out = random.Random(f"{name} {number}"), tmp_path / "out"
    where = ["--decode-in-process"] if number % 2 else []
    words = ("video", videos, "--out", out, "--resume", "--json", *where)
    process = start("quick_command", *words)
    time.sleep(moments.uniform(0, WORK_S))
    for one in signals:
        process.send_signal(one)
        time.sleep(0.05)
    _, words_of_it = process.communicate(timeout=END_S)
    done = process.returncode == 0 and len(tables(out)) == 4  # it was faster than the signal
    assert done or process.returncode == code, words_of_it.decode()
    assert b"Traceback" not in words_of_it
    emoscan.scan(videos, out, run=run_options(resume=True))
    assert_same_tables(out, tmp_path / "clean")
