"""How long each step of a scan takes, and how much its networks compute.

The functions that do the steps are wrapped where they stand; a step's time is its own, without
that of the steps inside it.
"""

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial, reduce, wraps
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

Function = Callable[..., Any]

# Where each step is done: `module:name` or `module:class.name`.
STEPS: dict[str, tuple[str, ...]] = {
    "decode": ("emoscan.media.container:decode",),
    "convert": ("emoscan.media.colours:Converter.rgb",),
    "cascade on key frames": ("emoscan.faces.mtcnn:FaceDetector._found",),
    "following": (
        "emoscan.faces.follow:FaceFollower._faces_of",
        "emoscan.faces.follow:key_places",
        "emoscan.faces.mtcnn:FaceDetector.settled",
        "emoscan.faces.track:Tracker.update",
    ),
    "crops": ("emoscan.emotion.classifier:crop_faces",),
    "classifier": ("emoscan.emotion.classifier:EmotionClassifier._by_batch",),
    "writing": (
        "emoscan.timeline.records:frame_records",
        "emoscan.timeline.writers:_FileTable.write",
        "emoscan.timeline.writers:_FileTable.commit",
    ),
}
PACKAGES = ("emoscan.media", "emoscan.faces", "emoscan.emotion", "emoscan.timeline")
OUTSIDE = "none of these"


@dataclass(slots=True)
class Spent:
    """On one step in one thread: seconds, and operations (an addition or a product is one)."""

    seconds: float = 0.0
    operations: float = 0.0


@dataclass(slots=True)
class Profile:
    """What was spent by step and thread; threads are numbered in order of appearance."""

    spent: defaultdict[tuple[str, int], Spent] = field(default_factory=lambda: defaultdict(Spent))
    _open: threading.local = field(default_factory=threading.local)
    _threads: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def timing(self, step: str, function: Function) -> Function:
        """The function, its own time added to the step's."""

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            stack = self._stack()
            stack.append((step, 0.0))
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                elapsed_s = time.perf_counter() - began
                _, inside_s = stack.pop()
                self._add(step, seconds=elapsed_s - inside_s)
                if stack:
                    outer, so_far_s = stack.pop()
                    stack.append((outer, so_far_s + elapsed_s))

        return wrapped

    def counting(self, function: Function) -> Function:
        """conv2d or linear, its operations added to the step that it runs in."""

        @wraps(function)
        def wrapped(inputs: Any, weight: Any, *args: Any, **kwargs: Any) -> Any:
            out = function(inputs, weight, *args, **kwargs)
            stack = self._stack()
            step = stack[-1][0] if stack else OUTSIDE
            self._add(step, operations=2.0 * out.numel() * weight[0].numel())
            return out

        return wrapped

    def _stack(self) -> list[tuple[str, float]]:
        """The open steps of this thread and the time of the steps inside each."""
        if not hasattr(self._open, "stack"):
            self._open.stack = []
        stack: list[tuple[str, float]] = self._open.stack
        return stack

    def _add(self, step: str, *, seconds: float = 0.0, operations: float = 0.0) -> None:
        with self._lock:
            thread = self._threads.setdefault(threading.get_ident(), len(self._threads) + 1)
            spent = self.spent[step, thread]
            spent.seconds += seconds
            spent.operations += operations


@contextmanager
def profiled() -> Iterator[Profile]:
    """Every step that is done inside is counted."""
    _import_stages()
    profile = Profile()
    with ExitStack() as stack:
        for step, names in STEPS.items():
            for name in names:
                stack.enter_context(_wrapped(name, partial(profile.timing, step)))
        for name in ("torch.nn.functional:conv2d", "torch.nn.functional:linear"):
            stack.enter_context(_wrapped(name, profile.counting))
        yield profile


def _import_stages() -> None:
    """All modules: one that is imported later would take a wrapped function and keep it."""
    for package in map(import_module, PACKAGES):
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)


def exists(name: str) -> bool:
    """Whether there is such a function."""
    try:
        _find(name)
    except (ImportError, AttributeError):
        return False
    return True


@contextmanager
def _wrapped(name: str, wrap: Callable[[Function], Function]) -> Iterator[None]:
    """Put another function in its place, wherever it was imported; does nothing without it."""
    if not exists(name):
        yield
        return
    home, attribute = _find(name)
    function = getattr(home, attribute)
    wrapped = wrap(function)
    holders = [(home, attribute), *_importers(function, attribute)]
    for holder, key in holders:
        setattr(holder, key, wrapped)
    try:
        yield
    finally:
        for holder, key in holders:
            setattr(holder, key, function)


def _find(name: str) -> tuple[Any, str]:
    """The module or class that holds the function, and the function's name there."""
    module, _, path = name.partition(":")
    *owners, attribute = path.split(".")
    home = reduce(getattr, owners, import_module(module))
    getattr(home, attribute)
    return home, attribute


def _importers(function: Function, attribute: str) -> list[tuple[Any, str]]:
    modules = [module for name, module in sys.modules.items() if name.startswith("emoscan")]
    return [
        (module, attribute) for module in modules if getattr(module, attribute, None) is function
    ]
