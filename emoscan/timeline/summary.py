"""Figures of each person, video or photo: shares of time, means, quantiles, coverage."""

from typing import Any

import numpy as np
import pandas as pd

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.timeline.baseline import FIGURES, baseline_means
from emoscan.timeline.cells import (
    Cast,
    Cells,
    States,
    cast_of,
    cells_of,
    cut,
    no_states,
    states_by_speaker,
    states_by_speech,
)
from emoscan.timeline.options import Grouping, SummaryOptions
from emoscan.timeline.scene import NOBODY, Numbers, Scene, scene_of
from emoscan.timeline.speakers import Turn, read_speakers
from emoscan.timeline.speech import Conversation, Names, conversation
from emoscan.timeline.weighted import Groups

_KEYS = {
    "source": "the video or photo; null where all are one row",
    "track": "whose face; null for faces without a track, and where rows are not by track",
    "label": "the name that the user gave; null where there is none, and where rows are by source",
    "start_s": "where the window begins; without windows, the first frame that was looked at",
    "end_s": "where it ends",
}
_SPEECH = {
    "speech": "`speaking`, `listening` (somebody else speaks) or `silence`; "
    "null: somebody speaks, and nobody said whether it is this person",
    "speaker": "who speaks; null in silence, and with --speaker-track",
}
_COUNTS = {
    "frames": "readable frames that were looked at, those in part within the row's time included",
    "unreadable": "frames that could not be read, which are not in `frames`",
    "frames_with_face": "those of `frames` with a face of this row",
    "faces": "faces with scores of this row: one a frame and face, or photo and face",
    "coverage": "frames_with_face ÷ frames",
    "looked_s": "seconds of the readable frames",
    "face_s": "seconds of the row's faces, added up where there are several at once",
    "valence_index": "mean over time of happy − max(angry, disgust, fear, sad)",
}
_FIGURES = {
    "share": "part of face_s, of photos of faces, in which {} is the likeliest class",
    "mean": "mean score of {}, weighted by time",
    "median": "median score of {}, weighted by time",
    "p90": "90th percentile of the score of {}, weighted by time",
    "max": "highest score of {}",
}
_BASELINE = {
    "baseline": "mean score of {} in the baseline",
    "change": "{} minus its baseline",
}
_BASELINE_S = {
    "baseline_s": "seconds of face time that the baseline rests on; null where these are photos",
}

# Columns that photos, which have no time, do not have.
_OF_TIME = ("start_s", "end_s", "looked_s", "face_s")


def summary_columns(options: SummaryOptions | None = None) -> dict[str, str]:
    """The columns of a summary and what they mean, in order.

    `speech` and `speaker` are there with `speakers`, the last ones with `baseline`; the others
    always.
    """
    options = options or SummaryOptions()
    columns = _KEYS | (_SPEECH if options.speakers else {}) | _COUNTS
    for figure, meaning in _FIGURES.items():
        columns |= {f"{emotion}_{figure}": meaning.format(emotion) for emotion in EMOTIONS}
    if options.baseline:
        columns |= _BASELINE_S
        for figure, meaning in _BASELINE.items():
            columns |= {f"{name}_{figure}": meaning.format(_mean_name(name)) for name in FIGURES}
    return columns


def _mean_name(figure: str) -> str:
    return f"{figure}_mean" if figure in EMOTIONS else figure


def summarise(timeline: pd.DataFrame, options: SummaryOptions | None = None) -> pd.DataFrame:
    """Figures of the faces in a timeline, a row for each group, window and state of speech.

    Columns: `summary_columns`. Scores are of apparent expression. All figures are weighted by how
    long each frame was to be seen; of photos, each face counts the same. Windows begin at 0 s of
    the video, and a frame that spans a border is split there, as it is where a turn to speak begins
    or ends; it is counted as a frame on both sides. Every group has every window in which its
    source was looked at; where it has no face, its figures are NaN. Groups are of one source,
    unless `by` is none. Quantiles are Hyndman and Fan's type 2 (1996), weighted by time. What a
    reader should know, sentences, is in `.attrs["notes"]`. Raises UsageError for options that the
    timeline does not allow.
    """
    options = options or SummaryOptions()
    scene = scene_of(timeline)
    by = options.by or (Grouping.SOURCE if scene.photos else Grouping.TRACK)
    if scene.photos:
        _refuse_for_photos(timeline, options, by)
    turns = _turns(scene, options)
    talk = conversation(turns) if options.speakers else None
    cast = cast_of(scene, by)
    states = _states(scene, cast, talk, options)
    pieces = cut(scene.frames, window_s=options.window_s, talk=talk)
    cells = cells_of(scene, cast, states=states, pieces=pieces)
    columns = _keys(scene, cast, cells, by=by, window_s=options.window_s)
    columns |= _words(states, cells)
    columns |= _figures(scene, cells, pieces.seconds[cells.pieces])
    notes = _talk_notes(turns) + _label_notes(scene, by)
    if options.baseline:
        neutral = baseline_means(scene, cast, baseline=options.baseline, by=by)
        columns |= _changes(columns, neutral.means[cells.group])
        columns["baseline_s"] = neutral.seconds[cells.group]
        notes += [*neutral.notes, *_baseline_notes(neutral.means)]
    if scene.photos:
        columns |= dict.fromkeys(_OF_TIME, np.full(len(cells.group), np.nan))
    summary = pd.DataFrame({name: columns[name] for name in summary_columns(options)})
    summary.attrs.update(options=options.as_dict(), notes=notes)
    return summary


