import os
from collections.abc import Callable

import pytest

from tests.faults.report import FAULT, FIGURE, PASSES_WHEN, TRIED


def runs(short: int, whole: int) -> int:
    """How often a fault is tried: `make faults` tries all of them, CI a few."""
    return whole if os.environ.get("EMOSCAN_FAULTS") == "all" else short


@pytest.fixture
def faults(record_property) -> Callable[..., None]:
    """Say first what a test tries and how often, for docs/faults.md."""

    def note(fault: str, *, tried: int = 1, passes_when: str) -> None:
        for name, value in ((FAULT, fault), (TRIED, tried), (PASSES_WHEN, passes_when)):
            record_property(name, value)

    return note


@pytest.fixture
def figure(record_property) -> Callable[[str], None]:
    """Note a figure that was measured, for docs/faults.md."""
    return lambda text: record_property(FIGURE, text)
