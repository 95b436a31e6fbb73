"""The classifier with whole numbers between its layers, for CPUs that multiply bytes.

What a ReLU gives is rounded to one of 256 levels from 0 to its top, and each kernel of the blocks
to 255 levels around 0; the stem and the dense layer keep their numbers. Channels reach differently
far: each is divided by its spread, and what reads it is multiplied by it, which changes nothing but
where the levels lie (Nagel et al. 2019, arXiv 1906.04721). Tops and spreads, the ranges, lie beside
the weights; `training.eight_bits` learns them. OpenVINO finds what is rounded, and multiplies bytes
there; torch computes the same in fp32, to learn and to compare.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from emoscan.inference import fold_batch_norms

# By name: TOPS, and the spreads of what each of the STAGES gives and of what is inside its blocks.
Ranges = Mapping[str, Tensor]

TOPS = "tops"
STAGES = ("layer1", "layer2", "layer3", "layer4")

# The highest level of what a ReLU gives, and of a kernel, whose levels lie on both sides of 0.
TOP_LEVEL, TOP_KERNEL_LEVEL = 255, 127


class Link(NamedTuple):
    """A layer, where it stands, and the names of the channels that it reads and gives, if any."""

    parent: nn.Module
    name: str
    layer: nn.Module
    reads: str | None
    gives: str | None

    @property
    def is_rounded(self) -> bool:
        """Whether its kernels are: those of the first and the last layer are not."""
        return None not in (self.reads, self.gives)


def links(network: nn.Module) -> Iterator[Link]:
    """All layers of a ResNet18 that have weights, batch norms left out."""

    def link(parent: nn.Module, name: str, reads: str | None, gives: str | None) -> Link:
        return Link(parent, name, parent.get_submodule(name), reads, gives)

    before = STAGES[0]
    yield link(network, "conv1", None, before)
    for stage in STAGES:
        for number, block in network.get_submodule(stage).named_children():
            inside = f"{stage}.{number}"
            yield link(block, "conv1", before, inside)
            yield link(block, "conv2", inside, stage)
            if block.downsample is not None:
                yield link(block.get_submodule("downsample"), "0", before, stage)
            before = stage
    yield link(network, "fc", before, None)


class Relu(NamedTuple):
    """Where it stands, and the name of the channels that it gives."""

    parent: nn.Module
    name: str
    gives: str


def relus(network: nn.Module) -> Iterator[Relu]:
    """All of a ResNet18, in the order of the tops."""
    yield Relu(network, "relu", STAGES[0])
    for stage in STAGES:
        for number, block in network.get_submodule(stage).named_children():
            yield Relu(block, "relu1", f"{stage}.{number}")
            yield Relu(block, "relu2", stage)


def evened(link: Link, spreads: Ranges) -> dict[str, Tensor]:
    """Weight and bias where the channels that a layer reads and gives are divided by spreads."""
    weight: Tensor = link.layer.get_parameter("weight")
    bias: Tensor = link.layer.get_parameter("bias")
    if link.reads:
        weight = weight * spreads[link.reads].view(1, -1, *(1,) * (weight.ndim - 2))
    if link.gives:
        weight = weight / spreads[link.gives].view(-1, *(1,) * (weight.ndim - 1))
        bias = bias / spreads[link.gives]
    return {"weight": weight, "bias": bias}


def kernel_steps(kernels: Tensor) -> Tensor:
    """(N,) what one level of each of N kernels is worth."""
    return kernels.detach().abs().amax((1, 2, 3)).clamp(min=1e-12) / TOP_KERNEL_LEVEL


def rounded_kernels(kernels: Tensor, steps: Tensor) -> Tensor:
    """Each at the nearest of its levels; gradients pass as if it were not rounded."""
    zeros = torch.zeros(len(steps), dtype=torch.int32, device=steps.device)
    return torch.fake_quantize_per_channel_affine(
        kernels, steps, zeros, 0, -TOP_KERNEL_LEVEL, TOP_KERNEL_LEVEL
    )


def round_network(network: nn.Module, ranges: Ranges) -> nn.Module:
    """The ResNet18, changed in place: batch norms folded, and rounded as `ranges` say.

    Raises ValueError where they are not this network's.
    """
    fold_batch_norms(network)
    _check(network, ranges)
    for link in [*links(network)]:
        for name, tensor in evened(link, ranges).items():
            setattr(link.layer, name, nn.Parameter(tensor, requires_grad=False))
        if link.is_rounded:
            setattr(link.parent, link.name, RoundedConv(link.layer))
    replace_relus(network, lambda place: RoundedRelu(ranges[TOPS][place]))
    return network


def replace_relus(network: nn.Module, by: Callable[[int], nn.Module]) -> None:
    """Each, in place, by what `by` gives for its place in the tops."""
    for place, relu in enumerate(relus(network)):
        setattr(relu.parent, relu.name, by(place))


def _check(network: nn.Module, ranges: Ranges) -> None:
    sizes = {link.gives: len(link.layer.get_parameter("weight")) for link in links(network)}
    shapes = {name: (size,) for name, size in sizes.items() if name}
    shapes[TOPS] = (len([*relus(network)]),)
    given = {name: tuple(tensor.shape) for name, tensor in ranges.items()}
    if given != shapes:
        raise ValueError("its ranges for int8 are not those of its network")
    if not all(_is_above_0(tensor) for tensor in ranges.values()):
        raise ValueError("its ranges for int8 must be finite and above 0")


def _is_above_0(tensor: Tensor) -> bool:
    return tensor.dtype is torch.float32 and bool(((tensor > 0) & tensor.isfinite()).all())


class RoundedRelu(nn.Module):
    """From 0 to a top, at the nearest level."""

    def __init__(self, top: Tensor) -> None:
        super().__init__()
        self.register_buffer("top", top)

    def forward(self, maps: Tensor) -> Tensor:
        """Of any shape."""
        step = float(self.get_buffer("top")) / TOP_LEVEL
        return torch.fake_quantize_per_tensor_affine(maps, step, 0, 0, TOP_LEVEL)


class RoundedConv(nn.Module):
    """A convolution with kernels at the nearest of their levels."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        assert isinstance(conv, nn.Conv2d)
        self.conv = conv
        self.register_buffer("steps", kernel_steps(conv.weight))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        kernels = rounded_kernels(self.conv.weight, self.get_buffer("steps"))
        return nn.functional.conv2d(
            maps, kernels, self.conv.bias, self.conv.stride, self.conv.padding
        )
