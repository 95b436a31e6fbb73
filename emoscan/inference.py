"""Networks made ready to run: by torch on any device, by OpenVINO on a CPU.

A Forward takes (N, C, H, W) float32 or, for the same numbers, uint8, and gives float32 on the
runtime's device.
All of it stands behind `made_ready`; nobody else asks which backend works.
"""

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache, partial
from itertools import accumulate, pairwise
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emoscan.cache import cache_folder
from emoscan.options import Backend, Precision
from emoscan.runtime import Runtime, import_openvino, installed_version

Forward = Callable[[Tensor], Tensor]

# With these, batches of up to 30 frames with one face each take two calls at most.
SIZES = (128, 96, 64, 48, 32, 24, 20, 16, 12, 10, 8, 6, 5, 4, 3, 2, 1)
# Enough for the pyramids of several sizes of pictures; by default OpenVINO keeps 5,000, and photos
# of all sizes would fill hundreds of megabytes.
KEPT_KERNELS = "1024"

OPENVINO_PRECISIONS = {Precision.FP32: "f32", Precision.BF16: "bf16"}


def made_ready(network: nn.Module, example: Tensor, runtime: Runtime) -> Forward:
    """The network in evaluation mode on the runtime's device, in its precision.

    The network is changed in place, and defines each batch norm right behind the convolution that
    feeds it. `example` (N, C, H, W) is what it is called with first, float32 or uint8; any N goes,
    and where the network allows it any H and W.
    """
    network.eval().requires_grad_(False)
    if runtime.backend is Backend.OPENVINO:
        return _by_openvino(network, example, runtime)
    return _by_torch(network, runtime)


def _by_torch(network: nn.Module, runtime: Runtime) -> Forward:
    dtype = runtime.dtype
    if runtime.device.type != "cuda":
        fold_batch_norms(network)
    # channels_last makes convolutions about twice as fast on a CPU.
    network.to(runtime.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    exactly = _WITHOUT_TF32 if may_round(runtime.device, dtype) else nullcontext()

    def forward(images: Tensor) -> Tensor:
        with exactly:
            out: Tensor = network(images.to(runtime.device, dtype))
        return out.float()

    return forward


def may_round(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether convolutions could be rounded to TF32 there, as torch has it by default."""
    return device.type == "cuda" and dtype is torch.float32


class WithoutTf32:
    """While anybody is in it, CUDA's convolutions keep all bits of fp32, instead of TF32's ten.

    O-Net looks at its own boxes again and again, and rounded products moved them by up to 2 px.
    Afterwards torch says of convolutions what it said before.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._restore: Callable[[], None] = lambda: None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._restore = _turn_tf32_off()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._restore()


def _turn_tf32_off() -> Callable[[], None]:
    """In convolutions; what is given turns it on again where it was."""
    cudnn: Any = torch.backends.cudnn
    # The newer name, of torch 2.9: read by the older one, a setting by the newer is an error.
    whose, name, exact = (
        (cudnn.conv, "fp32_precision", "ieee")
        if hasattr(cudnn, "conv")
        else (cudnn, "allow_tf32", False)
    )
    restore = partial(setattr, whose, name, getattr(whose, name))
    setattr(whose, name, exact)
    return restore


_WITHOUT_TF32 = WithoutTf32()


def fold_batch_norms(network: nn.Module) -> None:
    """Put each into the convolution before it, as in evaluation it is a product and a sum.

    A module defines them in their order. On a CUDA GPU they stay: on an H200 they take 10.9 of 39
    ms of a large batch, and to add the biases that they leave takes torch 15.3.
    """
    for module in network.modules():
        for (name, layer), (norm_name, norm) in pairwise(module.named_children()):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(layer, norm))
                setattr(module, norm_name, nn.Identity())


def _by_openvino(network: nn.Module, example: Tensor, runtime: Runtime) -> Forward:
    settings = {
        "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[runtime.floats],
        "INFERENCE_NUM_THREADS": runtime.threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # else the threads of all networks share the first core
        "CPU_RUNTIME_CACHE_CAPACITY": KEPT_KERNELS,
    }
    model = _stored(network, example)

    def compile_for(taken: torch.dtype) -> Any:
        takes = _on_channels_last(model.clone(), taken)
        return _core().compile_model(takes, "CPU", settings)

    compiled = {
        taken: _Lent(partial(compile_for, taken), most=runtime.streams)
        for taken in (torch.float32, torch.uint8)
    }

    def forward(images: Tensor) -> Tensor:
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        borders = list(accumulate(batch_sizes(len(pixels)), initial=0))
        with compiled[images.dtype].one() as its:
            request = its.create_infer_request()  # which costs little
            parts = [
                request.infer([pixels[start:end]], share_inputs=True)[0].copy()
                for start, end in pairwise(borders)
            ]
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))

    # Once here: two threads that are the first to read a result may wait for each other for ever,
    # one for the GIL and the other, which has it, for a static that the first is making.
    forward(example[:1])
    return forward


