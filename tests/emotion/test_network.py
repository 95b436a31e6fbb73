import subprocess
import sys

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from emoscan.emotion.network import (
    ARCHITECTURES,
    POOLED,
    STRIDE3,
    UNPOOLED,
    create_network,
    empty_network,
    load_backbone,
)


def multiply_adds(network: nn.Module) -> int:
    """Those of convolutions and linear layers, for one crop of 48 px."""
    counts = []

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        counts.append(output.numel() * layer.weight[0].numel())

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, 48, 48))
    return sum(counts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_maps_gray_crops_to_seven_logits(architecture: str) -> None:
    assert create_network(architecture).eval()(torch.zeros(2, 1, 48, 48)).shape == (2, 7)


def test_unpooled_has_no_max_pool() -> None:
    kinds = {
        name: {type(layer) for layer in create_network(name).modules()} for name in ARCHITECTURES
    }
    assert {name for name in ARCHITECTURES if nn.MaxPool2d in kinds[name]} == {POOLED}


def test_with_and_without_the_max_pool_the_weights_are_the_same() -> None:
    pooled, unpooled = (create_network(name).state_dict() for name in (POOLED, UNPOOLED))
    assert {name: tensor.shape for name, tensor in pooled.items()} == {
        name: tensor.shape for name, tensor in unpooled.items()
    }


def test_a_face_costs_as_many_multiply_adds_as_stated() -> None:
    assert round(multiply_adds(create_network(POOLED)) / 1e6) == 94
    unpooled = multiply_adds(create_network(UNPOOLED))
    assert round(unpooled / 1e6) == 313 and unpooled < 400e6
    assert round(multiply_adds(create_network(STRIDE3)) / 1e6) == 140


def test_a_stem_of_stride_3_starts_as_one_of_stride_2_on_pictures_two_thirds_as_large() -> None:
    unpooled, ours = create_network(UNPOOLED).half().float().eval(), create_network(STRIDE3).eval()
    as_in_files = {name: tensor.half() for name, tensor in unpooled.state_dict().items()}
    load_backbone(ours, as_in_files)
    large = torch.randn(3, 1, 48, 48)
    halves = large.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    small = nn.functional.avg_pool2d(halves, 3)
    with torch.inference_mode():
        assert small.shape[2:] == (32, 32)
        assert torch.allclose(ours(large), unpooled(small), atol=1e-5)


def test_it_computes_what_torchvisions_resnet18_does() -> None:
    theirs, ours = torchvision.models.resnet18(weights=None).eval(), create_network().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: no two alike
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    load_backbone(ours, theirs.state_dict())
    with torch.no_grad():
        theirs.fc = ours.fc
        gray = torch.randn(3, 1, 48, 48)
        assert torch.allclose(ours(gray), theirs(gray.expand(-1, 3, -1, -1)), atol=1e-4)


def test_serving_begins_without_what_it_may_not_need() -> None:
    code = (
        "import emoscan.pipeline, sys; from emoscan.emotion.network import empty_network;"
        "empty_network('resnet18-gray');"
        "late = {'torchvision', 'pandas', 'scipy.optimize', 'av', 'PIL', 'torch._dynamo'};"
        "sys.exit(' '.join(late & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_in_torchvisions_format_starts_the_backbone(tmp_path) -> None:
    reference = torchvision.models.resnet18(weights=None)  # the shape of ImageNet's weights
    save_file(reference.state_dict(), tmp_path / "resnet18.safetensors")
    network = create_network()
    head = network.fc.weight.clone()
    load_backbone(network, load_file(tmp_path / "resnet18.safetensors"))
    state = network.state_dict()
    assert torch.equal(state["conv1.weight"], reference.conv1.weight.sum(1, keepdim=True))
    assert torch.equal(state["layer4.1.conv2.weight"], reference.layer4[1].conv2.weight)
    assert torch.equal(state["fc.weight"], head)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_empty_network_takes_weights_as_they_are(architecture: str) -> None:
    full, empty = create_network(architecture).eval(), empty_network(architecture).eval()
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    empty.load_state_dict(full.state_dict(), assign=True)
    crops = torch.rand(2, 1, 48, 48)
    assert torch.equal(empty(crops), full(crops))


def test_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="not a ResNet18"):
        load_backbone(create_network(), torchvision.models.resnet34(weights=None).state_dict())
