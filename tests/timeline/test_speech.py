import numpy as np
import pytest

from emoscan.timeline.speakers import UNNAMED, Turn
from emoscan.timeline.speech import conversation, others_of, party_name, speech_of


def parties(turns: list[Turn], *times_s: float) -> list[str | None]:
    talk = conversation(turns)
    return [party_name(talk.parties[number]) for number in talk.at(np.array(times_s))]


def test_who_speaks_at_a_time() -> None:
    turns = [Turn(1, 4, "Anna"), Turn(3, 5, "Ben"), Turn(3.5, 4.5, "Anna"), Turn(7, 7, "Carl")]
    times = (0.5, 1.0, 2.0, 3.2, 3.7, 4.2, 4.7, 5.0, 7.0)
    both = "Anna + Ben"
    assert parties(turns, *times) == [None, "Anna", "Anna", both, both, both, "Ben", None, None]


def test_turns_that_touch_but_for_rounding() -> None:
    turns = [Turn(0, 0.1 + 0.2, "Anna"), Turn(0.3, 1, "Ben")]
    assert conversation(turns).borders_s.tolist() == [0.0, 0.3, 1.0]


@pytest.mark.parametrize(
    ("own", "party", "word"),
    [
        ("A", "", "silence"),
        ("", "", "silence"),
        ("A", "A", "speaking"),
        ("A", "AB", "speaking"),
        ("A", "C", "listening"),
        ("AB", "B", "speaking"),
        ("", "AB", "listening"),
        ("", "C", None),  # of whom nobody said whose face it is
        ("", "AC", None),
    ],
)
def test_what_a_person_does(own, party, word) -> None:
    """A's and B's faces are known, C's is not."""
    known = [frozenset("A"), frozenset("B"), frozenset()]
    others = others_of(frozenset(own), known=known, speakers=frozenset("ABC"))
    assert speech_of(frozenset(own), party=frozenset(party), others=others) == word


def test_an_unnamed_speaker_may_be_anybody() -> None:
    speakers, own = frozenset({"A", UNNAMED}), frozenset("A")
    others = others_of(own, known=[own], speakers=speakers)
    assert speech_of(own, party=frozenset({UNNAMED}), others=others) is None
    assert speech_of(own, party=speakers, others=others) == "speaking"
