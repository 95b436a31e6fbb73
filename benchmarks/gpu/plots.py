"""The picture of GPU.md, of what lies in the JSON."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.gpu.report import WAYS, way_rates
from benchmarks.speed.plots import DPI
from benchmarks.speed.results import Results, median

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

# Okabe and Ito's, which the colour-blind tell apart.
COLOURS = {
    "rows_stride_1": "#D55E00",
    "rows_followed": "#0072B2",
    "detector": "#E69F00",
    "classifier": "#009E73",
    "plain": "#999999",
}
GROUP_WIDTH = 0.84


def draw(results: Results, path: Path) -> None:
    """Bars by clip and stage, from the least to the most of the rounds; none without figures."""
    found: dict[str, Any] = results.get("frames", "clips") or {}
    clips = sorted(
        (clip for clip in found if found[clip].get("ways")),
        key=lambda clip: (
            found[clip]["title"].partition(",")[0] != "one face",
            _height(found, clip),
        ),
    )
    if not clips:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, panel = plt.subplots(figsize=(11.5, 4.6), layout="constrained")
    for number, way in enumerate(WAYS):
        _draw_way(panel, results, clips, way, number=number)
    panel.set_xticks(range(len(clips)), [found[clip]["title"] for clip in clips])
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.set_ylabel("frames/s (logarithmic)")
    panel.grid(axis="y", alpha=0.3)
    panel.set_axisbelow(True)
    panel.margins(y=0.15)
    figure.legend(loc="outside upper center", ncols=len(WAYS), fontsize="small", frameon=False)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def _height(found: dict[str, Any], clip: str) -> int:
    height: int = found[clip]["height"]
    return height


def _draw_way(panel: Axes, results: Results, clips: list[str], way: str, *, number: int) -> None:
    width = GROUP_WIDTH / len(WAYS)
    measured = [
        (place, rates)
        for place, clip in enumerate(clips)
        if (rates := way_rates(results, clip, way))
    ]
    x = [place - GROUP_WIDTH / 2 + (number + 0.5) * width for place, _ in measured]
    y = [median(rates) or 0.0 for _, rates in measured]
    spread = [
        [middle - min(rates) for middle, (_, rates) in zip(y, measured, strict=True)],
        [max(rates) - middle for middle, (_, rates) in zip(y, measured, strict=True)],
    ]
    bars = panel.bar(
        x, y, width, color=COLOURS[way], label=WAYS[way], yerr=spread, error_kw={"lw": 0.8}
    )
    panel.bar_label(bars, [f"{rate:,.0f}" for rate in y], fontsize=6.5, padding=2)
