"""What a user can set, declared once: the command line builds its options from these fields.

ScanOptions changes rows: it is recorded, hashed and compared. RunOptions says where and how the
work is done; of it `device` and `backend` change rows, by roundings and by what `auto` is there,
and are recorded as chosen. `hwaccel` changes no pixel of a healthy file: what each decoder gave is
recorded all the same.
"""

import hashlib
import json
import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from emoscan.errors import UsageError

STANDARD_OUTPUT = "-"
# Of what --hwaccel takes; all else is a type of device.
NO_HARDWARE, AUTO = "none", "auto"

# Fields of ScanOptions that mean nothing for photos, which have no time.
VIDEO_ONLY = frozenset({"fps", "every", "start_s", "end_s", "detector_stride"})


class Precision(StrEnum):
    """The number format in which the classifier computes.

    By OpenVINO the detector has the same, beside int8 what `auto` would be without it; by torch it
    always has fp32.
    """

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


class Backend(StrEnum):
    """What runs the networks."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


class Tta(StrEnum):
    """Test-time augmentation: the mean probabilities over several views of a face."""

    NONE = "none"
    FLIP = "flip"


class TableFormat(StrEnum):
    """The format of the table; the value is also its file suffix."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


# P-Net looks at windows of 12 px: below this it would see enlarged pixels only, at a high price.
LEAST_MIN_FACE_PX = 10


@dataclass(frozen=True, slots=True)
class MinFace:
    """The least side of a face that is looked for: in pixels, or as a share of the height.

    Raises UsageError unless exactly one of them is given and makes sense.
    """

    px: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        in_px = self.px is not None and LEAST_MIN_FACE_PX <= self.px < math.inf
        as_share = self.share is not None and 0 < self.share <= 1
        if (self.px is None) == (self.share is None) or not (in_px or as_share):
            raise UsageError(
                f"--min-face takes at least {LEAST_MIN_FACE_PX} pixels, such as 40, "
                "or a share of the frame's height, such as 5%."
            )

    def __str__(self) -> str:
        return f"{self.px:g}" if self.px is not None else f"{100 * (self.share or 0):g}%"

    def in_px(self, height_px: int) -> float:
        """The least side in pixels for a frame of this height."""
        if self.px is not None:
            return self.px
        return max(LEAST_MIN_FACE_PX, (self.share or 0) * height_px)


def parse_min_face(text: "str | float | MinFace") -> MinFace:
    """`40` is pixels, `5%` a share of the frame's height. Raises UsageError."""
    if isinstance(text, MinFace):
        return text
    if not isinstance(text, str):
        return MinFace(px=text)
    number = text.strip().removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    return MinFace(share=value / 100) if text.strip().endswith("%") else MinFace(px=value)


def parse_stride(text: str | int) -> int | None:
    """`auto` is None, `5` every fifth frame. Raises UsageError."""
    if isinstance(text, str):
        word = text.strip()
        if word != "auto" and not re.fullmatch(r"-?\d+", word):
            raise UsageError(f"--detector-stride takes auto or a whole number, not “{text}”.")
        return None if word == "auto" else int(word)
    return operator.index(text)


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `of` shares, from 1 on. Raises UsageError."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise UsageError(f"--shard takes I/N with I from 1 to N, such as 3/8, not {self}.")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, source: str) -> bool:
        """Whether an input belongs to it: by its name alone, whatever other inputs there are."""
        digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1


def parse_shard(text: "str | Shard") -> Shard:
    """`3/8`. Raises UsageError."""
    if isinstance(text, Shard):
        return text
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not found:
        raise UsageError(f"--shard takes I/N, such as 3/8, not “{text}”.")
    return Shard(int(found[1]), int(found[2]))


def parse_time_s(text: str) -> float:
    """`90`, `1:30`, `00:01:30.5` as seconds. Raises UsageError."""
    if not re.fullmatch(r"(\d+:)?(\d+:)?\d+(\.\d*)?|\.\d+", text.strip()):
        raise UsageError(
            f"A time is seconds such as 90.5 or HH:MM:SS such as 00:01:30, not “{text}”."
        )
    hours_to_seconds = [float(part) for part in text.strip().split(":")]
    if any(part >= 60 for part in hours_to_seconds[1:]):
        raise UsageError(f"“{text}” is no time: minutes and seconds after a colon end at 59.")
    seconds = 0.0
    for part in hours_to_seconds:
        seconds = seconds * 60 + part
    return seconds


def _seconds(value: str | float) -> float:
    """As `parse_time_s`, and numbers from 0 on as they are."""
    seconds = parse_time_s(value) if isinstance(value, str) else float(value)
    if not 0 <= seconds < math.inf:
        raise UsageError(f"A time is at least 0 s, not {value}.")
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


