import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from tests.training.recipes import small_network, tiny_recipe
from training.network import PARTS, TrainingNetwork, part_of
from training.optimise import Muon, make_optimizer, make_schedule, orthogonalise
from training.recipe import OPTIMIZERS, Recipe

RATES = {f"rate_{part}": 0.1 * number for number, part in enumerate(PARTS, start=1)}


def groups_by_name(network: TrainingNetwork, optimizer: Optimizer) -> dict[str, dict]:
    """The group of every parameter that the optimiser moves."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(parameter)]: group
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def made(**changes: object) -> tuple[TrainingNetwork, dict[str, dict]]:
    recipe = tiny_recipe(**changes)
    network = small_network(recipe)
    return network, groups_by_name(network, make_optimizer(network, recipe))


def lone(**changes: object) -> tuple[Optimizer, Recipe]:
    """An optimiser of one parameter at the rate 1."""
    return SGD([nn.Parameter(torch.zeros(1))], lr=1.0), tiny_recipe(**changes)


def with_singular_values(rows: int, columns: int, values: Tensor) -> Tensor:
    """A random matrix with these singular values."""
    least = min(rows, columns)
    left = torch.linalg.qr(torch.randn(rows, least)).Q
    right = torch.linalg.qr(torch.randn(columns, least)).Q
    return left @ values.diag() @ right.T


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_part_has_its_rate(optimizer: str) -> None:
    rates = {"learning_rate": 0.01, "kernel_rate": 0.5} | RATES
    network, groups = made(optimizer=optimizer, **rates)
    for name, parameter in network.named_parameters():
        is_kernel = parameter.ndim == 4 and part_of(name) != "stem"
        highest = 0.5 if optimizer == "muon" and is_kernel else 0.01
        assert groups[name]["lr"] == pytest.approx(highest * RATES[f"rate_{part_of(name)}"])


@pytest.mark.parametrize(("optimizer", "kind"), [("sgd", SGD), ("adamw", AdamW), ("muon", Muon)])
def test_the_recipe_names_the_optimiser(optimizer: str, kind: type) -> None:
    recipe = tiny_recipe(optimizer=optimizer)
    assert type(make_optimizer(small_network(recipe), recipe)) is kind


def test_only_the_kernels_behind_the_stem_are_orthogonal() -> None:
    network, groups = made(optimizer="muon")
    orthogonal = {name for name, group in groups.items() if group["orthogonal"]}
    assert orthogonal == {
        name
        for name, parameter in network.named_parameters()
        if parameter.ndim == 4 and not name.startswith("backbone.conv1")
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_parts_are_not_moved(optimizer: str) -> None:
    network, groups = made(optimizer=optimizer, frozen=("stem", "layer2"))
    moved = {part_of(name) for name in groups}
    assert moved == {*PARTS} - {"stem", "layer2"}
    assert len(groups) == sum(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("decay_vectors", [True, False])
def test_vectors_decay_only_where_the_recipe_says_so(optimizer: str, decay_vectors: bool) -> None:
    network, groups = made(optimizer=optimizer, decay_vectors=decay_vectors, weight_decay=0.02)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            assert groups[name]["weight_decay"] == (0.02 if decay_vectors else 0)
        elif not groups[name].get("orthogonal"):
            assert groups[name]["weight_decay"] == 0.02


def test_kernels_of_muon_do_not_decay() -> None:
    _, groups = made(optimizer="muon", weight_decay=0.02)
    assert {group["weight_decay"] for group in groups.values() if group["orthogonal"]} == {0}


def test_without_a_momentum_sgd_is_plain() -> None:
    recipe = tiny_recipe(optimizer="sgd", momentum=0.0)
    (group, *_) = make_optimizer(small_network(recipe), recipe).param_groups
    assert group["momentum"] == 0 and not group["nesterov"]


@pytest.mark.parametrize("momentum", [0.6, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_muon_moves_other_groups_as_sgd_does(momentum: float, weight_decay: float) -> None:
    torch.manual_seed(0)
    one = nn.Parameter(torch.randn(5, 3))
    two = nn.Parameter(one.detach().clone())
    about = {"lr": 0.1, "momentum": momentum}
    muon = Muon([{"params": [one], "weight_decay": weight_decay}], **about)
    sgd = SGD([two], weight_decay=weight_decay, nesterov=True, **about)
    for _ in range(6):
        gradient = torch.randn(5, 3)
        for parameter, optimizer in ((one, muon), (two, sgd)):
            parameter.grad = gradient.clone()
            optimizer.step()
        assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 288), (128, 24), (64, 64)], ids=["wide", "tall", "square"])
def test_orthogonalising_brings_singular_values_near_1(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = with_singular_values(*shape, torch.linspace(0.5, 2, min(shape)))
    found = torch.linalg.svdvals(orthogonalise(7 * matrix))
    assert found.min() > 0.6 and found.max() < 1.3


@pytest.mark.parametrize("shape", [(32, 96), (96, 32)], ids=["wide", "tall"])
def test_orthogonalising_keeps_the_directions(shape: tuple[int, int]) -> None:
    """With U S Vᵀ given, U Vᵀ is what the result is near."""
    torch.manual_seed(0)
    matrix = with_singular_values(*shape, torch.linspace(0.5, 2, 32))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest, found = left @ right, orthogonalise(matrix)
    assert (found - nearest).norm() < 0.3 * nearest.norm()


def test_a_gradient_of_zeros_gives_a_step_of_zeros() -> None:
    assert (orthogonalise(torch.zeros(4, 6)) == 0).all()


def test_kernels_keep_the_norm_of_the_root_of_their_outputs() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(9 * torch.randn(16, 8, 3, 3))
    muon = Muon([{"params": [kernel], "orthogonal": True}], lr=0.05, momentum=0.6)
    for _ in range(20):
        kernel.grad = torch.randn_like(kernel)
        muon.step()
        assert float(kernel.detach().norm()) == pytest.approx(4, rel=0.1)


def test_a_step_of_muon_does_not_depend_on_the_gradients_size() -> None:
    torch.manual_seed(0)
    start, gradient = torch.randn(16, 8, 3, 3), torch.randn(16, 8, 3, 3)
    moved = []
    for size in (1e-3, 1e3):
        kernel = nn.Parameter(start.clone())
        muon = Muon([{"params": [kernel], "orthogonal": True}], lr=0.1, momentum=0.6)
        kernel.grad = size * gradient
        muon.step()
        moved.append(kernel.detach())
    assert torch.allclose(*moved, atol=2e-3)


def test_a_step_of_muon_goes_against_the_gradient() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(16, 8, 3, 3))
    muon = Muon([{"params": [kernel], "orthogonal": True}], lr=0.1, momentum=0.6)
    kernel.grad = torch.randn_like(kernel)
    before = kernel.detach() * 4 / kernel.detach().norm()
    muon.step()
    assert ((kernel.detach() - before) * kernel.grad).sum() < 0


def test_muon_leaves_parameters_without_gradients_alone() -> None:
    kernel = nn.Parameter(torch.ones(4, 2, 3, 3))
    Muon([{"params": [kernel], "orthogonal": True}], lr=0.1, momentum=0.6).step()
    assert (kernel == 1).all()


def test_a_plateau_lowers_the_rate_after_its_patience() -> None:
    optimizer, recipe = lone(schedule="plateau", plateau_factor=0.5, plateau_patience=1)
    schedule = make_schedule(optimizer, recipe, steps=10)
    rates = []
    for loss in (2.0, 1.0, 1.0, 1.0, 0.5, 0.5):
        schedule.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5]


def test_a_plateau_lowers_the_rates_of_all_parts_alike() -> None:
    recipe = tiny_recipe(schedule="plateau", plateau_factor=0.5, plateau_patience=0, **RATES)
    optimizer = make_optimizer(small_network(recipe), recipe)
    before = [group["lr"] for group in optimizer.param_groups]
    schedule = make_schedule(optimizer, recipe, steps=10)
    for loss in (1.0, 1.0):
        schedule.step(loss)
    assert [group["lr"] for group in optimizer.param_groups] == [rate / 2 for rate in before]


def one_cycle(steps: int, share: float) -> list[float]:
    """The rate of each step."""
    optimizer, recipe = lone(schedule="one-cycle", warm_up_share=share)
    schedule = make_schedule(optimizer, recipe, steps=steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_one_cycle_rises_to_the_rate_and_ends_near_0() -> None:
    rates = one_cycle(200, 0.1)
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1) and 18 <= peak <= 20
    assert rates[0] < 0.05 and rates[-1] < 0.001
    assert rates == sorted(rates[:peak]) + sorted(rates[peak:], reverse=True)


def test_one_cycle_gives_each_part_a_peak_of_its_own() -> None:
    recipe = tiny_recipe(schedule="one-cycle", optimizer="sgd", **RATES)
    optimizer = make_optimizer(small_network(recipe), recipe)
    wanted = [group["lr"] for group in optimizer.param_groups]
    schedule = make_schedule(optimizer, recipe, steps=100)
    highest = [0.0] * len(wanted)
    for _ in range(100):
        rates = [group["lr"] for group in optimizer.param_groups]
        highest = [max(pair) for pair in zip(highest, rates, strict=True)]
        optimizer.step()
        schedule.step()
    assert highest == pytest.approx(wanted)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 4, 10])
def test_one_cycle_fits_into_few_steps(steps: int, share: float) -> None:
    """A phase of no length is a division by zero in torch: a tenth of ten steps, for instance."""
    rates = one_cycle(steps, share)
    assert rates[-1] < 0.001 and max(rates) <= 1
    assert steps < 4 or max(rates) > 0.7


def test_a_constant_schedule_is_none() -> None:
    optimizer, recipe = lone(schedule="constant")
    assert make_schedule(optimizer, recipe, steps=10) is None
