"""Means, shares and quantiles of groups of rows that count for unequal times."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# Of a group's time: a border that is met but for rounding is met.
_SAME_SHARE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which of `count` groups each row belongs to, and for how long it counts: (N,) each.

    Rows without a weight count only in a group where no row has one, and there all alike: see
    `counting`. A group without rows has NaN for every figure.
    """

    numbers: NDArray[np.intp]
    weights: Numbers
    count: int

    def counting(self) -> NDArray[np.bool_]:
        """(N,) bool: the rows that count."""
        return (self.weights > 0) | (self.totals() <= 0)[self.numbers]

    def of(self, rows: NDArray[np.bool_]) -> "Groups":
        """These rows, which must be those that count, with a weight for each."""
        numbers, weights = self.numbers[rows], self.weights[rows]
        return Groups(numbers, np.where(weights > 0, weights, 1.0), self.count)

    def totals(self) -> Numbers:
        """(count,): the weight of each group."""
        return self._sums(self.weights)

    def means(self, values: Numbers) -> Numbers:
        """(N,) to (count,)."""
        return _ratio(self._sums(self.weights * values), self.totals())

    def maxima(self, values: Numbers) -> Numbers:
        """(N,) to (count,)."""
        found = np.full(self.count, -np.inf)
        np.maximum.at(found, self.numbers, values)
        return np.where(np.isfinite(found), found, np.nan)

    def shares(self, classes: NDArray[np.intp], class_count: int) -> Numbers:
        """(N,) classes to the part of each group's weight that each has, (count, class_count)."""
        cells = self.numbers * class_count + classes
        sums = _sums(cells, self.weights, self.count * class_count)
        return _ratio(sums.reshape(self.count, class_count), self.totals()[:, None])

    def quantiles(self, values: Numbers, *, at: tuple[float, ...]) -> list[Numbers]:
        """(N,) to (count,) for each of `at`, between 0 and 1.

        The value below which that part of the group's weight lies; where it lies exactly between
        two values, their mean (Hyndman and Fan 1996, type 2, with weights). With equal weights
        the median is the usual one.
        """
        order = np.lexsort((values, self.numbers))
        numbers, values, weights = self.numbers[order], values[order], self.weights[order]
        until, totals = np.cumsum(weights), self.totals()
        rows = np.bincount(numbers, minlength=self.count)
        last = np.cumsum(rows) - 1
        full = np.flatnonzero(rows)
        base = until[last[full]] - totals[full]
        found = []
        for part in at:
            target = base + part * totals[full]
            tolerance = _SAME_SHARE * totals[full]
            row = np.minimum(np.searchsorted(until, target - tolerance), last[full])
            between = np.abs(until[row] - target) <= tolerance
            following = np.where(between, np.minimum(row + 1, last[full]), row)
            quantile = np.full(self.count, np.nan)
            quantile[full] = (values[row] + values[following]) / 2
            found.append(quantile)
        return found

    def _sums(self, values: Numbers) -> Numbers:
        return _sums(self.numbers, values, self.count)


def _sums(numbers: NDArray[np.intp], values: Numbers, count: int) -> Numbers:
    return np.bincount(numbers, values, count).astype(np.float64)


def _ratio(sums: Numbers, totals: Numbers) -> Numbers:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(totals > 0, sums / totals, np.nan)
