"""The order in which frames are shown, restored with bounded memory."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

# Frames held back while one that is to be shown earlier may still come.
REORDER_DEPTH = 8


def in_order(numbered: Iterable[tuple[int, T]], *, first: int) -> Iterator[tuple[int, T | None]]:
    """Items by ascending number from `first` up to the last one, None for a missing number.

    One is missing when REORDER_DEPTH later ones have come without it; one that comes later still
    or for the second time is dropped.
    """
    held: dict[int, T] = {}
    for number, item in numbered:
        if number >= first:
            held.setdefault(number, item)
        del item
        while first in held or len(held) > REORDER_DEPTH:
            yield first, held.pop(first, None)
            first += 1
    while held:
        yield first, held.pop(first, None)
        first += 1


def by_output(numbered: Iterable[tuple[int, T]]) -> Iterator[tuple[int, T]]:
    """Renumber items by their place in the output, where they come with that of their packet.

    A packet gives up its place when one REORDER_DEPTH packets behind it has given its item.
    """
    waiting: set[int] = set()
    seen = place = 0
    for number, item in numbered:
        waiting.update(range(seen, number + 1))
        seen = max(seen, number + 1)
        waiting.discard(number)
        late = {n for n in waiting if n < number - REORDER_DEPTH}
        waiting -= late
        place += len(late)
        yield place, item
        del item
        place += 1
