"""The classifier's network: torchvision's ResNet18 for one gray channel and seven classes."""

from collections.abc import Mapping

import torch
import torchvision
from torch import nn

from emoscan.emotions import EMOTIONS

# With the max-pool a face of 48 px costs 94 million multiply-adds, without it 313 million.
POOLED = "resnet18-gray"
UNPOOLED = "resnet18-gray-nopool"
ARCHITECTURES = (POOLED, UNPOOLED)
STEM_WEIGHT = "conv1.weight"
HEAD_KEYS = ("fc.weight", "fc.bias")


def create_network(architecture: str = POOLED, *, num_classes: int = len(EMOTIONS)) -> nn.Module:
    """A ResNet18 (He et al. 2016, arXiv 1512.03385) with random weights.

    It maps (N, 1, 48, 48) normalised gray crops to (N, num_classes) logits. UNPOOLED leaves out the
    max-pool behind the first convolution: it was made for images of 224 px.
    """
    network: nn.Module = torchvision.models.resnet18(weights=None, num_classes=num_classes)
    network.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    if architecture == UNPOOLED:
        network.maxpool = nn.Identity()
    return network


def load_backbone(network: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Start from a ResNet18 state dict in torchvision's format, ImageNet's for instance.

    A first convolution for three channels becomes the sum over RGB, which is what it gives
    for a gray picture in three channels; a head with another
    number of classes is left as it was. Raises ValueError if anything else does not fit.
    """
    adapted = dict(state)
    stem = adapted.get(STEM_WEIGHT)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3:
        adapted[STEM_WEIGHT] = stem.sum(dim=1, keepdim=True)
    own = network.state_dict()
    for key in HEAD_KEYS:
        if key not in adapted or adapted[key].shape != own[key].shape:
            adapted[key] = own[key]
    try:
        network.load_state_dict(adapted)
    except RuntimeError as error:
        raise ValueError(f"not a ResNet18 state dict in torchvision's format: {error}") from error
