"""Compiled functions give what they give as they stand."""

import pytest
import torch
from torch import Tensor

from emoscan import device_squares, scripted
from emoscan.faces import device_boxes, device_cascade
from emoscan.scripted import Scripted

ALL = {
    name: function
    for module in (device_squares, device_boxes, device_cascade)
    for name, function in vars(module).items()
    if isinstance(function, Scripted)
}


@pytest.mark.parametrize("name", ALL)
def test_torchscript_understands_it(name: str) -> None:
    """Else it would be slow on a GPU, and nothing else would tell."""
    assert isinstance(scripted._compiled(ALL[name].plain), torch.jit.ScriptFunction)


def doubled(given: Tensor, times: int) -> Tensor:
    """Twice as much, so many times."""
    for _ in range(times):
        given = given + given
    return given


def test_it_runs_as_it_stands_where_torchscript_is_missing(monkeypatch) -> None:
    def missing(function):
        raise RuntimeError("torch.jit.script is gone")

    compiled, plain = scripted.scripted(doubled), scripted.scripted(doubled)
    assert compiled(torch.ones(2), 3).tolist() == [8, 8]
    monkeypatch.setattr(torch.jit, "script", missing)
    assert plain(torch.ones(2), times=3).tolist() == [8, 8]
    assert plain._compiled is doubled and plain.__doc__ == doubled.__doc__
