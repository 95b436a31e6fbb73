"""Weights and everything needed to use them, in one safetensors file. Never pickle."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors
import safetensors.torch
import torch

from emoscan.emotion.crop import CropSettings, Normalisation
from emoscan.emotion.network import ARCHITECTURES
from emoscan.emotions import EMOTIONS
from emoscan.errors import MissingPartError

HEADER_KEY = "emoscan"
RANGES_PREFIX = "int8."
NO_RANGES: Mapping[str, torch.Tensor] = MappingProxyType({})
MOST_SIDE_PX = 1024  # far beyond what a face's expression needs
# What weights mean that were written before there was such a setting: it came with the measurement
# of those that shipped then, and changes no pixel of an upright face.
OLDER_CROP = {"upright_beyond_deg": 10.0}
SHIPPED_MODEL = "emoscan-resnet18-3"
SHIPPED_SHA256 = "512ecce599907d5ea4cde130469c964ae230870ebbf7989fdf60a390fdf61bfc"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a weights file says of itself, all of it required but what OLDER_CROP supplies.

    `metrics` and `training_data` are free-form; `temperature` divides the logits before the
    softmax; `labels` are in the order of the network's outputs.
    """

    model_id: str
    architecture: str
    labels: tuple[str, ...]
    crop: CropSettings
    normalisation: Normalisation
    temperature: float
    metrics: dict[str, Any]
    training_data: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCheckpoint:
    """A checkpoint, its tensors by name, and the SHA-256 of the file they came from.

    `ranges` are those of `eight_bits`, empty where nobody has learned any.
    """

    about: Checkpoint
    state: dict[str, torch.Tensor]
    sha256: str
    path: Path
    ranges: dict[str, torch.Tensor]


def shipped_weights() -> Path:
    """The weights inside this package."""
    return Path(str(files("emoscan.emotion") / "weights" / f"{SHIPPED_MODEL}.safetensors"))


def load_weights(path: Path | None) -> LoadedCheckpoint:
    """The weights in `path`, or without one those that ship, checked to be what was released.

    Raises MissingPartError where they cannot be used.
    """
    if path is not None:
        return load_checkpoint(path)
    loaded = load_checkpoint(shipped_weights())
    if loaded.sha256 != SHIPPED_SHA256 or loaded.about.model_id != SHIPPED_MODEL:
        raise MissingPartError(
            f"The shipped weights {loaded.path} are not this release's; install emoscan again."
        )
    return loaded


def require_ranges(loaded: LoadedCheckpoint) -> None:
    """Raises MissingPartError where there are none."""
    if not loaded.ranges:
        raise MissingPartError(
            f"{loaded.path} has no ranges for int8: leave --precision out, or learn some with "
            "python -m training.eight_bits."
        )


def save_checkpoint(
    path: Path,
    state: Mapping[str, torch.Tensor],
    about: Checkpoint,
    ranges: Mapping[str, torch.Tensor] = NO_RANGES,
) -> None:
    """Write weights, settings and ranges to one safetensors file."""
    beside = {f"{RANGES_PREFIX}{name}": ranges[name] for name in ranges}
    tensors = {name: tensor.contiguous() for name, tensor in {**state, **beside}.items()}
    # Not save_file: what that writes only its owner can read.
    path.write_bytes(safetensors.torch.save(tensors, {HEADER_KEY: json.dumps(asdict(about))}))


def load_checkpoint(path: Path) -> LoadedCheckpoint:
    """Read a file that `save_checkpoint` wrote; MissingPartError where it is not one."""
    try:
        content = path.read_bytes()
        state = safetensors.torch.load(content)
    except OSError as error:
        raise MissingPartError(
            f"The weights {path} cannot be read ({error.strerror}); name a file that emoscan's "
            "training wrote, or leave --weights out."
        ) from error
    except safetensors.SafetensorError as error:
        raise MissingPartError(f"{path} is not a safetensors file: {error}.") from error
    about = _parse_header(_header(content), path)
    ranges = {
        name.removeprefix(RANGES_PREFIX): state.pop(name)
        for name in [*state]
        if name.startswith(RANGES_PREFIX)
    }
    return LoadedCheckpoint(about, state, hashlib.sha256(content).hexdigest(), path, ranges)


def _header(content: bytes) -> str | None:
    """Our entry in a safetensors file: 8 bytes of length, then JSON with `__metadata__`."""
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    header: str | None = entries.get(HEADER_KEY)
    return header


def _parse_header(header: str | None, path: Path) -> Checkpoint:
    if header is None:
        raise MissingPartError(f"{path} carries no emoscan settings; use weights made by emoscan.")
    try:
        about = _from_dict(json.loads(header))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise MissingPartError(f"{path} has incomplete emoscan settings: {error}.") from error
    if about.architecture not in ARCHITECTURES or about.labels != EMOTIONS:
        raise MissingPartError(
            f"{path} holds a {about.architecture} for {', '.join(about.labels)}; "
            f"this emoscan runs {' or '.join(ARCHITECTURES)} for {', '.join(EMOTIONS)}."
        )
    return about


def _from_dict(settings: dict[str, Any]) -> Checkpoint:
    _require(settings, Checkpoint)
    about = Checkpoint(
        model_id=str(settings["model_id"]),
        architecture=str(settings["architecture"]),
        labels=tuple(map(str, settings["labels"])),
        crop=CropSettings(**_require(OLDER_CROP | settings["crop"], CropSettings)),
        normalisation=Normalisation(**_require(settings["normalisation"], Normalisation)),
        temperature=float(settings["temperature"]),
        metrics=dict(settings["metrics"]),
        training_data=dict(settings["training_data"]),
    )
    crop, norm = about.crop, about.normalisation
    scales = (about.temperature, norm.std, crop.side_px, crop.side_per_box_height)
    if not all(0 < scale < math.inf for scale in scales) or not math.isfinite(norm.mean):
        raise ValueError("temperature, std and sides must be above 0, and all numbers finite")
    if not math.isfinite(crop.upright_beyond_deg) or crop.upright_beyond_deg < 0:
        raise ValueError("crop.upright_beyond_deg must be a number from 0 on")
    if not isinstance(crop.side_px, int) or crop.side_px > MOST_SIDE_PX:
        raise ValueError(f"crop.side_px must be a whole number of at most {MOST_SIDE_PX}")
    return about


def _require(settings: dict[str, Any], kind: type) -> dict[str, Any]:
    """The settings, if there is one for each field: today's defaults may differ from theirs."""
    missing = [field.name for field in fields(kind) if field.name not in settings]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    return settings
