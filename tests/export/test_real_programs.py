"""What Praat and R make of the files, where they are there: `apt install praat r-base-core`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import emoscan
from tests.tracks import empty, face, two_episodes, write

LABEL = 'Zoë "Z" & Søn 😀'

PRAAT = """
form Read
  sentence file
endform
Read from file: file$
end = Get end time
appendInfoLine: "end", tab$, fixed$ (end, 6)
tiers = Get number of tiers
for tier to tiers
  name$ = Get tier name: tier
  isInterval = Is interval tier: tier
  if isInterval
    items = Get number of intervals: tier
    for item to items
      begin = Get start time of interval: tier, item
      finish = Get end time of interval: tier, item
      text$ = Get label of interval: tier, item
      appendInfoLine: name$, tab$, fixed$ (begin, 6), tab$, fixed$ (finish, 6), tab$, text$
    endfor
  else
    items = Get number of points: tier
    for item to items
      at = Get time of point: tier, item
      text$ = Get label of point: tier, item
      appendInfoLine: name$, tab$, fixed$ (at, 6), tab$, text$
    endfor
  endif
endfor
"""

R = """
wide <- read.csv("wide.csv")
episodes <- read.csv("episodes.csv")
stopifnot(sapply(wide, is.numeric), is.na(wide$happy) == (wide$seen == 0), any(wide$seen == 0))
stopifnot(is.logical(episodes$onset_cut), is.logical(episodes$offset_cut))
stopifnot(is.numeric(episodes$duration_s), is.integer(episodes$onset_frame))
cat(nrow(wide), sum(is.na(wide$happy)), sum(episodes$offset_cut), unique(episodes$label), sep="\t")
"""


def output_of(folder: Path, *command: str) -> list[list[str]]:
    """The lines of what a program prints, split at tabs."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    environment = os.environ | {"HOME": str(folder), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, check=True, timeout=60
    )
    return [line.split("\t") for line in done.stdout.decode("utf-8").splitlines()]


def seconds(*times: str) -> tuple[float, ...]:
    return tuple(float(time) for time in times)


def test_praat_reads_tiers_intervals_and_points(tmp_path) -> None:
    rows = two_episodes(label=LABEL) + [empty(i, i * 0.04) for i in range(50, 60)]
    rows += [face(i, i * 0.04, "fear", track=2) for i in range(60, 85)]
    table = write(tmp_path / "t.parquet", rows, duration_s=5.0)
    emoscan.export_timeline(table, to="praat", out=tmp_path / "ü.TextGrid", apexes=True)
    (tmp_path / "read.praat").write_text(PRAAT, "utf-8")
    end, *lines = output_of(tmp_path, "praat", "--utf8", "--run", "read.praat", "ü.TextGrid")
    assert seconds(*end[1:]) == (5.0,)
    intervals = [(name, *seconds(*times), text) for name, *times, text in lines if len(times) == 2]
    assert intervals == [
        (LABEL, 0, 1, "happy"), (LABEL, 1, 2, "sad"), (LABEL, 2, 5, ""),
        ("track 2", 0, 2.4, ""), ("track 2", 2.4, 3.4, "fear"), ("track 2", 3.4, 5, ""),
    ]  # fmt: skip
    points = [(name, text) for name, *times, text in lines if len(times) == 1]
    assert points == [
        (f"{LABEL} apex", "happy"), (f"{LABEL} apex", "sad"), ("track 2 apex", "fear"),
    ]  # fmt: skip


def test_r_reads_numbers_gaps_truths_and_labels(run, tmp_path) -> None:
    rows = [face(i, i * 0.04, label=LABEL) for i in range(25)]
    rows += [empty(i, i * 0.04) for i in range(25, 50)]
    rows += [face(i, i * 0.04, "sad", label=LABEL) for i in range(50, 75)]
    table = write(tmp_path / "t.parquet", rows)
    wide = emoscan.export_timeline(table, to="wide", out=tmp_path).files[0]
    wide.rename(tmp_path / "wide.csv")
    assert run("episodes", table, "--out", tmp_path / "episodes.csv").code == 0
    (tmp_path / "check.R").write_text(R, "utf-8")
    ((steps, gaps, cut, label),) = output_of(tmp_path, "Rscript", "check.R")
    assert (int(steps), int(gaps), int(cut), label) == (75, 25, 2, LABEL)
