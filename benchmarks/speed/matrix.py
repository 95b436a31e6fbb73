"""The rate at which this machine multiplies matrices: what the networks could reach at best."""

import time

import torch

SIDE = 1536
REPEATS = 8


def matrix_gflops() -> dict[str, float]:
    """Billions of operations a second in square products, the best of some, all threads."""
    return {"fp32": _gflops(torch.float32), "bf16": _gflops(torch.bfloat16)}


def _gflops(dtype: torch.dtype) -> float:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand((SIDE, SIDE), generator=generator).to(dtype)
    best_s = min(_product_s(a) for _ in range(REPEATS))
    return 2 * SIDE**3 / best_s / 1e9


def _product_s(a: torch.Tensor) -> float:
    began = time.perf_counter()
    a @ a
    return time.perf_counter() - began