def _refuse_for_photos(timeline: pd.DataFrame, options: SummaryOptions, by: Grouping) -> None:
    if timeline["time_s"].notna().any():
        raise UsageError("Photos and videos cannot be summed up together; name either.")
    if by in (Grouping.TRACK, Grouping.LABEL):
        raise UsageError(f"Photos have no tracks to go --by {by}; use --by source or none.")
    given = {
        "--window": options.window_s,
        "--speakers": options.speakers,
        "--baseline START-END": options.baseline and not options.baseline.path,
    }
    for name, value in given.items():
        if value:
            raise UsageError(f"Photos have no time; {name} needs the timeline of a video.")


def _turns(scene: Scene, options: SummaryOptions) -> list[Turn]:
    """Who speaks when; checks that names and tracks exist."""
    if options.speakers is None:
        return []
    if len(scene.sources) > 1:
        raise UsageError(
            f"--speakers is of one video, and these are {len(scene.sources)}; "
            "sum them up one after the other."
        )
    turns = read_speakers(options.speakers)
    speakers = sorted({turn.speaker for turn in turns})
    tracks = sorted({int(track) for track in scene.faces.track} - {NOBODY})
    for name, track in options.track_speakers():
        if name not in speakers:
            raise UsageError(
                f"{options.speakers} has no speaker “{name}”; it has {', '.join(speakers)}."
            )
        if track not in tracks:
            raise UsageError(
                f"--speaker-track {name}={track}: there is no such track; "
                f"there are {', '.join(map(str, tracks)) or 'none'}."
            )
    return turns


def _states(scene: Scene, cast: Cast, talk: Conversation | None, options: SummaryOptions) -> States:
    if talk is None:
        return no_states(len(cast.source))
    if not options.speaker_track:
        return states_by_speaker(talk, len(cast.source))
    own: list[Names] = [frozenset()] * len(cast.source)
    for name, track in options.track_speakers():
        for group in np.unique(cast.faces[scene.faces.track == track]):
            own[group] |= {name}
    return states_by_speech(talk, own)


def _keys(
    scene: Scene, cast: Cast, cells: Cells, *, by: Grouping, window_s: float | None
) -> dict[str, Any]:
    """The columns that say what a row is of."""
    source, who = cast.source[cells.group], cast.who[cells.group]
    nobody = np.full(len(who), NOBODY)
    labels = _labels(scene, cast) if by is Grouping.TRACK else cast.who
    labels = nobody if by in (Grouping.SOURCE, Grouping.NONE) else labels[cells.group]
    tracks = pd.array([None if track == NOBODY else track for track in who.tolist()], "Int32")
    starts_s, ends_s = _spans(scene, cast)
    columns = {
        "source": _named(source if by is not Grouping.NONE else nobody, scene.sources),
        "track": tracks if by is Grouping.TRACK else pd.array([None] * len(who), "Int32"),
        "label": _named(labels, scene.labels),
        "start_s": starts_s[source],
        "end_s": ends_s[source],
    }
    if window_s:  # to the nanosecond: 0.3, not 0.30000000000000004
        columns["start_s"] = np.round(cells.window * window_s, 9)
        columns["end_s"] = np.round((cells.window + 1) * window_s, 9)
    return columns


