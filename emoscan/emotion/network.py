"""The classifier's network: torchvision's ResNet18 for one gray channel and seven classes."""

from collections.abc import Mapping

import torch
import torchvision
from torch import nn

from emoscan.emotions import EMOTIONS

ARCHITECTURE = "resnet18-gray"
STEM_WEIGHT = "conv1.weight"
HEAD_KEYS = ("fc.weight", "fc.bias")


def create_network() -> nn.Module:
    """A ResNet18 (He et al. 2016, arXiv 1512.03385) with random weights.

    It maps (N, 1, 48, 48) normalised gray crops to (N, 7) logits.
    """
    network: nn.Module = torchvision.models.resnet18(weights=None, num_classes=len(EMOTIONS))
    network.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    return network


def load_backbone(network: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Start from a ResNet18 state dict in torchvision's format, ImageNet's for instance.

    A first convolution for three channels becomes the mean over RGB; a head with another
    number of classes is left as it was. Raises ValueError if anything else does not fit.
    """
    adapted = dict(state)
    stem = adapted.get(STEM_WEIGHT)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3:
        adapted[STEM_WEIGHT] = stem.mean(dim=1, keepdim=True)
    own = network.state_dict()
    for key in HEAD_KEYS:
        if key not in adapted or adapted[key].shape != own[key].shape:
            adapted[key] = own[key]
    try:
        network.load_state_dict(adapted)
    except RuntimeError as error:
        raise ValueError(f"not a ResNet18 state dict in torchvision's format: {error}") from error
