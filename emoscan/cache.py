"""The folder for what can be made again: packed images, converted networks."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's own, after the habits of the system; it need not exist. Raises RuntimeError.

    That is where not even a home folder is known.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "emoscan"
