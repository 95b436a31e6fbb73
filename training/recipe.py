"""A recipe: every number of a training, in one TOML file and one frozen dataclass."""

import difflib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from emoscan.emotion.crop import CROP_SIDE_PX
from emoscan.emotion.network import ARCHITECTURES
from emoscan.errors import UsageError
from training.network import PARTS

OPTIMIZERS = ("sgd", "adamw", "muon")
SCHEDULES = ("one-cycle", "plateau", "constant")
# tomllib's own is a ValueError, as are what is no UTF-8 and a number with too many digits.
TOML_ERRORS = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What decides the weights, beside the images. Raises UsageError where values make no sense.

    Shares lie in 0..1; a number of 0 switches its part off. `augment` says what the numbers of
    the random changes mean, `TrainingNetwork` what the second head is.
    """

    name: str
    seed: int

    # The network and where it starts from.
    architecture: str
    init: str  # scratch, imagenet, or a file
    frozen: tuple[str, ...]  # the parts that keep what they start from; see PARTS
    dropout: float

    # How long, and on what sizes.
    epochs: int
    batch_size: int
    sides_px: tuple[int, ...]  # of the input, one after the other
    side_shares: tuple[float, ...]  # of the epochs, one for each side

    # The optimiser.
    optimizer: str
    learning_rate: float  # the highest
    kernel_rate: float  # muon: the highest of the kernels behind the stem
    rate_stem: float  # factors on it
    rate_layer1: float
    rate_layer2: float
    rate_layer3: float
    rate_layer4: float
    rate_head: float
    momentum: float  # SGD's, with Nesterov's step
    weight_decay: float
    decay_vectors: bool  # whether norms and biases decay as well
    clip_norm: float
    average_decay: float  # of the moving average of the weights, each step; that is what ships

    # The schedule.
    schedule: str
    warm_up_share: float  # one-cycle: the share of the steps on which the rate rises
    plateau_factor: float
    plateau_patience: int  # epochs
    early_stop_patience: int  # epochs without a better accuracy

    # The loss.
    label_smoothing: float
    votes_weight: float  # of the cross-entropy to FER+'s votes, beside 1 for FER2013's labels
    teacher: str  # a file of weights whose probabilities are learned too; empty is none
    teacher_weight: float  # of the cross-entropy to these

    # The random changes of the images.
    flip_share: float
    rotation_deg: float
    scaling: float
    shift: float
    shear_deg: float
    brightness: float
    contrast: float
    sharpness: float
    sharpness_share: float
    autocontrast_share: float
    erase_share: float
    erase_least: float
    erase_most: float
    mixup_alpha: float

    def __post_init__(self) -> None:
        _one_of("architecture", self.architecture, ARCHITECTURES)
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        for part in self.frozen:
            _one_of("frozen", part, PARTS)
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie between 0 and 1, not {getattr(self, name)}.")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name, value in asdict(self).items():
            if isinstance(value, int | float) and not (0 <= value < math.inf):
                raise UsageError(f"{name} must be a number from 0 on, not {value}.")
        if self.seed >= 2**63:
            raise UsageError(f"seed must be below 2**63, not {self.seed}.")
        if self.learning_rate == 0:
            raise UsageError("learning_rate must be above 0.")
        self._check_together()
        self._check_sides()

    def _check_together(self) -> None:
        if self.erase_least > self.erase_most:
            raise UsageError("erase_least must not exceed erase_most.")
        if self.schedule == "plateau" and self.plateau_factor == 1:
            raise UsageError("plateau_factor must be below 1 for the schedule plateau.")
        if set(self.frozen) == set(PARTS):
            raise UsageError("frozen must leave one part to train.")

    def _check_sides(self) -> None:
        if not self.sides_px or len(self.sides_px) != len(self.side_shares):
            raise UsageError("sides_px and side_shares must be equally many, and at least one.")
        if min(self.side_shares) < 0:
            raise UsageError(f"side_shares must be from 0 on, not {min(self.side_shares):g}.")
        if not math.isclose(sum(self.side_shares), 1, abs_tol=1e-6):
            raise UsageError(f"side_shares must sum to 1, not {sum(self.side_shares):g}.")
        if min(self.sides_px) < LEAST_SIDE_PX:
            raise UsageError(f"sides_px must be at least {LEAST_SIDE_PX}.")
        if self.sides_px[-1] != CROP_SIDE_PX:
            raise UsageError(
                f"sides_px must end with {CROP_SIDE_PX}, the side of the faces that are "
                f"classified, not with {self.sides_px[-1]}."
            )

    def side_px(self, epoch: int) -> int:
        """The side of the input in this epoch, counted from 0; the last epoch has the last."""
        border = 0.0
        for side, share in zip(self.sides_px[:-1], self.side_shares[:-1], strict=True):
            border += share * self.epochs
            if epoch < min(round(border), self.epochs - 1):
                return side
        return self.sides_px[-1]

    def as_dict(self) -> dict[str, Any]:
        """As TOML and JSON can hold it."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def as_toml(self) -> str:
        """The file that gives this recipe again."""
        # JSON's strings, numbers, lists and booleans are TOML's too.
        lines = [
            f"{name} = {json.dumps(value, ensure_ascii=False)}"
            for name, value in self.as_dict().items()
        ]
        return "\n".join(lines) + "\n"


