"""The folder of a batch: whose it is for now, and what a run that died left behind there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emoscan.batch.lock import LOCK_FILE, locked, refuse_held
from emoscan.options import RunOptions, Shard
from emoscan.plan import TIMELINES
from emoscan.timeline.writers import HIDDEN, WRITING

# Shards of one batch may begin at the same moment.
PATIENCE_S = 10.0


@contextmanager
def held(folder: Path, run: RunOptions) -> Iterator[None]:
    """Have the folder for this run alone, or for this shard beside the others of as many.

    What runs that died left half-written there is removed, by a shard what was its own. Raises
    OutputError where another run is at work in it.
    """
    if run.shard is None:
        with locked(folder / LOCK_FILE):
            _refuse_shards(folder, but=None)
            _sweep(folder, run)
            yield
        return
    with locked(folder / f".emoscan.{_name(run.shard)}.lock"):
        with locked(folder / LOCK_FILE, patience_s=PATIENCE_S):
            _refuse_shards(folder, but=run.shard)
        _sweep(folder, run)
        yield


def owner_of(run: RunOptions) -> str:
    """What the names begin with of the files that a run has in the making, behind HIDDEN."""
    return f"{_name(run.shard)}-" if run.shard else ""


def _name(shard: Shard) -> str:
    return f"{shard.number}-of-{shard.of}"


def _refuse_shards(folder: Path, *, but: Shard | None) -> None:
    """Shards of another number share the inputs out otherwise, and would meet."""
    for path in folder.glob(".emoscan.*-of-*.lock"):
        if but is None or not path.name.endswith(f"-of-{but.of}.lock"):
            refuse_held(path)


def _sweep(folder: Path, run: RunOptions) -> None:
    """Remove half-written tables that nobody will finish: who wrote them is not at work here.

    Locks may hold on one computer only, so that a shard cannot tell whether another is dead.
    """
    for path in (folder / TIMELINES).rglob(f"{HIDDEN}{owner_of(run)}*{WRITING}"):
        with suppress(OSError):
            path.unlink()
