"""OpenVINO gives what torch gives, and its converted networks are kept."""

import importlib.util
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from emoscan import inference, runtime
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.network import create_network
from emoscan.errors import MissingPartError, UsageError
from emoscan.faces.networks import load_networks
from emoscan.inference import SIZES, WithoutTf32, batch_sizes, made_ready, may_round
from emoscan.options import Backend, Precision
from emoscan.runtime import Runtime, choose_runtime, is_faster_in_bf16, serving_runtime

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "emoscan" / "openvino"


def by_openvino(precision: Precision = Precision.FP32) -> Runtime:
    return serving_runtime("cpu", precision, Backend.OPENVINO)


@needs_openvino
def test_the_cascades_networks_agree(cache) -> None:
    random = torch.Generator().manual_seed(0)
    first, second = load_networks(choose_runtime("cpu")), load_networks(by_openvino())
    shapes = {"proposal": (2, 3, 50, 83), "refinement": (5, 3, 24, 24), "output": (3, 3, 48, 48)}
    for name, shape in shapes.items():
        pixels = torch.rand(shape, generator=random) * 255
        with torch.inference_mode():
            out = [getattr(networks, name).forward(pixels) for networks in (first, second)]
        assert torch.allclose(*out, atol=1e-3), name


@pytest.mark.parametrize(
    "backend", [Backend.TORCH, pytest.param(Backend.OPENVINO, marks=needs_openvino)]
)
def test_bytes_give_what_the_same_numbers_in_float_give(cache, backend: Backend) -> None:
    networks = load_networks(serving_runtime("cpu", backend=backend))
    random = torch.Generator().manual_seed(0)
    shapes = {"proposal": (2, 50, 83, 3), "refinement": (5, 24, 24, 3), "output": (3, 48, 48, 3)}
    for name, shape in shapes.items():
        pixels = torch.randint(256, shape, generator=random, dtype=torch.uint8).permute(0, 3, 1, 2)
        forward = getattr(networks, name).forward
        with torch.inference_mode():
            assert forward(pixels).equal(forward(pixels.float())), name


@needs_openvino
def test_the_classifier_agrees(cache) -> None:
    crops = np.random.default_rng(0).integers(0, 255, (6, 48, 48), np.uint8)
    wanted = EmotionClassifier(choose_runtime("cpu")).classify_crops(crops).probabilities
    exact = EmotionClassifier(by_openvino()).classify_crops(crops).probabilities
    assert np.allclose(exact, wanted, atol=1e-4)
    if is_faster_in_bf16(torch.device("cpu")):
        rough = EmotionClassifier(by_openvino(Precision.BF16)).classify_crops(crops).probabilities
        assert np.allclose(rough, wanted, atol=0.05)


@needs_openvino
def test_a_network_has_run_before_threads_share_it(cache, monkeypatch) -> None:
    """OpenVINO's binding may deadlock where two threads are the first to read a result."""
    core, ran_in = inference._core(), []

    class Compiled:
        def __init__(self, *words) -> None:
            self.compiled = core.compile_model(*words)

        def create_infer_request(self):
            ran_in.append(threading.current_thread())
            return self.compiled.create_infer_request()

    noting = SimpleNamespace(compile_model=Compiled, read_model=core.read_model)
    monkeypatch.setattr(inference, "_core", lambda: noting)
    openvino = serving_runtime("cpu", Precision.FP32, Backend.OPENVINO)
    made_ready(torch.nn.Conv2d(3, 4, 3), torch.zeros(2, 3, 8, 8), openvino)
    assert ran_in == [threading.main_thread()]