class _Lent:
    """Up to `most` compiled models, made when they are needed, each lent to one thread at a time.

    Requests of one compiled model share its graph. While several threads had one each, one scan in
    some two hundred ended within OpenVINO, where it asked for the form of memory that was gone.
    """

    def __init__(self, make: Callable[[], Any], *, most: int) -> None:
        self._make = make
        self._left = most
        self._making = Lock()
        self._idle: SimpleQueue[Any] = SimpleQueue()

    @contextmanager
    def one(self) -> Iterator[Any]:
        """The next that is idle, or a new one; where all are lent, whoever asks waits."""
        with self._making:
            if self._left and self._idle.empty():
                self._idle.put(self._make())
                self._left -= 1
        its = self._idle.get()
        try:
            yield its
        finally:
            self._idle.put(its)


def batch_sizes(count: int) -> list[int]:
    """Few sizes, each one of SIZES, that add up to `count`, the largest first; [0] for nothing.

    OpenVINO keeps kernels and memory for every shape that it has met, up to 15 MB for one of the
    classifier's: with batches of any size the process would grow for hours.
    """
    sizes: list[int] = []
    for size in SIZES:
        times, count = divmod(count, size)
        sizes += [size] * times
    return sizes or [0]


@cache
def _core() -> Any:
    return import_openvino("openvino").Core()


def _on_channels_last(model: Any, taken: torch.dtype = torch.float32) -> Any:
    """The model on (N, H, W, C): the order in which pixels lie in pictures; uint8 or float32.

    OpenVINO converts uint8 itself, in less time than torch, whose threads would be a second set.
    """
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    kind = Type.u8 if taken is torch.uint8 else Type.f32
    steps.input().tensor().set_layout(Layout("NHWC")).set_element_type(kind)
    steps.input().model().set_layout(Layout("NCHW"))
    return steps.build()


def _stored(network: nn.Module, example: Tensor) -> Any:
    """OpenVINO's form of the network, converted once and kept in the user's cache."""
    try:
        folder = cache_folder() / "openvino"
    except RuntimeError:  # no home: nothing is kept
        return _converted(network, example)
    path = folder / f"{_fingerprint(network)}.xml"
    with suppress(RuntimeError):  # absent, or damaged: it is made again
        return _core().read_model(path)
    model = _converted(network, example)
    with suppress(OSError, RuntimeError):  # a disk that is full or read-only costs only time
        _store(model, path)
    return model


def _fingerprint(network: nn.Module) -> str:
    """Of the layers, their weights and the versions that the conversion depends on."""
    digest = hashlib.sha256(repr(network).encode())
    for tensor in network.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for package in ("torch", "openvino", "emoscan"):
        digest.update(f"{installed_version(package)}".encode())
    return digest.hexdigest()[:32]


def _store(model: Any, path: Path) -> None:
    """Whole or not at all, whoever else does the same."""
    import openvino

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder) / path.name
        openvino.save_model(model, new, compress_to_fp16=False)
        # The weights first: where the .xml lies, they do too.
        new.with_suffix(".bin").replace(path.with_suffix(".bin"))
        new.replace(path)


def _converted(network: nn.Module, example: Tensor) -> Any:
    """By OpenVINO's reader of torch's traces; `openvino.convert_model` would report its use."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and traces well
        trace = torch.jit.trace(network.float().cpu(), example.float())
        decoder = TorchScriptPythonDecoder(trace, example_input=example.float())
    reader = FrontEndManager().load_by_framework("pytorch")
    return reader.convert(reader.load(decoder))
