"""How busy a GPU and the processor are meanwhile, watched from outside."""

import os
import threading
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from benchmarks.speed.memory import descendants

PERIOD_S = 0.05
BYTES_IN_MB = 1_000_000


class GpuWatch:
    """Asks NVML again and again while it is open, a context manager.

    `summary` is the mean utilisation (the share of time in which some kernel ran) and power, and
    the most memory that all processes together had; {} where nobody can be asked.
    """

    def __init__(self, *, index: int = 0) -> None:
        self._index = index
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._samples: list[tuple[float, float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=5)

    @property
    def summary(self) -> dict[str, float]:
        """Of the samples so far."""
        if not self._samples:
            return {}
        utilisations, watts, used_mb = zip(*self._samples, strict=True)
        count = len(self._samples)
        return {
            "utilisation": sum(utilisations) / count,
            "power_w": sum(watts) / count,
            "used_mb": max(used_mb),
            "samples": count,
        }

    def _look(self) -> None:
        if find_spec("pynvml") is None:
            return
        nvml = import_module("pynvml")
        with suppress(nvml.NVMLError):
            nvml.nvmlInit()
            card = nvml.nvmlDeviceGetHandleByIndex(self._index)
            while not self._over.wait(PERIOD_S):
                self._samples.append(_sample(nvml, card))


def _sample(nvml: Any, card: Any) -> tuple[float, float, float]:
    """Utilisation from 0 to 1, power in W, used memory in MB."""
    return (
        nvml.nvmlDeviceGetUtilizationRates(card).gpu / 100,
        nvml.nvmlDeviceGetPowerUsage(card) / 1000,
        nvml.nvmlDeviceGetMemoryInfo(card).used / BYTES_IN_MB,
    )


def tree_cpu_s(pid: int) -> float:
    """Processor time so far of a process and its living descendants, 0 of one that is gone."""
    return sum(map(_cpu_s, (pid, *descendants(pid))))


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        # The name, in brackets, may hold anything; behind it the first field is the third one.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, system = int(fields[11]), int(fields[12])
        return (user + system) / os.sysconf("SC_CLK_TCK")
    return 0.0
