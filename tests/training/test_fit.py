"""The loop of training, on a network of a few thousand weights and a tiny generated dataset."""

import errno
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from emoscan.emotion.crop import Normalisation, to_input
from emoscan.errors import OutputError, UsageError
from emoscan.options import Precision, Select
from emoscan.runtime import Runtime
from tests.training.recipes import UNCHANGED, small_network, tiny_documented, tiny_recipe
from training.events import BatchDone, EpochDone, Event, StoppedEarly, TrainingStarted, ignore
from training.fer2013 import load_dataset
from training.fit import DeviceImages, Progress, Taught, Trainer, training_runtime, votes_loss
from training.network import TrainingNetwork, part_of
from training.protocol import Protocol, choose_protocol
from training.recipe import Recipe
from training.state import STATE_FILE

CPU = Runtime(torch.device("cpu"), Precision.FP32, "cpu")
NORMALISATION = Normalisation(mean=0.4, std=0.25)
TIMES = ("seconds", "images_per_s")
RECIPES = {
    "best": tiny_recipe(epochs=3),  # Muon, one-cycle, a moving average
    "documented": tiny_documented(epochs=3),  # AdamW, plateau
    "mixup": tiny_recipe(epochs=3, optimizer="sgd", schedule="constant", mixup_alpha=0.4),
}


@pytest.fixture(scope="module")
def data(dataset) -> Protocol:
    return choose_protocol(load_dataset(dataset), Select.PUBLIC, seed=0)


@pytest.fixture
def scripted(monkeypatch):
    """Accuracies on the selection by script, at a loss that never falls."""

    def script(*accuracies: float) -> None:
        following = iter(accuracies)
        monkeypatch.setattr(Trainer, "_look", lambda *_, **__: (1.0, next(following)))

    return script


ONE_SIDE = {"sides_px": (48,), "side_shares": (1.0,)}


