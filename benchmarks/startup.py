"""How long emoscan takes to be there, and where the time of a short video goes.

    python -m benchmarks.startup [--runs 5]

Each command runs in a process of its own, in turn with the others, with bytecode that is compiled
already, as after an installation, and OpenVINO's networks in the cache; what is on the disk is in
memory. CPU seconds are those of all its processes: other work on the machine hardly changes them.
"""

import argparse
import json
import os
import re
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self

# Examples are scripts and no package.
DEMO_CLIP = Path(__file__).parents[1] / "examples" / "demo_clip.py"
CLIP_S = 1.0
LIBRARIES = ("torch", "numpy", "scipy", "pandas", "pyarrow", "openvino", "cv2", "rich", "typer")
IMPORT_LINE = re.compile(r"import time: +(\d+) \| +\d+ \| +(\S+)")


class Seconds(NamedTuple):
    """By the clock on the wall, and by what the CPU did for this process."""

    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> Self:
        """Since some moment."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: "Seconds") -> "Seconds":  # type: ignore[override]
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def __neg__(self) -> "Seconds":
        return Seconds(-self.wall, -self.cpu)

    def __sub__(self, other: "Seconds") -> "Seconds":
        return self + -other


def main() -> None:
    """Measure, and print a line a command and a line a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--parts-of", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.parts_of:
        print(json.dumps(parts_of(args.parts_of)))
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "one_second.mp4"
        runpy.run_path(str(DEMO_CLIP))["write_demo_clip"](clip, seconds=CLIP_S)
        print_commands(measured(clip, runs=args.runs))
        print_imports(import_seconds(clip))
        print_parts([run_parts(clip) for _ in range(args.runs)])


def video_command(clip: Path) -> list[str]:
    """The command line that scans the clip."""
    return ["video", str(clip), "--out", str(clip.with_suffix(".parquet")), "--overwrite"]


def measured(clip: Path, *, runs: int) -> dict[str, list[Seconds]]:
    """Every run of each command, with all that it starts; the first is not counted."""
    commands = {
        "emoscan --help": ["--help"],
        "emoscan video --help": ["video", "--help"],
        "emoscan info": ["info"],
        f"emoscan video ({CLIP_S:g} s)": video_command(clip),
    }
    taken: dict[str, list[Seconds]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, words in commands.items():
            before = Seconds(time.perf_counter(), cpu_of_children_s())
            run_python(["-m", "emoscan", *words], clip)
            after = Seconds(time.perf_counter(), cpu_of_children_s())
            taken[name] += [after - before] if number else []
    return taken


def cpu_of_children_s() -> float:
    """Of those that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_python(words: Sequence[str], clip: Path) -> "subprocess.CompletedProcess[str]":
    """Run it with bytecode beside the clip, wherever the code lies; what it prints is kept."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(clip.parent / "bytecode")
    return subprocess.run(
        [sys.executable, *words], env=env, capture_output=True, text=True, check=True
    )


def import_seconds(clip: Path) -> dict[str, float]:
    """What `-X importtime` tells of the main process, by library."""
    told = run_python(["-X", "importtime", "-m", "emoscan", *video_command(clip)], clip).stderr
    seconds: defaultdict[str, float] = defaultdict(float)
    for own_us, module in IMPORT_LINE.findall(told):
        package = module.split(".")[0]
        known = package in (*LIBRARIES, "emoscan")
        seconds[package if known else "all others"] += int(own_us) / 1e6
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def run_parts(clip: Path) -> dict[str, Seconds]:
    """`parts_of` in a cold process."""
    ended = run_python(["-m", "benchmarks.startup", "--parts-of", str(clip)], clip)
    return {part: Seconds(*seconds) for part, seconds in json.loads(ended.stdout).items()}


def parts_of(clip: Path) -> dict[str, Seconds]:
    """The parts of a scan, one after the other, by its events and by clocks.

    CPU seconds are those of all threads of this process, without the decoder's.
    """
    parts: dict[str, Seconds] = {}
    began = Seconds.now()

    def ended(part: str, *, without: Sequence[str] = ()) -> None:
        """All time since the last part, but for what is known to belong to others."""
        nonlocal began
        now = Seconds.now()
        parts[part] = sum((-parts[other] for other in without), now - began)
        began = now

    from emoscan import analyzer, pipeline
    from emoscan.emotion import classifier
    from emoscan.events import Event, FileFinished, FileStarted, FramesDone, ScanStarted
    from emoscan.faces import networks
    from emoscan.options import RunOptions

    ended("imports before the work")
    clock(analyzer, "serving_runtime", parts, "device and backend")
    for module in (classifier, networks):
        clock(module, "made_ready", parts, "compiling networks")

    def listen(event: Event) -> None:
        match event:
            case ScanStarted():
                ended("reading weights", without=("device and backend", "compiling networks"))
            case FileStarted():
                ended("waiting for the decoder's process")
            case FramesDone():
                ended("scanning, and writing rows")
            case FileFinished():
                ended("closing the table")

    run = RunOptions(overwrite=True, batch_size=100)  # one batch: one event of frames
    pipeline.scan(clip, clip.with_suffix(".parquet"), run=run, listener=listen)
    ended("ending")
    return parts


def clock(module: ModuleType, function: str, parts: dict[str, Seconds], part: str) -> None:
    """Have the calls of a function add their seconds to a part."""
    work: Callable[..., Any] = getattr(module, function)

    def timed(*args: Any, **kwargs: Any) -> Any:
        began = Seconds.now()
        try:
            return work(*args, **kwargs)
        finally:
            parts[part] = parts.get(part, Seconds()) + (Seconds.now() - began)

    setattr(module, function, timed)


def print_commands(taken: dict[str, list[Seconds]]) -> None:
    """Medians and least values."""
    print(f"{'':24}  {'wall s':>13}   {'CPU s':>13}\n{'':24}  median  least   median  least")
    for name, runs in taken.items():
        walls, cpus = zip(*runs, strict=True)
        figures = [statistics.median(walls), min(walls), statistics.median(cpus), min(cpus)]
        wall, least_wall, cpu, least_cpu = (f"{figure:6.2f}" for figure in figures)
        print(f"{name:<24}  {wall} {least_wall}   {cpu} {least_cpu}")


def print_imports(seconds: dict[str, float]) -> None:
    """One line."""
    total = sum(seconds.values())
    parts = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items() if value >= 0.005)
    print(f"\nimports in all {total:.2f} s (wall): {parts}")


def print_parts(runs: Sequence[dict[str, Seconds]]) -> None:
    """The run that took the CPU the shortest."""
    best = min(runs, key=lambda parts: sum(seconds.cpu for seconds in parts.values()))
    print(f"\nemoscan.scan from a cold start, the best of {len(runs)}: {'wall s':>9}  CPU s")
    for part, seconds in (best | {"in all": sum(best.values(), Seconds())}).items():
        print(f"  {part:<44} {seconds.wall:6.2f} {seconds.cpu:6.2f}")


if __name__ == "__main__":
    main()
