"""The documented fine-tuning in two calls, for notebooks and scripts.

    model = create_resnet18_model(num_classes=7).to(device)
    history = train_and_validate(model, train_loader, test_loader, num_epochs=10,
                                 learning_rate=0.0001)

What these calls leave open is taken from recipes/documented.toml. `emoscan train` does the same and
more: it resumes, calibrates and reports.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau

from emoscan.emotion.crop import Normalisation, normalise, to_levels
from emoscan.emotion.network import create_network, load_backbone
from emoscan.errors import MissingPartError
from training.augment import augment
from training.fer2013 import LabelledImages, find_data, load_dataset
from training.initialise import IMAGENET, SCRATCH, first_weights
from training.network import part_of
from training.optimise import make_optimizer
from training.recipe import Recipe, load_recipe
from training.setup import normalisation_of

History = dict[str, list[float]]
Batch = tuple[Tensor, Tensor]


class Loader(Protocol):
    """What gives batches: a torch DataLoader, or one of `make_loaders`."""

    def __iter__(self) -> Iterator[Batch]:
        """Batches of (N, 1, 48, 48) normalised float32 images and (N,) int64 labels."""
        ...


def create_resnet18_model(num_classes: int = 7, *, init: str = IMAGENET) -> nn.Module:
    """A ResNet18 for one gray channel, with the documented layers frozen.

    `init` is `imagenet` (torchvision's weights, downloaded once), `scratch`, which freezes
    nothing, or a file as `emoscan train --init` takes it. It maps (N, 1, side, side) to
    (N, num_classes) logits. Raises MissingPartError where the weights are not to be had or do not
    fit.
    """
    recipe = load_recipe("documented")
    model = create_network(recipe.architecture, num_classes=num_classes)
    if init == SCRATCH:
        return model
    try:
        load_backbone(model, first_weights(init))
    except ValueError as error:
        raise MissingPartError(f"{init} does not fit: {error}.") from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part_of(name) not in recipe.frozen)
    return model


def make_loaders(data: str | Path | None = None, *, seed: int = 0) -> tuple[Loader, Loader]:
    """The documented loaders: the folder `train`, changed at random, and the folder `test`.

    `seed` decides the order; the changes draw from torch's global generator, as dropout does.
    A model whose best epoch is chosen on the folder `test` is flattered by its figure there.
    Raises NoMediaError or MediaError where the dataset is missing or damaged.
    """
    dataset = load_dataset(find_data(data))
    recipe = load_recipe("documented")
    norm = normalisation_of(dataset.train)
    random = torch.Generator().manual_seed(seed)
    train = _Batches(dataset.train, recipe, norm=norm, random=random)
    return train, _Batches(dataset.test, recipe, norm=norm)


class _Batches:
    """Images in batches: shuffled and changed where there is a `random`, else as they are."""

    def __init__(
        self,
        data: LabelledImages,
        recipe: Recipe,
        *,
        norm: Normalisation,
        random: torch.Generator | None = None,
    ) -> None:
        self._images, self._labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        self._recipe, self._normalisation, self._random = recipe, norm, random

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._recipe.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        count = len(self._labels)
        order = (
            torch.arange(count)
            if self._random is None
            else torch.randperm(count, generator=self._random)
        )
        for rows in order.split(self._recipe.batch_size):
            levels = to_levels(self._images[rows])
            if self._random is not None:
                levels = augment(levels, self._recipe, side_px=levels.shape[-1])
            yield normalise(levels, self._normalisation), self._labels[rows]


def train_and_validate(
    model: nn.Module,
    train_loader: Iterable[Batch],
    test_loader: Iterable[Batch],
    num_epochs: int = 10,
    learning_rate: float = 0.0001,
) -> History:
    """Train, and leave `model` with the weights of its best validation accuracy.

    AdamW with a rate for each layer, lowered on a plateau of the validation loss, clipped
    gradients, early stopping; where the model lies decides the device. The history has one
    number an epoch for `train_loss`, `train_accuracy`, `val_loss`, `val_accuracy` and
    `learning_rate`; accuracies in 0..1.
    """
    recipe = replace(load_recipe("documented"), learning_rate=learning_rate)
    optimizer = make_optimizer(model, recipe)
    first_rate = optimizer.param_groups[0]["lr"]
    schedule = ReduceLROnPlateau(
        optimizer, factor=recipe.plateau_factor, patience=recipe.plateau_patience
    )
    history: History = {name: [] for name in _COLUMNS}
    best, best_epoch = {name: value.clone() for name, value in model.state_dict().items()}, 0
    for epoch in range(1, num_epochs + 1):
        rate = learning_rate * optimizer.param_groups[0]["lr"] / first_rate
        trained = _train_epoch(model, train_loader, optimizer=optimizer, clip=recipe.clip_norm)
        validated = _validate(model, test_loader)
        schedule.step(validated[0])
        is_best = validated[1] > max(history["val_accuracy"], default=-1.0)
        for name, value in zip(_COLUMNS, (*trained, *validated, rate), strict=True):
            history[name].append(value)
        if is_best:
            best, best_epoch = {n: v.clone() for n, v in model.state_dict().items()}, epoch
        if epoch - best_epoch >= recipe.early_stop_patience:
            break
    model.load_state_dict(best)
    return history


_COLUMNS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate")


def _train_epoch(
    model: nn.Module,
    loader: Iterable[Batch],
    *,
    optimizer: torch.optim.Optimizer,
    clip: float,
) -> tuple[float, float]:
    """Mean loss and accuracy of one pass."""
    model.train()
    for name, module in model.named_modules():
        # A frozen layer keeps its statistics too.
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            model.get_submodule(name).eval()
    sums = _Sums()
    for images, labels in loader:
        loss, logits, targets = _forward(model, images, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        sums.add(loss.detach(), logits, targets)
    return sums.means()


@torch.inference_mode()
def _validate(model: nn.Module, loader: Iterable[Batch]) -> tuple[float, float]:
    model.eval()
    sums = _Sums()
    for images, labels in loader:
        sums.add(*_forward(model, images, labels))
    return sums.means()


def _forward(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    device = next(model.parameters()).device
    targets = labels.to(device)
    logits = model(images.to(device))
    return functional.cross_entropy(logits, targets), logits, targets


class _Sums:
    """Loss and hits so far."""

    def __init__(self) -> None:
        self._loss, self._hits, self._count = 0.0, 0, 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += float(loss) * len(labels)
        self._hits += int((logits.argmax(1) == labels).sum())
        self._count += len(labels)

    def means(self) -> tuple[float, float]:
        return self._loss / self._count, self._hits / self._count
