"""The state file of a training: what a killed run needs to go on as if nothing had been."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from emoscan.errors import OutputError, UsageError

if TYPE_CHECKING:
    from training.fit import Progress

STATE_FILE, BEST_FILE, LOCK_FILE = "state.pt", "best.safetensors", ".lock"
METRICS_FILE, REPORT_FILE = "metrics.json", "report.md"

# What a run is told by: its recipe and its images.
About = dict[str, Any]


def save(
    folder: Path, parts: dict[str, Any], progress: "Progress", *, about: About, device: torch.device
) -> None:
    """Write the state beside the old one, then in its place: a kill leaves one of them whole."""
    contents = {
        "about": about,
        "progress": {item.name: getattr(progress, item.name) for item in fields(progress)},
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "random": _random_state(device),
    }
    buffer = io.BytesIO()  # torch would turn a full disk into an error of its own
    torch.save(contents, buffer)
    writing = folder / f"{STATE_FILE}.writing"
    with refusing_in_a_sentence(folder), writing.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    with refusing_in_a_sentence(folder):
        writing.replace(folder / STATE_FILE)


def restore(
    folder: Path, parts: dict[str, Any], progress: "Progress", *, about: About, device: torch.device
) -> None:
    """Bring parts, progress and the random state to where the file left them, if there is one."""
    path = folder / STATE_FILE
    if not path.exists():
        return
    contents = _load(path)
    refuse_another_run(path, contents.get("about", {}), about)
    for name, part in parts.items():
        part.load_state_dict(contents["parts"][name])
    for name, value in contents["progress"].items():
        setattr(progress, name, value)
    _set_random_state(contents["random"], device)


def _load(path: Path) -> dict[str, Any]:
    try:
        contents: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).partition("\n")[0]
        raise OutputError(f"{path} is damaged ({reason}); use another --out.") from error
    return contents


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else trains into the folder meanwhile, else OutputError; a kill frees it."""
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputError(f"Another run works in {folder}: use another --out.") from error
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def refusing_in_a_sentence(folder: Path) -> Iterator[None]:
    """A folder that cannot be written becomes an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error


def refuse_another_run(path: Path, stored: About, wanted: About) -> None:
    """Raises UsageError naming what differs."""
    names = [name for name in wanted if stored.get(name) != wanted[name]]
    if names:
        changes = ", ".join(f"{name} {stored.get(name)} (now {wanted[name]})" for name in names)
        raise UsageError(f"{path} belongs to a run with {changes}; use another --out.")


def _random_state(device: torch.device) -> dict[str, Any]:
    """The CPU's, which shuffles, and the device's own, which changes the images."""
    own = {"cuda": torch.cuda.get_rng_state, "mps": lambda _: torch.mps.get_rng_state()}
    return {
        "cpu": torch.get_rng_state(),
        "device": own[device.type](device) if device.type in own else None,
    }


def _set_random_state(random: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(random["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(random["device"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(random["device"])
