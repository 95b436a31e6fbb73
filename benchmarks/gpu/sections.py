"""The parts of the benchmark, the most important first."""

from collections.abc import Callable
from importlib import import_module

from benchmarks.gpu.bench import Bench

# Where each is done. They are imported when they are due: the process that starts the others
# loads no network.
SECTIONS = {
    "machine": "benchmarks.gpu.machine:measure_machine",
    "frames": "benchmarks.gpu.frames:measure_frames",
    "files": "benchmarks.gpu.files:measure_files",
    "parity": "benchmarks.gpu.parity:measure_parity",
    "classifier": "benchmarks.gpu.classifier:measure_classifier",
}
# Of the results, where a section fills another part than the one of its name.
PARTS = {"machine": ("machine", "versions", "rates")}
# A section whose process takes longer is ended: a device may hang for ever.
MOST_S = {"machine": 60, "frames": 160, "classifier": 90, "files": 270, "parity": 120}


def section(name: str) -> Callable[[Bench], None]:
    """What does it."""
    module, _, function = SECTIONS[name].partition(":")
    do: Callable[[Bench], None] = getattr(import_module(module), function)
    return do
