"""The documented fine-tuning in two calls."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

import training
from emoscan.errors import MissingPartError
from training import create_resnet18_model, make_loaders, train_and_validate
from training.network import part_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_from_python.py"


def test_the_snippet_runs_as_it_is_documented(dataset) -> None:
    torch.manual_seed(0)
    train_loader, test_loader = make_loaders(dataset)
    model = create_resnet18_model(num_classes=7, init="scratch").to("cpu")
    history = train_and_validate(
        model, train_loader, test_loader, num_epochs=3, learning_rate=0.0001
    )
    assert {len(values) for values in history.values()} == {3}
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert history["learning_rate"][0] == pytest.approx(0.0001)
    best = max(history["val_accuracy"])
    with torch.inference_mode():
        model.eval()
        hits = sum(int((model(x).argmax(1) == y).sum()) for x, y in test_loader)
    assert hits / 42 == pytest.approx(best)


def test_from_a_file_the_documented_layers_rest(tmp_path) -> None:
    reference = resnet18(weights=None)
    save_file(reference.state_dict(), tmp_path / "imagenet.safetensors")
    model = create_resnet18_model(init=str(tmp_path / "imagenet.safetensors"))
    resting = {part_of(n) for n, p in model.named_parameters() if not p.requires_grad}
    assert resting == {"stem", "layer1"}
    assert torch.equal(model.conv1.weight, reference.conv1.weight.sum(1, keepdim=True))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    images, labels = torch.rand(8, 1, 48, 48), torch.arange(8) % 7
    train_and_validate(model, [(images, labels)], [(images, labels)], num_epochs=1)
    moved = {
        part_of(name)
        for name, value in model.state_dict().items()
        if value.is_floating_point() and not torch.equal(value, kept[name])
    }
    assert moved == {"layer2", "layer3", "layer4", "head"}


def test_other_numbers_of_classes_fit() -> None:
    model = create_resnet18_model(num_classes=3, init="scratch").eval()
    assert model(torch.zeros(2, 1, 48, 48)).shape == (2, 3)


def test_weights_that_are_not_there_are_one_sentence() -> None:
    with pytest.raises(MissingPartError, match=r"absent\.pth"):
        create_resnet18_model(init="absent.pth")


def test_it_stops_early_and_keeps_the_best() -> None:
    """A rate of almost nothing: the accuracy never gets better than in the first epoch."""
    torch.manual_seed(0)
    model = create_resnet18_model(init="scratch").eval()
    images, labels = torch.rand(4, 1, 32, 32), torch.zeros(4, dtype=torch.int64)
    history = train_and_validate(
        model, [(images, labels)], [(images, labels)], num_epochs=20, learning_rate=1e-12
    )
    best = 1 + max(range(len(history["val_accuracy"])), key=history["val_accuracy"].__getitem__)
    assert len(history["val_accuracy"]) == best + 5 < 20
    assert all(math.isfinite(loss) for loss in history["train_loss"])


def test_the_example_runs(dataset) -> None:
    words = [str(EXAMPLE), str(dataset), "--init", "scratch", "--epochs", "1"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("epoch  1  training ")


def test_importing_training_loads_no_torch() -> None:
    code = "import sys, training; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(AttributeError):
        _ = training.nothing_of_the_kind
