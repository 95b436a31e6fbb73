"""Whether memory grows over a night: hours of small frames through the whole pipeline.

    python -m benchmarks.endurance [--hours 10] [--networks]

One clip of that length is scanned, decoded in a process of its own, with the tests' quick analyzer
in the place of the networks, or with them. The memory of both processes is noted again and again;
what counts is its rise after a warm-up of a tenth of the frames, for each hour of video.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import av
import numpy as np

import emoscan
import emoscan.pipeline
from benchmarks.speed.memory import tree_mb
from emoscan.events import Event, FramesDone

FPS = 25
WIDTH_PX, HEIGHT_PX = 64, 48
LOOKS = 400
WARM_UP_SHARE = 0.1


class MemoryLog:
    """A listener that notes how many frames were done, and the memory at that time."""

    def __init__(self, frames: int) -> None:
        self._every = max(1, frames // LOOKS)
        self._next = 0
        self.noted: list[tuple[int, float]] = []

    def __call__(self, event: Event) -> None:
        """Note it now and then."""
        if isinstance(event, FramesDone) and event.frames >= self._next:
            self.noted.append((event.frames, _now_mb(os.getpid())))
            self._next = event.frames + self._every

    def rise_mb_an_hour(self, frames: int) -> float:
        """The slope of a straight line through all that was noted after the warm-up."""
        later = [(done, mb) for done, mb in self.noted if done > WARM_UP_SHARE * frames]
        done, mb = np.array(later, np.float64).T
        return float(np.polyfit(done / (3600 * FPS), mb, 1)[0])


def main() -> None:
    """Write the clip, scan it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--networks", action="store_true", help="the real ones")
    args = parser.parse_args()
    if not args.networks:
        from tests.batch.analyzers import QuickAnalyzer

        setattr(emoscan.pipeline, "Analyzer", QuickAnalyzer)  # noqa: B010 - mypy knows none there
    frames = round(args.hours * 3600 * FPS)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "long.mkv")
        _write_clip(clip, frames)
        log, began = MemoryLog(frames), time.monotonic()
        report = emoscan.scan(clip, Path(folder, "t.parquet"), listener=log)
        seconds = time.monotonic() - began
    assert report.frames == frames and report.exit_code == 0
    warm = next(mb for done, mb in log.noted if done > WARM_UP_SHARE * frames)
    print(f"{frames:,} frames in {seconds:.0f} s: {warm:.1f} MB after the warm-up,")
    print(f"{log.noted[-1][1]:.1f} MB at the end, {log.rise_mb_an_hour(frames):+.2f} MB an hour")


def _now_mb(pid: int) -> float:
    """Of this process and the decoder's; not the peak, which `tree_mb` of this one would be."""
    status = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1]
    own = int(status.split()[0]) * 1024 / 1_000_000
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(tree_mb(int(child)) for child in children)


def _write_clip(path: Path, frames: int) -> None:
    """Gray that changes, with a key frame every second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS, options={"g": str(FPS), "q": "9"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        pictures = [
            av.VideoFrame.from_ndarray(np.full((HEIGHT_PX, WIDTH_PX, 3), gray, np.uint8))
            for gray in range(60, 200, 10)
        ]
        yuv = [picture.reformat(format="yuv420p") for picture in pictures]
        for index in range(frames):
            frame = yuv[index % len(yuv)]
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
