"""From a video to a figure of one track, in three steps.

    python examples/first_timeline.py [VIDEO] [FIGURE.png]

Table and figure go to the current folder.
Without a video it makes the demo's clip first (that needs scikit-image).
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

import emoscan


def main(video: Path, figure: Path) -> None:
    """Scan the video, take its longest track, and draw its expressions over time."""
    table = Path(f"{video.stem}.parquet")
    emoscan.scan(video, table, run=emoscan.RunOptions(overwrite=True))
    timeline = emoscan.read_timeline(table)
    faces = timeline[timeline["status"] == "face"]
    longest = faces["track"].value_counts().idxmax()
    draw_track(faces[faces["track"] == longest], figure)
    print(f"{figure}: track {longest} of {faces['track'].nunique()}")


def draw_track(track: pd.DataFrame, figure: Path) -> None:
    """One line an emotion: its score over time."""
    picture, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    for emotion in emoscan.EMOTIONS:
        axes.plot(track["time_s"], track[emotion], label=emotion, linewidth=1.2)
    axes.set(xlabel="time (s)", ylabel="score", ylim=(0, 1))
    axes.set_title("Apparent expression of one track")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    picture.savefig(figure, dpi=150)


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[1:]]
    if not arguments:
        from demo_clip import write_demo_clip

        arguments = [Path("portrait.mp4")]
        write_demo_clip(arguments[0])
    main(arguments[0], arguments[1] if len(arguments) > 1 else Path(f"{arguments[0].stem}.png"))
