"""What a user can set, declared once: the command line builds its options from these fields.

ScanOptions changes rows: it is recorded, hashed and compared. RunOptions does not.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from emoscan.errors import UsageError

STANDARD_OUTPUT = "-"


class Precision(StrEnum):
    """The number format in which the classifier computes."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class TableFormat(StrEnum):
    """The format of the table; the value is also its file suffix."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class MinFace:
    """The least side of a face that is looked for: in pixels, or as a share of the height."""

    px: float | None = None
    share: float | None = None

    def __str__(self) -> str:
        return f"{self.px:g}" if self.px is not None else f"{100 * (self.share or 0):g}%"

    def in_px(self, height_px: int) -> float:
        """The least side in pixels for a frame of this height."""
        return self.px if self.px is not None else (self.share or 0) * height_px


def parse_min_face(text: str) -> MinFace:
    """`40` is pixels, `5%` a share of the frame's height. Raises UsageError."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (0 < value <= 100 if percent else 1 <= value < math.inf):
        raise UsageError(f"--min-face takes pixels such as 40 or a share such as 5%, not “{text}”.")
    return MinFace(share=value / 100) if percent else MinFace(px=value)


def parse_time_s(text: str) -> float:
    """`90`, `1:30`, `00:01:30.5` as seconds. Raises UsageError."""
    if not re.fullmatch(r"(\d+:)?(\d+:)?\d+(\.\d*)?|\.\d+", text.strip()):
        raise UsageError(
            f"A time is seconds such as 90.5 or HH:MM:SS such as 00:01:30, not “{text}”."
        )
    seconds = 0.0
    for part in text.strip().split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def option(
    default: Any,
    text: str,
    *,
    flags: tuple[str, ...] = (),
    parse: Callable[[str], Any] | None = None,
    metavar: str | None = None,
) -> Any:
    """A dataclass field with what the command line needs to offer it."""
    about = {"help": text, "flags": flags, "parse": parse, "metavar": metavar}
    return field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """What changes rows. Raises UsageError where a value or a combination makes no sense."""

    fps: float | None = option(
        None, "Look at this many frames a second; their own times are kept.", metavar="RATE"
    )
    every: int = option(1, "Look at every Nth frame.", metavar="N")
    start_s: float | None = option(
        None,
        "Begin here: seconds or HH:MM:SS.",
        flags=("--start",),
        parse=parse_time_s,
        metavar="TIME",
    )
    end_s: float | None = option(
        None,
        "End before this time: seconds or HH:MM:SS.",
        flags=("--end",),
        parse=parse_time_s,
        metavar="TIME",
    )
    min_face: MinFace = option(
        MinFace(px=40),
        "Smallest face: pixels, or a share of the frame's height such as 5%.",
        parse=parse_min_face,
        metavar="SIZE",
    )
    threshold: float = option(0.7, "Least score of a face (that of MTCNN's last network, O-Net).")
    max_faces: int | None = option(None, "Keep at most the N largest faces.", metavar="N")
    weights: Path | None = option(None, "Use these weights, not the shipped ones.", metavar="FILE")
    precision: Precision = option(
        Precision.AUTO, "Number format of the classifier; auto: fp16 on CUDA, else fp32."
    )

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise UsageError(f"--fps must be above 0, not {self.fps:g}.")
        if self.every < 1:
            raise UsageError(f"--every must be at least 1, not {self.every}.")
        if self.fps is not None and self.every != 1:
            raise UsageError("Use --fps or --every, not both.")
        if None not in (self.start_s, self.end_s) and self.end_s <= self.start_s:  # type: ignore[operator]
            raise UsageError(
                f"--end ({self.end_s:g} s) must lie after --start ({self.start_s:g} s)."
            )
        if not 0 < self.threshold < 1:
            raise UsageError(f"--threshold must lie between 0 and 1, not {self.threshold:g}.")
        if self.max_faces is not None and self.max_faces < 1:
            raise UsageError(f"--max-faces must be at least 1, not {self.max_faces}.")

    def as_dict(self) -> dict[str, Any]:
        """Every option as JSON can hold it."""
        plain = asdict(self)
        plain |= {"min_face": str(self.min_face), "precision": self.precision.value}
        plain["weights"] = str(self.weights) if self.weights else None
        return plain

    def sha256(self) -> str:
        """The hash under which two runs with equal rows are known."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What does not change rows. Raises UsageError where a value makes no sense."""

    out: str | None = option(
        None,
        "The table; a folder for several videos; - streams CSV or JSON lines to stdout.",
        flags=("--out", "-o"),
        metavar="PATH",
    )
    format: TableFormat | None = option(None, "Table format, if not told by the suffix of --out.")
    recursive: bool = option(
        True, "Look into the folders of a folder.", flags=("--recursive/--no-recursive",)
    )
    overwrite: bool = option(False, "Replace an output that exists.", flags=("--overwrite",))
    fail_fast: bool = option(False, "Stop at the first file that fails.", flags=("--fail-fast",))
    dry_run: bool = option(False, "Say what would be done, and do nothing.", flags=("--dry-run",))
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps.")
    batch_size: int | None = option(None, "Frames in one batch; default: by device.", metavar="N")

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"--batch-size must be at least 1, not {self.batch_size}.")

    def as_dict(self) -> dict[str, Any]:
        """Every option as JSON can hold it."""
        return asdict(self) | {"format": self.format.value if self.format else None}
