"""What the figures were measured on, and the rates that bound them."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from benchmarks.gpu.bench import BYTES_IN_MB, Bench
from benchmarks.speed.machine import machine, versions
from emoscan.runtime import installed_version

PRODUCTS = {
    "bf16": (torch.bfloat16, "highest"),
    "fp16": (torch.float16, "highest"),
    "tf32": (torch.float32, "high"),
    "fp32": (torch.float32, "highest"),
}
REPEATS, PRODUCTS_AT_ONCE = 5, 5


def measure_machine(bench: Bench) -> None:
    """Names and versions, then rates of products and copies."""
    bench.results.put("machine", machine())
    with bench.skipping("machine: the GPU's name"):
        bench.results.put("machine", bench.results.parts["machine"] | {"gpu": _gpu(bench)})
    with bench.skipping("machine: versions"):
        bench.results.put("versions", versions() | _more_versions(bench))
    rates: dict[str, Any] = {"product_side": bench.effort.product_side, "products_tflops": {}}
    for name in PRODUCTS:
        with bench.skipping(f"machine: product in {name}"):
            rates["products_tflops"][name] = _product_tflops(bench, name)
            bench.results.put("rates", rates)
    bench.forget()
    with bench.skipping("machine: copies"):
        bench.results.put("rates", rates | {"copies_gb_s": _copies_gb_s(bench)})


def _gpu(bench: Bench) -> dict[str, Any] | None:
    """None where there is none."""
    if not bench.is_cuda:
        return None
    about = torch.cuda.get_device_properties(bench.device)
    return {
        "name": about.name,
        "capability": f"{about.major}.{about.minor}",
        "multiprocessors": about.multi_processor_count,
        "memory_mb": about.total_memory / BYTES_IN_MB,
    } | _nvml_facts(bench.device.index or 0)


def _nvml_facts(index: int) -> dict[str, Any]:
    """The driver, and how fast the card may run; {} where nobody can be asked."""
    if find_spec("pynvml") is None:
        return {}
    nvml = import_module("pynvml")
    try:
        nvml.nvmlInit()
        card = nvml.nvmlDeviceGetHandleByIndex(index)
        return {
            "driver": str(nvml.nvmlSystemGetDriverVersion()),
            "most_clock_mhz": nvml.nvmlDeviceGetMaxClockInfo(card, nvml.NVML_CLOCK_SM),
            "power_limit_w": nvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000,
        }
    except nvml.NVMLError as error:
        return {"driver": f"unknown ({error})"}


def _more_versions(bench: Bench) -> dict[str, str | None]:
    cudnn = torch.backends.cudnn.version() if bench.is_cuda else None
    return {
        "torchvision": installed_version("torchvision"),
        "CUDA": torch.version.cuda,
        "cuDNN": str(cudnn) if cudnn else None,
    }


def _product_tflops(bench: Bench, name: str) -> float:
    """Of square products of random numbers, the median of some."""
    dtype, precision = PRODUCTS[name]
    side = bench.effort.product_side
    generator = torch.Generator(bench.device).manual_seed(0)
    shape = (2, side, side)
    a, b = torch.randn(shape, generator=generator, device=bench.device).to(dtype)
    out = torch.empty_like(a)

    def multiply() -> None:
        for _ in range(PRODUCTS_AT_ONCE):
            torch.mm(a, b, out=out)

    with _float32_products(precision):
        multiply()
        seconds = statistics.median(bench.seconds(multiply) for _ in range(REPEATS))
    return 2 * side**3 * PRODUCTS_AT_ONCE / seconds / 1e12


@contextmanager
def _float32_products(precision: str) -> Iterator[None]:
    """`high` lets products of float32 be computed in TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _copies_gb_s(bench: Bench) -> dict[str, float]:
    """Bytes that arrive, by where they come from; within the device each is read and written."""
    count = bench.effort.copied_mb * BYTES_IN_MB
    pageable = torch.ones(count, dtype=torch.uint8)
    sources = {"pageable": pageable, "device": pageable.to(bench.device)}
    if bench.is_cuda:
        sources["pinned"] = pageable.pin_memory()
    target = torch.empty_like(sources["device"])
    return {name: _copy_gb_s(bench, source, target) for name, source in sources.items()}


def _copy_gb_s(bench: Bench, source: torch.Tensor, target: torch.Tensor) -> float:
    times = [
        bench.seconds(lambda: target.copy_(source, non_blocking=True)) for _ in range(1 + REPEATS)
    ]
    return source.numel() / statistics.median(times[1:]) / 1e9
