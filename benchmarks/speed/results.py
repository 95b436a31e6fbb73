"""What was measured: one JSON file that is whole after each step, and the medians in it."""

import json
import statistics
from pathlib import Path
from typing import Any


class Results:
    """The parts of the JSON by name; `put` writes the file."""

    def __init__(self, path: Path, parts: dict[str, Any] | None = None) -> None:
        self.path = path
        self.parts: dict[str, Any] = parts or {}

    @classmethod
    def read(cls, path: Path) -> "Results":
        """What an earlier run has written. Ends the program where there was none."""
        if not path.exists():
            raise SystemExit(f"{path} is not there: measure first, with --media DIR.")
        return cls(path, json.loads(path.read_text(encoding="utf-8")))

    def put(self, part: str, value: Any) -> None:
        """Keep a part, and write the file."""
        self.parts[part] = value
        self.save()

    def save(self) -> None:
        """Write the file, under another name first: it is never half written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        writing = self.path.with_suffix(".writing")
        writing.write_text(json.dumps(self.parts, indent=1) + "\n", encoding="utf-8")
        writing.replace(self.path)

    def skip(self, name: str, reason: str) -> None:
        """Note why something was not measured."""
        self.put("skipped", self.parts.get("skipped", {}) | {name: reason})

    def rates(self, clip: str, subject: str) -> list[float]:
        """Frames a second in each round, [] where there was none."""
        rates: list[float] = self.get("speed", clip, subject, "rates") or []
        return rates

    def rate(self, clip: str, subject: str) -> float | None:
        """Their median."""
        return median(self.rates(clip, subject))

    def get(self, *path: str) -> Any:
        """What lies at this path, None where there is nothing."""
        found: Any = self.parts
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


def median(values: list[float]) -> float | None:
    """None of no values."""
    return statistics.median(values) if values else None
