"""Whether a table is still the one that a run would make: of the same input, in the same way."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

END_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A file's size, its time of modification, and SHA-256: of its first and last MiB, and of it.

    `whole_sha256` is None where nobody asked for it.
    """

    size_bytes: int
    mtime_ns: int
    ends_sha256: str
    whole_sha256: str | None = None

    @classmethod
    def of(cls, path: Path, *, whole: bool = False) -> Self:
        """Read it. Raises OSError."""
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            ends = hashlib.sha256(file.read(END_BYTES))
            file.seek(max(END_BYTES, stat.st_size - END_BYTES))
            ends.update(file.read(END_BYTES))
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest() if whole else None
        return cls(stat.st_size, stat.st_mtime_ns, ends.hexdigest(), digest)

    def fits(self, other: "Fingerprint | None") -> bool:
        """Whether both are of one file; of the whole of it only where both know it."""
        if other is None:
            return False
        digests = {self.whole_sha256, other.whole_sha256} - {None}
        return len(digests) < 2 and (self.size_bytes, self.mtime_ns, self.ends_sha256) == (
            other.size_bytes,
            other.mtime_ns,
            other.ends_sha256,
        )

    def as_dict(self) -> dict[str, Any]:
        """Every field as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Any) -> Self | None:
        """What `as_dict` gave, through JSON; None for anything else."""
        try:
            read = cls(**fields)
        except TypeError:
            return None
        known = isinstance(read.size_bytes, int) and isinstance(read.mtime_ns, int)
        digests = isinstance(read.ends_sha256, str) and isinstance(read.whole_sha256, str | None)
        return read if known and digests else None


@dataclass(frozen=True, slots=True)
class Making:
    """What the rows of a table depend on beside its input."""

    options_sha256: str
    model_sha256: str
    schema_version: int

    def of_metadata(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a table with this metadata was made in this way."""
        model = metadata.get("model")
        return self == Making(
            metadata.get("options_sha256", ""),
            model.get("sha256", "") if isinstance(model, dict) else "",
            metadata.get("schema_version", 0),
        )
