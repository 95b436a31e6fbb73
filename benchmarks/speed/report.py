"""RESULTS.md, of what lies in the JSON and nothing else."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.speed.claims import Claim, claims, in_words
from benchmarks.speed.floor import Breakdown, Step, breakdown
from benchmarks.speed.protocol import Answer
from benchmarks.speed.results import Results, median
from benchmarks.speed.subjects import PEERS, SUBJECTS, VARIANT_TITLES

CLIPS = {
    "talking": "talking_720p.mp4, one face",
    "street": "street_1080p.mp4 scaled to 720p, a crowd",
    "street_1080p": "street_1080p.mp4",
    "photos": "photos",
}
LAST_PROFILED = "street"
NOTHING = "–"
CURVES_PICTURE, STEPS_PICTURE = "speed_curves.png", "speed_steps.png"


def render(results: Results) -> str:
    """The whole text."""
    parts = (
        _head(results),
        _claims_part(results),
        _rates_part(results),
        _quality_part(results),
        _memory_part(results),
        *(_steps_part(results, clip) for clip in ("talking", "street")),
        _curves_part(results),
        _skipped_part(results),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _head(results: Results) -> str:
    run, about = results.get("run") or {}, results.get("machine") or {}
    rehearsal = "**A rehearsal on a few frames: its figures mean nothing.**\n\n"
    return f"""# Speed, and what it costs

{rehearsal if run.get("quick") else ""}Written by `python -m benchmarks.speed --media DIR` on \
{run.get("date", NOTHING)}, rounds: {run.get("rounds", NOTHING)}; all figures are in \
[speed.json](results/speed.json). `make peers` installs the peers. In each round everyone is
measured once, one after the other, each in a process of its own that has loaded its networks;
figures are medians of the rounds. emoscan runs with its default options from file to Parquet, over
the whole clip; the slow peers look at its first 3 s. To start a process and load its networks is
left out. `fer` as it comes looks for faces from 20 px on, all others from 40 px on.{_about(run)}

{table(("machine", ""), _machine_rows(results, about))}"""


def _about(run: dict[str, Any]) -> str:
    sections = " and ".join(run.get("only") or ())
    only = f"\nOf this run is only {sections}; the rest is of other ones." if sections else ""
    return only + (f"\n\n{run['note']}" if run.get("note") else "")


def _machine_rows(results: Results, about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "processor", f"{about.get('cpu')}, {about.get('cores')} cores, no GPU used"
    yield "family, model, stepping", ", ".join(about.get("family_model_stepping", ()))
    yield "instructions", ", ".join(about.get("flags", ())) or NOTHING
    yield "threads of torch", _threads(about)
    yield "load before the run", f"{about.get('load_before', 0):.2f}"
    yield "system", about.get("system", NOTHING)
    yield "versions", _versions(results.get("versions") or {})
    yield "versions of the peers", _versions(results.get("peer_versions") or {})


def _threads(about: dict[str, Any]) -> str:
    variables = ", ".join(f"{key}={x}" for key, x in about.get("thread_variables", {}).items())
    return f"{about.get('torch_threads', NOTHING)}{f' ({variables})' if variables else ''}"


def _versions(versions: dict[str, str | None]) -> str:
    words = [f"{name} {number or 'not installed'}" for name, number in versions.items()]
    return ", ".join(words) or NOTHING


def _claims_part(results: Results) -> str:
    rows = [_claim_row(results, claim) for claim in claims(results)]
    header = ("", "target", "", *VARIANT_TITLES.values())
    return f"""## Targets

The target is about the figure in bold; the others stand beside it.

{table(header, rows)}"""


def _claim_row(results: Results, claim: Claim) -> tuple[str, ...]:
    def cell(variant: str) -> str:
        value = claim.figure(results, variant) if variant in claim.beside else None
        words = NOTHING if value is None else in_words(value, claim.unit)
        return f"**{words}**" if variant == claim.variant else words

    cells = map(cell, VARIANT_TITLES)
    return (claim.title, claim.target, claim.verdict(results), *cells)


def _rates_part(results: Results) -> str:
    rows = [
        (CLIPS[clip], subject.title, *_rate_cells(results, clip, subject.name))
        for clip in ("talking", "street", "photos")
        for subject in SUBJECTS.values()
        if results.rates(clip, subject.name)
    ]
    header = ("", "", "frames/s, median", "least to most", "frames looked at")
    return f"## Frames a second\n\n{table(header, rows)}" if rows else ""


def _rate_cells(results: Results, clip: str, subject: str) -> tuple[str, str, str]:
    rates = results.rates(clip, subject)
    frames = results.get("speed", clip, subject, "frames")
    return f"{median(rates):.1f}", f"{min(rates):.1f} to {max(rates):.1f}", str(frames)


def _quality_part(results: Results) -> str:
    rows = [
        (CLIPS[clip], VARIANT_TITLES[variant], *_quality_cells(quality))
        for clip, variants in (results.get("quality") or {}).items()
        for variant, quality in variants.items()
    ]
    header = ("", "", "faces of the reference", "found", "matched", "compared", "same class")
    return (
        f"""## Faces and classes, counted

