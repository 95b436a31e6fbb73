"""The layout of a pyramid's levels for P-Net, and what P-Net says of them there."""

import itertools

import numpy as np
import pytest
import torch

from emoscan.faces import pyramid
from emoscan.faces.networks import Network, load_networks
from emoscan.faces.pyramid import Level, Sheet, on_few_sheets, one_each, pyramid_levels
from emoscan.runtime import choose_runtime

SIZES = [(720, 1280), (1080, 1920), (512, 512), (384, 381), (41, 1000), (1000, 41), (2048, 1638)]


def area(sheet: Sheet) -> int:
    return sheet.size[0] * sheet.size[1]


@pytest.mark.parametrize("size", SIZES)
def test_levels_lie_side_by_side_and_inside(size: tuple[int, int]) -> None:
    levels = tuple(pyramid_levels(*size, 40))
    sheets = on_few_sheets(levels)
    assert tuple(itertools.chain(*(sheet.levels for sheet in sheets))) == levels
    for sheet in sheets:
        taken = np.zeros(sheet.size, int)
        for level, (y, x) in zip(sheet.levels, sheet.places, strict=True):
            assert y % 2 == x % 2 == 0
            taken[y : y + level.size[0], x : x + level.size[1]] += 1
        assert taken.max() == 1
        assert taken.sum() == sum(level.size[0] * level.size[1] for level in sheet.levels)
        assert taken.mean() > 0.85


def test_large_levels_lie_alone() -> None:
    levels = tuple(pyramid_levels(2160, 3840, 40))
    sheets = on_few_sheets(levels)
    assert [len(sheet.levels) for sheet in sheets] == [1, 1, len(levels) - 2]
    assert max(map(area, sheets[2:])) < 2.5 * pyramid.LARGE_LEVEL_PX


def test_no_levels_need_no_sheet() -> None:
    assert on_few_sheets(()) == one_each(()) == ()


def proposal() -> Network:
    return load_networks(choose_runtime("cpu")).proposal


def said(network: Network, pixels: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        out = network.forward(torch.from_numpy(pixels[None]).permute(0, 3, 1, 2))
    return out.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("size", [(300, 400), (301, 407), (203, 157)])
def test_p_net_says_of_a_sheet_what_it_says_of_each_level(size: tuple[int, int]) -> None:
    levels, network = tuple(pyramid_levels(*size, 20)), proposal()
    random = np.random.default_rng(1)
    pixels = [random.integers(0, 256, (*level.size, 3), np.uint8) for level in levels]
    (sheet,) = on_few_sheets(levels)
    maps = sheet.maps(said(network, sheet.filled(pixels)))
    for level, its, on_sheet in zip(levels, pixels, maps, strict=True):
        alone = said(network, its)
        assert on_sheet.shape == alone.shape
        # Where a side is odd, the last places take what lies behind.
        last = [
            places - side % 2 * 5 for places, side in zip(alone.shape[1:3], level.size, strict=True)
        ]
        inside = np.s_[:, : max(last[0], 0), : max(last[1], 0)]
        assert np.allclose(on_sheet[inside], alone[inside], atol=1e-4)


def test_where_a_side_is_odd_its_end_is_repeated() -> None:
    levels = (Level(1.0, (15, 13)), Level(0.5, (13, 14)))
    sheet = Sheet((16, 40), levels, ((0, 0), (2, 20)))
    first, second = (
        np.random.default_rng(seed).integers(1, 256, (*level.size, 3), np.uint8)
        for seed, level in enumerate(levels)
    )
    filled = sheet.filled([first, second])
    assert np.array_equal(filled[:, :14], np.pad(first, ((0, 1), (0, 1), (0, 0)), "edge"))
    assert np.array_equal(filled[2:, 20:34], np.pad(second, ((0, 1), (0, 0), (0, 0)), "edge"))
    assert not filled[:, 14:20].any() and not filled[:, 34:].any()
