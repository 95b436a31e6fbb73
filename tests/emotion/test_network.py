import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from emoscan.emotion.network import create_network, load_backbone


def test_it_maps_gray_crops_to_seven_logits() -> None:
    assert create_network().eval()(torch.zeros(2, 1, 48, 48)).shape == (2, 7)


def test_a_file_in_torchvisions_format_starts_the_backbone(tmp_path) -> None:
    reference = torchvision.models.resnet18(weights=None)  # the shape of ImageNet's weights
    save_file(reference.state_dict(), tmp_path / "resnet18.safetensors")
    network = create_network()
    head = network.fc.weight.clone()
    load_backbone(network, load_file(tmp_path / "resnet18.safetensors"))
    state = network.state_dict()
    assert torch.equal(state["conv1.weight"], reference.conv1.weight.mean(1, keepdim=True))
    assert torch.equal(state["layer4.1.conv2.weight"], reference.layer4[1].conv2.weight)
    assert torch.equal(state["fc.weight"], head)


def test_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="not a ResNet18"):
        load_backbone(create_network(), torchvision.models.resnet34(weights=None).state_dict())
