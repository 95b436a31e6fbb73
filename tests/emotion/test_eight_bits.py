"""The classifier rounded to eight bits: what it says, and which ranges it takes."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.data import astronaut
from torch import Tensor, nn

from emoscan import inference
from emoscan.emotion.checkpoint import (
    LoadedCheckpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    shipped_weights,
)
from emoscan.emotion.classifier import EmotionClassifier, network_of, rounded_network_of
from emoscan.emotion.eight_bits import (
    TOPS,
    RoundedConv,
    RoundedRelu,
    evened,
    links,
    relus,
    round_network,
)
from emoscan.emotion.network import ARCHITECTURES, create_network
from emoscan.errors import MissingPartError, UsageError
from emoscan.inference import fold_batch_norms
from emoscan.options import Backend, Precision
from emoscan.runtime import choose_runtime, serving_runtime

CPU = choose_runtime("cpu")
# By torch, which computes in fp32 what OpenVINO multiplies in bytes.
ROUNDED = replace(CPU, precision=Precision.INT8)


@pytest.fixture(scope="module")
def shipped() -> LoadedCheckpoint:
    return load_weights(None)


@pytest.fixture(scope="module")
def faces() -> NDArray[np.uint8]:
    """(24, 48, 48) of a real face, moved, enlarged and lighted differently."""
    gray = cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)
    crops = []
    for number in range(24):
        side = 130 + 5 * (number % 6)
        left, top = 160 + 3 * (number % 5), 40 + 4 * (number // 6)
        crop = cv2.resize(gray[top : top + side, left : left + side], (48, 48))
        crops.append(cv2.convertScaleAbs(crop, alpha=0.6 + 0.02 * number))
    return np.stack(crops).astype(np.uint8)


def test_it_says_nearly_what_the_exact_network_says(shipped, faces) -> None:
    exact = EmotionClassifier(CPU, shipped).classify_crops(faces).probabilities
    rounded = EmotionClassifier(ROUNDED, shipped).classify_crops(faces).probabilities
    apart = np.abs(exact - rounded)
    assert 0 < apart.max() < 0.15 and (apart <= 0.05).mean() >= 0.99


def test_openvino_multiplies_bytes_and_says_the_same(shipped, faces, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runtime = serving_runtime("cpu")
    if runtime.precision is not Precision.INT8:
        pytest.skip("needs OpenVINO and a CPU that multiplies bytes")
    compiled = list[Any]()
    compiling = inference._core().compile_model

    def compile_model(*args: Any) -> Any:
        compiled.append(compiling(*args))
        return compiled[-1]

    monkeypatch.setattr(inference, "_core", lambda: CoreThat(compile_model))
    exact, rounded, fast = (
        EmotionClassifier(how, shipped).classify_crops(faces).probabilities
        for how in (CPU, ROUNDED, runtime)
    )
    assert np.abs(fast - rounded).max() < 0.05 and np.abs(fast - exact).max() < 0.15
    layers = [node.get_rt_info() for node in compiled[-1].get_runtime_model().get_ops()]
    convs = [layer for layer in layers if layer["layerType"].astype(str) == "Convolution"]
    assert sum(layer["runtimePrecision"].astype(str) in ("u8", "i8") for layer in convs) >= 19


class CoreThat:
    """OpenVINO's, with another way to compile."""

    def __init__(self, compile_model: Any) -> None:
        self.compile_model = compile_model

    def __getattr__(self, name: str) -> Any:
        return getattr(REAL_CORE(), name)


REAL_CORE = inference._core


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_can_be_rounded(architecture: str) -> None:
    network = create_network(architecture).eval().requires_grad_(False)
    images = torch.rand(8, 1, 48, 48)
    wanted = network(images)
    fine = ranges_of(network)
    fine[TOPS] = torch.full((17,), 20.0)
    out = round_network(deepcopy(network), fine)(images)
    assert 0 < float((out - wanted).abs().mean()) < 0.5 * float(wanted.abs().mean())


