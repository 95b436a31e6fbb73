"""Batches of few sizes; what a GPU does with recordings is in test_on_gpu.py."""

import pytest
import torch

from emoscan import graphs
from emoscan.graphs import SIZES, Replayed, ReplayedBatches, size_for
from emoscan.lanes import Lane
from emoscan.runtime import halving_on_out_of_memory, remember_to_ask


def test_elsewhere_than_on_a_gpu_the_work_runs_as_it_comes() -> None:
    calls: list[tuple[torch.Size, tuple[object, ...]]] = []

    def work(given: torch.Tensor, *settings: object) -> tuple[torch.Tensor, ...]:
        calls.append((given.shape, settings))
        return given + 1, given * 2

    replayed = Replayed(Lane.FACES, kept=2)
    for _ in range(4):
        more, twice = replayed(work, (torch.arange(3),), 0.5)
        assert more.tolist() == [1, 2, 3] and twice.tolist() == [0, 2, 4]
    assert calls == [(torch.Size([3]), (0.5,))] * 4


def test_batches_elsewhere_are_not_filled_up() -> None:
    batches, work = ReplayedBatches(), lambda items: items.sum(1)
    assert batches(work, torch.ones(5, 3)).tolist() == [3.0] * 5
    assert batches(work, torch.ones(0, 3)).shape == (0,)


def test_any_number_of_items_has_a_size() -> None:
    assert list(SIZES) == sorted(set(SIZES))
    for count in (1, 3, 30, 257, 1000, SIZES[-1]):
        size = size_for(count)
        assert size >= count and size <= max(2 * count, 8)


def test_a_shape_is_new_twice_and_forgotten_when_others_come() -> None:
    replayed = Replayed(Lane.FACES, kept=2)
    assert [replayed._is_new(("a",)) for _ in range(7)] == [True, True, False] * 2 + [True]
    for other in range(graphs.COUNTED):
        assert replayed._is_new((other,))
    assert len(replayed._calls) == graphs.COUNTED
    assert replayed._is_new(("a",)) and replayed._is_new(("a",)) and not replayed._is_new(("a",))


class Holder:
    """Has memory to give back so often."""

    def __init__(self, times: int) -> None:
        self.times = times

    def forget(self) -> bool:
        self.times -= 1
        return self.times >= 0


@pytest.mark.parametrize(
    ("times", "sizes"), [(0, [8, 4]), (1, [8, 8, 4]), (2, [8, 8, 4]), (9, [8, 8, 4, 2, 1])]
)
def test_who_runs_out_of_memory_tries_again_with_what_others_give_back(
    times: int, sizes: list[int]
) -> None:
    holder, tried = Holder(times), list[int]()
    remember_to_ask(holder)

    def run(size: int) -> int:
        tried.append(size)
        if len(tried) < len(sizes):
            raise torch.OutOfMemoryError("no memory")
        return size

    assert halving_on_out_of_memory(run, 8) == sizes[-1]
    assert tried == sizes


def test_one_alone_that_does_not_fit_is_an_error_once_nothing_is_left_to_give_back() -> None:
    holder, tried = Holder(1), list[int]()
    remember_to_ask(holder)

    def run(size: int) -> int:
        tried.append(size)
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError, match="no memory"):
        halving_on_out_of_memory(run, 1)
    assert tried == [1, 1]


def test_recordings_that_are_forgotten_count_anew() -> None:
    replayed = Replayed(Lane.FACES, kept=2)
    assert replayed._is_new(("a",)) and replayed._is_new(("a",))
    assert not replayed.forget()  # nothing was recorded
    assert replayed._is_new(("a",))
