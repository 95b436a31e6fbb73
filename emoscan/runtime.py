"""Device, precision and batch size: chosen once, and said aloud."""

import gc
import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

import torch

from emoscan.errors import MissingPartError, UsageError
from emoscan.lanes import nobody_else
from emoscan.options import Backend, Precision

T = TypeVar("T")

# What rows depend on beside emoscan itself.
LIBRARIES = ("torch", "openvino", "av", "opencv-python-headless", "facenet-pytorch", "numpy")

# How many threads of one video call networks side by side: two look for faces on key frames, one
# follows them, one classifies. And how many of them call the networks that take most of the time.
CALLERS, SAME_TIME = 4, 2

# Each holds a batch of photos and its pyramids in memory.
MOST_PHOTO_WORKERS = 8


class HoldsMemory(Protocol):
    """Who keeps memory of a device that it could do without."""

    def forget(self) -> bool:
        """Give it back; whether there was any."""


_HOLDERS: WeakSet[HoldsMemory] = WeakSet()
_ASKING = Lock()


def remember_to_ask(holder: HoldsMemory) -> None:
    """When a device runs out of memory."""
    with _ASKING:
        _HOLDERS.add(holder)


def _have_given_back() -> bool:
    """Whether anybody had memory that is free now."""
    with _ASKING:
        holders = [*_HOLDERS]
    had = [holder.forget() for holder in holders]
    return any(had)


TELEMETRY = "openvino_telemetry"

DTYPES = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
    Precision.INT8: torch.float32,
}

