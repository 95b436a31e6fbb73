"""Optimisers with a rate for each part of the network, and the schedules."""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from training.network import part_of
from training.recipe import Recipe

# The coefficients of Muon's quintic iteration, tuned by its author for steep convergence.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 3


class Muon(Optimizer):
    """SGD with Nesterov momentum, its steps on kernels made orthogonal.

    For parameters in groups with `orthogonal`, seen as matrices (out, in·k·k), the step is
    replaced by the nearest matrix whose singular values are near 1 (Muon, Jordan et al. 2024,
    github.com/KellerJordan/Muon), and the kernel is kept at the norm √out: a norm layer behind
    it makes its scale meaningless, so that the rate is the relative size of a step. Other groups
    get SGD as `torch.optim.SGD(nesterov=True)` does it.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "orthogonal": False}
        super().__init__(groups, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step with the gradients that are there."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return None

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].mul_(group["momentum"]).add_(gradient)
        step = gradient.add(momentum, alpha=group["momentum"])
        if group["orthogonal"]:
            parameter.mul_(len(parameter) ** 0.5 / parameter.norm())
            step = orthogonalise(step.flatten(1)).view_as(parameter)
        parameter.add_(step, alpha=-group["lr"])


def orthogonalise(matrix: Tensor) -> Tensor:
    """The (M, N) matrix with its singular values brought near 1, in bfloat16's precision."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    nearest: Tensor = (x.T if tall else x).to(matrix.dtype)
    return nearest


def make_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimiser over the parts that are trained, each with its own rate."""
    groups = _groups(network, recipe)
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=recipe.learning_rate)
    if recipe.optimizer == "muon":
        return Muon(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    nesterov = recipe.momentum > 0  # without a momentum torch refuses it
    return SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov)


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters of the same part and kind together."""
    groups: dict[tuple[str, bool, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            part = part_of(name)
            kernel = recipe.optimizer == "muon" and parameter.ndim == 4 and part != "stem"
            groups.setdefault((part, parameter.ndim > 1, kernel), []).append(parameter)
    return [_group(recipe, *kind, parameters) for kind, parameters in groups.items()]


def _group(
    recipe: Recipe, part: str, is_matrix: bool, is_kernel: bool, parameters: list[Tensor]
) -> dict[str, Any]:
    rate = recipe.kernel_rate if is_kernel else recipe.learning_rate
    decays = (is_matrix or recipe.decay_vectors) and not is_kernel
    group = {
        "params": parameters,
        "lr": rate * getattr(recipe, f"rate_{part}"),
        "weight_decay": recipe.weight_decay if decays else 0.0,
    }
    return group | {"orthogonal": True} if is_kernel else group


def make_schedule(
    optimizer: Optimizer, recipe: Recipe, *, steps: int
) -> OneCycleLR | ReduceLROnPlateau | None:
    """One-cycle is told of every step, plateau of every epoch's loss; None keeps the rate."""
    if recipe.schedule == "one-cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(
            optimizer,
            rates,
            total_steps=steps,
            pct_start=_warm_up_share(recipe.warm_up_share, steps),
            cycle_momentum=False,
        )
    if recipe.schedule == "plateau":
        return ReduceLROnPlateau(
            optimizer, factor=recipe.plateau_factor, patience=recipe.plateau_patience
        )
    return None


def _warm_up_share(share: float, steps: int) -> float:
    """The share of the steps, such that neither phase is empty: torch divides by their lengths."""
    share = min(share, 1 - 1 / steps)
    return share if share * steps > 1 else 0.0
