"""emoscan in processes of its own, and what Linux tells of them."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

import emoscan

ROOT = Path(__file__).parents[2]
# Coverage writes a file of its own, which limits of space would hit as well.
ENVIRONMENT = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}


def start(module: str, *words: object, **settings) -> "subprocess.Popen[bytes]":
    """`python -m tests.faults.MODULE WORDS`, once it says that it begins."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.faults.{module}", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)} | settings.pop("env", {}),
        **settings,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def tables(folder: Path) -> list[Path]:
    """The timelines of a batch."""
    return sorted((folder / "timelines").glob("*.parquet"))


def assert_same_tables(one: Path, other: Path) -> None:
    """Two batches hold the same rows, and nothing half-written."""
    for mine, theirs in zip(tables(one), tables(other), strict=True):
        pd.testing.assert_frame_equal(
            emoscan.read_timeline(mine), emoscan.read_timeline(theirs), rtol=0, atol=0
        )
    assert not list(one.rglob("*.writing")) and not list(one.rglob("*.parts"))


def peak_mb(pid: int) -> float:
    """The most real memory that a process has had so far, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
