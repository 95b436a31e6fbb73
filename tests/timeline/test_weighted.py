import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoscan.timeline.weighted import Groups

NAN = float("nan")


def groups(numbers, weights, count) -> Groups:
    return Groups(np.array(numbers, np.intp), np.array(weights, float), count)


def test_figures_of_groups_one_of_which_is_empty() -> None:
    values = np.array([1.0, 3.0, 5.0])
    made = groups([0, 0, 2], [1, 3, 2], 3)
    assert made.means(values).tolist() == pytest.approx([2.5, NAN, 5.0], nan_ok=True)
    assert made.maxima(values).tolist() == pytest.approx([3.0, NAN, 5.0], nan_ok=True)
    median, low = made.quantiles(values, at=(0.5, 0.25))
    assert median.tolist() == pytest.approx([3.0, NAN, 5.0], nan_ok=True)
    assert low.tolist() == pytest.approx([2.0, NAN, 5.0], nan_ok=True)  # exactly between
    shares = made.shares(np.array([0, 1, 1]), 2)
    assert shares.tolist() == [
        pytest.approx([0.25, 0.75]),
        pytest.approx([NAN, NAN], nan_ok=True),
        pytest.approx([0, 1]),
    ]


def test_rows_without_a_weight_count_where_there_is_no_other() -> None:
    made = groups([0, 0, 1, 1], [0, 2, 0, 0], 2)
    assert made.counting().tolist() == [False, True, True, True]
    assert made.of(made.counting()).means(np.array([4.0, 1.0, 3.0])).tolist() == [4.0, 2.0]


def test_nothing_at_all() -> None:
    made = groups([], [], 2)
    assert np.isnan(made.quantiles(np.array([]), at=(0.5,))[0]).all()
    assert np.isnan(made.shares(np.array([], int), 3)).all()


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(-20, 20)), min_size=1, max_size=60
)


@settings(deadline=None)
@given(rows=ROWS, scale=st.sampled_from([1.0, 1 / 30, 1001 / 30000]))
def test_weights_are_as_good_as_repetitions(rows, scale) -> None:
    numbers, weights, values = (np.array(column) for column in zip(*rows, strict=True))
    made = groups(numbers, weights * scale, 4)
    found = made.quantiles(values.astype(float), at=(0.5, 0.9))
    for number in range(4):
        at = numbers == number
        if not at.any():
            assert np.isnan(found[0][number])
            continue
        repeated = np.repeat(values[at], weights[at])
        assert found[0][number] == pytest.approx(np.median(repeated))
        assert found[1][number] == pytest.approx(
            np.quantile(repeated, 0.9, method="averaged_inverted_cdf")
        )
        assert made.means(values)[number] == pytest.approx(repeated.mean())
        assert made.maxima(values)[number] == repeated.max()