The reference is emoscan itself, which detects faces on every frame at full resolution, with torch
in fp32: this is what following and rounding lose, not how right either is.

{table(header, rows)}"""
        if rows
        else ""
    )


def _quality_cells(quality: dict[str, Any]) -> tuple[str, ...]:
    names = ("reference", "found", "matched", "compared", "agreeing")
    return tuple(f"{quality[name]:,}" for name in names)


def _memory_part(results: Results) -> str:
    memory = results.get("memory")
    if not memory:
        return ""
    rows = [
        (f"the clip of one face, {VARIANT_TITLES[name]}", *_memory_cells(peak))
        for name, peak in memory["variants"].items()
    ] + [
        (f"{length['minutes']:g} minutes of it, default", *_memory_cells(peak))
        for length in memory["lengths"]
        if (peak := length["peak"])
    ]
    return f"""## Peak memory

Resident memory of a fresh process, networks included, and of the one in which it decodes; and the
processor time of both as a share of all cores' time, the loading of the networks included.

{table(("720p", "frames", "peak", "utilisation"), rows)}"""


def _memory_cells(peak: Answer) -> tuple[str, str, str]:
    used = peak.get("utilisation")
    words = NOTHING if used is None else f"{used:.0%}"
    return f"{peak['frames']:,}", f"{peak['peak_mb']:.0f} MB", words


def _steps_part(results: Results, clip: str) -> str:
    found = breakdown(results, clip, "default")
    if not found:
        return ""
    header = ("step", "thread", "ms a frame", "Mflop a frame", "least ms", "gap, ms")
    picture = f"\n\n![The steps beside the floor](results/{STEPS_PICTURE})"
    return f"""## Where the time goes: {CLIPS[clip]}

{" ".join(_floor_sentences(results, clip, found))}

{table(header, map(_step_row, found.steps))}{picture if clip == LAST_PROFILED else ""}"""


def _step_row(step: Step) -> tuple[str, ...]:
    return (
        step.name,
        ", ".join(map(str, step.threads)),
        f"{step.ms:.2f}",
        f"{step.mflop:.1f}" if step.mflop else NOTHING,
        f"{step.least_ms:.2f}",
        f"{step.ms - step.least_ms:+.2f}",
    )


def _floor_sentences(results: Results, clip: str, found: Breakdown) -> Iterator[str]:
    rate = results.rate(clip, "default")
    as_it_comes = f", {1000 / rate:.2f} ms as it comes" if rate else ""
    worst = max(found.steps, key=lambda step: step.ms - step.least_ms)
    yield f"A frame takes {found.ms:.2f} ms with these clocks in it and decoding in the same"
    yield f"process{as_it_comes}. The floor is {found.floor_ms:.2f} ms, of which decoding and"
    yield f"converting alone take {found.decode_ms:.2f}; the rest are the networks' operations at"
    rates = (f"{rate:.0f} Gflop/s ({name})" for name, rate in found.rates.items())
    yield f"{' and, of the classifier, '.join(rates)}, the rate of a large product on this"
    yield f"machine. That is {found.floor_ms / found.ms:.0%} of what a frame takes; the largest gap"
    yield f"is in “{worst.name}”. Threads work side by side and wait for a core within their"
    yield f"steps, which sum up to {sum(step.ms for step in found.steps):.2f} ms;"
    yield f"the processor works {found.cpu_ms:.2f} ms a frame, on all cores together."
    yield from _at_the_floor(results, clip, found)


def _at_the_floor(results: Results, clip: str, found: Breakdown) -> Iterator[str]:
    """What would be reached if all that is not the floor took no time."""
    frames_s = 1000 / found.floor_ms
    reached = [
        f"{frames_s / theirs:.1f} × {subject.title}"
        for subject in PEERS
        if subject.is_slow and (theirs := results.rate(clip, subject.name))
    ]
    beside = f" ({'; '.join(reached)})" if reached else ""
    yield f"At the floor it would be {frames_s:.0f} frames/s{beside}."
    yield "[TRIED.md](TRIED.md) has finer steps, before and after, and what was tried against them."


def _curves_part(results: Results) -> str:
    curves = results.get("curves")
    if not curves:
        return ""
    points = [
        point for axis in curves.values() for line in axis.values() for point in line.values()
    ]
    rounds = min(len(point["rates"]) for point in points)
    return f"""## What speed depends on

Medians of rounds: {rounds}. Clips of 5 s, where starting and ending weigh more than in long videos.
One face at 720p and min face 40 px, but for what each picture varies; the faces are small copies
of one, 4×4 in the picture; the rest have inverted colours, so that no face is found in them.

![Frames a second against resolution, faces, min face and length](results/{CURVES_PICTURE})"""


def _skipped_part(results: Results) -> str:
    lines = [f"- {name}: {why}" for name, why in (results.get("skipped") or {}).items()]
    return "\n".join(["## Not measured\n", *lines]) if lines else ""
