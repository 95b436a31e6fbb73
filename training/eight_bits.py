"""Learns in which ranges weights are rounded to eight bits, and writes them beside the weights.

    python -m training.eight_bits WEIGHTS --out FILE [--data DIR]

The weights stay as they are. A copy of the network, rounded, learns to say what the network itself
says of the images that train, by nothing but its tops and spreads (`emoscan.emotion.eight_bits`):
gradients pass what is rounded as if it were not (Esser et al. 2020, arXiv 1902.08153). Ranges are
kept if on the images that choose it then says nearly the same; otherwise nothing is written, and
int8 is not for these weights.
"""

import argparse
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import kl_div, log_softmax, softmax

from emoscan.emotion.checkpoint import (
    Checkpoint,
    LoadedCheckpoint,
    load_checkpoint,
    save_checkpoint,
)
from emoscan.emotion.classifier import network_of
from emoscan.emotion.crop import to_input
from emoscan.emotion.eight_bits import (
    TOP_LEVEL,
    TOPS,
    Link,
    Ranges,
    evened,
    kernel_steps,
    links,
    relus,
    replace_relus,
    round_network,
    rounded_kernels,
)
from emoscan.errors import EmoscanError, ExitCode, OutputError, UsageError
from emoscan.inference import WithoutTf32, fold_batch_norms
from emoscan.options import FER2013_HELP, Precision, Select
from emoscan.runtime import choose_runtime
from training.fer2013 import LabelledImages, check_side, find_data, load_dataset
from training.fit import EVALUATION_BATCH
from training.protocol import choose_protocol
from training.state import refusing_in_a_sentence

STEPS, BATCH_SIZE, RATE = 300, 64, 5e-3
FIRST_IMAGES = 512
# Where learning starts: spreads go half of the way on which all channels would reach equally far,
# and tops cut off what reaches furthest.
FIRST_SPREAD, FIRST_TOP, LEAST_SPREAD = 0.5, 0.7, 1e-3

# What rounding may cost on the images that choose.
MOST_POINTS, MOST_OTHER_CLASS, CLOSE, LEAST_CLOSE, MOST_APART = 0.005, 0.02, 0.05, 0.99, 0.15

Images = NDArray[np.uint8]