def _named(numbers: np.ndarray[Any, Any], names: tuple[str, ...]) -> pd.Series:
    """Names as plain objects, None for NOBODY."""
    words = [None if number == NOBODY else names[number] for number in numbers.tolist()]
    return pd.Series(words, dtype="object")


def _labels(scene: Scene, cast: Cast) -> np.ndarray[Any, Any]:
    """(G,): a label of each track's faces, NOBODY where it has none."""
    labels = np.full(len(cast.source), NOBODY)
    np.minimum.at(labels, cast.faces, scene.faces.label)
    return np.where(cast.who == NOBODY, NOBODY, labels)


def _spans(scene: Scene, cast: Cast) -> tuple[Numbers, Numbers]:
    """The time that was looked at of each source; NaN of several that are one row."""
    frames, count = scene.frames, len(scene.sources)
    starts_s, ends_s = np.full(count, np.nan), np.full(count, np.nan)
    np.fmin.at(starts_s, cast.frames, frames.start_s)
    np.fmax.at(ends_s, cast.frames, frames.end_s)
    if len(np.unique(scene.frames.source)) > len(np.unique(cast.frames)):
        return np.full(count, np.nan), np.full(count, np.nan)
    return starts_s, ends_s


def _words(states: States, cells: Cells) -> dict[str, Any]:
    words = [states.words[state] for state in cells.state.tolist()]
    return {
        "speech": pd.Series([speech and speech.value for speech, _ in words], dtype="object"),
        "speaker": pd.Series([speaker for _, speaker in words], dtype="object"),
    }


def _figures(scene: Scene, cells: Cells, seconds: Numbers) -> dict[str, Any]:
    """The columns of counts and figures, with (K,) `seconds` of the pieces of faces."""
    count, frame_count = len(cells.group), max(1, len(scene.frames.start_s))
    groups = Groups(cells.cells, seconds, count)
    seen = np.unique(cells.cells * frame_count + scene.faces.frame[cells.faces]) // frame_count
    with_face = np.bincount(seen, minlength=count)
    face_count = max(1, len(scene.faces.frame))
    once = np.unique(cells.cells * face_count + cells.faces) // face_count
    counting = groups.counting()
    faces, groups_that_count = cells.faces[counting], groups.of(counting)
    with np.errstate(invalid="ignore"):
        columns: dict[str, Any] = {
            "frames": cells.frames,
            "unreadable": cells.unreadable,
            "frames_with_face": with_face,
            "faces": np.bincount(once, minlength=count),
            "coverage": with_face / cells.frames,
            "looked_s": cells.looked_s,
            "face_s": groups.totals(),
            "valence_index": groups_that_count.means(scene.faces.valence_index()[faces]),
        }
    shares = groups_that_count.shares(scene.faces.classes[faces], len(EMOTIONS))
    for place, emotion in enumerate(EMOTIONS):
        scores = scene.faces.scores[faces, place]
        median, p90 = groups_that_count.quantiles(scores, at=(0.5, 0.9))
        columns |= {
            f"{emotion}_share": shares[:, place],
            f"{emotion}_mean": groups_that_count.means(scores),
            f"{emotion}_median": median,
            f"{emotion}_p90": p90,
            f"{emotion}_max": groups_that_count.maxima(scores),
        }
    return columns


def _changes(columns: dict[str, Any], means: Numbers) -> dict[str, Any]:
    """The columns of the baseline, (R, 8), and what differs from it."""
    changes: dict[str, Any] = {}
    for name, baseline in zip(FIGURES, means.T, strict=True):
        changes[f"{name}_baseline"] = baseline
        changes[f"{name}_change"] = columns[_mean_name(name)] - baseline
    return changes


def _talk_notes(turns: list[Turn]) -> list[str]:
    """Who was found, since what subtitles name is a guess."""
    seconds: dict[str, float] = {}
    for turn in turns:
        seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.end_s - turn.start_s
    said = [f"{name} {seconds[name]:.1f} s" for name in sorted(seconds)]
    return [f"Speakers: {', '.join(said)}."] if said else []


def _label_notes(scene: Scene, by: Grouping) -> list[str]:
    if by is not Grouping.LABEL or scene.labels:
        return []
    return ["No track has a label, so that all faces of a video are one row."]


def _baseline_notes(means: Numbers) -> list[str]:
    missing = int(np.isnan(means).all(axis=1).sum())
    if not missing:
        return []
    rows = "1 face has" if missing == 1 else f"{missing} faces have"
    return [f"{rows} no baseline, since they are not in it: their changes are empty."]