def convert(options: object, name: str, kind: Callable[[Any], Any]) -> None:
    """Give a field its type where it came as something plainer; None stays None."""
    value = getattr(options, name)
    try:
        object.__setattr__(options, name, None if value is None else kind(value))
    except (ValueError, TypeError) as error:
        raise UsageError(f"--{name.replace('_', '-')} cannot be {value!r}: {error}.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """What changes rows. Raises UsageError where a value or a combination makes no sense.

    From Python too, `min_face` may be 40 or "5%", `precision` and `weights` plain strings.
    """

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
        "Smallest face: pixels, or a share of the frame's height such as 5%. From 256 pixels on, "
        "JPEGs are read smaller.",
        parse=parse_min_face,
        metavar="SIZE",
    )
    detector_stride: int | None = option(
        None,
        "Detect on every Nth frame, or the first after 0.5 s, and follow between, with some more "
        "looks; 1: on every frame, misses least, slower on a CPU; auto: by what moves, on a CUDA "
        "GPU 1.",
        parse=parse_stride,
        metavar="auto|N",
    )
    threshold: float = option(0.7, "Least score of a face (that of MTCNN's last network, O-Net).")
    max_faces: int | None = option(None, "Keep at most the N largest faces.", metavar="N")
    weights: Path | None = option(None, "Use these weights, not the shipped ones.", metavar="FILE")
    precision: Precision = option(
        Precision.AUTO,
        "Number format; auto: fp16 on CUDA; by OpenVINO on a CPU with VNNI int8 in the classifier, "
        "if its weights have ranges; else bf16 where the CPU is faster by it, or fp32.",
    )
    tta: Tta = option(
        Tta.NONE,
        "flip: classify each face and its mirror image, and take the mean; twice the work.",
    )

    def __post_init__(self) -> None:
        convert(self, "fps", float)
        convert(self, "every", operator.index)
        convert(self, "start_s", _seconds)
        convert(self, "end_s", _seconds)
        convert(self, "detector_stride", parse_stride)
        convert(self, "threshold", float)
        convert(self, "max_faces", operator.index)
        convert(self, "min_face", parse_min_face)
        convert(self, "precision", Precision)
        convert(self, "tta", Tta)
        convert(self, "weights", Path)
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
        if self.detector_stride is not None and self.detector_stride < 1:
            raise UsageError(f"--detector-stride must be at least 1, not {self.detector_stride}.")
        if not 0 < self.threshold < 1:
            raise UsageError(f"--threshold must lie between 0 and 1, not {self.threshold:g}.")
        if self.max_faces is not None and self.max_faces < 1:
            raise UsageError(f"--max-faces must be at least 1, not {self.max_faces}.")

    def as_dict(self) -> dict[str, Any]:
        """Every option as JSON can hold it."""
        plain = asdict(self)
        plain |= {"min_face": str(self.min_face), "precision": self.precision.value}
        plain |= {"tta": self.tta.value, "detector_stride": self.detector_stride or "auto"}
        plain["weights"] = str(self.weights) if self.weights else None
        return plain

    def sha256(self) -> str:
        """The hash of the options as given; the model's own hash is recorded apart from it."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What does not change rows. Raises UsageError where a value makes no sense.

    From Python too, `out` may be a Path and `format` a plain string.
    """

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
    resume: bool = option(
        False, "Go on with a job that was stopped: what is done stays.", flags=("--resume",)
    )
    retry_failed: bool = option(
        False, "With --resume: try again what failed before.", flags=("--retry-failed",)
    )
    verify: bool = option(
        False,
        "With --resume: compare the whole of every input, not its size, time and both ends.",
        flags=("--verify",),
    )
    shard: Shard | None = option(
        None,
        "Do the I-th of N shares of the inputs, as in 3/8; each share of photos is a table of its "
        "own, such as photos.3-of-8.parquet.",
        metavar="I/N",
        parse=parse_shard,
    )
    workers: int = option(1, "Videos analysed at the same time.", metavar="N")
    fail_fast: bool = option(False, "Stop at the first file that fails.", flags=("--fail-fast",))
    dry_run: bool = option(False, "Say what would be done, and do nothing.", flags=("--dry-run",))
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps.")
    backend: Backend = option(
        Backend.AUTO, "What runs the networks; auto: OpenVINO on a CPU if installed, else torch."
    )
    batch_size: int | None = option(
        None,
        "Photos analysed at once.",
        metavar="N",
    )
    hwaccel: str = option(
        NO_HARDWARE,
        "Decode videos by hardware: auto, or a type such as cuda, videotoolbox or d3d11va; "
        "software does what it cannot.",
        metavar="none|auto|TYPE",
    )
    decode_in_process: bool = option(
        False,
        "Decode in a thread of the main process, for debugging.",
        flags=("--decode-in-process",),
    )

    def __post_init__(self) -> None:
        convert(self, "backend", Backend)
        convert(self, "batch_size", operator.index)
        convert(self, "workers", operator.index)
        convert(self, "shard", parse_shard)
        convert(self, "out", str)
        convert(self, "format", TableFormat)
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"--batch-size must be at least 1, not {self.batch_size}.")
        if self.workers < 1:
            raise UsageError(f"--workers must be at least 1, not {self.workers}.")
        if self.resume and self.overwrite:
            raise UsageError("--resume keeps what --overwrite replaces; choose one of them.")
        if self.out == STANDARD_OUTPUT and (self.workers > 1 or self.resume):
            raise UsageError(
                "--workers and --resume write tables to files: name a place with --out."
            )
        if (self.retry_failed or self.verify) and not self.resume:
            raise UsageError("--retry-failed and --verify go with --resume.")

    def as_dict(self) -> dict[str, Any]:
        """Every option as JSON can hold it."""
        words = {
            "format": self.format.value if self.format else None,
            "backend": self.backend.value,
            "shard": str(self.shard) if self.shard else None,
        }
        return asdict(self) | words


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOptions:
    """How the state of a batch is shown."""

    json: bool = option(False, "Print it as one JSON object.", flags=("--json",))


FER2013_HELP = (
    "FER2013 in the Kaggle layout; default: $EMOSCAN_FER2013, ./fer2013 or /kaggle/input/fer2013."
)


class Select(StrEnum):
    """Which images choose the epoch of a training."""

    PUBLIC = "public"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What `emoscan train` takes. Raises UsageError where a value makes no sense."""

    data: Path | None = option(
        None,
        FER2013_HELP,
        metavar="DIR",
    )
    recipe: str = option(
        "best", "best, best-again, best-small, documented, or a TOML file.", metavar="NAME|FILE"
    )
    init: str | None = option(
        None,
        "Start from imagenet, scratch, or a file with a ResNet18; default: the recipe's.",
        metavar="imagenet|scratch|FILE",
    )
    select: Select = option(
        Select.PUBLIC,
        "Images that choose the epoch; test: the folder `test`, as documented, which flatters.",
    )
    out: Path | None = option(None, "The run folder; default: runs/<recipe>.", metavar="DIR")
    epochs: int | None = option(None, "Instead of the recipe's.", metavar="N")
    seed: int | None = option(None, "Instead of the recipe's.", metavar="N")
    set: tuple[str, ...] = option(
        (), "Change one value of the recipe; may be repeated.", metavar="KEY=VALUE"
    )
    resume: bool = option(False, "Go on with a run that was stopped.", flags=("--resume",))
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps.")
    precision: Precision = option(
        Precision.AUTO, "auto: bf16 where the device is faster by it, else fp32."
    )

    def __post_init__(self) -> None:
        convert(self, "data", Path)
        convert(self, "select", Select)
        convert(self, "out", Path)
        convert(self, "epochs", operator.index)
        convert(self, "seed", operator.index)
        convert(self, "set", tuple)
        convert(self, "precision", Precision)
        if self.epochs is not None and self.epochs < 1:
            raise UsageError(f"--epochs must be at least 1, not {self.epochs}.")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed must lie between 0 and 2**63 - 1, not {self.seed}.")


class EvaluationSplit(StrEnum):
    """The images an evaluation looks at: an official split, or the whole folder `test`."""

    PRIVATE = "private"
    PUBLIC = "public"
    TEST = "test"


class EvaluationTta(StrEnum):
    """Test-time augmentation; ten crops fit images that are faces, as FER2013's."""

    NONE = "none"
    FLIP = "flip"
    TENCROP = "tencrop"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What `emoscan evaluate` takes. Raises UsageError where a value makes no sense."""

    weights: tuple[Path, ...] = option(
        (), "Weights, by default the shipped ones; repeated, an ensemble.", metavar="FILE"
    )
    data: Path | None = option(None, FER2013_HELP, metavar="DIR")
    split: EvaluationSplit = option(
        EvaluationSplit.PRIVATE, "An official split, or test: the whole folder."
    )
    tta: EvaluationTta = option(
        EvaluationTta.NONE, "Mean over an image and its mirror image, or over ten crops."
    )
    out: Path | None = option(
        None, "Folder for metrics.json, report.md and two pictures.", metavar="DIR"
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps.")
    precision: Precision = option(
        Precision.AUTO,
        "Number format of the classifier; auto: fp16 on CUDA, else fp32; int8 as it serves.",
    )

    def __post_init__(self) -> None:
        convert(self, "weights", _paths)
        convert(self, "data", Path)
        convert(self, "split", EvaluationSplit)
        convert(self, "tta", EvaluationTta)
        convert(self, "out", Path)
        convert(self, "precision", Precision)


def _paths(value: Iterable[str | Path]) -> tuple[Path, ...]:
    return tuple(Path(item) for item in value)
