"""The demo's clip and its timeline, for the examples that are given no file of yours.

    python examples/demo_timeline.py [--seconds 8]

They go to the folder demo, as by `make demo`; what is there already is kept. Making the clip
needs scikit-image.
"""

import argparse
from pathlib import Path

import emoscan

FOLDER = Path("demo")


def demo_timeline(seconds: float = 8.0) -> Path:
    """Where the timeline is; made first where it is missing."""
    video, timeline = FOLDER / "portrait.mp4", FOLDER / "portrait.parquet"
    if not video.exists():
        from demo_clip import write_demo_clip

        write_demo_clip(video, seconds=seconds)
    if not timeline.exists():
        emoscan.scan(video, timeline)
    return timeline


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    print(demo_timeline(parser.parse_args().seconds))
