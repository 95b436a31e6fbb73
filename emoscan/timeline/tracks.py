"""The tracks of a timeline: which there are, and the user's word on who is who."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.timeline.durations import FRAME, face_rows
from emoscan.timeline.schema import SCHEMA, Status

COLUMNS: dict[str, str] = {
    "source": "the video, as in the timeline",
    "track": "its number",
    "label": "the name that the user gave to it; null until then",
    "first_s": "the time of its first row",
    "last_s": "the time of its last row",
    "seconds": "for how long its face is seen in all",
    "rows": "how many rows it has",
    "height_px": "the median height of its boxes, in pixels",
    "score": "the mean of the detector's scores",
    "emotion": "the class with the highest mean probability over time",
    "confidence": "that mean",
}

Tracks = NDArray[np.int64]
Mask = NDArray[np.bool_]

NO_TRACK = -1
MOST_RANGES_NAMED = 12


def list_tracks(timeline: pd.DataFrame) -> pd.DataFrame:
    """The tracks, a row each, with `COLUMNS`, by source and number.

    Raises UsageError for photos, which have none.
    """
    faces = face_rows(timeline)
    faces = faces[faces["track"].notna()]
    grouped = faces.groupby(["source", "track"], observed=True, sort=True)
    tracks = grouped.agg(
        label=("label", "first"),
        first_s=("time_s", "first"),
        last_s=("time_s", "last"),
        seconds=("duration_s", "sum"),
        rows=("frame", "size"),
        height_px=("height", "median"),
        score=("score", "mean"),
    ).reset_index()
    tracks = tracks.astype({"height_px": np.float64, "score": np.float64})
    means = _mean_probabilities(faces)
    likeliest = means.argmax(axis=1) if len(means) else np.zeros(0, np.intp)
    tracks["label"] = tracks["label"].astype(object).where(tracks["label"].notna(), None)
    classes = np.array(EMOTIONS, dtype=object)
    tracks["emotion"] = pd.Categorical(classes[likeliest], categories=list(EMOTIONS))
    tracks["confidence"] = means.max(axis=1, initial=0.0)
    return tracks[list(COLUMNS)]


def edit_tracks(
    timeline: pd.DataFrame,
    *,
    merge: Iterable[Iterable[int]] = (),
    label: Mapping[int, str] | None = None,
    drop: Iterable[int] = (),
    drop_shorter_s: float | None = None,
) -> pd.DataFrame:
    """A new timeline with tracks merged, labelled and dropped; all by the numbers of the old one.

    Each group in `merge` takes its lowest number, groups that share a track are one, and a label
    of one of them is that of all; an empty label takes a name away. `drop_shorter_s` drops every
    track that is seen for less, unless `merge` or `label` names it. Where a frame has no other
    face, a dropped one leaves a row `no_face`; the faces of a frame are numbered anew. What was
    done is added to `.attrs["edits"]`.

    Raises UsageError for photos, several videos, unknown tracks, edits that contradict each other,
    and merged tracks that are in one frame both.
    """
    edits = _Edits.of(merge, label or {}, drop)
    tracks = _checked_tracks(timeline)
    edits = edits.with_drops(_shorter_tracks(timeline, drop_shorter_s) if drop_shorter_s else [])
    edits.check(known=np.unique(tracks[tracks != NO_TRACK]).tolist())
    edited = timeline.copy()
    edited.attrs = copy.deepcopy(timeline.attrs)
    merged = edits.merged(tracks)
    _check_one_place(timeline, tracks, merged)
    edited["track"] = pd.arrays.IntegerArray(merged.astype(np.int32), merged == NO_TRACK)
    edited["label"] = _labelled(timeline["label"], merged, edits)
    edited = _without(edited, np.isin(tracks, sorted(edits.drop)))
    edited.attrs["edits"] = [*edited.attrs.get("edits", []), edits.as_dict()]
    return edited


@dataclass(frozen=True, slots=True)
class _Edits:
    """What is to be done: `merge` holds disjoint groups of at least two."""

    merge: tuple[tuple[int, ...], ...]
    label: dict[int, str]
    drop: frozenset[int]

    @classmethod
    def of(
        cls, merge: Iterable[Iterable[int]], label: Mapping[int, str], drop: Iterable[int]
    ) -> "_Edits":
        groups = [set(map(int, group)) for group in merge]
        for group in groups:
            if len(group) < 2:
                named = ", ".join(map(str, group)) or "none"
                raise UsageError(f"A merge takes at least two tracks, such as 1,4, not {named}.")
        labels = {int(track): name.strip() for track, name in label.items()}
        return cls(_joined(groups), labels, frozenset(map(int, drop)))

    def with_drops(self, tracks: Iterable[int]) -> "_Edits":
        """Drop these as well, but for those that are merged or labelled."""
        kept = {track for group in self.merge for track in group} | set(self.label)
        return _Edits(self.merge, self.label, self.drop | (set(tracks) - kept))

    def check(self, *, known: Sequence[int]) -> None:
        """Raise UsageError for unknown tracks and contradictions."""
        merged = {track for group in self.merge for track in group}
        unknown = (merged | set(self.label) | self.drop) - set(known)
        if unknown:
            there = f"it has {_ranges(known)}" if known else "it has none at all"
            raise UsageError(f"There is no track {min(unknown)} in this timeline; {there}.")
        for what, tracks in (("merged", merged), ("labelled", set(self.label))):
            if self.drop & tracks:
                track = min(self.drop & tracks)
                raise UsageError(f"Track {track} cannot be dropped and {what} both; choose one.")
        for group in self.merge:
            names = {self.label[track] for track in group if track in self.label}
            if len(names) > 1:
                one, other = sorted(names)[:2]
                raise UsageError(
                    f"Tracks {_and(group)} become one, which cannot be “{one}” and “{other}” both."
                )

    def merged(self, tracks: Tracks) -> Tracks:
        """(N,) numbers after merging."""
        numbers = tracks.copy()
        for group in self.merge:
            numbers[np.isin(tracks, group)] = min(group)
        return numbers

    def names(self) -> dict[int, str]:
        """The new labels by the numbers after merging."""
        number_of = {track: min(group) for group in self.merge for track in group}
        return {number_of.get(track, track): name for track, name in self.label.items()}

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "merge": [list(group) for group in self.merge],
            "label": {str(track): name for track, name in sorted(self.label.items())},
            "drop": sorted(self.drop),
        }


def _mean_probabilities(faces: pd.DataFrame) -> NDArray[np.float64]:
    """(tracks, 7) means over time, by source and track."""
    weights = faces["duration_s"].clip(lower=1e-9).to_numpy(np.float64)
    weighted = faces[list(EMOTIONS)].to_numpy(np.float64) * weights[:, None]
    table = pd.DataFrame(np.column_stack([weighted, weights]))
    keys = [faces["source"].cat.codes.to_numpy(), faces["track"].to_numpy(np.int64)]
    sums = table.groupby(keys).sum().to_numpy(np.float64)
    means: NDArray[np.float64] = sums[:, :-1] / sums[:, -1:]
    return means


def _checked_tracks(timeline: pd.DataFrame) -> Tracks:
    """(N,) each row's track or NO_TRACK, of one video."""
    if timeline["time_s"].isna().any():
        raise UsageError("Photos have no tracks; this needs the timeline of a video.")
    if timeline["source"].nunique() > 1:
        raise UsageError(
            "This timeline holds several videos, in each of which the tracks begin at 1; "
            "edit the timeline of one."
        )
    tracks: Tracks = timeline["track"].to_numpy(np.int64, na_value=NO_TRACK)
    return tracks


