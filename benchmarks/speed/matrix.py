"""The rate at which this machine multiplies matrices: what the networks could reach at best."""

import time
from dataclasses import replace

import torch
from torch import nn

from emoscan.emotion.eight_bits import RoundedConv, RoundedRelu
from emoscan.inference import Forward, made_ready
from emoscan.options import Precision
from emoscan.runtime import Runtime, serving_runtime

SIDE = 1536
# Of the product in int8, which OpenVINO has as a convolution of single pixels.
CHANNELS, IMAGE_SIDE = 2048, 32
REPEATS = 8


def matrix_gflops() -> dict[str, float]:
    """Billions of operations a second in large products, the best of some, all threads.

    In int8 only where it would be used, by OpenVINO, from and to floats; otherwise by torch.
    """
    rates = {"fp32": _gflops(torch.float32), "bf16": _gflops(torch.bfloat16)}
    runtime = serving_runtime("cpu")
    return rates | ({"int8": _int8_gops(runtime)} if runtime.precision is Precision.INT8 else {})


def _int8_gops(runtime: Runtime) -> float:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # else each would leave another conversion in the cache
        conv = nn.Conv2d(CHANNELS, CHANNELS, 1)
    layers = nn.Sequential(_levels(), RoundedConv(conv), _levels())
    images = torch.rand(1, IMAGE_SIDE, IMAGE_SIDE, CHANNELS).permute(0, 3, 1, 2)
    forward = made_ready(layers, images, replace(runtime, threads=torch.get_num_threads()))
    best_s = min(_forward_s(forward, images) for _ in range(REPEATS))
    return 2 * CHANNELS**2 * IMAGE_SIDE**2 / best_s / 1e9


def _levels() -> nn.Module:
    return RoundedRelu(torch.tensor(1.0))


def _forward_s(forward: Forward, images: torch.Tensor) -> float:
    began = time.perf_counter()
    forward(images)
    return time.perf_counter() - began


def _gflops(dtype: torch.dtype) -> float:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand((SIDE, SIDE), generator=generator).to(dtype)
    best_s = min(_product_s(a) for _ in range(REPEATS))
    return 2 * SIDE**3 / best_s / 1e9


def _product_s(a: torch.Tensor) -> float:
    began = time.perf_counter()
    a @ a
    return time.perf_counter() - began
