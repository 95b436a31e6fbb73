"""The training loop: epochs over images that lie on the device, resumable after any kill."""

import hashlib
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from emoscan.emotion.crop import CROP_SIDE_PX, Normalisation, normalise, to_input, to_levels
from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.options import Precision
from emoscan.runtime import Runtime, choose_runtime, is_faster_in_bf16
from training import state
from training.augment import augment, mix
from training.events import BatchDone, EpochDone, Listener, StoppedEarly, TrainingStarted, ignore
from training.fer2013 import LabelledImages
from training.network import TrainingNetwork
from training.optimise import make_optimizer, make_schedule
from training.recipe import Recipe

Schedule = OneCycleLR | ReduceLROnPlateau | None

EVALUATION_BATCH = 512
STEPS_BETWEEN_REPORTS = 8


class Taught(NamedTuple):
    """What a teacher says of the images that train, (N, 7) probabilities, and its weights' hash.

    To learn it beside the labels is distillation (Hinton et al. 2015, arXiv 1503.02531).
    """

    probabilities: NDArray[np.float32]
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class DeviceImages:
    """A split on the device: images uint8, and targets as shares of classes.

    `votes` are the shares of FER+'s votes; `has_votes` (N,) is 0 where there are none; `taught`
    (N, 7) are a teacher's probabilities, zeros without one.
    """

    images: Tensor
    labels: Tensor
    votes: Tensor
    has_votes: Tensor
    taught: Tensor

    @classmethod
    def upload(
        cls,
        data: LabelledImages,
        device: torch.device,
        taught: NDArray[np.float32] | None = None,
    ) -> "DeviceImages":
        """All of it at once: FER2013 takes 66 MB."""
        if taught is None:
            taught = np.zeros((len(data), len(EMOTIONS)), np.float32)
        votes = torch.from_numpy(data.votes).to(device).float()
        total = votes.sum(1, keepdim=True)
        return cls(
            images=torch.from_numpy(data.images).to(device),
            labels=torch.from_numpy(data.labels).to(device),
            votes=votes / total.clamp(min=1),
            has_votes=(total[:, 0] > 0).float(),
            taught=torch.from_numpy(taught).to(device),
        )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(slots=True)