class Ears(list[Event]):
    """A listener that remembers."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type) -> list[Event]:
        return [event for event in self if isinstance(event, kind)]


def make_trainer(recipe: Recipe, listener=ignore, *, runtime: Runtime = CPU) -> Trainer:
    torch.manual_seed(recipe.seed)
    network = small_network(recipe)
    return Trainer(recipe, network, normalisation=NORMALISATION, runtime=runtime, listener=listener)


def train(recipe: Recipe, data: Protocol, folder: Path | None = None, listener=ignore) -> Progress:
    return make_trainer(recipe, listener).run(data.train, data.select, folder=folder)


def same_weights(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def without_times(progress: Progress) -> list[dict[str, object]]:
    return [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in progress.history
    ]


def a_batch(trainer: Trainer, data: Protocol) -> tuple[Tensor, list[Tensor]]:
    rows = torch.arange(32)
    return trainer.draw(DeviceImages.upload(data.train, CPU.device), rows, side_px=24)


@pytest.mark.parametrize(
    "recipe", [tiny_recipe(epochs=12), tiny_documented(epochs=12)], ids=["best", "documented"]
)
def test_the_loss_falls_and_the_classes_are_learnt(data, recipe: Recipe) -> None:
    progress = train(recipe, data)
    first, last = progress.history[0], progress.history[-1]
    assert last["train_loss"] < 0.8 * first["train_loss"]
    assert last["select_loss"] < first["select_loss"]
    assert progress.best_accuracy > 0.5


def test_mixed_images_train_as_well(data) -> None:
    recipe = tiny_recipe(epochs=12, mixup_alpha=0.2)
    progress = train(recipe, data)
    assert progress.history[-1]["train_loss"] < progress.history[0]["train_loss"]
    assert progress.best_accuracy > 0.5


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_same_seed_gives_the_same_weights_to_the_last_bit(data, recipe: Recipe) -> None:
    one, two = train(recipe, data), train(recipe, data)
    assert same_weights(one.best_state, two.best_state)
    assert without_times(one) == without_times(two)


def test_another_seed_gives_other_weights(data) -> None:
    one, two = (train(tiny_recipe(epochs=1, seed=seed), data) for seed in (0, 1))
    assert not same_weights(one.best_state, two.best_state)


def in_the_second_epoch(event: Event) -> None:
    """Ctrl-C after a step: weights, momenta and the random state have moved on."""
    if isinstance(event, BatchDone) and event.epoch == 1:
        raise KeyboardInterrupt


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_killed_run_goes_on_to_the_same_weights(data, tmp_path, recipe: Recipe) -> None:
    whole = train(recipe, data)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path, in_the_second_epoch)
    ears = Ears()
    resumed = train(recipe, data, tmp_path, ears)
    assert [event.epoch for event in ears.of(EpochDone)] == [2, 3]
    assert same_weights(whole.best_state, resumed.best_state)
    assert without_times(whole) == without_times(resumed)
    assert (whole.best_epoch, whole.best_accuracy) == (resumed.best_epoch, resumed.best_accuracy)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_after_a_kill_the_last_weights_are_the_same_too(data, tmp_path, recipe: Recipe) -> None:
    """Even where an epoch before the kill stays the best."""
    whole, resumed = make_trainer(recipe), make_trainer(recipe)
    whole.run(data.train, data.select)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path, in_the_second_epoch)
    resumed.run(data.train, data.select, folder=tmp_path)
    assert same_weights(whole._to_save().state_dict(), resumed._to_save().state_dict())


def test_a_kill_while_the_state_is_written_leaves_the_one_before(
    data, tmp_path, monkeypatch
) -> None:
    recipe = RECIPES["best"]
    syncs = []

    def die(number: int) -> None:
        syncs.append(number)
        if len(syncs) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", die)
        train(recipe, data, tmp_path)
    ears = Ears()
    resumed = train(recipe, data, tmp_path, ears)
    assert [event.epoch for event in ears.of(EpochDone)] == [2, 3]
    assert same_weights(train(recipe, data).best_state, resumed.best_state)


def test_a_full_disk_is_told_in_a_sentence(data, tmp_path, monkeypatch) -> None:
    def fill(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        train(tiny_recipe(epochs=1), data, tmp_path)
    assert not (tmp_path / STATE_FILE).exists()


def test_a_finished_run_is_not_trained_again(data, tmp_path) -> None:
    recipe = tiny_recipe(epochs=2)
    first, ears = train(recipe, data, tmp_path), Ears()
    again = train(recipe, data, tmp_path, ears)
    assert ears == [TrainingStarted(2, 2, 4, "PublicTest")]
    assert same_weights(first.best_state, again.best_state) and first.history == again.history
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]


def test_a_state_of_another_recipe_is_refused_naming_what_differs(data, tmp_path) -> None:
    train(tiny_recipe(epochs=1), data, tmp_path)
    before = (tmp_path / STATE_FILE).read_bytes()
    with pytest.raises(UsageError) as caught:
        train(tiny_recipe(epochs=2, sides_px=(32, 48)), data, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / STATE_FILE} belongs to a run with epochs 1 (now 2), "
        "sides_px [24, 48] (now [32, 48]); use another --out."
    )
    assert (tmp_path / STATE_FILE).read_bytes() == before


def test_without_a_better_accuracy_it_stops_early(data, scripted) -> None:
    scripted(0.2, 0.5, 0.4, 0.5, 0.9)
    ears = Ears()
    progress = train(tiny_recipe(epochs=5, early_stop_patience=2, **ONE_SIDE), data, listener=ears)
    assert ears[-1] == StoppedEarly(4, 2)
    assert (progress.epoch, progress.best_epoch, progress.best_accuracy) == (4, 2, 0.5)
    assert len(progress.history) == 4


def test_a_run_that_stopped_early_stays_stopped(data, scripted, tmp_path) -> None:
    recipe = tiny_recipe(epochs=5, early_stop_patience=1, **ONE_SIDE)
    scripted(0.5, 0.4, 0.9)
    train(recipe, data, tmp_path)
    ears = Ears()
    assert train(recipe, data, tmp_path, ears).epoch == 2
    assert not ears.of(EpochDone) and ears[-1] == StoppedEarly(2, 1)


def test_without_a_patience_it_never_stops_early(data, scripted) -> None:
    scripted(0.5, 0.4, 0.3)
    assert train(tiny_recipe(epochs=3, early_stop_patience=0, **ONE_SIDE), data).epoch == 3


@pytest.mark.parametrize("average_decay", [0.0, 0.5])
def test_the_best_epochs_weights_are_kept(data, scripted, average_decay: float) -> None:
    scripted(0.2, 0.5, 0.5, 0.3)
    seen = []

    def remember(event: Event) -> None:
        if isinstance(event, EpochDone):
            state = trainer._to_save().state_dict()
            seen.append({name: tensor.clone() for name, tensor in state.items()})

    recipe = tiny_recipe(epochs=4, average_decay=average_decay, **ONE_SIDE)
    trainer = make_trainer(recipe, remember)
    progress = trainer.run(data.train, data.select)
    assert [same_weights(progress.best_state, weights) for weights in seen] == [
        False, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("accuracies", [(0.9, 0.8, 0.3, 0.2), (0.9, 0.8, 0.0, 0.0)])
def test_only_epochs_on_the_last_side_can_be_the_best(data, scripted, accuracies) -> None:
    scripted(*accuracies)
    progress = train(tiny_recipe(epochs=4), data)
    assert (progress.best_epoch, progress.best_accuracy) == (3, accuracies[2])
    assert progress.best_state


def test_patience_begins_on_the_last_side(data, scripted) -> None:
    scripted(0.9, 0.8, 0.3, 0.4)
    progress = train(tiny_recipe(epochs=4, early_stop_patience=1), data)
    assert (progress.epoch, progress.best_epoch) == (4, 4)


def test_the_selection_is_looked_at_on_the_epochs_side(data) -> None:
    trainer, sides = make_trainer(tiny_recipe(epochs=2, average_decay=0.0)), []

    def remember(network: TrainingNetwork, inputs: tuple[Tensor]) -> None:
        if not network.training:
            sides.append(tuple(inputs[0].shape))

    trainer._network.register_forward_pre_hook(remember)
    trainer.run(data.train, data.select)
    assert sides == [(21, 1, 24, 24), (21, 1, 48, 48)]


def test_epochs_are_told_with_their_sides_and_steps(data) -> None:
    ears = Ears()
    train(tiny_recipe(epochs=4), data, listener=ears)
    assert ears[0] == TrainingStarted(4, 0, len(data.train) // 32, "PublicTest")
    assert [(event.epoch, event.side_px) for event in ears.of(EpochDone)] == [
        (1, 24), (2, 24), (3, 48), (4, 48),
    ]  # fmt: skip
    assert {event.epoch for event in ears.of(BatchDone)} == {0, 1, 2, 3}
    assert all(math.isfinite(event.loss) for event in ears.of(BatchDone))


def test_a_batch_larger_than_the_dataset_is_the_dataset(data) -> None:
    ears = Ears()
    train(tiny_recipe(epochs=2, batch_size=1000), data, listener=ears)
    assert ears[0].steps_per_epoch == 1
    assert len(ears.of(EpochDone)) == 2


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_frozen_parts_keep_what_they_start_from(data, optimizer: str) -> None:
    recipe = tiny_recipe(epochs=1, optimizer=optimizer, frozen=("stem", "layer2"))
    trainer = make_trainer(recipe)
    before = {name: tensor.clone() for name, tensor in trainer._network.state_dict().items()}
    after = trainer.run(data.train, data.select).best_state
    for name, tensor in after.items():
        rests = part_of(name) in recipe.frozen
        assert torch.equal(tensor, before[name]) == rests, name


def test_a_step_moves_the_average_by_its_share(data) -> None:
    trainer = make_trainer(tiny_recipe(average_decay=0.75))
    seen = []
    for _ in range(2):
        trainer.learn(*a_batch(trainer, data))
        seen.append(trainer._network.head.weight.detach().clone())
    expected = 0.75 * seen[0] + 0.25 * seen[1]
    assert torch.allclose(trainer._to_save().head.weight, expected, atol=1e-6)


@pytest.mark.parametrize("clip_norm", [0.0, 0.01])
def test_gradients_are_clipped_to_the_norm_that_is_asked_for(data, clip_norm: float) -> None:
    trainer = make_trainer(tiny_recipe(clip_norm=clip_norm))
    trainer.learn(*a_batch(trainer, data))
    gradients = [parameter.grad.flatten() for parameter in trainer._network.parameters()]
    norm = float(torch.cat(gradients).norm())
    assert norm > 0.1 if clip_norm == 0 else norm == pytest.approx(clip_norm, rel=1e-3)


def test_images_are_drawn_normalised_and_with_their_targets(data) -> None:
    trainer = make_trainer(tiny_recipe(**UNCHANGED))
    images = DeviceImages.upload(data.train, CPU.device)
    rows = torch.tensor([3, 77])
    inputs, (labels, votes, has_votes, _) = trainer.draw(images, rows, side_px=48)
    levels = torch.from_numpy(data.train.images[[3, 77]]).unsqueeze(1) / 255
    assert torch.allclose(inputs, (levels - NORMALISATION.mean) / NORMALISATION.std, atol=1e-6)
    assert labels.argmax(1).tolist() == data.train.labels[[3, 77]].tolist()
    assert votes.shape == (2, 8) and has_votes.tolist() == [1, 1]
    assert trainer.draw(images, rows, side_px=24)[0].shape == (2, 1, 24, 24)


def test_mixup_mixes_labels_votes_and_what_is_taught(data) -> None:
    trainer = make_trainer(tiny_recipe(mixup_alpha=1.0))
    taught = np.eye(7, dtype=np.float32)[(data.train.labels + 1) % 7]
    images = DeviceImages.upload(data.train, CPU.device, taught)
    _, (labels, votes, has_votes, taught) = trainer.draw(images, torch.arange(32), side_px=24)
    assert torch.equal(taught.roll(-1, 1), labels)
    assert ((labels > 0).sum(1) == 2).any()
    assert torch.allclose(labels.sum(1), torch.ones(len(labels)))
    assert torch.allclose(votes.sum(1), has_votes, atol=1e-6)


def test_what_a_teacher_says_is_learnt_beside_the_labels(data) -> None:
    """It takes each class for the next one, and weighs more than the labels do."""
    recipe = tiny_recipe(epochs=12, teacher_weight=9.0, votes_weight=0.0)
    labels = data.train.labels
    taught = np.eye(7, dtype=np.float32)[(labels + 1) % 7]
    trainer = make_trainer(recipe)
    trainer.run(data.train, data.select, taught=Taught(taught, "0" * 64))
    inputs = to_input(torch.from_numpy(data.train.images), NORMALISATION)
    with torch.inference_mode():
        found = trainer._to_save().eval()(inputs)[0].argmax(1).numpy()
    assert (found == taught.argmax(1)).mean() > 0.5 > (found == labels).mean()


def test_a_weight_without_a_teacher_and_a_teacher_without_a_weight_are_refused(data) -> None:
    taught = Taught(np.zeros((len(data.train), 7), np.float32), "0" * 64)
    for weight, given in ((1.0, None), (0.0, taught)):
        trainer = make_trainer(tiny_recipe(teacher_weight=weight))
        with pytest.raises(ValueError, match="belong together"):
            trainer.run(data.train, data.select, taught=given)


def test_a_run_goes_on_with_its_own_teacher_alone(data, tmp_path) -> None:
    recipe = tiny_recipe(epochs=1, teacher_weight=1.0)
    taught = Taught(np.full((len(data.train), 7), 1 / 7, np.float32), "0" * 64)
    make_trainer(recipe).run(data.train, data.select, taught=taught, folder=tmp_path)
    again = make_trainer(recipe).run(data.train, data.select, taught=taught, folder=tmp_path)
    assert again.epoch == 1
    with pytest.raises(UsageError, match="teacher_sha256"):
        other = taught._replace(sha256="1" * 64)
        make_trainer(recipe).run(data.train, data.select, taught=other, folder=tmp_path)


def test_votes_become_shares_and_images_without_them_are_marked(data) -> None:
    images = DeviceImages.upload(data.train, CPU.device)
    has_none = torch.from_numpy(data.train.votes.sum(1) == 0)
    assert has_none.sum() == 7
    assert torch.equal(images.has_votes, (~has_none).float())
    assert torch.allclose(images.votes.sum(1), images.has_votes)
    shares = [7 / 9, 2 / 9]
    assert images.votes[~has_none][0].topk(2).values.tolist() == pytest.approx(shares)


def test_images_without_votes_do_not_count_in_the_votes_loss() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 8, requires_grad=True)
    shares = torch.softmax(torch.randn(6, 8), 1)
    has_votes = torch.tensor([1.0, 0, 1, 1, 0, 0])
    shares = shares * has_votes.unsqueeze(1)
    loss = votes_loss(logits, shares, has_votes)
    voted = has_votes.bool()
    expected = -(shares * logits.log_softmax(1)).sum(1)[voted].mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    loss.backward()
    assert (logits.grad[~voted] == 0).all() and (logits.grad[voted] != 0).any()


def test_a_batch_without_any_votes_has_no_votes_loss() -> None:
    assert votes_loss(torch.randn(4, 8), torch.zeros(4, 8), torch.zeros(4)) == 0


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_second_head_learns_only_where_votes_weigh(data, weight: float) -> None:
    trainer = make_trainer(tiny_recipe(votes_weight=weight))
    before = trainer._network.votes.bias.detach().clone()
    trainer.learn(*a_batch(trainer, data))
    assert torch.equal(trainer._network.votes.bias, before) == (weight == 0)


def test_in_bf16_the_weights_stay_in_fp32(data) -> None:
    runtime = Runtime(CPU.device, Precision.BF16, "cpu")
    progress = make_trainer(tiny_recipe(epochs=1), runtime=runtime).run(data.train, data.select)
    assert math.isfinite(progress.history[0]["train_loss"])
    assert {tensor.dtype for tensor in progress.best_state.values()} == {
        torch.float32, torch.int64,
    }  # fmt: skip


def test_fp16_is_refused() -> None:
    with pytest.raises(UsageError, match="fp32 or bf16"):
        training_runtime("cpu", Precision.FP16)


@pytest.mark.parametrize(
    ("able", "wanted", "taken"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, Precision.AUTO, Precision.BF16),
        ({"amx_bf16": True}, Precision.AUTO, Precision.BF16),
        ({"avx512_bf16": False, "amx_bf16": False}, Precision.AUTO, Precision.FP32),
        ({}, Precision.AUTO, Precision.FP32),
        ({}, Precision.BF16, Precision.BF16),
        ({"amx_bf16": True}, Precision.FP32, Precision.FP32),
    ],
)
def test_bf16_is_taken_where_the_cpu_is_faster_by_it(monkeypatch, able, wanted, taken) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    runtime = training_runtime("cpu", wanted)
    assert (runtime.device.type, runtime.precision) == ("cpu", taken)


def test_the_device_that_auto_chose_is_said(monkeypatch) -> None:
    for able in ({"avx512_bf16": True}, {}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert "CPU" in training_runtime("auto", Precision.AUTO).note
