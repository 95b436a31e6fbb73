"""How far what was measured is from what bounds it."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.speed.results import Results

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
OPERATIONS, MEMORY = "operations", "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBound:
    """A kind of layers: its time, its operations an image, and the least that it could take.

    `intensity` is operations a byte that is read or written; None is not known.
    """

    kind: str
    ms: float
    mflop: float | None = None
    intensity: float | None = None
    least_ms: float | None = None
    bound_by: str | None = None


def layer_bounds(results: Results, precision: str) -> Iterator[LayerBound]:
    """The kinds that take longest first; nothing where there is no profile."""
    found = results.get("classifier", "precisions", precision, "profile") or {}
    kinds: dict[str, float] = found.get("kinds_ms", {})
    for kind in sorted(kinds, key=kinds.__getitem__, reverse=True):
        yield _bound(results, kind, precision, ms=kinds[kind], batch=found["batch"])


def _bound(results: Results, kind: str, precision: str, *, ms: float, batch: int) -> LayerBound:
    work = results.get("classifier", "layers", kind)
    if not work:
        return LayerBound(kind=kind, ms=ms)
    moved_bytes = work["values"] * BYTES[precision]
    tflops = results.get("rates", "products_tflops", precision)
    copied_gb_s = results.get("rates", "copies_gb_s", "device")
    least_ms, bound_by = None, None
    if tflops and copied_gb_s:
        times_ms = {
            OPERATIONS: 1000 * batch * work["operations"] / (tflops * 1e12),
            # A copy reads each byte and writes it.
            MEMORY: 1000 * batch * moved_bytes / (2 * copied_gb_s * 1e9),
        }
        bound_by = max(times_ms, key=times_ms.__getitem__)
        least_ms = times_ms[bound_by]
    return LayerBound(
        kind=kind,
        ms=ms,
        mflop=work["operations"] / 1e6,
        intensity=work["operations"] / moved_bytes,
        least_ms=least_ms,
        bound_by=bound_by,
    )


def share_of_products(results: Results, precision: str, *, tflops: float) -> float | None:
    """Of the rate at which this machine multiplies large matrices; None where it is not known."""
    rate = results.get("rates", "products_tflops", precision)
    return tflops / rate if rate else None


def share_of_decoding(found: dict[str, float]) -> float:
    """What a scan of files reaches of the faster way to decode alone."""
    return found["rate"] / max(found["decode_auto"], found["decode_single"])