def test_a_conversion_is_kept_and_used(cache, monkeypatch) -> None:
    network, example = create_network("resnet18-gray"), torch.zeros(1, 1, 48, 48)
    wanted = made_ready(network, example, by_openvino())(example)
    kept = {path.name for path in cache.iterdir()}
    assert {Path(name).suffix for name in kept} == {".xml", ".bin"} and len(kept) == 2

    def again(*_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(inference, "_converted", again)
    assert made_ready(network, example, by_openvino())(example).equal(wanted)


@needs_openvino
def test_other_weights_are_another_conversion(cache) -> None:
    example = torch.zeros(1, 1, 48, 48)
    for _ in range(2):
        made_ready(create_network("resnet18-gray"), example, by_openvino())
    assert len(list(cache.glob("*.xml"))) == 2


@needs_openvino
@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_damaged_conversion_is_made_again(cache, suffix: str) -> None:
    network, example = create_network("resnet18-gray"), torch.ones(1, 1, 48, 48)
    wanted = made_ready(network, example, by_openvino())(example)
    damaged = next(cache.glob(f"*{suffix}"))
    damaged.write_bytes(b"damaged")
    assert torch.allclose(made_ready(network, example, by_openvino())(example), wanted, atol=1e-5)


@needs_openvino
def test_threads_that_come_first_compile_once(monkeypatch) -> None:
    network = made_ready(create_network("resnet18-gray"), torch.zeros(1, 1, 48, 48), by_openvino())
    compiled: list[object] = []
    core, threads = inference._core(), 4
    together = threading.Barrier(threads)

    class Counting:
        def compile_model(self, *args):
            compiled.append(args)
            return core.compile_model(*args)

    def look() -> None:
        together.wait()
        network(torch.zeros(1, 1, 48, 48, dtype=torch.uint8))

    monkeypatch.setattr(inference, "_core", Counting)
    workers = [threading.Thread(target=look) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(compiled) == 1


@needs_openvino
def test_without_a_place_to_keep_it_nothing_is_kept(monkeypatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(inference, "cache_folder", homeless)
    example = torch.zeros(1, 1, 48, 48)
    assert made_ready(create_network("resnet18-gray"), example, by_openvino())(example).shape == (
        1,
        7,
    )


def test_without_openvino_auto_takes_torch_and_asking_for_it_names_the_way_out(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino.frontend", None)  # as an import that fails
    monkeypatch.setattr("emoscan.runtime._has_openvino", runtime._has_openvino.__wrapped__)
    assert serving_runtime("cpu").backend is Backend.TORCH
    with pytest.raises(MissingPartError, match="pip install openvino"):
        serving_runtime("cpu", backend=Backend.OPENVINO)


def test_openvino_is_for_the_cpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    assert serving_runtime().backend is Backend.TORCH
    with pytest.raises(UsageError, match="--device cpu"):
        serving_runtime(backend=Backend.OPENVINO)


def test_bf16_is_taken_where_the_cpu_is_faster_by_it(monkeypatch) -> None:
    for able, precision in ((True, Precision.BF16), (False, Precision.FP32)):
        monkeypatch.setattr("emoscan.runtime.is_faster_in_bf16", lambda device, able=able: able)
        assert serving_runtime("cpu", has_ranges=False).precision is precision
        assert serving_runtime("cpu", Precision.FP32).precision is Precision.FP32


@pytest.mark.parametrize("count", [*range(31), 64, 255, 256, 300, 1000])
def test_batches_are_of_few_sizes(count: int) -> None:
    """OpenVINO keeps memory for each size that it has met."""
    sizes = batch_sizes(count)
    assert sum(sizes) == count and sizes == sorted(sizes, reverse=True)
    assert set(sizes) <= {0, *SIZES}
    assert count > 30 or len(sizes) <= 2


def test_folded_batch_norms_change_no_number() -> None:
    network = create_network().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for numbers in (module.weight, module.bias, module.running_mean):
                    numbers.uniform_(-0.5, 1.5)
                module.running_var.uniform_(0.5, 2)
    images = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    wanted = network(images)
    forward = made_ready(network, images, choose_runtime("cpu"))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert torch.allclose(
        forward(images), wanted, rtol=1e-4, atol=1e-4 * float(wanted.detach().abs().max())
    )


def rounds() -> bool:
    """Whether convolutions of a GPU do."""
    newer = getattr(torch.backends.cudnn, "conv", None)
    return newer.fp32_precision == "tf32" if newer else torch.backends.cudnn.allow_tf32


@pytest.fixture
def tf32() -> Iterator[None]:
    """As torch has it, before and afterwards."""
    assert rounds()
    yield
    for name in ("conv", "rnn"):
        if hasattr(torch.backends.cudnn, name):
            getattr(torch.backends.cudnn, name).fp32_precision = "tf32"
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.usefixtures("tf32")
def test_convolutions_keep_all_bits_until_the_last_is_done() -> None:
    exactly = WithoutTf32()
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(exactly)
        second.enter_context(exactly)
        first.close()
        assert not rounds()
    assert rounds()
    with pytest.raises(KeyError), exactly:
        raise KeyError
    assert rounds()


@pytest.mark.usefixtures("tf32")
@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch 2.9 brought it")
def test_they_do_so_where_settings_were_made_by_their_newer_names() -> None:
    torch.backends.cudnn.rnn.fp32_precision = "ieee"
    with pytest.raises(RuntimeError):
        _ = torch.backends.cudnn.allow_tf32
    with WithoutTf32():
        assert not rounds()
    assert rounds()


def test_only_fp32_on_cuda_may_round() -> None:
    cpu, cuda = map(torch.device, ("cpu", "cuda"))
    assert may_round(cuda, torch.float32)
    assert not may_round(cuda, torch.float16) and not may_round(cpu, torch.float32)


class Asked(torch.nn.Module):
    """Tells whether convolutions of a GPU may round while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.rounded: list[bool] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.rounded.append(rounds())
        return images


@pytest.mark.usefixtures("tf32")
def test_a_cpu_touches_no_setting_of_a_gpu() -> None:
    network, images = Asked(), torch.zeros(1, 1, 4, 4)
    made_ready(network, images, choose_runtime("cpu", Precision.FP32))(images)
    assert network.rounded == [True]


def test_batch_norms_are_folded_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()).eval()
    network(torch.rand(4, 3, 9, 9))
    for tensor in (network[1].running_mean, network[1].running_var, network[1].weight):
        nn.init.uniform_(tensor, 0.5, 2.0)
    images = torch.rand(2, 3, 9, 9)
    with torch.inference_mode():
        wanted = network(images)
        forward = inference.made_ready(network, images, choose_runtime("cpu"))
        assert torch.allclose(forward(images), wanted, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("most", [1, 3])
def test_compiled_models_are_lent_to_one_thread_at_a_time(most: int) -> None:
    made, lent, together = [], set[int](), list[int]()
    lock = threading.Lock()

    def make() -> object:
        made.append(object())
        return made[-1]

    models = inference._Lent(make, most=most)

    def use() -> None:
        for _ in range(50):
            with models.one() as model:
                with lock:
                    assert id(model) not in lent
                    lent.add(id(model))
                    together.append(len(lent))
                time.sleep(1e-4)
                with lock:
                    lent.remove(id(model))

    with ThreadPoolExecutor(5) as pool:
        for done in [pool.submit(use) for _ in range(5)]:
            done.result()
    assert len(made) == max(together) == most and not lent


def test_a_compiled_model_is_given_back_after_an_error() -> None:
    models = inference._Lent(object, most=1)
    with pytest.raises(RuntimeError, match="no memory"), models.one():
        raise RuntimeError("no memory")
    with models.one():
        pass
