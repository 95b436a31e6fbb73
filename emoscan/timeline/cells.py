"""What a summary has rows for: groups of faces, in every window and state they were looked at.

Frames are cut into pieces where a window, or somebody's turn to speak, begins or ends: the time
of a frame that spans such a border is split there exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.errors import UsageError
from emoscan.timeline.intervals import split
from emoscan.timeline.options import Grouping
from emoscan.timeline.scene import NOBODY, Frames, Indices, Numbers, Scene
from emoscan.timeline.speech import Conversation, Names, Speech, others_of, party_name, speech_of

# A table with more rows would take minutes and gigabytes, and have no reader.
MOST_ROWS = 500_000

# Shorter than a time base, so that rounding puts no frame into the window before its own.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """The groups: `source` and `who` (G,), a track, a label or NOBODY; `faces` (N,): theirs.

    Every source has a group, of nobody if need be. Grouped by source or by nothing `who` is 0; by
    nothing all is one source, 0. `frames` (F,) are the sources of the frames in that sense.
    """

    source: Indices
    who: NDArray[np.int64]
    faces: Indices
    frames: Indices


def cast_of(scene: Scene, by: Grouping) -> Cast:
    """The groups, by source and track or label; those without one come last."""
    faces, pooled = scene.faces, by in (Grouping.SOURCE, Grouping.NONE)
    who = faces.label if by is Grouping.LABEL else faces.track
    who = np.zeros_like(who) if pooled else who
    frames = scene.frames.source * (by is not Grouping.NONE)
    source = frames[faces.frame].astype(np.int64)
    empty = np.setdiff1d(frames, source)
    keys = np.column_stack(
        [np.append(source, empty), np.append(who, np.full(len(empty), 0 if pooled else NOBODY))]
    )
    groups, numbers = np.unique(keys, axis=0, return_inverse=True)
    return Cast(groups[:, 0].astype(np.intp), groups[:, 1], numbers.ravel()[: len(who)], frames)


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """What rows are told apart by beside groups and windows: who speaks.

    `words` are the pairs of `speech` and `speaker` in the order in which they are shown.
    `roles` (G,) says which row of `numbers` holds for a group; that has the state for each party
    of the conversation, (roles, parties).
    """

    words: tuple[tuple[Speech | None, str | None], ...]
    roles: Indices
    numbers: Indices


def no_states(groups: int) -> States:
    """Nobody asked who speaks: there is one state."""
    return States(((None, None),), np.zeros(groups, np.intp), np.zeros((1, 1), np.intp))


def states_by_speaker(talk: Conversation, groups: int) -> States:
    """A state for each party that speaks, and silence, which comes last."""
    order = sorted(range(len(talk.parties)), key=lambda number: _by_name(talk.parties[number]))
    parties = [talk.parties[number] for number in order]
    words = [(None if party else Speech.SILENCE, party_name(party)) for party in parties]
    numbers = np.empty((1, len(order)), np.intp)
    numbers[0, order] = np.arange(len(order))
    return States(tuple(words), np.zeros(groups, np.intp), numbers)


def states_by_speech(talk: Conversation, own: Sequence[Names]) -> States:
    """Speaking, listening, silence, or unknown, for groups whose own names are (G,) `own`."""
    words: tuple[Speech | None, ...] = (*Speech, None)
    roles = list(dict.fromkeys(own))
    numbers = np.empty((len(roles), len(talk.parties)), np.intp)
    for role, names in enumerate(roles):
        others = others_of(names, known=roles, speakers=talk.speakers)
        does = [speech_of(names, party=party, others=others) for party in talk.parties]
        numbers[role] = [words.index(word) for word in does]
    return States(
        tuple((word, None) for word in words),
        np.array([roles.index(names) for names in own], np.intp),
        numbers,
    )


def _by_name(party: Names) -> tuple[bool, list[str]]:
    return not party, sorted(party)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Of each frame, in order: `frame`, `window` and `party` (P,) numbers, and `seconds` (P,)."""

    frame: Indices
    seconds: Numbers
    window: Indices
    party: Indices


def cut(frames: Frames, *, window_s: float | None, talk: Conversation | None) -> Pieces:
    """Cut frames at the borders of windows, which are counted from 0 s, and of turns.

    Where there are such borders, frames whose time nobody knows are left out.
    """
    if window_s is None and talk is None:
        seconds = np.nan_to_num(frames.end_s - frames.start_s)
        none = np.zeros(len(seconds), np.intp)
        return Pieces(np.arange(len(seconds)), seconds, none, none)
    timed = np.flatnonzero(np.isfinite(frames.start_s))
    borders_s = np.unique(
        np.concatenate(
            [_window_borders_s(frames, window_s), talk.borders_s if talk else np.empty(0)]
        )
    )
    interval, start_s, end_s = split(frames.start_s[timed], frames.end_s[timed], borders_s)
    # The middle tells where a piece lies, the beginning that of a frame without a length.
    middle_s = (start_s + end_s) / 2
    none = np.zeros(len(interval), np.intp)
    return Pieces(
        frame=timed[interval],
        seconds=end_s - start_s,
        window=_window_numbers(middle_s, window_s) if window_s else none,
        party=talk.at(middle_s) if talk else none,
    )


