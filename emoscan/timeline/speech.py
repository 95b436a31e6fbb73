"""Who speaks at a time, and what that makes of a person: speaking, listening, silence."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from emoscan.timeline.speakers import UNNAMED, Turn

Names = frozenset[str]


class Speech(StrEnum):
    """What a person does while people talk."""

    SPEAKING = "speaking"
    LISTENING = "listening"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True, eq=False)
class Conversation:
    """Who speaks at any time: between two of `borders_s` (B,) always the same people.

    `parties[numbers[i]]` speak before border i, and after the last one nobody: `numbers` (B + 1,).
    """

    borders_s: NDArray[np.float64]
    numbers: NDArray[np.intp]
    parties: tuple[Names, ...]

    @property
    def speakers(self) -> Names:
        """Everybody who speaks at some time."""
        return frozenset().union(*self.parties)

    def at(self, times_s: NDArray[np.float64]) -> NDArray[np.intp]:
        """(N,) times to the number of the party that speaks then; nobody is a party too."""
        return self.numbers[np.searchsorted(self.borders_s, times_s, side="right")]


def conversation(turns: Iterable[Turn]) -> Conversation:
    """Turns, which may overlap, as who speaks from one border to the next."""
    # To the microsecond, lest rounding open a silence between two turns.
    spans = [(round(turn.start_s, 6), round(turn.end_s, 6), turn.speaker) for turn in turns]
    spans = [span for span in spans if span[1] > span[0]]
    changes = sorted(
        [(start_s, 1, speaker) for start_s, _, speaker in spans]
        + [(end_s, -1, speaker) for _, end_s, speaker in spans]
    )
    numbers: dict[Names, int] = {frozenset(): 0}
    borders_s: list[float] = []
    after: list[int] = []
    talking: Counter[str] = Counter()
    for time_s, change, speaker in changes:
        talking[speaker] += change
        if not talking[speaker]:
            del talking[speaker]
        party = numbers.setdefault(frozenset(talking), len(numbers))
        if borders_s and borders_s[-1] == time_s:
            after[-1] = party
        else:
            borders_s.append(time_s)
            after.append(party)
    return Conversation(np.array(borders_s, np.float64), np.array([0, *after]), tuple(numbers))


def speech_of(own: Names, *, party: Names, others: Names) -> Speech | None:
    """What a person does while `party` speaks; None where that cannot be told.

    `own` are the names under which they speak, none if nobody said; `others` those of whom it is
    known that they are somebody else.
    """
    if not party:
        return Speech.SILENCE
    if party & own:
        return Speech.SPEAKING
    return Speech.LISTENING if party <= others else None


def others_of(own: Names, *, known: Sequence[Names], speakers: Names) -> Names:
    """Who is certainly somebody else than the person who speaks as `own`.

    Whose names are known is nobody of the other names; of whom nothing is known may be anybody
    whose face was not told either.
    """
    if own:
        return speakers - own - {UNNAMED}
    return frozenset().union(*known) - {UNNAMED}


def party_name(party: Names) -> str | None:
    """`Anna + Ben`, or None for nobody."""
    return " + ".join(sorted(party)) or None
