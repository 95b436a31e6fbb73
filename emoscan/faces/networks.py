"""MTCNN's three networks (Zhang et al. 2016, arXiv 1604.02878) with facenet-pytorch's weights.

Each takes (N, 3, H, W) float32 or uint8 RGB in 0..255 and gives, for each place that it looks at,
two logits (no face, face), the offsets of the box's four sides in shares of its width and height
and, from O-Net, x and then y of five landmarks, likewise.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from emoscan.errors import MissingPartError
from emoscan.inference import Forward, made_ready
from emoscan.runtime import Runtime

# The networks were trained on (gray level - 127.5) / 128.
GRAY_MIDDLE, GRAY_SCALE = 127.5, 1 / 128

# What the networks give for each place: two logits, four offsets, and from O-Net ten landmarks.
BOX_NUMBERS, LANDMARK_NUMBERS = 6, 16

# The sides in px of what each looks at.
PROPOSAL_SIDE_PX, REFINEMENT_SIDE_PX, OUTPUT_SIDE_PX = 12, 24, 48
# From one place that P-Net looks at to the next.
PROPOSAL_STRIDE_PX = 2

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Network:
    """What runs it, the side in px of what it looks at, and how many numbers it gives for each."""

    forward: Forward
    side_px: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Networks:
    """P-Net, which slides over a picture, and R-Net and O-Net, which take crops."""

    proposal: Network
    refinement: Network
    output: Network


def places_along(side_px: int) -> int:
    """How many places P-Net looks at along so many pixels: its pooling rounds up."""
    return -(-(side_px - 2) // 2) - 4


def load_networks(runtime: Runtime) -> Networks:
    """Build the networks and load their weights from the installed facenet-pytorch.

    Raises MissingPartError where the package or its weights are missing or unreadable.
    """
    folder = _weights_folder()
    runtime = replace(runtime, precision=runtime.detector_precision)

    def ready(name: str, layers: nn.Module, *, side_px: int, outputs: int) -> Network:
        _load(folder / name, layers)
        example = torch.zeros(1, 3, side_px, side_px, dtype=torch.uint8)
        return Network(made_ready(layers, example, runtime), side_px, outputs)

    proposal, refinement, output = _proposal_layers(), _refinement_layers(), _output_layers()
    return Networks(
        ready("pnet.pt", proposal, side_px=PROPOSAL_SIDE_PX, outputs=BOX_NUMBERS),
        ready("rnet.pt", refinement, side_px=REFINEMENT_SIDE_PX, outputs=BOX_NUMBERS),
        ready("onet.pt", output, side_px=OUTPUT_SIDE_PX, outputs=LANDMARK_NUMBERS),
    )


class _FlattenByWidth(nn.Module):
    """(N, C, H, W) to (N, W * H * C): the order that the dense layers were trained on."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 3, 2, 1).flatten(1)


def _proposal_layers() -> nn.Module:
    return _chain(
        conv1=nn.Conv2d(3, 10, 3),
        prelu1=nn.PReLU(10),
        pool1=nn.MaxPool2d(2, 2, ceil_mode=True),
        conv2=nn.Conv2d(10, 16, 3),
        prelu2=nn.PReLU(16),
        conv3=nn.Conv2d(16, 32, 3),
        prelu3=nn.PReLU(32),
        head=nn.Conv2d(32, BOX_NUMBERS, 1),
    )


def _refinement_layers() -> nn.Module:
    return _chain(
        conv1=nn.Conv2d(3, 28, 3),
        prelu1=nn.PReLU(28),
        pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv2=nn.Conv2d(28, 48, 3),
        prelu2=nn.PReLU(48),
        pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv3=nn.Conv2d(48, 64, 2),
        prelu3=nn.PReLU(64),
        flatten=_FlattenByWidth(),
        dense4=nn.Linear(576, 128),
        prelu4=nn.PReLU(128),
        head=nn.Linear(128, BOX_NUMBERS),
    )


def _output_layers() -> nn.Module:
    return _chain(
        conv1=nn.Conv2d(3, 32, 3),
        prelu1=nn.PReLU(32),
        pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv2=nn.Conv2d(32, 64, 3),
        prelu2=nn.PReLU(64),
        pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv3=nn.Conv2d(64, 64, 3),
        prelu3=nn.PReLU(64),
        pool3=nn.MaxPool2d(2, 2, ceil_mode=True),
        conv4=nn.Conv2d(64, 128, 2),
        prelu4=nn.PReLU(128),
        flatten=_FlattenByWidth(),
        dense5=nn.Linear(1152, 256),
        prelu5=nn.PReLU(256),
        head=nn.Linear(256, LANDMARK_NUMBERS),
    )


def _chain(**layers: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict(layers))


def _weights_folder() -> Path:
    # Importing facenet_pytorch would load networks that nobody here uses.
    spec = find_spec("facenet_pytorch")
    if spec is None or spec.origin is None:
        raise MissingPartError("The face detector is missing: pip install facenet-pytorch==2.5.3.")
    return Path(spec.origin).parent / "data"


def _load(path: Path, layers: nn.Module) -> None:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        layers.load_state_dict(_on_gray_levels(_with_one_head(weights)))
    except Exception as error:  # whatever is wrong with the file, the way out is the same
        message = f"The face detector's weights {path.name} cannot be read: reinstall them with "
        raise MissingPartError(f"{message}pip install facenet-pytorch==2.5.3.") from error


def _with_one_head(weights: Weights) -> Weights:
    """Join the layers `…_1`, `…_2`, `…_3` into one: one product instead of two or three."""
    body = {name: tensor for name, tensor in weights.items() if "_" not in name}
    heads = sorted(name for name in weights if "_" in name)
    for kind in ("weight", "bias"):
        body[f"head.{kind}"] = torch.cat([weights[name] for name in heads if name.endswith(kind)])
    return body


def _on_gray_levels(weights: Weights) -> Weights:
    """Put the normalisation of gray levels into the first layer: a pass over the pixels less."""
    weight = weights["conv1.weight"] * GRAY_SCALE
    bias = weights["conv1.bias"] - GRAY_MIDDLE * weight.sum(dim=(1, 2, 3))
    return {**weights, "conv1.weight": weight, "conv1.bias": bias}
