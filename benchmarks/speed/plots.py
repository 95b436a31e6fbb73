"""The pictures of RESULTS.md, of what lies in the JSON."""

import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.speed.floor import Breakdown, breakdown
from benchmarks.speed.profile import STEPS
from benchmarks.speed.report import CLIPS, CURVES_PICTURE, STEPS_PICTURE
from benchmarks.speed.results import Results
from benchmarks.speed.subjects import VARIANT_TITLES

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

COLOURS = {"default": "#0072B2", "stride_1": "#D55E00"}
AXES = {
    "height_px": "height of the video, px",
    "faces": "faces a frame",
    "min_face_px": "min face, px",
    "length_s": "length of the video, s",
}
DPI = 110


def draw(results: Results, folder: Path) -> None:
    """Write every picture whose figures are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if results.get("curves"):
        _draw_curves(results, folder / CURVES_PICTURE)
    found = {
        clip: bars
        for clip in ("talking", "street")
        if (bars := breakdown(results, clip, "default")) is not None
    }
    if found:
        _draw_steps(found, folder / STEPS_PICTURE)


def _draw_curves(results: Results, path: Path) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    for panel, (axis, label) in zip(axes.flat, AXES.items(), strict=True):
        _draw_curve(panel, axis, results.get("curves", axis) or {})
        panel.set_xlabel(label)
        panel.set_ylabel("frames/s")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    axes.flat[0].legend()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def _draw_curve(panel: Axes, axis: str, lines: dict[str, dict[str, Any]]) -> None:
    for name, points in lines.items():
        x = [float(key) for key in points]
        if axis == "faces":  # as many as were found, not as were shown
            x = [point["faces"] / point["frames"] for point in points.values()]
        y = [statistics.median(point["rates"]) for point in points.values()]
        panel.plot(x, y, "o-", color=COLOURS[name], label=VARIANT_TITLES[name])


def _draw_steps(found: dict[str, Breakdown], path: Path) -> None:
    figure, axes = plt.subplots(
        len(found), 1, figsize=(9, 2.6 * len(found)), layout="constrained", squeeze=False
    )
    for panel, (clip, bars) in zip(axes.flat, found.items(), strict=True):
        _draw_bars(panel, bars)
        panel.set_title(CLIPS[clip], fontsize="medium")
    axes.flat[0].legend(bbox_to_anchor=(1.01, 1), loc="upper left", fontsize="small")
    axes.flat[-1].set_xlabel("ms a frame; steps of different threads overlap")
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def _draw_bars(panel: Axes, bars: Breakdown) -> None:
    """The floor, the steps by thread, and the time that really passes."""
    colours = dict(zip(STEPS, mpl.color_sequences["tab10"], strict=False))
    threads = sorted({step.threads[0] for step in bars.steps})
    names = ["floor", *(f"thread {thread}" for thread in threads), "a frame"]
    ends_ms = [0.0] * len(names)
    for step in bars.steps:
        row, colour = 1 + threads.index(step.threads[0]), colours[step.name]
        panel.barh(0, step.least_ms, left=ends_ms[0], color=colour)
        panel.barh(row, step.ms, left=ends_ms[row], color=colour, label=step.name)
        ends_ms[0] += step.least_ms
        ends_ms[row] += step.ms
    panel.barh(len(names) - 1, bars.ms, color="#999999")
    panel.set_yticks(range(len(names)), names)
    panel.invert_yaxis()
