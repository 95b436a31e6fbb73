import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from emoscan.faces.boxes import best_pairs


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (3, 4), (4, 3)])
def test_pairs_are_those_of_the_assignment_with_the_largest_sum(shape) -> None:
    """With few different values, so that many are the same."""
    random = np.random.default_rng(1)
    for _ in range(200):
        worth = (random.integers(0, 4, shape) / 3).astype(np.float32)
        rows, columns = linear_sum_assignment(worth, maximize=True)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        expected = [pair for pair in pairs if worth[pair] > 0]
        assert best_pairs(worth, least=0.1) == expected


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 0)])
def test_nobody_is_nobodys(shape) -> None:
    assert best_pairs(np.zeros(shape, np.float32), least=0.1) == []
