"""Size, building and opening of a report's page: `python -m benchmarks.report_page [--rows N]`.

Opening is from navigation until the figures in view are drawn, in a Chromium without a window.
"""

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import emoscan
from emoscan.emotions import EMOTIONS
from emoscan.options import TableFormat
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import Origin, Status
from emoscan.timeline.writers import open_table

TARGET_MB, TARGET_OPEN_S, TARGET_BUILD_S = 15.0, 3.0, 10.0
Scores = NDArray[np.float64]

FPS = 25
# Of every ten minutes the first person is away for so long.
AWAY_S = 20
SECOND_SHARE = 0.2
CLASS_LASTS_S = 4.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured."""

    rows: int
    build_s: float
    size_mb: float
    open_s: float | None


def measure(rows: int, folder: Path, *, opened: int) -> Figures:
    """Build a page about generated rows of two people, and open it some times."""
    table, page = folder / "timeline.parquet", folder / "report.html"
    write_timeline(rows, table)
    timeline = emoscan.read_timeline(table)
    emoscan.write_report(timeline.head(1), folder / "first.html")  # loads the libraries
    began = time.perf_counter()
    emoscan.write_report(table, page)
    build_s = time.perf_counter() - began
    size_mb = page.stat().st_size / 1e6
    return Figures(len(timeline), build_s, size_mb, _median_open_s(page, opened))


def write_timeline(rows: int, out: Path) -> None:
    """One person who goes at times, and a second for a part of the time."""
    random = np.random.default_rng(0)
    frames = round(rows / (1 + SECOND_SHARE))
    first, second = (_scores(frames, random) for _ in range(2))
    away = np.arange(frames) / FPS % 600 < AWAY_S
    both = np.arange(frames) < SECOND_SHARE * frames
    table = open_table(out, TableFormat.PARQUET, overwrite=True)
    for index in range(frames):
        people = [(1, first)] if not away[index] else []
        people += [(2, second)] if both[index] else []
        faces = [_face(index, track, scores[index]) for track, scores in people]
        table.write(faces or [FaceRecord("long.mp4", index, index / FPS, Status.NO_FACE)])
    table.commit({"media": {"frame_rate": FPS, "width": 1280, "height": 720}})


def _scores(frames: int, random: np.random.Generator) -> Scores:
    """(frames, 7): classes that come and go, with the flicker of real scores."""
    lasts = CLASS_LASTS_S * FPS
    count = frames // 10 + 10
    changes = np.cumsum(random.exponential(lasts, count)).astype(int)
    classes = random.choice(len(EMOTIONS), count + 1, p=[0.1, 0.05, 0.05, 0.3, 0.35, 0.1, 0.05])
    current = classes[np.searchsorted(changes, np.arange(frames))]
    wanted = np.eye(len(EMOTIONS))[current] * 3
    slow = pd.DataFrame(wanted).ewm(halflife=5).mean().to_numpy()
    odds = np.exp(slow + random.normal(0, 0.4, slow.shape))
    scores: Scores = odds / odds.sum(axis=1, keepdims=True)
    return scores


def _face(index: int, track: int, scores: Scores) -> FaceRecord:
    best = int(scores.argmax())
    probabilities: dict[str, Any] = dict(zip(EMOTIONS, scores.tolist(), strict=True))
    return FaceRecord(
        "long.mp4", index, index / FPS, Status.FACE,
        face=track - 1, track=track, origin=Origin.DETECTED,
        x=100.0 * track, y=100.0, width=80.0, height=100.0, score=0.99,
        emotion=emoscan.Emotion(EMOTIONS[best]), confidence=float(scores[best]),
        **probabilities,
    )  # fmt: skip


def _median_open_s(page: Path, times: int) -> float | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser_path = next(filter(None, map(shutil.which, names)), None)
    if browser_path is None:
        return None
    from playwright.sync_api import sync_playwright

    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for _ in range(times):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            began = time.perf_counter()
            tab.goto(page.absolute().as_uri(), wait_until="commit")
            tab.wait_for_selector("html[data-drawn=yes]", state="attached")
            seconds.append(time.perf_counter() - began)
            tab.close()
        browser.close()
    return float(np.median(seconds))


def main() -> None:
    """Print the figures; exit 1 where one misses its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--opened", type=int, default=5, help="How often the page is opened.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.rows, Path(folder), opened=arguments.opened)
    print(f"rows   {figures.rows:>10,}")
    print(f"build  {figures.build_s:>10.2f} s    (target: under {TARGET_BUILD_S:g})")
    print(f"size   {figures.size_mb:>10.1f} MB   (target: under {TARGET_MB:g})")
    opened = "no Chromium" if figures.open_s is None else f"{figures.open_s:>10.2f} s"
    print(f"open   {opened}    (target: under {TARGET_OPEN_S:g})")
    good = figures.build_s < TARGET_BUILD_S and figures.size_mb < TARGET_MB
    sys.exit(0 if good and (figures.open_s or 0) < TARGET_OPEN_S else 1)


if __name__ == "__main__":
    main()