def test_by_torch_it_is_computed_in_fp32_wherever_floats_are_bf16(shipped, faces, monkeypatch):
    monkeypatch.setattr("emoscan.runtime.is_faster_in_bf16", lambda _: True)
    assert ROUNDED.floats is Precision.BF16
    assert len(EmotionClassifier(ROUNDED, shipped).classify_crops(faces[:2]))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_spreads_alone_change_nothing(architecture: str) -> None:
    network = create_network(architecture).eval().requires_grad_(False)
    fold_batch_norms(network)
    other, images = deepcopy(network), torch.rand(2, 1, 48, 48)
    spreads = {name: torch.rand(len(each)) + 0.1 for name, each in ranges_of(network).items()}
    for link in links(other):
        for name, tensor in evened(link, spreads).items():
            setattr(link.layer, name, nn.Parameter(tensor))
    wanted = network(images)
    assert torch.allclose(other(images), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def ranges_of(network: nn.Module) -> dict[str, Tensor]:
    """Some that fit."""
    sizes = {link.gives: len(link.layer.weight) for link in links(network) if link.gives}
    ranges = {name: torch.ones(size) for name, size in sizes.items()}
    return ranges | {TOPS: torch.full((len([*relus(network)]),), 4.0)}


def test_nothing_but_the_stem_and_the_last_layer_keeps_its_numbers(shipped) -> None:
    network = rounded_network_of(shipped)
    convs = [part for part in network.modules() if isinstance(part, RoundedConv)]
    plain = [name for name, part in network.named_modules() if isinstance(part, nn.Conv2d)]
    assert len(convs) == 19 and [name for name in plain if not name.endswith(".conv")] == ["conv1"]
    assert not any(isinstance(part, nn.ReLU | nn.BatchNorm2d) for part in network.modules())
    assert sum(isinstance(part, RoundedRelu) for part in network.modules()) == 17


def test_what_a_layer_gives_lies_on_its_levels() -> None:
    maps = torch.tensor([-1.0, 0.0, 0.1, 2.54, 2.56, 9.0])
    assert RoundedRelu(torch.tensor(2.55))(maps).tolist() == pytest.approx(
        [0, 0, 0.1, 2.54, 2.55, 2.55]
    )
    conv = nn.Conv2d(3, 5, 3, bias=True)
    out = RoundedConv(conv)(torch.ones(1, 3, 3, 3)).flatten()
    assert torch.allclose(out, conv(torch.ones(1, 3, 3, 3)).flatten(), atol=0.02)
    assert not out.equal(conv(torch.ones(1, 3, 3, 3)).flatten())


def test_a_kernel_of_nothing_gives_its_bias() -> None:
    conv = nn.Conv2d(1, 1, 3)
    with torch.no_grad():
        conv.weight.zero_()
    assert RoundedConv(conv)(torch.ones(1, 1, 3, 3)).item() == pytest.approx(conv.bias.item())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"layer1": torch.ones(63)}, "not those of its network"),
        ({"layer5": torch.ones(8)}, "not those of its network"),
        ({TOPS: torch.ones(16)}, "not those of its network"),
        ({"layer1": torch.zeros(64)}, "finite and above 0"),
        ({TOPS: torch.full((17,), torch.nan)}, "finite and above 0"),
        ({TOPS: torch.full((17,), torch.inf)}, "finite and above 0"),
        ({TOPS: torch.ones(17, dtype=torch.complex64)}, "finite and above 0"),
    ],
)
def test_ranges_of_something_else_are_refused(shipped, change, why: str) -> None:
    broken = replace(shipped, ranges=shipped.ranges | change)
    with pytest.raises(MissingPartError, match=why):
        EmotionClassifier(ROUNDED, broken)
    with pytest.raises(ValueError, match=why):
        round_network(network_of(shipped), broken.ranges)