def _shorter_tracks(timeline: pd.DataFrame, seconds: float) -> list[int]:
    listed = list_tracks(timeline)
    return [int(track) for track in listed["track"][listed["seconds"] < seconds]]


def _joined(groups: Sequence[set[int]]) -> tuple[tuple[int, ...], ...]:
    """Groups that share a track are one."""
    apart: list[set[int]] = []
    for group in groups:
        whole = group.union(*(other for other in apart if other & group))
        apart = [other for other in apart if not other & group] + [whole]
    return tuple(sorted(tuple(sorted(group)) for group in apart))


def _check_one_place(timeline: pd.DataFrame, tracks: Tracks, merged: Tracks) -> None:
    """Raise UsageError where a frame has two faces of one merged track."""
    changed = np.isin(merged, np.unique(merged[merged != tracks]))
    frames = timeline["frame"].to_numpy(np.int64)
    rows = pd.DataFrame({"frame": frames, "track": merged})[changed]
    twice = rows.duplicated(keep=False)
    if not twice.any():
        return
    frame = int(rows["frame"][twice].min())
    there = rows[twice & (rows["frame"] == frame)]
    at = there.index[there["track"] == there["track"].min()]
    one, other = sorted(tracks[at].tolist())[:2]
    raise UsageError(
        f"Tracks {one} and {other} are both in frame {frame}, at "
        f"{timeline['time_s'].iloc[at[0]]:.3f} s: one person cannot be in two places."
    )


