import copy

import pytest
import torch
from torch import Tensor, nn

from emoscan.emotion.network import ARCHITECTURES, POOLED, create_network
from emoscan.emotions import EMOTIONS
from tests.training.recipes import small_network, tiny_recipe
from training.network import PARTS, VOTE_CLASSES, TrainingNetwork, part_of

FROZEN = ("stem", "layer1", "layer3")


@pytest.fixture(scope="module")
def network() -> TrainingNetwork:
    torch.manual_seed(0)
    return TrainingNetwork(create_network(POOLED), dropout=0.5, frozen=FROZEN)


def faces(count: int = 4) -> Tensor:
    return torch.randn(count, 1, 48, 48)


def norms(network: TrainingNetwork) -> dict[str, nn.BatchNorm2d]:
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }


def test_two_heads_read_the_same_features(network) -> None:
    logits, votes = network.eval()(faces())
    assert logits.shape == (4, 7) and votes.shape == (4, 8)


def test_the_votes_are_our_classes_and_contempt() -> None:
    assert list(VOTE_CLASSES) == [*EMOTIONS, "contempt"]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("backbone.conv1.weight", "stem"),
        ("backbone.bn1.bias", "stem"),
        ("backbone.bn1", "stem"),
        ("backbone.layer1.0.conv1.weight", "layer1"),
        ("backbone.layer1.0.bn1", "layer1"),
        ("backbone.layer4.1.bn2.weight", "layer4"),
        ("backbone.layer2.0.downsample.1.weight", "layer2"),
        ("head.weight", "head"),
        ("votes.bias", "head"),
    ],
)
def test_each_name_belongs_to_a_part(name: str, part: str) -> None:
    assert part_of(name) == part


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_parameters_fall_into_all_parts_and_no_others(architecture: str) -> None:
    network = TrainingNetwork(create_network(architecture), dropout=0.0)
    assert {part_of(name) for name, _ in network.named_parameters()} == {*PARTS}
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_frozen_parts_have_no_gradients(network) -> None:
    network.train()
    logits, votes = network(faces())
    (logits.square().sum() + votes.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (part_of(name) in FROZEN), name


def test_the_norms_of_frozen_parts_rest_in_training_and_others_do_not(network) -> None:
    network.eval()
    before = copy.deepcopy({name: norm.state_dict() for name, norm in norms(network).items()})
    network.train()
    with torch.no_grad():
        network(3 + 2 * faces())
    for name, norm in norms(network).items():
        rests = torch.equal(norm.running_mean, before[name]["running_mean"])
        assert rests == (part_of(name) in FROZEN), name
        assert (norm.num_batches_tracked == before[name]["num_batches_tracked"]) == rests


def test_evaluation_moves_no_statistics(network) -> None:
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        network.eval()(3 + faces())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_both_heads_see_the_same_dropout_and_only_in_training() -> None:
    network = small_network(tiny_recipe(dropout=0.5))
    network.votes.weight.data[:7] = network.head.weight.data
    network.votes.bias.data[:7] = network.head.bias.data
    inputs = faces()
    network.train()
    first, votes = network(inputs)
    assert torch.allclose(first, votes[:, :7], atol=1e-6)
    assert not torch.allclose(first, network(inputs)[0])
    network.eval()
    assert torch.equal(network(inputs)[0], network(inputs)[0])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_served_network_mixes_both_heads_logits(network, share: float) -> None:
    inputs = faces()
    with torch.no_grad():
        logits, votes = network.eval()(inputs)
        served = network.serving_network(POOLED, share)(inputs)
    assert torch.allclose(served, torch.lerp(logits, votes[:, :7], share), atol=1e-5)


def test_the_served_state_does_not_move_with_the_network() -> None:
    network = small_network(tiny_recipe())
    state = network.serving_state(0.0)
    before = copy.deepcopy(state)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.add_(1)
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_the_served_state_is_that_of_a_plain_network(network) -> None:
    served = create_network(POOLED).state_dict()
    state = network.serving_state(0.5)
    assert {name: tensor.shape for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in served.items()
    }
