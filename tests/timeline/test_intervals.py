import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emoscan.timeline.intervals import overlap_s, split

TIMES = st.integers(0, 1000).map(lambda tenth: tenth / 10)


def test_what_spans_a_border_is_split_there() -> None:
    rows, starts, ends = split(
        np.array([0.0, 2.5]), np.array([2.5, 3.0]), np.array([1.0, 2.0, 3.0])
    )
    assert rows.tolist() == [0, 0, 0, 1]
    assert starts.tolist() == [0.0, 1.0, 2.0, 2.5]
    assert ends.tolist() == [1.0, 2.0, 2.5, 3.0]


def test_rounding_makes_no_slivers() -> None:
    starts = np.arange(30) / 30
    for border in (0.1 + 0.2, 0.3, 0.3 + 1e-9, 0.3 - 1e-9):
        assert len(split(starts, starts + 1 / 30, np.array([border]))[0]) == 30


def test_no_cuts_no_intervals_and_no_length() -> None:
    assert split(np.array([1.0]), np.array([2.0]), np.array([]))[2].tolist() == [2.0]
    assert len(split(np.array([]), np.array([]), np.array([1.0]))[0]) == 0
    assert split(np.array([1.0]), np.array([1.0]), np.array([1.0]))[1].tolist() == [1.0]


@settings(deadline=None)
@given(
    spans=st.lists(st.tuples(TIMES, TIMES), max_size=20),
    cuts=st.lists(TIMES, max_size=20, unique=True).map(sorted),
)
def test_pieces_make_up_their_interval_and_span_no_cut(spans, cuts) -> None:
    starts = np.array([min(span) for span in spans])
    ends = np.array([max(span) for span in spans])
    rows, piece_starts, piece_ends = split(starts, ends, np.array(cuts))
    assert set(rows.tolist()) == set(range(len(spans)))
    for row in range(len(spans)):
        at = rows == row
        assert piece_starts[at][0] == starts[row] and piece_ends[at][-1] == ends[row]
        assert piece_starts[at][1:].tolist() == piece_ends[at][:-1].tolist()
    for cut in cuts:
        assert not ((piece_starts < cut) & (cut < piece_ends)).any()


def test_overlaps() -> None:
    starts, ends = np.array([0.0, 1.0, 4.0]), np.array([1.5, 2.0, 5.0])
    assert overlap_s(starts, ends, start_s=0.5, end_s=1.25).tolist() == [0.75, 0.25, 0.0]