def _labelled(labels: "pd.Series[Any]", merged: Tracks, edits: _Edits) -> pd.Categorical:
    """Labels of all rows; a merged track has one on all of its rows."""
    names = edits.names()
    words = labels.astype(object).where(labels.notna(), None).to_numpy(object, copy=True)
    for group in edits.merge:
        number = min(group)
        if number in names:
            continue
        known = sorted({word for word in words[merged == number] if word is not None})
        if len(known) > 1:
            raise UsageError(
                f"Tracks {_and(group)} are called “{known[0]}” and “{known[1]}”; "
                f"say what they are together, for instance --label {number}={known[0]}."
            )
        names[number] = known[0] if known else ""
    for number, name in names.items():
        words[merged == number] = name or None
    known_words = dict.fromkeys([*labels.astype("category").cat.categories, *names.values()])
    used = {word for word in words if word is not None}
    return pd.Categorical(words, categories=[word for word in known_words if word in used])


def _without(timeline: pd.DataFrame, dropped: Mask) -> pd.DataFrame:
    """Without these rows; a frame that has no other is a row `no_face`."""
    if not dropped.any():
        return timeline
    frames = timeline["frame"].to_numpy(np.int64)
    empty = dropped & ~np.isin(frames, frames[~dropped])
    first = empty & ~pd.Series(frames).where(empty).duplicated().to_numpy(bool)
    left = timeline.copy()
    for name in SCHEMA.names:
        if name == "status":
            left.loc[first, name] = Status.NO_FACE.value
        elif name == "landmarks":
            points = left[name].to_numpy(object, copy=True)
            points[first] = None
            left[name] = points
        elif name not in (*FRAME, "time_s"):
            left[name] = left[name].mask(first)
    left = left[~dropped | first].reset_index(drop=True)
    left.attrs = timeline.attrs
    changed = np.isin(left["frame"].to_numpy(np.int64), frames[dropped]) & left["face"].notna()
    faces = left.loc[changed]
    left.loc[changed, "face"] = (faces.groupby("frame")["face"].rank("first") - 1).astype("Int16")
    return left


def _ranges(numbers: Sequence[int]) -> str:
    """1 to 4, 7 and 9 to 12, as many of them as one cares to read."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(sorted(numbers)), lambda item: item[1] - item[0])
    ]
    words = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    if len(words) > MOST_RANGES_NAMED:
        return f"{', '.join(words[:MOST_RANGES_NAMED])} and others up to {numbers[-1]}"
    return _and(words)


def _and(words: Iterable[object]) -> str:
    *most, last = map(str, words)
    return f"{', '.join(most)} and {last}" if most else last
