from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from emoscan.emotion.checkpoint import save_checkpoint
from emoscan.emotion.network import POOLED, STRIDE3, UNPOOLED, create_network
from emoscan.errors import MissingPartError, UsageError
from tests.emotion.test_checkpoint import ABOUT
from tests.training.recipes import tiny_recipe
from training.initialise import find_teacher, start_network
from training.network import PARTS, TrainingNetwork, part_of
from training.simple import create_resnet18_model

# Where torch keeps what it has downloaded, under TORCH_HOME.
IMAGENET_FILE = "hub/checkpoints/resnet18-f37072fd.pth"


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    """In the format of ImageNet's weights: three channels, a thousand classes."""
    return torchvision.models.resnet18(weights=None)


@pytest.fixture(autouse=True)
def torch_home(tmp_path, monkeypatch) -> Path:
    """An empty cache of downloads, and no network."""

    def offline(url: str, *_: object, **__: object) -> None:
        raise URLError(f"no way to {url}")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    return tmp_path / "torch"


def start(init: object, **changes: object) -> TrainingNetwork:
    return start_network(tiny_recipe(init=str(init), **changes))


def starts_like(network: TrainingNetwork, reference: nn.Module) -> bool:
    """Whether all but the head comes from a network in torchvision's format."""
    wanted = dict(reference.state_dict())
    wanted["conv1.weight"] = wanted["conv1.weight"].sum(1, keepdim=True)
    found: dict[str, Tensor] = network.backbone.state_dict()
    return all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())


def resting(network: TrainingNetwork) -> set[str]:
    return {part_of(name) for name, p in network.named_parameters() if not p.requires_grad}


def test_a_stem_that_does_not_fit_is_told_in_a_sentence(tmp_path) -> None:
    ours = create_network(STRIDE3).half().state_dict()
    save_checkpoint(tmp_path / "best.safetensors", ours, replace(ABOUT, architecture=STRIDE3))
    sentence = "its first convolution is 11 by 11 px, this architecture's 7 by 7 px"
    with pytest.raises(MissingPartError, match=sentence):
        start(tmp_path / "best.safetensors", architecture=UNPOOLED)
    with pytest.raises(MissingPartError, match=sentence):
        create_resnet18_model(init=str(tmp_path / "best.safetensors"))
    network = start(tmp_path / "best.safetensors", architecture=STRIDE3)
    assert torch.equal(network.backbone.conv1.weight, ours["conv1.weight"].float())


def test_a_teacher_that_looks_at_other_sizes_is_refused(tmp_path) -> None:
    about = replace(ABOUT, crop=replace(ABOUT.crop, side_px=64))
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, create_network().half().state_dict(), about)
    with pytest.raises(UsageError, match="takes crops of 64 px"):
        find_teacher(tiny_recipe(teacher=str(path), teacher_weight=1.0))
    assert find_teacher(tiny_recipe()) is None


def test_torchvisions_stem_becomes_one_of_stride_3(tmp_path, resnet18) -> None:
    save_file(resnet18.state_dict(), tmp_path / "resnet18.safetensors")
    network = start(tmp_path / "resnet18.safetensors", architecture=STRIDE3)
    summed = network.backbone.conv1.weight.sum((1, 2, 3))
    assert network.backbone.conv1.weight.shape == (64, 1, 11, 11)
    assert torch.allclose(summed, resnet18.conv1.weight.sum((1, 2, 3)), atol=1e-5)


@pytest.mark.parametrize("architecture", [POOLED, UNPOOLED])
def test_it_starts_from_a_safetensors_file_of_torchvisions(tmp_path, resnet18, architecture):
    save_file(resnet18.state_dict(), tmp_path / "resnet18.safetensors")
    network = start(tmp_path / "resnet18.safetensors", architecture=architecture)
    assert starts_like(network, resnet18)
    assert network.head.weight.shape == (7, 512)


def test_it_starts_from_a_file_that_torch_saved(tmp_path, resnet18) -> None:
    torch.save(resnet18.state_dict(), tmp_path / "resnet18.pth")
    assert starts_like(start(tmp_path / "resnet18.pth"), resnet18)


def test_it_starts_from_one_of_our_checkpoints_head_included(tmp_path) -> None:
    ours = create_network().half()
    save_checkpoint(tmp_path / "best.safetensors", ours.state_dict(), ABOUT)
    network = start(tmp_path / "best.safetensors")
    for name, tensor in network.serving_state(0.0).items():
        assert torch.equal(tensor, ours.float().state_dict()[name]), name


def test_imagenets_weights_are_torchvisions(torch_home, resnet18) -> None:
    (torch_home / IMAGENET_FILE).parent.mkdir(parents=True)
    torch.save(resnet18.state_dict(), torch_home / IMAGENET_FILE)
    network = start("imagenet", frozen=("stem", "layer1"))
    assert starts_like(network, resnet18)
    assert resting(network) == {"stem", "layer1"}


def test_without_a_network_imagenets_weights_are_asked_for_by_name() -> None:
    with pytest.raises(MissingPartError, match=r"resnet18-f37072fd.pth could not be downloaded"):
        start("imagenet")
    with pytest.raises(MissingPartError, match=r"--init FILE.*--init scratch"):
        start("imagenet")


def test_a_download_that_is_damaged_is_no_bug(monkeypatch) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise RuntimeError('invalid hash value (expected "f37072fd", got "0")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", damaged)
    with pytest.raises(MissingPartError, match=r"could not be downloaded.*invalid hash"):
        start("imagenet")


def test_from_scratch_the_seed_decides() -> None:
    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return start("scratch").backbone.layer1[0].conv1.weight

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))


def test_from_scratch_nothing_rests() -> None:
    assert resting(start("scratch", frozen=PARTS[:2])) == set()


def test_the_recipes_dropout_and_architecture_are_taken() -> None:
    network = start("scratch", architecture=UNPOOLED, dropout=0.25)
    assert network.dropout == 0.25
    assert isinstance(network.backbone.maxpool, nn.Identity)


def write_text(path: Path) -> None:
    path.write_text("no weights")


def write_module(path: Path) -> None:
    """A whole module: a pickle with code, which is not run."""
    torch.save(nn.Linear(1, 1), path)


def write_list(path: Path) -> None:
    torch.save([1, 2], path)


def write_wrapped(path: Path) -> None:
    """As many training scripts save: the state dict under a key of its own."""
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}, "epoch": 3}, path)


def write_numbers(path: Path) -> None:
    torch.save(dict.fromkeys(create_network().state_dict(), 1.0), path)


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "write", [write_text, write_module, write_list, write_wrapped, write_numbers, write_empty]
)
def test_a_file_that_is_no_weights_is_refused(tmp_path, write, suffix: str) -> None:
    path = tmp_path / f"file.{suffix}"
    write(path)
    with pytest.raises(MissingPartError, match=rf"--init .*file.{suffix}"):
        start(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_an_absent_file_is_named(tmp_path, suffix: str) -> None:
    with pytest.raises(MissingPartError, match=rf"--init .*absent.{suffix} cannot be read"):
        start(tmp_path / f"absent.{suffix}")


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    torch.save({"features.0.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(MissingPartError, match=r"other.pth.*not a ResNet18 state dict"):
        start(tmp_path / "other.pth")
