"""The classifier's network: a ResNet18 for one gray channel and seven classes.

Its parts are named as torchvision names them, so that state dicts fit both; torchvision itself is
not imported to serve, for that takes a second and 170 MB.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from emoscan.emotions import EMOTIONS

# With the max-pool a face of 48 px costs 94 million multiply-adds, without it 313 million.
POOLED = "resnet18-gray"
UNPOOLED = "resnet18-gray-nopool"
ARCHITECTURES = (POOLED, UNPOOLED)
STEM_WEIGHT = "conv1.weight"
HEAD_KEYS = ("fc.weight", "fc.bias")
WIDTHS = (64, 128, 256, 512)


def create_network(architecture: str = POOLED, *, num_classes: int = len(EMOTIONS)) -> nn.Module:
    """A ResNet18 (He et al. 2016, arXiv 1512.03385) with random weights.

    It maps (N, 1, 48, 48) normalised gray crops to (N, num_classes) logits. UNPOOLED leaves out the
    max-pool behind the first convolution: it was made for images of 224 px.
    """
    network = ResNet18(num_classes, pools=architecture == POOLED)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def empty_network(architecture: str) -> nn.Module:
    """As `create_network`, on the meta device: for weights that are there already.

    Random weights take as long to draw as all the rest, and nobody would use them.
    """
    with torch.device("meta"):
        return ResNet18(len(EMOTIONS), pools=architecture == POOLED)


class ResNet18(nn.Module):
    """Two blocks on each of four sizes, between a stem of 7 by 7 px and a dense layer."""

    def __init__(self, num_classes: int, *, pools: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, WIDTHS[0], kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if pools else nn.Identity()
        self.layer1 = _layer(WIDTHS[0], WIDTHS[0], stride=1)
        self.layer2 = _layer(WIDTHS[0], WIDTHS[1], stride=2)
        self.layer3 = _layer(WIDTHS[1], WIDTHS[2], stride=2)
        self.layer4 = _layer(WIDTHS[2], WIDTHS[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(WIDTHS[3], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) normalised levels to (N, num_classes) logits."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        logits: Tensor = self.fc(self.avgpool(maps).flatten(1))
        return logits


class Block(nn.Module):
    """Two convolutions beside the identity, which a stride or new width makes a projection."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            None
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        beside = maps if self.downsample is None else self.downsample(maps)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(maps)))))
        summed: Tensor = self.relu(out + beside)
        return summed


def _layer(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride=stride)
    return nn.Sequential(first, Block(outputs, outputs, stride=1))


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
