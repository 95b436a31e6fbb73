"""Weights that are damaged, cut off, or hold a pickle."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from emoscan.emotion import checkpoint
from emoscan.emotion.checkpoint import load_checkpoint, load_weights, shipped_weights
from emoscan.errors import MissingPartError
from tests.faults.conftest import runs

WHOLE = shipped_weights().read_bytes()
EACH = runs(2, 10)


class Evil:
    """Leaves a file where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def damaged(random, trace: Path) -> bytes:
    content = bytearray(WHOLE)
    for bit in random.integers(0, 8 * len(content), 2 ** int(random.integers(0, 9))):
        content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def cut(random, trace: Path) -> bytes:
    return WHOLE[: int(random.integers(0, len(WHOLE)))]


def a_pickle(random, trace: Path) -> bytes:
    return pickle.dumps(Evil(trace), protocol=int(random.integers(0, 6)))


def a_pickle_inside(random, trace: Path) -> bytes:
    """Where the header should be, with its length in front."""
    pickled = pickle.dumps(Evil(trace)) + bytes(int(random.integers(0, 99)))
    return len(pickled).to_bytes(8, "little") + pickled


def a_huge_header(random, trace: Path) -> bytes:
    return int(random.integers(2**27, 2**62)).to_bytes(8, "little") + WHOLE[8:]


KINDS = (damaged, cut, a_pickle, a_pickle_inside, a_huge_header)


@pytest.mark.parametrize("number", range(EACH))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_weights_that_are_not_the_shipped_ones(tmp_path, monkeypatch, faults, kind, number) -> None:
    faults(
        "weights damaged, cut off, a pickle, one inside, a huge header",
        passes_when="refused with a sentence, and nothing is executed",
    )
    path, trace = tmp_path / "weights.safetensors", tmp_path / "executed"
    path.write_bytes(kind(np.random.default_rng(number), trace))
    monkeypatch.setattr(checkpoint, "shipped_weights", lambda: path)
    with pytest.raises(MissingPartError, match=r"weights\.safetensors"):
        load_weights(None)
    if kind is not damaged:  # what a user names may well be other numbers
        with pytest.raises(MissingPartError, match=r"weights\.safetensors"):
            load_checkpoint(path)
    assert not trace.exists()


def test_the_pickle_is_a_trap(tmp_path) -> None:
    """Else the test above would tell nothing."""
    pickle.loads(a_pickle(np.random.default_rng(0), tmp_path / "executed"))
    assert (tmp_path / "executed").exists()
