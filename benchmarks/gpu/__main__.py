"""How fast emoscan is on a CUDA GPU, what bounds it, and whether it finds the same there.

    python -m benchmarks.gpu --media DIR [--device cuda] [--quick] [--only NAME…]
    python -m benchmarks.gpu --render

DIR holds talking_720p.mp4, talking_336p.mp4, street_1080p.mp4 and photos. The results are GPU.md
and, under results/, gpu.json and gpu.png; the JSON is whole after each step, and --render writes
the others again from it. Each section is a process of its own, so that none takes the others with
it; all of them take about five minutes, in which the last cases find no time.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

from benchmarks.gpu.report import PICTURE, render
from benchmarks.gpu.sections import MOST_S, PARTS, SECTIONS, section
from benchmarks.speed.protocol import ROOT
from benchmarks.speed.results import Results

JSON = Path("results/gpu.json")


def main() -> None:
    """Measure, unless --render is given, and write the results."""
    args = _parse()
    path = args.out / JSON
    if args.in_process:
        _measure_here(args, Results.read(path) if path.exists() else Results(path))
        return
    goes_on = args.render or (args.only and path.exists())
    results = Results.read(path) if goes_on else Results(path)
    if not args.render:
        results = measure(args, results)
    if args.note:
        results.put("run", results.parts["run"] | {"note": args.note})
    write(results, args.out)


def measure(args: argparse.Namespace, results: Results) -> Results:
    """Each section in a process of its own; the others stay as they are."""
    run = {"date": f"{date.today()}", "quick": args.quick, "device": args.device}
    results.put("run", run | ({"only": args.only} if args.only else {}))
    seconds: dict[str, float] = {}
    for name in args.only or SECTIONS:
        _forget(results, name)
        began_s = time.monotonic()
        failure = _failure(_command(args, name), most_s=MOST_S[name])
        seconds[name] = time.monotonic() - began_s
        results = Results.read(results.path)
        results.put("seconds", results.parts.get("seconds", {}) | seconds)
        if failure:
            print(f"{name}: {failure}", flush=True)
            results.skip(name, failure)
        print(f"{name}: {seconds[name]:.0f} s", flush=True)
    return results


def write(results: Results, out: Path) -> None:
    """The text and the picture."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "GPU.md").write_text(render(results), encoding="utf-8")
    with suppress(ImportError):  # where matplotlib lacks, --render draws it elsewhere
        from benchmarks.gpu.plots import draw

        draw(results, out / JSON.parent / PICTURE)


def _measure_here(args: argparse.Namespace, results: Results) -> None:
    from benchmarks.gpu.bench import QUICK, Effort, bench

    effort = QUICK if args.quick else Effort()
    with bench(device=args.device, effort=effort, media=args.media, results=results) as ready:
        for name in args.only or SECTIONS:
            with ready.skipping(name):
                ready.wake()
                section(name)(ready)


def _forget(results: Results, name: str) -> None:
    """What an earlier run of this section measured, and what it could not do."""
    for part in PARTS.get(name, (name,)):
        results.parts.pop(part, None)
    skipped = results.parts.get("skipped", {})
    kept = {what: why for what, why in skipped.items() if what.partition(":")[0] != name}
    results.put("skipped", kept)


def _command(args: argparse.Namespace, name: str) -> list[str]:
    words = [sys.executable, "-m", "benchmarks.gpu", "--in-process", "--only", name]
    words += ["--media", str(args.media.resolve()), "--device", args.device]
    return [*words, "--out", str(args.out.resolve()), *(["--quick"] if args.quick else [])]


def _failure(command: list[str], *, most_s: float) -> str | None:
    """How the process ended, None where all went well."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        code = process.wait(timeout=most_s)
    except subprocess.TimeoutExpired:
        return f"it took more than {most_s:.0f} s, and was ended"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
            process.wait()
    return f"its process ended with code {code}" if code else None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0]
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--media", type=Path, help="folder with the clips and photos")
    what.add_argument("--render", action="store_true", help="only write text and picture anew")
    parser.add_argument("--device", default="cuda", help="cpu is for rehearsals")
    parser.add_argument("--quick", action="store_true", help="a rehearsal on a few frames")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="only these sections anew")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--note", help="a sentence on the run, for the head of the page")
    parser.add_argument(
        "--in-process", action="store_true", help="in this process, and without GPU.md: to debug"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
