"""How fast an annotated copy is made, and which part of it takes how long.

    python -m benchmarks.annotate VIDEO TIMELINE [--rounds 5]

Figures are seconds of the video for each second: 1 is as fast as it plays. `decode`, `draw`, `hide`
and `encode` are those parts alone, the last on pictures that change twice a second, which are less
work than real ones; `copy` and `copy, blurred` are all of them together, by
`emoscan.annotate_video`. The rounds are interleaved, and medians are told: other work on the
machine slows all parts. `CPU` is the time of all threads of this process, without the decoder's.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import emoscan
from emoscan.media.find import MediaFile
from emoscan.media.original import Original
from emoscan.media.process import DecoderProcess, ProcessVideo
from emoscan.options import ScanOptions
from emoscan.report.draw import Drawing
from emoscan.report.hide import Cover, hide
from emoscan.report.marks import Marks
from emoscan.report.movie import Movie

KEPT_FRAMES = 30  # that `draw`, `hide` and `encode` are measured on, over and over


def main() -> None:
    """Measure, and print the rounds and their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("timeline", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        DecoderProcess() as decoder,
        decoder.open(MediaFile(args.video, args.video.name)) as video,
    ):
        parts = _Parts(video, args.timeline, Path(folder))
        for number in range(args.rounds):
            for name, work in parts.all().items():
                print(f"round {number + 1}  {name:<14}{parts.measure(name, work)}", flush=True)
    for name, speeds in parts.speeds.items():
        median, best = statistics.median(speeds), max(speeds)
        print(f"median   {name:<14}{median:6.2f} × real time, at best {best:.2f}")


class _Parts:
    """The parts of the work, each of them on all frames of one video."""

    def __init__(self, video: ProcessVideo, timeline: Path, folder: Path) -> None:
        self._video, self._timeline, self._folder = video, timeline, folder
        self._count = len(video.time_s)
        self._media_s = float(video.time_s[-1] - video.time_s[0])
        frames = video.frames(ScanOptions(every=max(1, self._count // KEPT_FRAMES)))
        self._pictures = [frame.rgb().copy() for frame in frames if hasattr(frame, "rgb")]
        rows = emoscan.read_timeline(timeline)
        self._marks, self._cover = Marks(rows, video.time_s), Cover(rows, video.time_s)
        self.speeds: dict[str, list[float]] = {}

    def all(self) -> dict[str, Callable[[], object]]:
        return {
            "decode": self._decode,
            "draw": self._draw,
            "hide": self._hide,
            "encode": self._encode,
            "copy": lambda: self._copy(emoscan.AnnotateOptions(overwrite=True)),
            "copy, blurred": lambda: self._copy(
                emoscan.AnnotateOptions(overwrite=True, blur_faces=True)
            ),
        }

    def measure(self, name: str, work: Callable[[], object]) -> str:
        began, cpu_began = time.perf_counter(), time.process_time()
        work()
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
        self.speeds.setdefault(name, []).append(self._media_s / seconds)
        cpu_ms = 1000 * cpu_s / self._count
        return f"{self._media_s / seconds:6.2f} × real time, {cpu_ms:5.2f} ms of CPU a frame"

    def _picture(self, index: int) -> NDArray[np.uint8]:
        return self._pictures[index * len(self._pictures) // self._count]

    def _decode(self) -> None:
        for _ in self._video.frames(ScanOptions()):
            pass

    def _draw(self) -> None:
        drawing = Drawing()
        for index in range(self._count):
            drawing.draw(self._picture(index), self._marks.at(index))

    def _hide(self) -> None:
        for index in range(self._count):
            for box in self._cover.at(index):
                hide(self._picture(index), box, pixelate=False)

    def _encode(self) -> None:
        info, times_s = self._video.info, self._video.time_s
        with (
            Original(self._video.file, start_s=info.start_s) as original,
            Movie(self._folder / "encoded.mp4", ".mp4", original, info=info, audio=True) as movie,
        ):
            for index in range(self._count):
                movie.write(self._picture(index), time_s=float(times_s[index]), duration_s=0.03)
            movie.finish()

    def _copy(self, options: emoscan.AnnotateOptions) -> None:
        out = self._folder / "copy.mp4"
        emoscan.annotate_video(self._video.file.path, self._timeline, out, options)


if __name__ == "__main__":
    main()
