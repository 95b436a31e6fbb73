"""What the classifier's layers compute and move, and how long they take on the device."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

# What no layer does: the sums of the blocks, conversions, copies.
REST = "sums, conversions, copies"
MARK = "layer: "
TOP_KERNELS = 12


@dataclass(slots=True)
class Work:
    """Of one kind of layer, an image: operations (an addition or a product is one), and numbers.

    `values` are read or written, each layer by itself; weights, which a batch shares, are left
    out.
    """

    operations: float = 0.0
    values: float = 0.0


def kind_of(module: nn.Module) -> str | None:
    """None for what is made of other modules."""
    if isinstance(module, nn.Conv2d):
        height, width = module.kernel_size
        return f"convolutions {height}×{width}"
    names: dict[type[nn.Module], str] = {
        nn.BatchNorm2d: "batch norm",
        nn.ReLU: "ReLU",
        nn.MaxPool2d: "pooling",
        nn.AdaptiveAvgPool2d: "pooling",
        nn.Linear: "dense layer",
    }
    return names.get(type(module))


def work_of(network: nn.Module, example: Tensor) -> dict[str, Work]:
    """By kind, of one image; `example` is (1, C, H, W)."""
    work: defaultdict[str, Work] = defaultdict(Work)

    def count(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor, *, kind: str) -> None:
        work[kind].operations += _operations(module, out)
        work[kind].values += inputs[0].numel() + out.numel()

    handles = [
        module.register_forward_hook(partial(count, kind=kind))
        for module in network.modules()
        if (kind := kind_of(module))
    ]
    with torch.inference_mode():
        network.eval()(example)
    for handle in handles:
        handle.remove()
    return dict(work)


def _operations(module: nn.Module, out: Tensor) -> float:
    if isinstance(module, nn.Conv2d | nn.Linear):
        return 2.0 * out.numel() * module.weight[0].numel()
    return float(out.numel())


def mark_layers(network: nn.Module) -> None:
    """Have the profiler know which kind of layer asks for a kernel."""
    for module in network.modules():
        kind = kind_of(module)
        if kind:
            _mark(module, kind)


def _mark(module: nn.Module, kind: str) -> None:
    open_ranges: list[Any] = []

    def enter(*_: object) -> None:
        open_ranges.append(record_function(MARK + kind))
        open_ranges[-1].__enter__()

    def leave(*_: object) -> None:
        open_ranges.pop().__exit__(None, None, None)

    module.register_forward_pre_hook(enter)
    module.register_forward_hook(leave)


def profile_layers(do: Callable[[], object], *, calls: int, on_gpu: bool) -> dict[str, Any]:
    """Time on the device by kind of layer, and the kernels that take most of it, in ms a call."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        for _ in range(calls):
            do()
        if on_gpu:
            torch.cuda.synchronize()
    events = profiler.key_averages()
    scale = 1 / (1000 * calls)  # from µs
    kernels = {
        event.key: scale * (_kernel_us(event, on_gpu=on_gpu))
        for event in events
        if not event.key.startswith(MARK)
    }
    total_ms = sum(kernels.values())
    kinds = {
        event.key.removeprefix(MARK): scale * _range_us(event, on_gpu=on_gpu)
        for event in events
        if event.key.startswith(MARK) and not _is_on_gpu(event)
    }
    kinds[REST] = max(0.0, total_ms - sum(kinds.values()))
    return {"total_ms": total_ms, "kinds_ms": kinds, "kernels": _top(kernels, total_ms)}


def _is_on_gpu(event: Any) -> bool:
    return bool(event.device_type.name == "CUDA")


def _kernel_us(event: Any, *, on_gpu: bool) -> float:
    """The time of a kernel itself: on a GPU not of the calls that ask for it."""
    if not on_gpu:
        return float(event.self_cpu_time_total)
    return float(event.self_device_time_total) if _is_on_gpu(event) else 0.0


def _range_us(event: Any, *, on_gpu: bool) -> float:
    return float(event.device_time_total if on_gpu else event.cpu_time_total)


def _top(kernels: dict[str, float], total_ms: float) -> list[dict[str, Any]]:
    names: Sequence[str] = sorted(kernels, key=kernels.__getitem__, reverse=True)
    return [
        {"name": name, "ms": kernels[name], "share": kernels[name] / total_ms}
        for name in names[:TOP_KERNELS]
        if kernels[name] > 0
    ]
