"""What is free where a table is to lie."""

import shutil
from pathlib import Path


def nearest_existing(place: Path) -> Path:
    """The place itself, or the folder above it that is there already."""
    return next(path for path in (place, *place.resolve().parents) if path.exists())


def free_bytes(place: Path) -> int | None:
    """What this user may still write there; None where the system does not tell."""
    try:
        return shutil.disk_usage(nearest_existing(place)).free
    except OSError:
        return None


def told_free(place: Path) -> str:
    """To end a sentence about a full disk with: `: 12,345 bytes are free there`, or nothing."""
    free = free_bytes(place)
    return "" if free is None else f": {free:,} bytes are free there"
