"""Peak memory of `emoscan video` on a short and on a long clip of small frames.

    python -m benchmarks.scan_memory [--short 2000] [--long 20000]

Each clip is scanned in a process of its own; what counts is the difference of their peaks.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

import emoscan

WIDTH_PX, HEIGHT_PX = 160, 120


def main() -> None:
    """Measure both, and print the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", type=int, default=2_000)
    parser.add_argument("--long", type=int, default=20_000)
    parser.add_argument("--scan", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.scan:
        print(_peak_of_scan(args.scan))
        return
    with tempfile.TemporaryDirectory() as folder:
        peaks = [_measure(Path(folder), frames) for frames in (args.short, args.long)]
    print(f"difference: {peaks[1] - peaks[0]:.1f} MB")


def _measure(folder: Path, frames: int) -> float:
    clip = folder / f"{frames}.mp4"
    _write_clip(clip, frames)
    command = [sys.executable, "-m", "benchmarks.scan_memory", "--scan", str(clip)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak = float(done.stdout)
    print(f"{frames:,} frames: peak RSS {peak:.1f} MB", flush=True)
    return peak


def _peak_of_scan(clip: Path) -> float:
    emoscan.scan(clip, clip.with_suffix(".parquet"), run=emoscan.RunOptions(device="cpu"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def _write_clip(path: Path, frames: int) -> None:
    """The public-domain portrait of scikit-image's wheel, drifting to and fro."""
    portrait = cv2.resize(data.astronaut()[:400, 50:450], (HEIGHT_PX, HEIGHT_PX))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for index in range(frames):
            picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
            left = round((WIDTH_PX - HEIGHT_PX) * (0.5 + 0.5 * np.sin(index / 20)))
            picture[:, left : left + HEIGHT_PX] = portrait
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