# On 16 px the last layers of a ResNet18 with its max-pool see one pixel, and torch 2.14's bf16
# gradients on a CPU then differ from run to run, up to NaN; from 24 px on they repeat bit for bit.
LEAST_SIDE_PX = 24
SHARES = (
    "dropout", "warm_up_share", "label_smoothing", "flip_share", "scaling", "shift",
    "sharpness_share", "autocontrast_share", "erase_share", "erase_least", "erase_most",
    "average_decay", "momentum", "plateau_factor",
)  # fmt: skip


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        way_out = _nearest(value, allowed)
        raise UsageError(f"{name} takes {', '.join(allowed)}, not “{value}”.{way_out}")


def _nearest(word: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" Did you mean “{found[0]}”?" if found else ""


def shipped_recipes() -> dict[str, Path]:
    """The recipes inside this package, by name."""
    folder = Path(str(files("training") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A shipped recipe or a TOML file, with changes such as `epochs=3`. Raises UsageError."""
    shipped = shipped_recipes()
    path = shipped.get(name, Path(name))
    if name not in shipped and path.suffix != ".toml":
        raise UsageError(
            f"--recipe takes {', '.join(shipped)} or a .toml file, not “{name}”."
            f"{_nearest(name, list(shipped))}"
        )
    values = _read(path)
    for change in changes:
        values |= _parse_change(change)
    return _build(values, source=str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    except TOML_ERRORS as error:
        raise UsageError(f"The recipe {path} is not TOML: {error}.") from error


def _parse_change(change: str) -> dict[str, Any]:
    """`key=value`, the value as in TOML; a bare word is a string."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set takes key=value, not “{change}”.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except TOML_ERRORS:
        value = text.strip()
    return {key.strip(): value}


def _build(values: Mapping[str, Any], *, source: str) -> Recipe:
    known = [field.name for field in fields(Recipe)]
    for name in values:
        if name not in known:
            raise UsageError(f"{source}: a recipe has no “{name}”.{_nearest(name, known)}")
    if missing := [name for name in known if name not in values]:
        raise UsageError(f"{source} lacks {', '.join(missing)}.")
    hints = get_type_hints(Recipe)
    return Recipe(**{name: _typed(name, values[name], hints[name]) for name in known})


def _typed(name: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{name} takes a list such as [1, 2], not {value!r}.")
        return tuple(_typed(name, item, get_args(hint)[0]) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):  # one that no float holds is no number here
            return float(value)
    if type(value) is not hint:
        raise UsageError(f"{name} takes {_KINDS[hint]}, not {value!r}.")
    return value


_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}
