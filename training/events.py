"""What training says while it works. It never prints: a listener does, or nobody."""

from collections.abc import Callable
from dataclasses import dataclass

from emoscan.events import Note


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    """`first_epoch` counts from 0: it is above 0 where a killed run goes on."""

    epochs: int
    first_epoch: int
    steps_per_epoch: int
    selected_on: str


@dataclass(frozen=True, slots=True)
class BatchDone:
    """The means over the epoch so far; accuracy in 0..1."""

    epoch: int
    step: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One row of the history: losses are cross-entropies to the labels, accuracies in 0..1.

    Training's are those of the changed images while the weights still moved, the loss with the
    recipe's label smoothing; the selection's those of the network that would be saved. `seconds`
    is the whole epoch, `images_per_s` the speed of its training part.
    """

    epoch: int
    side_px: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    select_loss: float
    select_accuracy: float
    best_epoch: int
    best_accuracy: float
    seconds: float
    images_per_s: float


@dataclass(frozen=True, slots=True)
class StoppedEarly:
    """No better accuracy for so many epochs."""

    epoch: int
    patience: int


@dataclass(frozen=True, slots=True)
class ImagesDone:
    """So far in an evaluation."""

    done: int
    total: int


Event = Note | TrainingStarted | BatchDone | EpochDone | StoppedEarly | ImagesDone
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of those who do not listen."""