def test_ranges_come_back_as_they_were_saved_and_apart_from_the_weights(tmp_path) -> None:
    loaded = load_checkpoint(shipped_weights())
    path = tmp_path / "again.safetensors"
    save_checkpoint(path, loaded.state, loaded.about, loaded.ranges)
    again = load_checkpoint(path)
    assert (
        again.state.keys()
        == loaded.state.keys()
        == create_network(loaded.about.architecture).state_dict().keys()
    )
    assert again.ranges.keys() == loaded.ranges.keys()
    assert all(again.ranges[name].equal(loaded.ranges[name]) for name in loaded.ranges)


def test_without_ranges_nobody_rounds(shipped, tmp_path) -> None:
    path = Path(tmp_path / "none.safetensors")
    save_checkpoint(path, shipped.state, shipped.about)
    with pytest.raises(MissingPartError, match=r"no ranges for int8.*training\.eight_bits"):
        EmotionClassifier(ROUNDED, path)
    assert serving_runtime("cpu", has_ranges=False).precision is not Precision.INT8
    assert len(EmotionClassifier(CPU, path).classify_crops(np.zeros((1, 48, 48), np.uint8)))


@pytest.mark.parametrize(
    ("able", "backend", "precision"),
    [
        ({"avx512_vnni": True}, Backend.AUTO, Precision.INT8),
        ({"avx_vnni": True}, Backend.OPENVINO, Precision.INT8),
        ({"amx_int8": True, "amx_bf16": True}, Backend.AUTO, Precision.INT8),
        ({"avx512_vnni": True}, Backend.TORCH, Precision.FP32),
        ({"amx_int8": True, "amx_bf16": True}, Backend.TORCH, Precision.BF16),
        ({"avx512_f": True}, Backend.AUTO, Precision.FP32),
    ],
)
def test_auto_rounds_where_openvino_multiplies_bytes(
    monkeypatch, able, backend: Backend, precision: Precision
) -> None:
    monkeypatch.setattr("emoscan.runtime._has_openvino", lambda: True)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: able)
    runtime = serving_runtime("cpu", backend=backend)
    assert runtime.precision is precision
    floats = Precision.BF16 if able.get("amx_bf16") else Precision.FP32
    assert runtime.floats is floats


@pytest.mark.parametrize(
    ("able", "words", "said"),
    [
        ({"avx512_vnni": True}, ["--backend", "torch"], "runs by OpenVINO: leave --backend out"),
        ({"avx512_f": True}, [], "not known to multiply bytes"),
    ],
)
def test_int8_that_cannot_be_had_is_refused_in_a_sentence(
    run, monkeypatch, tmp_path, able, words, said: str
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: able)
    (tmp_path / "a.mp4").write_bytes(b"")
    result = run("video", tmp_path / "a.mp4", "--precision", "int8", "--device", "cpu", *words)
    assert result.code == 2 and said in " ".join(result.err.split())


def test_int8_on_a_gpu_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    with pytest.raises(UsageError, match="add --device cpu"):
        serving_runtime("cuda", Precision.INT8)


def test_int8_without_openvino_is_refused(monkeypatch) -> None:
    monkeypatch.setattr("emoscan.runtime._has_openvino", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_vnni": True})
    with pytest.raises(MissingPartError, match="pip install openvino"):
        serving_runtime("cpu", Precision.INT8)


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
def test_int8_without_ranges_is_refused_also_by_a_dry_run(
    run, monkeypatch, shipped, tmp_path, words
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_vnni": True})
    monkeypatch.setattr("emoscan.runtime._has_openvino", lambda: True)
    save_checkpoint(tmp_path / "none.safetensors", shipped.state, shipped.about)
    (tmp_path / "a.mp4").write_bytes(b"")
    its = ["--weights", tmp_path / "none.safetensors", "--precision", "int8", "--device", "cpu"]
    result = run("video", tmp_path / "a.mp4", *its, *words)
    assert result.code == 6 and "no ranges for int8" in " ".join(result.err.split())
