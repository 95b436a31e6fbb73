"""What is measured in this environment, one subject a process.

    python -m benchmarks.speed.worker emoscan '{"detector_stride": 1}'
    python -m benchmarks.speed.worker plain
    python -m benchmarks.speed.worker decode

`benchmarks.speed.protocol` says how it is asked. Networks are loaded before time is taken.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import av

from benchmarks.speed.profile import Profile, profiled
from benchmarks.speed.protocol import Answer, Handlers, serve

MIN_FACE_PX = 40


def main() -> None:
    """Answer for the subject that the command line names."""
    subject, *options = sys.argv[1:]
    serve(lambda: SUBJECTS[subject](*options))


def emoscan_subject(options: str = "{}") -> Handlers:
    """The whole of `emoscan.scan`. Raises ValueError for options that this emoscan lacks."""
    return Emoscan(json.loads(options)).handlers()


def plain_subject() -> Handlers:
    """The loop of a tutorial."""
    from benchmarks.frame_rate import PlainLoop

    plain = PlainLoop(min_face_px=MIN_FACE_PX)

    def video(path: str, seconds: float) -> Answer:
        return timed(lambda: plain.look_at_video(Path(path), seconds=seconds))

    def photos(path: str) -> Answer:
        return timed(lambda: plain.look_at_photos(Path(path)))

    return {"video": video, "photos": photos}


def decode_subject() -> Handlers:
    """Decoding alone, and the rate of this machine's matrix products."""

    def matrix() -> Answer:
        from benchmarks.speed.matrix import matrix_gflops  # torch, which takes seconds

        return matrix_gflops()

    def video(path: str, seconds: float | None, threads: int | None = None) -> Answer:
        return timed(lambda: decode(path, seconds=seconds, threads=threads))

    return {"video": video, "matrix": matrix}


SUBJECTS: dict[str, Callable[..., Handlers]] = {
    "emoscan": emoscan_subject,
    "plain": plain_subject,
    "decode": decode_subject,
}


def timed(look: Callable[[], int]) -> Answer:
    """How many frames `look` looked at, and how long it took."""
    began = time.perf_counter()
    frames = look()
    return {"frames": frames, "seconds": time.perf_counter() - began}


def decode(path: str, *, seconds: float | None, threads: int | None = None) -> int:
    """Decode to RGB, and count the frames; by default with as many threads as FFmpeg likes."""
    frames = 0
    with av.open(path) as container:
        container.streams.video[0].thread_type = "AUTO"
        container.streams.video[0].codec_context.thread_count = threads or 0
        for frame in container.decode(video=0):
            if seconds is not None and frame.time >= seconds:
                break
            frame.to_ndarray(format="rgb24")
            frames += 1
    return frames


class Emoscan:
    """`emoscan.scan` with some options, each of which may belong to what is scanned or how."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Load the libraries. Raises ValueError for options that this emoscan lacks."""
        from emoscan import RunOptions, ScanOptions

        in_scan, self._in_run = _names(ScanOptions), _names(RunOptions)
        unknown = options.keys() - in_scan - self._in_run
        if unknown:
            raise ValueError(f"this emoscan has no option “{', '.join(sorted(unknown))}”")
        self._scan_options = {name: options[name] for name in options.keys() & in_scan}
        self._run_options = {name: options[name] for name in options.keys() - in_scan}

    def handlers(self) -> Handlers:
        """What it can be asked."""
        return {
            "video": self.video,
            "photos": self.photos,
            "profile": self.profile,
        }

    def video(
        self,
        path: str,
        *,
        seconds: float | None = None,
        out: str | None = None,
        min_face_px: int = MIN_FACE_PX,
    ) -> Answer:
        """Scan a video into a table, which stays where `out` says."""
        options = {"end_s": seconds, "min_face": min_face_px}
        return self._scan(path, out, kind="video", options=options)

    def photos(self, path: str) -> Answer:
        """Scan a folder of photos."""
        return self._scan(path, None, kind="photo", options={"min_face": MIN_FACE_PX})

    def profile(self, path: str, *, seconds: float | None = None) -> Answer:
        """Scan a video, and say how long each step took and how much it computed."""
        if "decode_in_process" in self._in_run:  # elsewhere nobody sees the decoder's steps
            self._run_options["decode_in_process"] = True
        with profiled() as profile:
            began_s = time.process_time()
            answer = self.video(path, seconds=seconds)
            cpu_s = time.process_time() - began_s
        return answer | _profile_answer(profile) | {"cpu_s": cpu_s, "floats": self._floats()}

    def _floats(self) -> str:
        """The number format of the detector, which may not be the classifier's."""
        from emoscan import RunOptions, ScanOptions
        from emoscan.runtime import serving_runtime

        run, scan = RunOptions(**self._run_options), ScanOptions(**self._scan_options)
        return serving_runtime(run.device, scan.precision, run.backend).detector_precision.value

    def _scan(self, path: str, out: str | None, *, kind: str, options: dict[str, Any]) -> Answer:
        import emoscan
        from emoscan.events import Event, FileFinished

        finished: list[FileFinished] = []

        def listen(event: Event) -> None:
            if isinstance(event, FileFinished):
                finished.append(event)

        began_s, work_began_s = time.perf_counter(), work_s()
        with _table(out) as table:
            report = emoscan.scan(
                path,
                table,
                kind=kind,
                options=emoscan.ScanOptions(**self._scan_options, **options),
                run=emoscan.RunOptions(**self._run_options, overwrite=True),
                listener=listen,
            )
        offered_s = (time.perf_counter() - began_s) * len(os.sched_getaffinity(0))
        utilisation = (work_s() - work_began_s) / offered_s
        return _scan_answer(finished[0], report) | {"utilisation": utilisation}


def work_s() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def _names(options: type[Any]) -> set[str]:
    return {field.name for field in fields(options)}


@contextmanager
def _table(out: str | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(out) if out else Path(folder) / "timeline.parquet"


def _scan_answer(finished: Any, report: Any) -> Answer:
    if finished.problem or report.unreadable:
        raise ValueError(finished.problem or f"{report.unreadable} frames are unreadable")
    return {
        "frames": finished.frames,
        "faces": finished.faces,
        "seconds": finished.seconds,
        "precision": report.precision,
    }


def _profile_answer(profile: Profile) -> Answer:
    steps = [
        {"step": step, "thread": thread, "seconds": spent.seconds, "operations": spent.operations}
        for (step, thread), spent in sorted(profile.spent.items())
    ]
    return {"steps": steps}


if __name__ == "__main__":
    main()
