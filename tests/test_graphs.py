"""Batches of few sizes; what a GPU does with recordings is in test_on_gpu.py."""

import torch

from emoscan import graphs
from emoscan.graphs import SIZES, Replayed, ReplayedBatches
from emoscan.runtime import halving_on_out_of_memory


def test_elsewhere_than_on_a_gpu_the_work_runs_as_it_comes() -> None:
    calls: list[tuple[torch.Size, tuple[object, ...]]] = []

    def work(given: torch.Tensor, *settings: object) -> tuple[torch.Tensor, ...]:
        calls.append((given.shape, settings))
        return given + 1, given * 2

    replayed = Replayed(kept=2)
    for _ in range(4):
        more, twice = replayed(work, torch.arange(3), 0.5)
        assert more.tolist() == [1, 2, 3] and twice.tolist() == [0, 2, 4]
    assert calls == [(torch.Size([3]), (0.5,))] * 4


def test_batches_elsewhere_are_not_filled_up() -> None:
    batches, work = ReplayedBatches(), lambda items: items.sum(1)
    assert batches(work, torch.ones(5, 3)).tolist() == [3.0] * 5
    assert batches(work, torch.ones(0, 3)).shape == (0,)


def test_any_number_of_items_has_a_size() -> None:
    assert list(SIZES) == sorted(set(SIZES))
    for count in (1, 3, 30, 257, 1000, SIZES[-1]):
        size = graphs._size_for(count)
        assert size >= count and size <= max(2 * count, 8)


def test_a_shape_is_new_twice_and_forgotten_when_others_come() -> None:
    replayed = Replayed(kept=2)
    assert [replayed._is_new(("a",)) for _ in range(7)] == [True, True, False] * 2 + [True]
    for other in range(graphs.COUNTED):
        assert replayed._is_new((other,))
    assert len(replayed._calls) == graphs.COUNTED
    assert replayed._is_new(("a",)) and replayed._is_new(("a",)) and not replayed._is_new(("a",))


def test_who_runs_out_of_memory_has_recordings_forgotten() -> None:
    replayed, failures = Replayed(kept=2), [torch.OutOfMemoryError("no memory")]
    replayed._is_new(("a",))

    def run(size: int) -> int:
        if failures:
            raise failures.pop()
        return size

    assert halving_on_out_of_memory(run, 8) == 4
    assert not replayed._calls
