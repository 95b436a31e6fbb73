"""Learning in which ranges weights are rounded."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from emoscan.emotion.checkpoint import load_checkpoint, load_weights, shipped_weights
from emoscan.emotion.classifier import network_of
from emoscan.emotion.crop import to_input
from emoscan.emotion.eight_bits import TOPS, round_network
from emoscan.emotion.network import create_network, load_backbone
from emoscan.inference import fold_batch_norms
from training import eight_bits
from training.eight_bits import are_small, learn_ranges, losses, main, ranges_for
from training.fer2013 import Split, load_dataset
from training.initialise import first_weights


@pytest.fixture(scope="module")
def images(dataset: Path) -> np.ndarray:
    return load_dataset(dataset).train.images


def test_learning_brings_the_rounded_network_nearer(images) -> None:
    loaded = load_weights(None)
    network = network_of(loaded)
    fold_batch_norms(network)
    inputs = to_input(torch.from_numpy(images[:64]), loaded.about.normalisation)
    before = deepcopy(network.state_dict())
    apart = []
    for steps in (0, 12):
        ranges = learn_ranges(network, loaded, images, steps=steps, seed=0)
        with torch.inference_mode():
            out = round_network(network_of(loaded), ranges)(inputs)
            apart.append(float((out - network(inputs)).pow(2).mean()))
    assert 0 < apart[1] < apart[0]
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())
    again = learn_ranges(network, loaded, images, steps=12, seed=0)
    assert all(again[name].equal(ranges[name]) for name in ranges)
    assert not any(tensor.requires_grad for tensor in ranges.values())


@pytest.fixture
def may_lose_much(monkeypatch) -> None:
    """Of the few images of noise some are always at the border of two classes."""
    for limit in ("MOST_POINTS", "MOST_OTHER_CLASS"):
        monkeypatch.setattr(eight_bits, limit, 0.5)
    monkeypatch.setattr(eight_bits, "LEAST_CLOSE", 0.8)


@pytest.mark.usefixtures("may_lose_much")
def test_ranges_that_lose_too_much_are_not_kept(dataset, images, monkeypatch) -> None:
    loaded, select = load_weights(None), load_dataset(dataset).split(Split.PUBLIC)
    ranges, figures = ranges_for(loaded, images, select, steps=1)
    assert ranges and are_small(figures)

    def useless(*_: object, **__: object) -> dict[str, torch.Tensor]:
        return loaded.ranges | {TOPS: torch.full((17,), 1e-3)}

    monkeypatch.setattr(eight_bits, "learn_ranges", useless)
    ranges, figures = ranges_for(loaded, images, select, steps=1)
    assert not ranges and not are_small(figures)


def test_losses_are_counted() -> None:
    exact = np.array([[0.6, 0.4], [0.2, 0.8], [0.51, 0.49], [0.9, 0.1]])
    rounded = np.array([[0.61, 0.39], [0.2, 0.8], [0.49, 0.51], [0.7, 0.3]])
    figures = losses(exact, rounded, np.array([0, 1, 1, 0]))
    assert figures == {
        "exact": 0.75,
        "rounded": 1.0,
        "other_class": 0.25,
        "within_0.05": 0.75,
        "largest": pytest.approx(0.2),
    }


@pytest.mark.parametrize(
    ("change", "is_small"),
    [
        ({}, True),
        ({"rounded": 0.6949}, False),
        ({"other_class": 0.021}, False),
        ({"within_0.05": 0.989}, False),
        ({"largest": 0.151}, False),
    ],
)
def test_each_loss_has_its_limit(change, is_small: bool) -> None:
    at_most = {"exact": 0.70, "rounded": 0.695, "other_class": 0.02}
    assert are_small(at_most | {"within_0.05": 0.99, "largest": 0.15} | change) is is_small


@pytest.mark.usefixtures("may_lose_much")
def test_weights_get_ranges_beside_them(dataset, tmp_path, capsys) -> None:
    out = tmp_path / "with.safetensors"
    main([str(shipped_weights()), "--out", str(out), "--data", str(dataset), "--steps", "1"])
    assert "PublicTest: In int8" in capsys.readouterr().out
    before, after = load_checkpoint(shipped_weights()), load_checkpoint(out)
    assert all(after.state[name].equal(before.state[name]) for name in before.state)
    assert not after.ranges[TOPS].equal(before.ranges[TOPS])
    assert after.about.metrics["int8"]["steps"] == 1
    assert after.about.metrics["PrivateTest"] == before.about.metrics["PrivateTest"]


def test_what_cannot_be_rounded_is_said_and_nothing_written(
    dataset, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(eight_bits, "MOST_APART", 0.0)
    out = tmp_path / "none.safetensors"
    words = [str(shipped_weights()), "--out", str(out), "--data", str(dataset), "--steps", "0"]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 4 and not out.exists()
    assert "too much, not kept" in capsys.readouterr().out


def test_ranges_that_diverge_are_said(dataset, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(eight_bits, "RATE", 1e6)
    out = tmp_path / "none.safetensors"
    words = [str(shipped_weights()), "--out", str(out), "--data", str(dataset), "--steps", "2"]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2 and not out.exists()
    assert "The ranges diverge" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--steps", "-1"], 2, "--steps must be at least 0"),
        (["--seed", "-1"], 2, "--seed must be at least 0"),
        (["--data", "nowhere"], 3, "does not hold FER2013"),
    ],
)
def test_bad_input_gets_a_sentence(words, code: int, said: str, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(shipped_weights()), "--out", str(tmp_path / "new.safetensors"), *words])
    assert left.value.code == code and said in capsys.readouterr().err


def test_a_file_that_is_there_is_not_written_over(tmp_path, capsys) -> None:
    out = tmp_path / "mine.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(SystemExit) as left:
        main([str(shipped_weights()), "--out", str(out)])
    assert left.value.code == 7 and "use another --out" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"


def test_a_training_may_start_from_weights_with_ranges() -> None:
    network = create_network(load_weights(None).about.architecture)
    load_backbone(network, first_weights(str(shipped_weights())))
    wanted = load_weights(None).state["conv1.weight"]
    assert network.conv1.weight.equal(wanted.float())
