"""Train the first shipped weights: ResNet18 from scratch on FER2013's Training images.

    python -m training.fit --data fer2013 --out runs/first

The epoch is chosen on PublicTest, where the temperature is fitted too; PrivateTest is read once,
after that. Every epoch is saved, and the same command goes on where a killed one stopped.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from emoscan.emotion.checkpoint import Checkpoint, save_checkpoint
from emoscan.emotion.crop import CropSettings, Normalisation, normalise, to_input
from emoscan.emotion.network import ARCHITECTURE, create_network, load_backbone
from emoscan.emotions import EMOTIONS
from training.augment import augment
from training.fer2013 import LabelledImages, load_split

BATCH_SIZE = 128
EVALUATION_BATCH = 512
PEAK_LEARNING_RATE = 0.05
WARM_UP_SHARE = 0.3
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1


def main() -> None:
    """Train, choose, measure, save."""
    args = _parse()
    target = args.out / "best.safetensors"
    if target.exists():
        raise SystemExit(f"{target} is finished: PrivateTest is read once. Use another --out.")
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    train = load_split(args.data, "Training")
    public = load_split(args.data, "PublicTest")
    norm = _normalisation(train)
    network = create_network()
    if args.init:
        load_backbone(network, safetensors.torch.load_file(args.init))
    best = _fit(network, train=train, public=public, norm=norm, args=args)
    network.load_state_dict(best["network"])
    network.half().float()  # what ships is half precision: measure that
    temperature = _fit_temperature(
        _logits(network, public, norm=norm), torch.from_numpy(public.labels)
    )
    private = load_split(args.data, "PrivateTest")
    splits = {"PublicTest": public, "PrivateTest": private}
    metrics = _metrics(network, splits, norm=norm, temperature=temperature)
    metrics["best_epoch"] = best["epoch"]
    checkpoint = Checkpoint(
        model_id=args.model_id,
        architecture=ARCHITECTURE,
        labels=EMOTIONS,
        crop=CropSettings(),
        normalisation=norm,
        temperature=temperature,
        metrics=metrics,
        training_data={
            "name": "FER2013, Training images",
            "images": len(train.labels),
            "selected_on": "PublicTest",
            "initialised": args.init.name if args.init else "random",
            "epochs": args.epochs,
            "seed": args.seed,
        },
    )
    save_checkpoint(target, network.half().state_dict(), checkpoint)
    print(json.dumps(metrics, indent=2))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--out", type=Path, required=True, help="folder for states and weights")
    parser.add_argument(
        "--init",
        type=Path,
        help="start from a ResNet18 state dict in torchvision's format, as safetensors",
    )
    parser.add_argument("--model-id", default="emoscan-resnet18-1")
    parser.add_argument("--epochs", type=int, default=26)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _normalisation(train: LabelledImages) -> Normalisation:
    levels = train.images.astype(np.float32) / 255
    return Normalisation(mean=round(float(levels.mean()), 4), std=round(float(levels.std()), 4))


def _fit(
    network: nn.Module,
    *,
    train: LabelledImages,
    public: LabelledImages,
    norm: Normalisation,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Train to the last epoch; returns the best epoch's number, accuracy and weights."""
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=PEAK_LEARNING_RATE,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
        nesterov=True,
    )
    steps = args.epochs * (len(train.labels) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, total_steps=steps, pct_start=WARM_UP_SHARE
    )
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    recipe = {"epochs": args.epochs, "seed": args.seed, "init": str(args.init)}
    first, best = _restore(args.out / "state.pt", parts, recipe=recipe)
    for epoch in range(first, args.epochs):
        began = time.monotonic()
        loss, accuracy = _train_epoch(
            network, train, norm=norm, optimizer=optimizer, schedule=schedule
        )
        public_accuracy = _accuracy(_logits(network, public, norm=norm), public.labels)
        if public_accuracy > best["accuracy"]:
            weights = {name: value.clone() for name, value in network.state_dict().items()}
            best = {"epoch": epoch + 1, "accuracy": public_accuracy, "network": weights}
        state = {"epoch": epoch + 1, "best": best, "recipe": recipe}
        _save(args.out / "state.pt", parts, progress=state)
        print(
            f"epoch {epoch + 1}/{args.epochs}  loss {loss:.4f}  training {accuracy:.4f}  "
            f"PublicTest {public_accuracy:.4f}  best {best['accuracy']:.4f}  "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )
    return best


def _train_epoch(
    network: nn.Module,
    train: LabelledImages,
    *,
    norm: Normalisation,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> tuple[float, float]:
    """One pass over the shuffled images, without the last incomplete batch; loss, accuracy."""
    network.train()
    total_loss, hits, seen = 0.0, 0, 0
    order = torch.randperm(len(train.labels))
    for chosen in order.split(BATCH_SIZE)[: len(train.labels) // BATCH_SIZE]:
        labels = torch.from_numpy(train.labels)[chosen]
        levels = torch.from_numpy(train.images)[chosen].unsqueeze(1).float() / 255
        logits = network(normalise(augment(levels), norm))
        loss = functional.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total_loss += loss.item() * len(labels)
        hits += int((logits.argmax(1) == labels).sum())
        seen += len(labels)
    return total_loss / seen, hits / seen


@torch.inference_mode()
def _logits(network: nn.Module, data: LabelledImages, *, norm: Normalisation) -> Tensor:
    network.eval()
    batches = torch.from_numpy(data.images).split(EVALUATION_BATCH)
    return torch.cat([network(to_input(batch, norm)) for batch in batches])


def _accuracy(logits: Tensor, labels: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    return float((logits.argmax(1).numpy() == labels).mean())


def _fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the least cross-entropy (Guo et al. 2017, arXiv 1706.04599)."""
    grid = torch.logspace(math.log10(0.25), math.log10(4), 400)
    losses = torch.stack([functional.cross_entropy(logits / value, labels) for value in grid])
    return round(float(grid[losses.argmin()]), 4)


def _metrics(
    network: nn.Module,
    splits: dict[str, LabelledImages],
    *,
    norm: Normalisation,
    temperature: float,
) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for name, data in splits.items():
        logits = _logits(network, data, norm=norm)
        labels = torch.from_numpy(data.labels)
        metrics[name] = {
            "accuracy": round(_accuracy(logits, data.labels), 4),
            "nll": round(float(functional.cross_entropy(logits / temperature, labels)), 4),
            "images": len(data.labels),
            "recall": {
                emotion: round(_accuracy(logits[labels == i], data.labels[data.labels == i]), 4)
                for i, emotion in enumerate(EMOTIONS)
            },
        }
    return metrics


def _save(path: Path, parts: dict[str, Any], *, progress: dict[str, Any]) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= progress | {"random": torch.get_rng_state()}
    writing = path.with_suffix(".writing")
    torch.save(state, writing)
    writing.replace(path)


def _restore(
    path: Path, parts: dict[str, Any], *, recipe: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """The epoch to go on with and the best so far."""
    if not path.exists():
        return 0, {"epoch": 0, "accuracy": 0.0, "network": {}}
    state = torch.load(path, weights_only=True)
    if state["recipe"] != recipe:
        raise SystemExit(f"{path} belongs to {state['recipe']}, not {recipe}. Use another --out.")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["random"])
    return state["epoch"], state["best"]


if __name__ == "__main__":
    main()
