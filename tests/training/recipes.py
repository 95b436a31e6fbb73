"""Recipes and networks that train in a moment."""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from emoscan.emotion.network import POOLED
from emoscan.emotions import EMOTIONS
from training.network import TrainingNetwork
from training.recipe import Recipe, load_recipe

# Without the changes of brightness, which would take one class for the next in `dataset`.
TINY = {
    "name": "tiny",
    "architecture": POOLED,
    "epochs": 4,
    "batch_size": 32,
    "sides_px": (24, 48),
    "side_shares": (0.5, 0.5),
    "average_decay": 0.5,
    "brightness": 0.0,
    "contrast": 0.0,
}
# All random changes off.
UNCHANGED = {
    "flip_share": 0.0,
    "rotation_deg": 0.0,
    "scaling": 0.0,
    "shift": 0.0,
    "shear_deg": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "sharpness_share": 0.0,
    "autocontrast_share": 0.0,
    "erase_share": 0.0,
    "mixup_alpha": 0.0,
}


def tiny_recipe(**changes: Any) -> Recipe:
    """The best recipe, cut down to seconds."""
    return replace(load_recipe("best"), **(TINY | changes))


def tiny_documented(**changes: Any) -> Recipe:
    """The documented recipe, cut down likewise, for a network that starts from nothing."""
    small = {"epochs": 4, "batch_size": 32, "learning_rate": 0.002}
    # Contrast tells the classes of `dataset` apart no more than brightness does.
    values = small | {"init": "scratch", "frozen": (), "autocontrast_share": 0.0} | changes
    return replace(load_recipe("documented"), **values)


class Block(nn.Module):
    """A residual block, half as long as ResNet18's."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.relu(self.bn1(self.conv1(inputs)) + self.shortcut(inputs))


def small_network(recipe: Recipe) -> TrainingNetwork:
    """A thousandth of a ResNet18, its parts under the same names."""
    backbone = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False),
            bn1=nn.BatchNorm2d(8),
            layer1=nn.Sequential(Block(8, 8)),
            layer2=nn.Sequential(Block(8, 8)),
            layer3=nn.Sequential(Block(8, 16)),
            layer4=nn.Sequential(Block(16, 16)),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(16, len(EMOTIONS)),
        )
    )
    return TrainingNetwork(backbone, dropout=recipe.dropout, frozen=recipe.frozen)
