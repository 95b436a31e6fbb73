"""For each track, the share of its time that each expression has, with pandas.

    python examples/pandas_shares.py [TIMELINE]

Without a timeline it takes the demo's.
"""

import sys
from pathlib import Path

import pandas as pd

import emoscan


def main(path: Path) -> None:
    """Print the shares by the likeliest class, and the mean scores."""
    faces = with_durations(emoscan.read_timeline(path))
    in_view_s = faces.groupby("track")["duration_s"].sum()
    shares = faces.pivot_table(
        index="track", columns="emotion", values="duration_s", aggfunc="sum", observed=False
    ).div(in_view_s, axis=0)
    print("Share of each track's time, by the likeliest class:")
    print(shares.round(3).to_string())
    weighted = faces[list(emoscan.EMOTIONS)].mul(faces["duration_s"], axis=0)
    means = weighted.groupby(faces["track"]).sum().div(in_view_s, axis=0)
    print("\nMean scores, weighted by time:")
    print(means.round(3).to_string())


def with_durations(timeline: pd.DataFrame) -> pd.DataFrame:
    """The faces, with how long each was to be seen.

    Frames do not all last equally long, so a mean over rows is not a mean over time: a frame
    lasts until the next one, with a face or without.
    """
    frames = timeline.drop_duplicates("frame").sort_values("frame")
    durations_s = frames["time_s"].shift(-1) - frames["time_s"]
    durations_s = durations_s.fillna(durations_s.median())  # the last frame
    by_frame = durations_s.set_axis(frames["frame"])
    faces = timeline[timeline["status"] == "face"]
    return faces.assign(duration_s=faces["frame"].map(by_frame))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        from demo_timeline import demo_timeline

        main(demo_timeline())
