"""Peak memory of `emoscan video` on a short and on a long clip of small frames.

    python -m benchmarks.scan_memory [--short 2000] [--long 20000]

Each clip is scanned in a process of its own, with the one that decodes for it; what counts is the
difference of their peaks.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

from benchmarks.speed.memory import MemoryWatch

WIDTH_PX, HEIGHT_PX = 160, 120


def main() -> None:
    """Measure both, and print the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", type=int, default=2_000)
    parser.add_argument("--long", type=int, default=20_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peaks = [_measure(Path(folder), frames) for frames in (args.short, args.long)]
    print(f"difference: {peaks[1] - peaks[0]:.1f} MB")


def _measure(folder: Path, frames: int) -> float:
    clip = folder / f"{frames}.mp4"
    _write_clip(clip, frames)
    arguments = ["video", str(clip), "--out", f"{clip}.parquet", "--device", "cpu", "--quiet"]
    with (
        subprocess.Popen([sys.executable, "-m", "emoscan", *arguments]) as scan,
        MemoryWatch(scan.pid) as watch,
    ):
        code = scan.wait()
    if code:
        raise SystemExit(code)
    print(f"{frames:,} frames: peak RSS {watch.peak_mb:.1f} MB", flush=True)
    return watch.peak_mb


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
