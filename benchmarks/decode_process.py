"""Frames a second from a decoder's process and from a thread, in one interleaved run.

    python -m benchmarks.decode_process [VIDEO] [--frames 200] [--rounds 5]

The consumer does nothing with the frames, so this is the most that the process can cost. Starting
it and opening the file are left out; without VIDEO a 720p clip is made.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from skimage import data

from emoscan.ahead import read_ahead
from emoscan.media.find import MediaFile
from emoscan.media.process import DecoderProcess
from emoscan.media.source import OpenVideo
from emoscan.media.video import open_video
from emoscan.options import ScanOptions

WIDTH_PX, HEIGHT_PX = 1280, 720
DEPTH = 16


def main() -> None:
    """Measure, and print the rounds and the ratio of their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, DecoderProcess() as decoder:
        path = args.video or _write_clip(Path(folder) / "clip.mp4", args.frames)
        ways: dict[str, OpenVideo] = {"thread": open_video, "process": decoder.open}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(args.rounds + 1):
            speeds = {name: _frames_per_s(path, ways[name], args.frames) for name in ways}
            print(f"round {number}" if number else "warm-up", _told(speeds), flush=True)
            for name in ways if number else ():
                rates[name].append(speeds[name])
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print("median ", _told(medians))
    print(f"process / thread  {medians['process'] / medians['thread']:.3f}")


def _told(speeds: dict[str, float]) -> str:
    return "  ".join(f"{name} {speed:.1f}/s" for name, speed in speeds.items())


def _frames_per_s(path: Path, open_source: OpenVideo, count: int) -> float:
    with open_source(MediaFile(path, path.name)) as video:
        options = ScanOptions(end_s=count / (video.info.frame_rate or 25))
        began = time.perf_counter()
        items = video.frames(options)
        frames = sum(1 for _ in (items if video.decodes_ahead else read_ahead(items, depth=DEPTH)))
        return frames / (time.perf_counter() - began)


def _write_clip(path: Path, frames: int) -> Path:
    """The public-domain portrait of scikit-image's wheel, drifting over a grainy wall."""
    portrait = data.astronaut()
    grain = np.random.default_rng(0).integers(90, 110, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for index in range(frames):
            picture = grain.copy()
            left = round((WIDTH_PX - 512) * (0.5 + 0.5 * np.sin(index / 20)))
            picture[104:616, left : left + 512] = portrait
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
