import os

import pytest


def runs(short: int, whole: int) -> int:
    """How often a fault is tried: `make faults` tries all of them, CI a few."""
    return whole if os.environ.get("EMOSCAN_FAULTS") == "all" else short


@pytest.fixture
def faults(record_property):
    """Note how often a fault was tried, for docs/faults.md."""

    def note(fault: str, *, tried: int, passes_when: str) -> None:
        record_property("fault", fault)
        record_property("tried", tried)
        record_property("passes_when", passes_when)

    return note
