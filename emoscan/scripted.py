"""Many small steps of torch as one step of Python's."""

import warnings
from collections.abc import Callable
from functools import update_wrapper
from threading import Lock
from typing import Any, Generic, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


class Scripted(Generic[P, R]):
    """A function of tensors, compiled by TorchScript at its first call.

    A step in Python costs as much as it takes to give it to a GPU, and at each other threads may
    take the interpreter and keep it a while; compiled, fifty steps are one. A later torch without
    TorchScript, or one that does not understand the function, runs it as it stands.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        update_wrapper(self, function)
        self.plain = function
        self._compiled: Callable[..., Any] | None = None
        self._compiling = Lock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function gives."""
        if self._compiled is None:
            with self._compiling:
                self._compiled = self._compiled or _compiled(self.plain)
        # Without: it would compile anew for each number of boxes that it meets.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            out: R = self._compiled(*args, **kwargs)
        return out


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and does what is needed
        try:
            compiled: Callable[..., Any] = torch.jit.script(function)
        except Exception:
            return function
    return compiled


def scripted(function: Callable[P, R]) -> Scripted[P, R]:
    """As a decorator."""
    return Scripted(function)
