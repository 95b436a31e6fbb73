"""What a run that died left behind in a batch's folder."""

from contextlib import suppress
from pathlib import Path

from emoscan.batch.lock import LOCK_FILE
from emoscan.options import RunOptions
from emoscan.timeline.writers import HIDDEN, WRITING


def lock_file(folder: Path, run: RunOptions) -> Path:
    """The lock of a batch, or of one shard of it: shards work side by side."""
    if run.shard is None:
        return folder / LOCK_FILE
    return folder / f".emoscan.{run.shard.number}-of-{run.shard.of}.lock"


def sweep(folder: Path, run: RunOptions) -> None:
    """Remove half-written files that nobody will finish.

    Only where this run has the folder for itself: another shard may be writing such files.
    """
    if run.shard is not None:
        return
    for path in folder.rglob(f"{HIDDEN}*{WRITING}"):
        with suppress(OSError):
            path.unlink()