class Progress:
    """What has been reached so far; all of it is in the state file.

    `best_epoch` counts from 1; it is 0 until an epoch on the recipe's last side is done.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_accuracy: float = 0.0
    best_state: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """One training: the network, what moves it, and the loop.

    After `run`, `progress` holds the history and the best epoch's weights, as a TrainingNetwork
    takes them.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: TrainingNetwork,
        *,
        normalisation: Normalisation,
        runtime: Runtime,
        listener: Listener = ignore,
    ) -> None:
        """`network` is moved to the device; `listener` is told of every event."""
        self.recipe = recipe
        self.progress = Progress()
        self._runtime = runtime
        self._normalisation = normalisation
        self._listener = listener
        self._device = runtime.device
        self._network = network.to(self._device)
        self._network.to(memory_format=torch.channels_last)
        self._average = _make_average(self._network, recipe.average_decay)
        self._optimizer = make_optimizer(self._network, recipe)
        self._forward = _compiled(self._network) if self._device.type == "cuda" else self._network

    def run(
        self,
        train: LabelledImages,
        select: LabelledImages,
        *,
        taught: Taught | None = None,
        folder: Path | None = None,
        selected_on: str = "PublicTest",
    ) -> Progress:
        """Train to the last epoch, choosing the best by the accuracy on `select`.

        `taught` is what the recipe's teacher says of the images of `train`; ValueError where the
        recipe gives it a weight and it is missing, or the other way round.
        With a folder every epoch is kept in its state file, and a run that was killed goes on
        there; UsageError where the file belongs to another recipe or other images.
        """
        if bool(self.recipe.teacher_weight) != (taught is not None):
            raise ValueError("a teacher_weight above 0 and what is taught belong together")
        images = DeviceImages.upload(train, self._device, taught.probabilities if taught else None)
        chosen_on = DeviceImages.upload(select, self._device)
        steps = max(1, len(images) // self.recipe.batch_size)
        schedule = make_schedule(self._optimizer, self.recipe, steps=steps * self.recipe.epochs)
        parts = self._parts(schedule)
        about = self.recipe.as_dict() | {
            "selected_on": selected_on,
            "train_images": _fingerprint(train),
            "select_images": _fingerprint(select),
            "teacher_sha256": taught.sha256 if taught else None,
            "device": self._device.type,
            "precision": self._runtime.precision.value,
        }
        if folder:
            state.restore(folder, parts, self.progress, about=about, device=self._device)
        first = self.progress.epoch
        self._listener(TrainingStarted(self.recipe.epochs, first, steps, selected_on))
        while self.progress.epoch < self.recipe.epochs and not self._is_exhausted():
            self._epoch(images, chosen_on, schedule)
            if folder:
                state.save(folder, parts, self.progress, about=about, device=self._device)
        return self.progress

    def _parts(self, schedule: Schedule) -> dict[str, Any]:
        parts = {
            "network": self._network,
            "average": self._average,
            "optimizer": self._optimizer,
            "schedule": schedule,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _is_exhausted(self) -> bool:
        patience = self.recipe.early_stop_patience
        waited = self.progress.epoch - self.progress.best_epoch
        if not patience or not self.progress.best_epoch or waited < patience:
            return False
        self._listener(StoppedEarly(self.progress.epoch, patience))
        return True

    def _epoch(self, images: DeviceImages, chosen_on: DeviceImages, schedule: Schedule) -> None:
        """One pass over the shuffled images, then a look at the selection."""
        began = time.monotonic()
        progress = self.progress
        side_px = self.recipe.side_px(progress.epoch)
        rate = max(group["lr"] for group in self._optimizer.param_groups)
        loss, hits, seen = self._train(images, schedule, side_px=side_px)
        stepped = time.monotonic()
        if not math.isfinite(loss):
            raise UsageError(
                f"The loss is no number any more in epoch {progress.epoch + 1}: start again with a "
                "lower learning_rate or kernel_rate, and another --out."
            )
        select_loss, select_accuracy = self._look(chosen_on, side_px=side_px)
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(select_loss)
        self._keep(select_accuracy, side_px=side_px)
        row = EpochDone(
            epoch=progress.epoch,
            side_px=side_px,
            learning_rate=rate,
            train_loss=loss / seen,
            train_accuracy=hits / seen,
            select_loss=select_loss,
            select_accuracy=select_accuracy,
            best_epoch=progress.best_epoch,
            best_accuracy=progress.best_accuracy,
            seconds=time.monotonic() - began,
            images_per_s=seen / (stepped - began),
        )
        progress.history.append(asdict(row))
        self._listener(row)

    def _train(
        self, images: DeviceImages, schedule: Schedule, *, side_px: int
    ) -> tuple[float, float, float]:
        """The steps of one epoch; gives the summed loss, the hits and the number of images."""
        self._network.train()
        totals = torch.zeros(3, device=self._device)
        for number, rows in enumerate(self._batches(len(images)), start=1):
            totals += self.step(images, rows, side_px=side_px)
            if isinstance(schedule, OneCycleLR):
                schedule.step()
            if number % STEPS_BETWEEN_REPORTS == 1:  # each time waits for the device
                loss, hits, seen = totals.tolist()
                self._listener(BatchDone(self.progress.epoch, number, loss / seen, hits / seen))
        loss, hits, seen = totals.tolist()
        return loss, hits, seen

    def _batches(self, count: int) -> Iterator[Tensor]:
        """Rows of each batch, without the last incomplete one, unless there is no other."""
        order = torch.randperm(count)
        size = self.recipe.batch_size
        for start in range(0, max(count - size + 1, 1), size):
            yield order[start : start + size].to(self._device)

    def step(self, images: DeviceImages, rows: Tensor, *, side_px: int) -> Tensor:
        """One step of the optimiser; (3,) the loss summed over images, hits, images."""
        inputs, targets = self.draw(images, rows, side_px=side_px)
        loss, logits = self.learn(inputs, targets)
        hits = (logits.argmax(1) == images.labels[rows]).sum()
        count = torch.tensor(float(len(rows)), device=self._device)
        return torch.stack([loss * count, hits.float(), count])

    def draw(
        self, images: DeviceImages, rows: Tensor, *, side_px: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Changed images as the network wants them; shares of classes, of votes, if any, taught."""
        inputs = augment(to_levels(images.images[rows]), self.recipe, side_px=side_px)
        labels = functional.one_hot(images.labels[rows], len(EMOTIONS)).float()
        targets = [labels, images.votes[rows], images.has_votes[rows], images.taught[rows]]
        if self.recipe.mixup_alpha:
            inputs, targets = mix(inputs, targets, self.recipe.mixup_alpha)
        inputs = normalise(inputs, self._normalisation)
        return inputs.contiguous(memory_format=torch.channels_last), targets

    def learn(self, inputs: Tensor, targets: list[Tensor]) -> tuple[Tensor, Tensor]:
        """One step on what `draw` gave; the loss on the labels, and their logits."""
        with self._autocast():
            logits, votes = self._forward(inputs)
        loss = functional.cross_entropy(
            logits.float(), targets[0], label_smoothing=self.recipe.label_smoothing
        )
        total = loss
        if self.recipe.votes_weight:
            total = loss + self.recipe.votes_weight * votes_loss(votes.float(), *targets[1:3])
        if self.recipe.teacher_weight:
            taught = functional.cross_entropy(logits.float(), targets[3])
            total = total + self.recipe.teacher_weight * taught
        self._optimizer.zero_grad()
        total.backward()
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self._network.parameters(), self.recipe.clip_norm)
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._network)
        return loss.detach(), logits.detach()

    def _autocast(self) -> AbstractContextManager[Any]:
        dtype = self._runtime.dtype
        return torch.autocast(self._device.type, dtype=dtype, enabled=dtype != torch.float32)

    @torch.inference_mode()
    def _look(self, data: DeviceImages, *, side_px: int) -> tuple[float, float]:
        """Loss and accuracy of the network that would be saved now, on images of this side."""
        network = self._to_save().eval()
        logits = []
        for batch in data.images.split(EVALUATION_BATCH):
            inputs = to_input(batch, self._normalisation)
            if inputs.shape[-1] != side_px:
                inputs = functional.interpolate(
                    inputs, (side_px, side_px), mode="bilinear", antialias=True
                )
            with self._autocast():
                logits.append(network(inputs)[0].float())
        together = torch.cat(logits)
        loss = functional.cross_entropy(together, data.labels)
        return float(loss), float((together.argmax(1) == data.labels).float().mean())

    def _to_save(self) -> TrainingNetwork:
        return (
            self._network if self._average is None else cast(TrainingNetwork, self._average.module)
        )

    def _keep(self, accuracy: float, *, side_px: int) -> None:
        """Count the epoch, and keep its weights where it is the best one on the served side."""
        progress = self.progress
        progress.epoch += 1
        if side_px == CROP_SIDE_PX and (
            accuracy > progress.best_accuracy or not progress.best_epoch
        ):
            progress.best_epoch, progress.best_accuracy = progress.epoch, accuracy
            weights = self._to_save().state_dict()
            progress.best_state = {name: tensor.cpu().clone() for name, tensor in weights.items()}


def _fingerprint(data: LabelledImages) -> str:
    """Tells one set of images from another, by their pixels, labels and votes."""
    digest = hashlib.sha256(data.images.tobytes())
    digest.update(data.labels.tobytes())
    digest.update(data.votes.tobytes())
    return digest.hexdigest()[:12]


def votes_loss(logits: Tensor, shares: Tensor, has_votes: Tensor) -> Tensor:
    """The mean cross-entropy to the shares of the votes, over the images that have some."""
    each = functional.cross_entropy(logits, shares, reduction="none")
    # Where there are no votes the shares are 0, and so is the cross-entropy.
    return each.sum() / has_votes.sum().clamp(min=1)


def _compiled(network: nn.Module) -> nn.Module:
    """For CUDA alone: elsewhere compiling costs more than it gains."""
    # Without a compiler or Triton it runs as it is, instead of failing.
    torch._dynamo.config.suppress_errors = True
    compiled: nn.Module = torch.compile(network, dynamic=False)  # type: ignore[assignment]
    return compiled


def _make_average(network: TrainingNetwork, decay: float) -> AveragedModel | None:
    """A moving average of the weights and the norms' statistics."""
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)
    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def training_runtime(device: str, wanted: Precision) -> Runtime:
    """The device, and bf16 where it is faster by it. Raises UsageError."""
    if wanted in (Precision.FP16, Precision.INT8):
        raise UsageError(
            f"Training takes --precision auto, fp32 or bf16: {wanted.value} loses gradients."
        )
    runtime = choose_runtime(device, Precision.FP32 if wanted is Precision.AUTO else wanted)
    if wanted is not Precision.AUTO or not is_faster_in_bf16(runtime.device):
        return runtime
    return Runtime(runtime.device, Precision.BF16, runtime.device_name, runtime.note)
