"""Where a network starts from: chance, ImageNet, or a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torchvision.models import ResNet18_Weights

from emoscan.emotion.checkpoint import RANGES_PREFIX, load_checkpoint
from emoscan.emotion.network import create_network, load_backbone
from emoscan.errors import MissingPartError, UsageError
from training.fer2013 import check_side
from training.network import TrainingNetwork
from training.protocol import chosen_on
from training.recipe import Recipe

SCRATCH, IMAGENET = "scratch", "imagenet"


def start_network(recipe: Recipe) -> TrainingNetwork:
    """The recipe's network with its first weights. Raises MissingPartError for a bad file.

    From scratch nothing is frozen, whatever the recipe says: random layers that rest would
    never become anything.
    """
    backbone = create_network(recipe.architecture)
    if recipe.init == SCRATCH:
        return TrainingNetwork(backbone, dropout=recipe.dropout)
    try:
        load_backbone(backbone, first_weights(recipe.init))
    except ValueError as error:
        raise MissingPartError(f"--init {recipe.init}: {error}.") from error
    return TrainingNetwork(backbone, dropout=recipe.dropout, frozen=recipe.frozen)


def check_init(init: str) -> tuple[str, ...]:
    """Whether a training could start from it; for weights of ours, which images chose them.

    Those are the weights' own selection and, before it, that of the weights they started from.
    Raises MissingPartError, before the images are read and not after it.
    """
    if init == SCRATCH:
        return ()
    first_weights(init)
    try:
        about = load_checkpoint(Path(init)).about
    except MissingPartError:  # torchvision's, or a plain state dict
        return ()
    return chosen_on(about)


class Teacher(NamedTuple):
    """The file of a recipe's teacher, which weights it holds, and which images chose these."""

    path: Path
    model_id: str
    sha256: str
    selected_on: tuple[str, ...]


def find_teacher(recipe: Recipe) -> Teacher | None:
    """The recipe's, if it is to have one.

    Raises UsageError where it is not named, has no weight or looks at another size of images,
    MissingPartError for a file that is not of ours.
    """
    if recipe.teacher_weight and not recipe.teacher:
        raise UsageError(
            f"The recipe {recipe.name} learns from a teacher: name its weights with "
            "--set teacher=FILE, or leave it out with --set teacher_weight=0."
        )
    if recipe.teacher and not recipe.teacher_weight:
        raise UsageError(
            "The teacher has no weight: give it some with --set teacher_weight=1, for instance."
        )
    return _teacher(Path(recipe.teacher)) if recipe.teacher else None


def _teacher(path: Path) -> Teacher:
    try:
        loaded = load_checkpoint(path)
    except MissingPartError as error:
        message = f"--set teacher={path}: this is no file of weights that emoscan's training wrote."
        raise MissingPartError(message) from error
    check_side(loaded.about)
    return Teacher(path, loaded.about.model_id, loaded.sha256, chosen_on(loaded.about))


def first_weights(init: str) -> Mapping[str, Tensor]:
    """A ResNet18's state dict: `imagenet`, or a file. Raises MissingPartError."""
    return _imagenet() if init == IMAGENET else _from_file(Path(init))


def _imagenet() -> Mapping[str, Tensor]:
    """torchvision's ImageNet weights, downloaded once into torch's cache."""
    weights = ResNet18_Weights.IMAGENET1K_V1
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        name = weights.url.rsplit("/", 1)[-1]
        raise MissingPartError(
            f"--init imagenet: {name} could not be downloaded ({error}); fetch it on another "
            f"machine and name it with --init FILE, or use --init scratch."
        ) from error
    return state


def _from_file(path: Path) -> Mapping[str, Tensor]:
    """A ResNet18 state dict: ours or torchvision's, as safetensors or as torch saves it."""
    try:
        if path.suffix == ".safetensors":
            found = safetensors.torch.load_file(path)
            return {name: found[name] for name in found if not name.startswith(RANGES_PREFIX)}
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, safetensors.SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise MissingPartError(f"--init {path} cannot be read: {error}.") from error
    except Exception as error:  # what torch raises for a pickle that holds more than tensors
        raise MissingPartError(f"--init {path} is no file of weights: {error}.") from error
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise MissingPartError(f"--init {path} holds no state dict, which is names and tensors.")
    return state
