"""The classifier's network: a ResNet18 for one gray channel and seven classes.

Its parts are named as torchvision names them, so that state dicts fit both; torchvision itself is
not imported to serve, for that takes a second and 170 MB.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from emoscan.emotions import EMOTIONS

POOLED = "resnet18-gray"
UNPOOLED = "resnet18-gray-nopool"
STRIDE3 = "resnet18-gray-stride3"
STEM_WEIGHT = "conv1.weight"
HEAD_KEYS = ("fc.weight", "fc.bias")
WIDTHS = (64, 128, 256, 512)


class Stem(NamedTuple):
    """The first convolution, and whether a max-pool follows it."""

    side_px: int
    stride: int
    pools: bool


# A face of 48 px costs 94 million multiply-adds with the max-pool, 313 million without it, and 140
# million where the first convolution takes each third place instead of each second.
STEMS = {POOLED: Stem(7, 2, True), UNPOOLED: Stem(7, 2, False), STRIDE3: Stem(11, 3, False)}
ARCHITECTURES = tuple(STEMS)


def create_network(architecture: str = POOLED, *, num_classes: int = len(EMOTIONS)) -> nn.Module:
    """A ResNet18 (He et al. 2016, arXiv 1512.03385) with random weights.

    It maps (N, 1, 48, 48) normalised gray crops to (N, num_classes) logits. UNPOOLED and STRIDE3
    leave out the max-pool behind the first convolution: it was made for images of 224 px.
    """
    network = ResNet18(num_classes, STEMS[architecture])
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def empty_network(architecture: str) -> nn.Module:
    """As `create_network`, on the meta device: for weights that are there already.

    Random weights take as long to draw as all the rest, and nobody would use them.
    """
    with torch.device("meta"):
        return ResNet18(len(EMOTIONS), STEMS[architecture])


class ResNet18(nn.Module):
    """Two blocks on each of four sizes, between a stem and a dense layer."""

    def __init__(self, num_classes: int, stem: Stem) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            1, WIDTHS[0], stem.side_px, stride=stem.stride, padding=stem.side_px // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem.pools else nn.Identity()
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
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU(inplace=True)
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
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(maps)))))
        summed: Tensor = self.relu2(out + beside)
        return summed


def _layer(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride=stride)
    return nn.Sequential(first, Block(outputs, outputs, stride=1))


def load_backbone(network: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Start from a ResNet18 state dict in torchvision's format, ImageNet's for instance.

    A first convolution for three channels becomes the sum over RGB, which is what it gives
    for a gray picture in three channels; one of 7 by 7 px becomes one of 11 by 11 where the network
    has such a stem, which gives what the other gives for pictures at two thirds of their size. A
    head with another number of classes is left as it was. Raises ValueError, with a sentence, if
    anything else does not fit.
    """
    adapted = dict(state)
    stem = adapted.get(STEM_WEIGHT)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3:
        adapted[STEM_WEIGHT] = stem.sum(dim=1, keepdim=True)
    own = network.state_dict()
    if stem is not None and stem.shape[2:] == (7, 7) and own[STEM_WEIGHT].shape[2:] == (11, 11):
        adapted[STEM_WEIGHT] = _after_shrinking(adapted[STEM_WEIGHT])
    _check_stem(adapted.get(STEM_WEIGHT), own[STEM_WEIGHT])
    for key in HEAD_KEYS:
        if key not in adapted or adapted[key].shape != own[key].shape:
            adapted[key] = own[key]
    try:
        network.load_state_dict(adapted)
    except RuntimeError as error:
        raise ValueError(f"not a ResNet18 state dict in torchvision's format: {error}") from error


def _check_stem(given: Tensor | None, own: Tensor) -> None:
    if given is not None and given.ndim == 4 and given.shape[2:] != own.shape[2:]:
        sides = (f"{tensor.shape[2]} by {tensor.shape[3]} px" for tensor in (given, own))
        raise ValueError("its first convolution is {}, this architecture's {}".format(*sides))


def _after_shrinking(kernels: Tensor) -> Tensor:
    """(N, 1, 7, 7) kernels at stride 2 as (N, 1, 11, 11) float32 at stride 3, for larger pictures.

    The pictures are 1.5 times as large, and looked at in averages over areas of 1.5 px: at each
    second one, which is at each third pixel.
    """
    averages = torch.zeros(11, 7)
    for column, place in enumerate(range(-3, 4)):
        shares = (1, 2) if place % 2 else (2, 1)
        for row, share in enumerate(shares, start=3 * place // 2 + 5):
            averages[row, column] = share / 3
    return averages @ kernels.float() @ averages.T