def ranges_for(
    loaded: LoadedCheckpoint,
    train: Images,
    select: LabelledImages,
    *,
    steps: int = STEPS,
    seed: int = 0,
    device: torch.device | None = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Ranges learned on `train`, none if they lose too much on `select`; and what they lose.

    Raises UsageError where learning diverges.
    """
    network = network_of(loaded)
    fold_batch_norms(network)
    network.to(device)
    with WithoutTf32():
        ranges = learn_ranges(network, loaded, train, steps=steps, seed=seed)
        if not all(each.isfinite().all() for each in ranges.values()):
            raise UsageError("The ranges diverge while they are learned; try another --seed.")
        rounded = round_network(network_of(loaded), ranges).to(device)
        exact, found = (_probabilities(each, loaded, select.images) for each in (network, rounded))
    figures = losses(exact, found, select.labels) | {"steps": steps, "seed": seed}
    return (ranges if are_small(figures) else {}), figures


def learn_ranges(
    network: nn.Module, loaded: LoadedCheckpoint, images: Images, *, steps: int, seed: int
) -> dict[str, Tensor]:
    """Those of a network whose batch norms are folded, from (N, side, side) images."""
    random = np.random.default_rng(seed)
    logs = _first_logs(network, _drawn(images, loaded, random, count=FIRST_IMAGES))
    rounded = _learning(network, logs)
    optimizer = torch.optim.Adam(logs.values(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(steps):
        inputs = _drawn(images, loaded, random, count=BATCH_SIZE).to(_device(network))
        wanted, found = (
            log_softmax(each(inputs) / loaded.about.temperature, dim=1)
            for each in (network, rounded)
        )
        loss = kl_div(found, wanted, log_target=True, reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return {name: log.detach().exp().cpu() for name, log in logs.items()}


def _drawn(
    images: Images, loaded: LoadedCheckpoint, random: np.random.Generator, *, count: int
) -> Tensor:
    """(count, 1, side, side) inputs, each second one mirrored."""
    chosen = images[random.choice(len(images), min(count, len(images)), replace=False)]
    chosen[::2] = chosen[::2, :, ::-1]
    return to_input(torch.from_numpy(chosen), loaded.about.normalisation)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


@torch.inference_mode()
def _probabilities(network: nn.Module, loaded: LoadedCheckpoint, images: Images) -> NDArray[Any]:
    """(N, 7)."""
    batches = torch.from_numpy(images).split(EVALUATION_BATCH)
    inputs = (to_input(batch, loaded.about.normalisation) for batch in batches)
    logits = [network(batch.to(_device(network))) for batch in inputs]
    return softmax(torch.cat(logits) / loaded.about.temperature, dim=1).cpu().numpy()


def _first_logs(network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Logarithms of the ranges with which learning starts, to be changed by gradients."""
    its_relus = [*relus(network)]
    layers = [relu.parent.get_submodule(relu.name) for relu in its_relus]
    reaches = _reaches(layers, network, inputs)
    spreads: dict[str, Tensor] = {}
    for relu, reach in zip(its_relus, reaches, strict=True):
        spreads[relu.gives] = torch.maximum(reach, spreads.get(relu.gives, reach))
    spreads = {
        name: (reach / reach.max()).clamp(min=LEAST_SPREAD) ** FIRST_SPREAD
        for name, reach in spreads.items()
    }
    tops = [
        (reach / spreads[relu.gives]).max() * FIRST_TOP
        for relu, reach in zip(its_relus, reaches, strict=True)
    ]
    first = spreads | {TOPS: torch.stack(tops)}
    return {name: each.clone().log().requires_grad_() for name, each in first.items()}


@torch.no_grad()
def _reaches(layers: Sequence[nn.Module], network: nn.Module, inputs: Tensor) -> list[Tensor]:
    """(C,) how far each channel of each layer reaches, above 0."""
    reaches: dict[nn.Module, Tensor] = {}

    def look(layer: nn.Module, _: Any, maps: Tensor) -> None:
        reach = maps.amax((0, 2, 3)).clamp(min=1e-6)
        reaches[layer] = torch.maximum(reach, reaches.get(layer, reach))

    hooks = [layer.register_forward_hook(look) for layer in layers]
    for batch in inputs.split(BATCH_SIZE):
        network(batch.to(_device(network)))
    for hook in hooks:
        hook.remove()
    return [reaches[layer] for layer in layers]


def _learning(network: nn.Module, logs: dict[str, Tensor]) -> nn.Module:
    """A copy that is rounded in the ranges that `logs` hold at that time."""
    rounded = deepcopy(network)
    for link in [*links(rounded)]:
        setattr(link.parent, link.name, _LearningLayer(link, logs))
    replace_relus(rounded, lambda place: _LearningRelu(logs, place))
    return rounded


class _LearningLayer(nn.Module):
    def __init__(self, link: Link, logs: dict[str, Tensor]) -> None:
        super().__init__()
        self._link = link
        self._logs = {name: logs[name] for name in (link.reads, link.gives) if name}

    def forward(self, maps: Tensor) -> Tensor:
        its = evened(self._link, {name: log.exp() for name, log in self._logs.items()})
        if self._link.is_rounded:
            its["weight"] = rounded_kernels(its["weight"], kernel_steps(its["weight"]))
        out: Tensor = functional_call(self._link.layer, its, maps)
        return out


class _LearningRelu(nn.Module):
    def __init__(self, logs: dict[str, Tensor], place: int) -> None:
        super().__init__()
        self._logs, self._place = logs, place

    def forward(self, maps: Tensor) -> Tensor:
        top = self._logs[TOPS][self._place].exp()
        # In shares of the top, so that it has a gradient.
        return top * torch.fake_quantize_per_tensor_affine(
            maps / top, 1 / TOP_LEVEL, 0, 0, TOP_LEVEL
        )


def losses(
    exact: NDArray[Any], rounded: NDArray[Any], labels: NDArray[np.int64]
) -> dict[str, float]:
    """What (N, 7) rounded probabilities lose against exact ones of the same images."""
    apart = np.abs(exact - rounded)
    classes, others = exact.argmax(axis=1), rounded.argmax(axis=1)
    return {
        "exact": float((classes == labels).mean()),
        "rounded": float((others == labels).mean()),
        "other_class": float((classes != others).mean()),
        "within_0.05": float((apart <= CLOSE).mean()),
        "largest": float(apart.max()),
    }


def are_small(figures: dict[str, Any]) -> bool:
    """Whether the losses are small enough to round."""
    return bool(
        figures["rounded"] >= figures["exact"] - MOST_POINTS
        and figures["other_class"] <= MOST_OTHER_CLASS
        and figures["within_0.05"] >= LEAST_CLOSE
        and figures["largest"] <= MOST_APART
    )


def told(figures: dict[str, Any]) -> str:
    """A sentence."""
    return (
        f"In int8 {figures['rounded']:.2%} of the images are right instead of "
        f"{figures['exact']:.2%}, {figures['other_class']:.2%} have another class, "
        f"{figures['within_0.05']:.2%} of the probabilities are within 0.05, none further than "
        f"{figures['largest']:.3f}: {'kept' if are_small(figures) else 'too much, not kept'}."
    )


def main(words: Sequence[str] | None = None) -> None:
    """Learn ranges for the weights in a file, and write both to another."""
    parser = _parser()
    args = parser.parse_args(words)
    try:
        _check(args)
        loaded = load_checkpoint(args.weights)
        check_side(loaded.about)
        device = choose_runtime(args.device).device
        if device.type != "cuda":  # torch rounds nothing on Apple's GPUs
            device = torch.device("cpu")
        data = choose_protocol(load_dataset(find_data(args.data)), Select.PUBLIC, seed=0)
        ranges, figures = ranges_for(
            loaded, data.train.images, data.select, steps=args.steps, seed=args.seed, device=device
        )
        print(f"{data.selected_on}: {told(figures)}")
        if ranges:
            metrics = loaded.about.metrics | {Precision.INT8.value: figures}
            _write(args.out, loaded, replace(loaded.about, metrics=metrics), ranges)
    except EmoscanError as error:
        parser.exit(int(error.exit_code), f"{error}\n")
    if not ranges:
        parser.exit(int(ExitCode.SOME_FAILED))


def _check(args: argparse.Namespace) -> None:
    """Before the minutes of work. Raises UsageError and OutputError."""
    for name in ("steps", "seed"):
        if getattr(args, name) < 0:
            raise UsageError(f"--{name} must be at least 0, not {getattr(args, name)}.")
    if args.out.exists():
        raise OutputError(f"{args.out} is there already: use another --out.")
    with refusing_in_a_sentence(args.out.parent):
        args.out.parent.mkdir(parents=True, exist_ok=True)


def _write(out: Path, loaded: LoadedCheckpoint, about: Checkpoint, ranges: Ranges) -> None:
    """Whole or not at all."""
    writing = out.with_name(f".{out.name}.writing")
    with refusing_in_a_sentence(out.parent):
        save_checkpoint(writing, loaded.state, about, ranges)
        writing.replace(out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="made by emoscan's training")
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="a new file")
    parser.add_argument("--data", type=Path, metavar="DIR", help=FER2013_HELP)
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"default: {STEPS}")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    return parser


if __name__ == "__main__":
    main()
