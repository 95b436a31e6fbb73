"""How far a scan is from the least time that its frames could take, step by step.

The floor is the time to decode a frame to RGB, plus that of the networks' operations at the rate
of a large matrix product: all cores decode, then all cores multiply, and nothing else takes time.
"""

from dataclasses import dataclass

from benchmarks.speed.profile import STEPS
from benchmarks.speed.protocol import Answer
from benchmarks.speed.results import Results

DECODING, CLASSIFIER = "decode", "classifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step's time and operations a frame, and the threads that do it, the busiest first."""

    name: str
    threads: tuple[int, ...]
    ms: float
    mflop: float
    least_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """The steps of one clip, and times a frame: measured, of the floor and of the processor.

    `rates` are billions of operations a second in matrix products, in the number format of the
    detector and, where it has another one, in that of the classifier.
    """

    steps: tuple[Step, ...]
    ms: float
    floor_ms: float
    decode_ms: float
    cpu_ms: float
    rates: dict[str, float]


def breakdown(results: Results, clip: str, variant: str) -> Breakdown | None:
    """What was measured on this clip, None where something lacks."""
    of_clip = results.get("steps", "clips", clip) or {}
    profile, decoding = of_clip.get(variant), of_clip.get("decode")
    rates = results.get("steps", "matrix_gflops")
    if not (profile and decoding and rates):
        return None
    precision = profile["precision"]
    floats = profile.get("floats", precision)
    if not {floats, precision} <= rates.keys():
        return None
    decode_ms = 1000 * decoding["seconds"] / decoding["frames"]
    # Only torch's own layers can be counted; the other backend computes the same.
    counted = of_clip.get("torch") or profile
    steps = tuple(
        _step(
            name,
            profile,
            counted,
            gflops=rates[precision if name == CLASSIFIER else floats],
            decode_ms=decode_ms,
        )
        for name in STEPS
        if any(entry["step"] == name for entry in profile["steps"])
    )
    return Breakdown(
        steps=steps,
        ms=1000 * profile["seconds"] / profile["frames"],
        floor_ms=decode_ms + sum(step.least_ms for step in steps if step.name != DECODING),
        decode_ms=decode_ms,
        cpu_ms=1000 * profile["cpu_s"] / profile["frames"],
        rates={name: rates[name] for name in (floats, precision)},
    )


def _step(name: str, profile: Answer, counted: Answer, *, gflops: float, decode_ms: float) -> Step:
    mflop = _a_frame(counted, name, "operations") / 1e6
    return Step(
        name=name,
        threads=_threads(profile, name),
        ms=1000 * _a_frame(profile, name, "seconds"),
        mflop=mflop,
        least_ms=decode_ms if name == DECODING else mflop / gflops,
    )


def _threads(profile: Answer, name: str) -> tuple[int, ...]:
    entries = [entry for entry in profile["steps"] if entry["step"] == name]
    entries.sort(key=lambda entry: entry["seconds"], reverse=True)
    return tuple(entry["thread"] for entry in entries)


def _a_frame(profile: Answer, name: str, what: str) -> float:
    frames: int = profile["frames"]
    total: float = sum(entry[what] for entry in profile["steps"] if entry["step"] == name)
    return total / frames
