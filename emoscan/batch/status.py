"""How far a batch is: the last attempt at each input, over all runs and shards."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emoscan.batch.manifest import (
    Entry,
    State,
    latest,
    manifest_files,
    planned_inputs,
    read_manifests,
)
from emoscan.errors import UsageError


@dataclass(frozen=True, slots=True)
class Status:
    """`entries` are the last attempts at the inputs of the last run, `pending` those without."""

    folder: str
    entries: tuple[Entry, ...]
    pending: tuple[str, ...]

    @property
    def states(self) -> dict[str, int]:
        """How many inputs ended how; those that were not come to are `pending`."""
        counts = Counter(entry.state for entry in self.entries)
        ended = {state.value: counts[state] for state in State if counts[state]}
        return {**ended, "pending": len(self.pending)}

    def as_dict(self) -> dict[str, Any]:
        """It as JSON can hold it."""
        return {
            "folder": self.folder,
            "inputs": len(self.entries) + len(self.pending),
            "states": self.states,
            "pending": list(self.pending),
            "entries": [asdict(entry) for entry in self.entries],
        }


def read_status(folder: Path) -> Status:
    """Read the manifests of a batch's folder. Raises UsageError where there is none."""
    if not manifest_files(folder):
        raise UsageError(
            f"{folder} holds no manifest.jsonl; name the folder that was given to “emoscan video” "
            "as --out."
        )
    entries, planned = latest(read_manifests(folder)), sorted(planned_inputs(folder))
    return Status(
        str(folder),
        tuple(entries[source] for source in planned if source in entries),
        tuple(source for source in planned if source not in entries),
    )
