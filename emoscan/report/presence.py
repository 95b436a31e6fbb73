"""When a face was there, when it was not, and what could not be read."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from emoscan.timeline.schema import Status


class Presence(StrEnum):
    """What a frame that was looked at says of a face."""

    THERE = "there"
    AWAY = "away"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Run:
    """Frames that follow each other and say the same, from `start_s` to before `end_s`."""

    presence: Presence
    start_s: float
    end_s: float

    @property
    def lasts_s(self) -> float:
        """How long."""
        return self.end_s - self.start_s


def presence_runs(frames: pd.DataFrame, seen_frames: Iterable[int]) -> list[Run]:
    """Runs from the rows of `frame_durations` of one source; `seen_frames` show the face."""
    if frames.empty:
        return []
    seen = frames["frame"].isin(list(seen_frames)).to_numpy(bool)
    lost = (frames["status"] == Status.UNREADABLE).to_numpy(bool)
    states = np.select([seen, lost], [0, 2], default=1)
    start_s = frames["time_s"].to_numpy(float)
    end_s = start_s + frames["duration_s"].to_numpy(float)
    firsts = np.flatnonzero(np.diff(states, prepend=-1))
    lasts = np.append(firsts[1:], len(states)) - 1
    names = tuple(Presence)
    return [
        Run(names[state], start, end)
        for state, start, end in zip(
            states[firsts].tolist(), start_s[firsts].tolist(), end_s[lasts].tolist(), strict=True
        )
    ]


def spans_of(runs: Iterable[Run], presence: Presence) -> list[tuple[float, float]]:
    """Start and end of all runs of one kind."""
    return [(run.start_s, run.end_s) for run in runs if run.presence is presence]


def seconds_of(runs: Iterable[Run], presence: Presence) -> float:
    """How long all runs of one kind last together."""
    return sum(run.lasts_s for run in runs if run.presence is presence)
