"""Images a second of the classifier by batch and number format, and what bounds them."""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.frame_rate import shipped_network
from benchmarks.gpu.bench import Bench, Deadline
from benchmarks.gpu.layers import mark_layers, profile_layers, work_of
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import CROP_SIDE_PX
from emoscan.inference import Forward, made_ready
from emoscan.options import Backend, Precision
from emoscan.runtime import Runtime, serving_runtime

LEAST_CALLS, MOST_CALLS = 3, 50
PROFILED_CALLS = 3


def measure_classifier(bench: Bench) -> None:
    """Each number format at each batch, then what the layers of the best one do."""
    work = work_of(shipped_network(), torch.zeros(1, 1, CROP_SIDE_PX, CROP_SIDE_PX))
    layers = {
        kind: {"operations": found.operations, "values": found.values}
        for kind, found in work.items()
    }
    operations = sum(found.operations for found in work.values())
    measured: dict[str, Any] = {"operations": operations, "layers": layers, "precisions": {}}
    # A CPU has no kernels in fp16.
    halves = Precision.FP16 if bench.is_cuda else Precision.FP32
    for precision in (halves, Precision.BF16):
        with bench.skipping(f"classifier: {precision.value}"):
            found = measured["precisions"].setdefault(precision.value, {"batches": {}})
            _measure_precision(bench, precision, found)
        bench.results.put("classifier", measured)
    for precision, found in measured["precisions"].items():
        with bench.skipping(f"classifier: layers in {precision}"):
            found["profile"] = _profile(bench, Precision(precision), found["batches"])
            bench.results.put("classifier", measured)


def best_batch(batches: dict[str, Any]) -> str:
    """At which most images a second go through the network alone."""
    return max(batches, key=lambda batch: float(batches[batch]["network"]))


def _measure_precision(bench: Bench, precision: Precision, found: dict[str, Any]) -> None:
    runtime = _runtime(bench, precision)
    forward = _ready(runtime)
    classifier = EmotionClassifier(runtime)
    for batch in bench.effort.batches:
        with bench.skipping(f"classifier: {precision.value}: batches of {batch}"):
            network = partial(forward, _levels(bench, batch))
            whole = partial(classifier.classify_crops, _crops(batch))
            found["batches"][str(batch)] = rates = {
                "network": _images_per_s(bench, network, batch),
                "classify_crops": _images_per_s(bench, whole, batch),
            }
            told = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
            print(f"classifier: {precision.value}: batches of {batch}: {told}", flush=True)


def _runtime(bench: Bench, precision: Precision) -> Runtime:
    """By torch: layers that another backend runs cannot be told apart."""
    return serving_runtime(str(bench.device), precision, Backend.TORCH)


def _ready(runtime: Runtime) -> Forward:
    return made_ready(shipped_network(), torch.zeros(1, 1, CROP_SIDE_PX, CROP_SIDE_PX), runtime)


def _crops(batch: int) -> np.ndarray:
    shape = (batch, CROP_SIDE_PX, CROP_SIDE_PX)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _levels(bench: Bench, batch: int) -> Tensor:
    """Normalised gray levels, on the device."""
    shape = (batch, 1, CROP_SIDE_PX, CROP_SIDE_PX)
    generator = torch.Generator(bench.device).manual_seed(0)
    return torch.randn(shape, generator=generator, device=bench.device)


@torch.inference_mode()
def _images_per_s(bench: Bench, do: Callable[[], object], batch: int) -> float:
    """The median of as many calls as the time allows, after two that warm up."""
    do()
    do()
    deadline, times = Deadline(bench.effort.batch_s), list[float]()
    while len(times) < LEAST_CALLS or (len(times) < MOST_CALLS and not deadline.is_over):
        times.append(bench.seconds(do))
    return batch / statistics.median(times)


def _profile(bench: Bench, precision: Precision, batches: dict[str, Any]) -> dict[str, Any]:
    """At the best batch, of a network whose layers are marked."""
    batch = int(best_batch(batches))
    network = shipped_network()
    mark_layers(network)
    runtime = _runtime(bench, precision)
    forward = made_ready(network, torch.zeros(1, 1, CROP_SIDE_PX, CROP_SIDE_PX), runtime)
    levels = _levels(bench, batch)
    with torch.inference_mode():
        forward(levels)
        found = profile_layers(lambda: forward(levels), calls=PROFILED_CALLS, on_gpu=bench.is_cuda)
    return {"batch": batch} | found