def _window_numbers(times_s: Numbers, window_s: float) -> Indices:
    return np.floor(times_s / window_s + _ROUNDING).astype(np.intp)


def _window_borders_s(frames: Frames, window_s: float | None) -> Numbers:
    start_s = float(np.nanmin(frames.start_s, initial=np.inf))
    end_s = float(np.nanmax(frames.end_s, initial=-np.inf))
    if window_s is None or end_s < start_s:
        return np.empty(0)
    if (end_s - start_s) / window_s > MOST_ROWS:
        raise _too_many_rows((end_s - start_s) / window_s)
    first, last = _window_numbers(np.array([start_s, end_s]), window_s)
    borders_s: Numbers = np.arange(first, last + 1) * window_s
    return borders_s


def _too_many_rows(count: float) -> UsageError:
    return UsageError(
        f"The summary would have {count:,.0f} rows; take a longer --window, or --by source."
    )


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The rows of the summary, (R,) each, by group, window and state.

    `frames` and `unreadable` count the frames that were looked at in any part of the cell,
    `looked_s` is the time of the readable ones. `faces`, `pieces` and `cells` (K,) say which
    piece of which face lies in which cell.
    """

    group: Indices
    window: Indices
    state: Indices
    frames: Indices
    unreadable: Indices
    looked_s: Numbers
    faces: Indices
    pieces: Indices
    cells: Indices


def cells_of(scene: Scene, cast: Cast, *, states: States, pieces: Pieces) -> Cells:
    """Every group in every window and state in which its source was looked at."""
    looked = _looked(scene.frames, cast, states=states, pieces=pieces)
    groups = pd.DataFrame({"source": cast.source, "role": states.roles})
    counts = looked.groupby(["role", "source"]).size().reset_index(name="rows")
    count = int(groups.merge(counts, on=["role", "source"])["rows"].sum())
    if count > MOST_ROWS:
        raise _too_many_rows(count)
    groups["group"] = np.arange(len(groups))
    order = ["group", "window", "state"]
    table = groups.merge(looked, on=["role", "source"]).sort_values(order, ignore_index=True)
    faces, piece = _pieces_of_faces(scene.faces.frame, pieces.frame)
    group = cast.faces[faces]
    wanted = {
        "group": group,
        "window": pieces.window[piece],
        "state": states.numbers[states.roles[group], pieces.party[piece]],
    }
    return Cells(
        **{name: table[name].to_numpy(np.intp) for name in (*order, "frames", "unreadable")},
        looked_s=table["looked_s"].to_numpy(np.float64),
        faces=faces,
        pieces=piece,
        cells=_row_of({name: table[name].to_numpy(np.intp) for name in order}, wanted),
    )


def _looked(frames: Frames, cast: Cast, *, states: States, pieces: Pieces) -> pd.DataFrame:
    """What was looked at, a row for each role, source, window and state."""
    table = pd.DataFrame(
        {
            "source": cast.frames[pieces.frame],
            "window": pieces.window,
            "frame": pieces.frame,
            "looked_s": np.where(frames.readable[pieces.frame], pieces.seconds, 0.0),
        }
    )
    place = ["role", "source", "window", "state"]
    found = []
    for role, numbers in enumerate(states.numbers):
        here = table.assign(role=role, state=numbers[pieces.party])
        seconds = here.groupby(place)["looked_s"].sum()
        once = here.drop_duplicates([*place, "frame"])
        readable = frames.readable[once["frame"]]
        counted = once.assign(frames=readable, unreadable=~readable)
        found.append(counted.groupby(place)[["frames", "unreadable"]].sum().join(seconds))
    return pd.concat(found).reset_index()


def _pieces_of_faces(frames: Indices, piece_frames: Indices) -> tuple[Indices, Indices]:
    """Each piece of each face: the face and the piece; of a frame left out there is none."""
    first = np.searchsorted(piece_frames, frames, side="left")
    counts = np.searchsorted(piece_frames, frames, side="right") - first
    faces = np.repeat(np.arange(len(frames)), counts)
    before = np.repeat(np.cumsum(counts) - counts, counts)
    return faces, np.repeat(first, counts) + np.arange(len(faces)) - before


def _row_of(table: dict[str, Indices], wanted: dict[str, Indices]) -> Indices:
    """The rows of a table, sorted by its columns, that have the wanted values, which it has."""
    keys, looked_up = np.zeros(1, np.intp), np.zeros(1, np.intp)
    for name, column in table.items():
        least = column.min(initial=0)
        size = column.max(initial=0) - least + 1
        keys = keys * size + column - least
        looked_up = looked_up * size + wanted[name] - least
    return np.searchsorted(keys, looked_up)
