"""Everything that emoscan claims about its speed, in one interleaved run.

    make peers
    python -m benchmarks.speed --media DIR [--rounds 5] [--long] [--quick] [--only NAME…]
    python -m benchmarks.speed --render

DIR holds talking_720p.mp4, street_1080p.mp4 and photos (.jpg). The results are RESULTS.md and,
under results/, speed.json and pictures; the JSON is whole after each round, and --render writes
the others again from it. It takes about an hour on two cores, which should do nothing else.
"""

import argparse
from dataclasses import replace
from datetime import date
from pathlib import Path

from benchmarks.speed.bench import LONG_MINUTES, QUICK, Bench, Effort
from benchmarks.speed.machine import machine, versions
from benchmarks.speed.plots import draw
from benchmarks.speed.protocol import WorkerError
from benchmarks.speed.report import render
from benchmarks.speed.results import Results
from benchmarks.speed.sections import SECTIONS

JSON = Path("results/speed.json")
BUSY_LOAD = 0.5


def main() -> None:
    """Measure, unless --render is given, and write the results."""
    args = _parse()
    path = args.out / JSON
    goes_on = args.render or (args.only and path.exists())
    results = Results.read(path) if goes_on else Results(path)
    if not args.render:
        measure(args, results)
    if args.note:
        results.put("run", results.parts["run"] | {"note": args.note})
    write(results, args.out)


def measure(args: argparse.Namespace, results: Results) -> None:
    """Fill the sections that are asked for, the others stay as they are."""
    effort = _effort(args)
    run = {"date": f"{date.today()}", "rounds": effort.rounds, "quick": args.quick}
    results.put("run", run | ({"only": args.only} if args.only else {}))
    results.put("machine", machine())
    results.put("versions", versions())
    if results.parts["machine"]["load_before"] > BUSY_LOAD:
        print("This machine is busy: what is measured now will be too slow.", flush=True)
    with Bench(effort=effort, media=args.media, peers=args.peers, results=results) as bench:
        for name in args.only or SECTIONS:
            try:
                SECTIONS[name](bench)
            except WorkerError as error:  # the other sections are worth having
                bench.skip(name, error)
            write(results, args.out)


def write(results: Results, out: Path) -> None:
    """The text and the pictures."""
    draw(results, out / JSON.parent)
    (out / "RESULTS.md").write_text(render(results), encoding="utf-8")


def _effort(args: argparse.Namespace) -> Effort:
    effort = QUICK if args.quick else Effort()
    if args.long:
        effort = replace(effort, minutes=LONG_MINUTES)
    return replace(effort, rounds=args.rounds) if args.rounds else effort


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__.splitlines()[0]
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--media", type=Path, help="folder with the clips and photos")
    what.add_argument("--render", action="store_true", help="only write the text and pictures anew")
    parser.add_argument("--rounds", type=int, help="default: 5")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="the peers' venv")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="only these sections anew")
    parser.add_argument("--quick", action="store_true", help="a rehearsal on a few frames")
    parser.add_argument("--long", action="store_true", help="memory of 5 and 50 min, not 1 and 10")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--note", help="a sentence on the run, for the head of the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
