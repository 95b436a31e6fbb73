"""How far a batch is: the last attempt at each input, over all runs and shards."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emoscan.batch.manifest import Entry, latest, manifest_files, planned_inputs, read_manifests
from emoscan.errors import UsageError


@dataclass(frozen=True, slots=True)
class Status:
    """`entries` are the last attempts, by source; `inputs` is how many there are to do."""

    folder: str
    inputs: int
    entries: tuple[Entry, ...]

    @property
    def states(self) -> Counter[str]:
        """How many inputs ended how; those that were not come to are `pending`."""
        counts = Counter(entry.state.value for entry in self.entries)
        counts["pending"] = max(0, self.inputs - len(self.entries))
        return counts

    def as_dict(self) -> dict[str, Any]:
        """It as JSON can hold it."""
        return {
            "folder": self.folder,
            "inputs": self.inputs,
            "states": dict(self.states),
            "entries": [asdict(entry) for entry in self.entries],
        }


def read_status(folder: Path) -> Status:
    """Read the manifests of a batch's folder. Raises UsageError where there is none."""
    if not manifest_files(folder):
        raise UsageError(
            f"{folder} holds no manifest.jsonl; name the folder that was given to “emoscan video” "
            "as --out."
        )
    entries = latest(read_manifests(folder))
    by_source = tuple(entries[source] for source in sorted(entries))
    return Status(str(folder), max(planned_inputs(folder), len(by_source)), by_source)