# Frames in one batch are bounded by their pixels, so that large pictures cost no more memory.
BATCH_PIXELS = {"cpu": 8_000_000, "mps": 32_000_000, "cuda": 64_000_000}
MAX_BATCH_FRAMES = {"cpu": 8, "mps": 32, "cuda": 64}


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where and how the networks run; `note` says what `auto` chose and why, if it did."""

    device: torch.device
    precision: Precision
    device_name: str
    note: str | None = None
    backend: Backend = Backend.TORCH
    threads: int = 1  # of a CPU, for one of those who call networks side by side
    streams: int = 1  # callers that use one network at the same time, each on that many threads

    @property
    def floats(self) -> Precision:
        """What OpenVINO computes in where nothing is rounded to whole numbers."""
        if self.precision is not Precision.INT8:
            return self.precision
        return Precision.BF16 if is_faster_in_bf16(self.device) else Precision.FP32

    @property
    def detector_precision(self) -> Precision:
        """By torch always fp32: halves gain nothing there."""
        return self.floats if self.backend is Backend.OPENVINO else Precision.FP32

    @property
    def dtype(self) -> torch.dtype:
        """Torch's, of the classifier; what is rounded to eight bits it computes in fp32."""
        return DTYPES[self.precision]

    @property
    def keeps_pictures(self) -> bool:
        """Whether pictures go to the device, once each, and all that is done with them with them.

        On Apple's GPUs, where nobody has tried it, the CPU cuts the crops.
        """
        return self.device.type == "cuda"

    def batch_frames(self, width_px: int, height_px: int) -> int:
        """How many frames of this size make one batch."""
        kind = self.device.type
        return max(1, min(MAX_BATCH_FRAMES[kind], BATCH_PIXELS[kind] // (width_px * height_px)))


def choose_runtime(device: str = "auto", precision: Precision = Precision.AUTO) -> Runtime:
    """Settle what `auto` leaves open. Raises UsageError for a device that is not there."""
    chosen = _auto_device() if device == "auto" else _named_device(device)
    if precision is Precision.AUTO:
        precision = Precision.FP16 if chosen.type == "cuda" else Precision.FP32
    if precision is Precision.INT8:
        raise UsageError("--precision int8 runs by OpenVINO alone.")
    if precision is Precision.FP16 and chosen.type == "cpu":
        raise UsageError("--precision fp16 needs a GPU; a CPU takes fp32 or bf16.")
    name = _device_name(chosen)
    note = _note(name) if device == "auto" else None
    return Runtime(chosen, precision, name, note)


def serving_runtime(
    device: str = "auto",
    precision: Precision = Precision.AUTO,
    backend: Backend = Backend.AUTO,
    *,
    workers: int = 1,
    has_ranges: bool = True,
) -> Runtime:
    """As `choose_runtime`, for whoever wants speed: with a backend, and where a CPU gains by them
    int8, for weights that have ranges for it, or bf16.

    The threads of a CPU are shared out among `workers`, videos that are analysed side by side.

    Raises UsageError for a device, a precision or a backend that does not fit, MissingPartError for
    OpenVINO where it is not installed.
    """
    rounds = precision is Precision.INT8
    runtime = choose_runtime(device, Precision.AUTO if rounds else precision)
    on_cpu = runtime.device.type == "cpu"
    if rounds:
        backend = _backend_of_bytes(backend, on_cpu=on_cpu)
    backend = _backend(backend, on_cpu=on_cpu)
    if precision is Precision.AUTO:
        rounds = has_ranges and backend is Backend.OPENVINO and multiplies_bytes()
    if rounds:
        runtime = replace(runtime, precision=Precision.INT8)
    elif precision is Precision.AUTO and on_cpu and is_faster_in_bf16(runtime.device):
        runtime = replace(runtime, precision=Precision.BF16)
    cores = torch.get_num_threads()
    how = f"{backend.value}, {runtime.precision.value}"
    return replace(
        runtime,
        backend=backend,
        threads=max(1, cores // CALLERS // workers),
        streams=workers * max(1, min(SAME_TIME, cores // 2)),
        note=f"{runtime.note[:-1]} ({how})." if runtime.note else None,
    )


def _backend(wanted: Backend, *, on_cpu: bool) -> Backend:
    if wanted is Backend.AUTO:
        return Backend.OPENVINO if on_cpu and _has_openvino() else Backend.TORCH
    if wanted is Backend.OPENVINO and not on_cpu:
        raise UsageError(
            "--backend openvino runs on the CPU: add --device cpu, or leave --backend out."
        )
    if wanted is Backend.OPENVINO and not _has_openvino():
        raise MissingPartError("OpenVINO is missing or broken: pip install openvino.")
    return wanted


@cache
def _has_openvino() -> bool:
    """Whether it can be used; a broken installation is none."""
    try:
        frontend = import_openvino("openvino.frontend")
    except Exception:
        return False
    return hasattr(frontend, "FrontEndManager")


def photo_workers() -> int:
    """How many batches of photos are best read, and on a CPU looked at, side by side."""
    return max(1, min(MOST_PHOTO_WORKERS, torch.get_num_threads()))


def import_openvino(name: str) -> Any:
    """A module of OpenVINO's, which would tell Google Analytics that it is imported.

    It does without where its package for that is missing: None in `sys.modules` means just this.
    """
    silenced = TELEMETRY not in sys.modules
    if silenced:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        return import_module(name)
    finally:
        if silenced:
            sys.modules.pop(TELEMETRY, None)


def library_versions() -> dict[str, str | None]:
    """Of the installed LIBRARIES; None is not installed."""

    return {name: installed_version(name) for name in LIBRARIES}


@cache
def installed_version(package: str) -> str | None:
    """None is not installed. Looked up once: it takes milliseconds, and every table has it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def is_faster_in_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 by itself, so that it is faster than fp32.

    AMX is, and so are AVX-512's products of bf16 on AMD's processors. Intel's are not, as far as
    was measured: on a Xeon without AMX OpenVINO in bf16 had 14 to 18 % fewer frames a second.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        able = torch.cpu.get_capabilities()
        has_avx = bool(able.get("avx512_bf16"))
        return bool(able.get("amx_bf16")) or (has_avx and not _is_by_intel(able))
    return False


def _backend_of_bytes(wanted: Backend, *, on_cpu: bool) -> Backend:
    """OpenVINO, where --precision int8 can be had. Raises UsageError."""
    if not on_cpu:
        raise UsageError(
            "--precision int8 runs on the CPU: add --device cpu, or leave --precision out."
        )
    if wanted is Backend.TORCH:
        raise UsageError("--precision int8 runs by OpenVINO: leave --backend out.")
    if not multiplies_bytes():
        raise UsageError(
            "--precision int8: this CPU is not known to multiply bytes (VNNI or AMX); leave it out."
        )
    return Backend.OPENVINO


def multiplies_bytes() -> bool:
    """Whether the CPU has VNNI or AMX for them; without, OpenVINO's products could overflow."""
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(able.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def _is_by_intel(able: Mapping[str, Any]) -> bool:
    """Whether the processor says so, by the system's account or torch's."""
    with suppress(OSError):  # Linux, where `platform` would start a process, which may not know
        cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        return "GenuineIntel" in cpus
    return "Intel" in f"{able.get('cpu_name', '')} {platform.processor()}"


def _auto_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in MAX_BATCH_FRAMES or (device.type != "cuda" and device.index):
        raise UsageError(f"--device takes auto, cpu, cuda, cuda:N or mps, not “{name}”.")
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)  # as tensors there call it
        _require_cuda(device.index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: torch sees no Apple GPU here; use --device auto or cpu.")
    return device


def _require_cuda(index: int) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise UsageError("--device cuda: torch sees no CUDA GPU here; use --device auto or cpu.")
    if index >= count:
        raise UsageError(f"--device cuda:{index}: the last CUDA GPU here is cuda:{count - 1}.")


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return "mps (Apple GPU)"
    return f"cpu ({torch.get_num_threads()} threads, {platform.machine()})"


def _note(name: str) -> str:
    return (
        f"No GPU found, so the CPU does the work: {name}."
        if name.startswith("cpu")
        else (f"Running on {name}.")
    )


def halving_on_out_of_memory(run: Callable[[int], T], size: int) -> T:
    """`run(size)`, with half the size again and again while the device runs out of memory.

    What is kept for speed alone is given back first, and the same size tried once more.
    """
    has_given_back = False
    while True:
        try:
            return run(size)
        except RuntimeError as raised:
            if not is_out_of_memory(raised):
                raise
            error = raised.with_traceback(None)
        # Outside of the handler: its traceback would keep the tensors of the failed run alive.
        again = _have_given_back() and not has_given_back
        if size == 1 and not again:
            raise error
        gc.collect()
        if torch.cuda.is_available():
            with nobody_else():
                torch.cuda.empty_cache()
        # Once: `run` itself may keep for speed what it then lacks.
        has_given_back = has_given_back or again
        size = size if again else (size + 1) // 2


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device ran out of memory, CUDA, MPS or CPU."""
    # CUDA has an error of its own; MPS and the CPU say it in words.
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error).lower() for w in words)
