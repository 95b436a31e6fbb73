"""Several timelines as one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from emoscan.errors import UsageError
from emoscan.timeline.durations import ENDS_S, are_photos, source_ends_s
from emoscan.timeline.read import read_timeline

_WORDS = ("source", "label")


def read_timelines(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of all timelines, without landmarks; `.attrs` has `timelines` and `notes`.

    Where two of them hold a source of the same name, it is `timeline: source`, and a note says
    so: rows are told apart by their source. Raises UsageError for a file named twice, and for
    photos beside videos.
    """
    _refuse_named_twice(paths)
    timelines = [read_timeline(path).drop(columns="landmarks") for path in paths]
    if len({are_photos(timeline) for timeline in timelines if len(timeline)}) > 1:
        raise UsageError("Some of these timelines are of photos, others of videos; name either.")
    about = [
        {"path": str(path), **{name: timeline.attrs.get(name) for name in ("model", "options")}}
        for path, timeline in zip(paths, timelines, strict=True)
    ]
    ends_s = [source_ends_s(timeline) for timeline in timelines]
    plain = [timeline.astype(dict.fromkeys(_WORDS, object)) for timeline in timelines]
    for timeline in plain:
        timeline.attrs.clear()  # pandas would compare them
    shared = _shared(plain)
    notes = _tell_apart(paths, plain, shared)
    rows = pd.concat(plain, ignore_index=True) if len(plain) > 1 else plain[0]
    rows = rows.astype(dict.fromkeys(_WORDS, "category"))
    rows.attrs.update({"timelines": about, "notes": notes, ENDS_S: {}})
    for path, ends in zip(paths, ends_s, strict=True):
        named = {_name(path, name) if name in shared else name: end for name, end in ends.items()}
        rows.attrs[ENDS_S] |= named
    return rows


def _refuse_named_twice(paths: Sequence[Path]) -> None:
    counts = Counter(path.resolve() for path in paths)
    twice = [path for path in paths if counts[path.resolve()] > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice; its rows would count twice.")


def _shared(timelines: list[pd.DataFrame]) -> set[str]:
    """The sources that several timelines hold."""
    counts = Counter(name for timeline in timelines for name in timeline["source"].unique())
    return {name for name, count in counts.items() if count > 1}


def _name(path: Path, source: str) -> str:
    return f"{path}: {source}"


def _tell_apart(
    paths: Sequence[Path], timelines: list[pd.DataFrame], shared: set[str]
) -> list[str]:
    """Give sources that several timelines hold the timeline's name too; say so."""
    for path, timeline in zip(paths, timelines, strict=True):
        names = {name: _name(path, name) for name in shared}
        timeline["source"] = timeline["source"].replace(names) if names else timeline["source"]
    return [
        f"Several timelines are of a “{name}”; it is called by its timeline's name as well."
        for name in sorted(shared)
    ]
