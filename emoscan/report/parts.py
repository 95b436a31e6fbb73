"""What a page shows of a timeline: plain values that the template only has to lay out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emoscan.report.measures import Quality, Shares
from emoscan.report.strokes import bar_path
from emoscan.report.thin import Curve

# Tracks beyond are folded.
OPEN_TRACKS = 4
# Episodes of one track that are listed.
MOST_EPISODES = 1_000


@dataclass(frozen=True, slots=True)
class Episode:
    """One row of `find_episodes`."""

    emotion: str
    onset_s: float
    apex_s: float
    offset_s: float
    mean: float
    peak: float
    apex_frame: int

    @property
    def lasts_s(self) -> float:
        """From onset to offset."""
        return self.offset_s - self.onset_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One face while it stays in view."""

    number: int
    label: str
    start_s: float
    end_s: float
    seconds: float
    shares: Shares
    quality: Quality
    episodes: tuple[Episode, ...]
    curve: Curve
    there: str
    gaps: int
    longest_gap_s: float

    @property
    def name(self) -> str:
        """The user's name for it, else its number."""
        return self.label or f"Track {self.number}"

    @property
    def listed(self) -> list[Episode]:
        """Its episodes by onset; of very many those with the highest peaks."""
        return sorted(self._by_peak[:MOST_EPISODES], key=lambda episode: episode.onset_s)

    @property
    def unlisted_paths(self) -> dict[str, str]:
        """The others' bars, by class."""
        rest = self._by_peak[MOST_EPISODES:]
        return {
            name: bar_path((e.onset_s, e.offset_s) for e in rest if e.emotion == name)
            for name in sorted({episode.emotion for episode in rest})
        }

    @property
    def _by_peak(self) -> list[Episode]:
        return sorted(self.episodes, key=lambda episode: -episode.peak)

    @property
    def coverage(self) -> float:
        """The share of the time from its first to its last frame in which it was seen."""
        lasts_s = self.end_s - self.start_s
        return self.seconds / lasts_s if lasts_s > 0 else 1.0


@dataclass(frozen=True, slots=True)
class ShortTrack:
    """One of many tracks, for which there is no figure."""

    number: int
    label: str
    start_s: float
    end_s: float
    seconds: float
    likeliest: str
    episodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What both kinds of a table have: whence it comes, and how it was made."""

    name: str
    file: str
    attrs: Mapping[Any, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPart(Table):
    """One video of a timeline, called `source` there.

    Times are those of the frames that were looked at.
    """

    source: str
    start_s: float
    end_s: float
    frames: int
    with_face: int
    unreadable: int
    seconds_with_face: float
    shares: Shares
    spark: dict[str, str]
    unreadable_path: str
    tracks: tuple[Track, ...]
    short_tracks: tuple[ShortTrack, ...]
    episodes: int
    untracked: int

    @property
    def is_video(self) -> bool:
        """Whether there is a time axis."""
        return True

    @property
    def track_count(self) -> int:
        """Tracks with a figure and those without."""
        return len(self.tracks) + len(self.short_tracks)

    @property
    def lasts_s(self) -> float:
        """From the first frame that was looked at to the end of the last."""
        return self.end_s - self.start_s

    @property
    def coverage(self) -> float:
        """The share of this time with at least one face."""
        return self.seconds_with_face / self.lasts_s if self.lasts_s else float(self.with_face > 0)


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo: its faces' likeliest classes, largest face first; None if unreadable."""

    source: str
    emotions: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Folder:
    """The photos of one folder."""

    name: str
    photos: int
    faces: int
    shares: Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPart(Table):
    """The photos of a timeline."""

    photos: tuple[Photo, ...]
    with_face: int
    faces: int
    shares: Shares
    folders: tuple[Folder, ...]
    quality: Quality | None

    @property
    def is_video(self) -> bool:
        """Whether there is a time axis."""
        return False

    @property
    def unreadable(self) -> int:
        """How many photos could not be read."""
        return sum(photo.emotions is None for photo in self.photos)


Part = VideoPart | PhotoPart


def part_id(number: int) -> str:
    """The element of the `number`th part of a page, from 1."""
    return f"part-{number}"
