"""The tracks of one video by name: what figures and other programs' files are made of."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from emoscan.errors import UsageError
from emoscan.timeline.durations import are_photos, face_rows
from emoscan.timeline.schema import Status

MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class NamedTrack:
    """One track of one video.

    `name` is the label, else “track 1”, and no other track's; `in_view_s` is how long its face
    was to be seen.
    """

    number: int
    label: str | None
    name: str
    in_view_s: float


def one_video(timeline: pd.DataFrame, source: str | None, *, purpose: str) -> pd.DataFrame:
    """The rows of one video that have a time.

    `source` is needed where the timeline holds several; `purpose`, such as “A figure of tracks”,
    begins the sentence for photos. Raises UsageError where there is no such video, or no face.
    """
    if are_photos(timeline):
        raise UsageError(f"{purpose} needs the timeline of a video: photos have no time.")
    sources = list(dict.fromkeys(timeline["source"].astype(str)))
    if source is not None and source not in sources:
        raise UsageError(f"“{source}” is not in this timeline; it holds {_listed(sources)}.")
    if source is None and len(sources) > 1:
        raise UsageError(
            f"This timeline holds {len(sources)} videos; choose one with --source: "
            f"{_listed(sources)}."
        )
    wanted = timeline["time_s"].notna()  # a video that could not be opened is a row without one
    if source is not None:
        wanted &= timeline["source"].astype(str) == source
    rows = timeline[wanted]
    if not ((rows["status"] == Status.FACE) & rows["track"].notna()).any():
        raise UsageError("This timeline holds no face that was tracked: there is nothing to show.")
    # Categories, as `read_timeline` gives them: pd.concat makes plain words of them.
    return rows.assign(source=rows["source"].astype(str).astype("category"))


def named_tracks(video: pd.DataFrame) -> list[NamedTrack]:
    """The tracks of the rows of `one_video`, by number."""
    faces = face_rows(video)
    faces = faces[faces["track"].notna()]
    in_view_s = faces.groupby("track")["duration_s"].sum()
    labels = faces.dropna(subset="label").groupby("track")["label"].first()
    by_number = {number: readable(str(label)).strip() for number, label in labels.items()}
    shared = Counter(by_number.values())
    return [
        NamedTrack(number, label, _name(number, label, shared), seconds)
        for number, seconds in zip(in_view_s.index.tolist(), in_view_s.tolist(), strict=True)
        for label in [by_number.get(number) or None]
    ]


def chosen(tracks: Sequence[NamedTrack], numbers: Sequence[int]) -> list[NamedTrack]:
    """Those of these numbers, in their order; all where there are none. Raises UsageError."""
    by_number = {track.number: track for track in tracks}
    unknown = [number for number in numbers if number not in by_number]
    if unknown:
        there = _listed([str(number) for number in by_number])
        raise UsageError(f"Track {unknown[0]} is not in this timeline; there are: {there}.")
    return [by_number[number] for number in dict.fromkeys(numbers)] if numbers else list(tracks)


def readable(text: str) -> str:
    """The text with “�” for what XML cannot hold: control characters, halves of surrogate pairs."""
    lines = re.sub(r"\r\n?", "\n", text)
    return re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", lines)


def _name(number: int, label: str | None, shared: Counter[str]) -> str:
    if label is None:
        return f"track {number}"
    # “track 2” may be the label of another track.
    is_its_own = shared[label] == 1 and "track " not in label
    return label if is_its_own else f"{label} (track {number})"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
