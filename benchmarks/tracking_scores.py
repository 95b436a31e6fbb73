"""How well tracks keep to persons: IDF1, switches and mixed tracks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emoscan.faces.boxes import Boxes, best_pairs, iou

LEAST_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One frame's `boxes` (N, 4) in px, and whose they are: `numbers` (N,)."""

    boxes: Boxes
    numbers: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class IdentityScores:
    """Counts of one video, or of several together.

    `shared` of the `truth` boxes and the `found` ones are of one identity under the best pairing
    of persons and tracks. `switches`: how often a person's next face has another track than the
    last; `mixed`: how often a track's next face is another person's; `tracks` and `persons`, how
    many there are.
    """

    shared: int = 0
    truth: int = 0
    found: int = 0
    switches: int = 0
    mixed: int = 0
    tracks: int = 0
    persons: int = 0

    @property
    def idf1(self) -> float:
        """2 IDTP / (2 IDTP + IDFP + IDFN), 1 where there is nothing to find and nothing found."""
        boxes = self.truth + self.found
        return 2 * self.shared / boxes if boxes else 1.0

    def __add__(self, other: "IdentityScores") -> "IdentityScores":
        return IdentityScores(
            *(getattr(self, name) + getattr(other, name) for name in self.__slots__)
        )


def identity_scores(truth: Sequence[Labelled], found: Sequence[Labelled]) -> IdentityScores:
    """Compare frame by frame; a box fits one of the truth from an IoU of 0.5 on.

    IDF1 pairs persons and tracks once for the whole video, such that most boxes fit (Ristani et
    al. 2016, arXiv 1609.01775). Switches are those of CLEAR MOT (Bernardin and Stiefelhagen
    2008): within a frame a person stays with the track of the frame before as long as that fits.
    """
    switches, mixed = _changes(truth, found)
    return IdentityScores(
        shared=_shared(truth, found),
        truth=sum(len(frame.numbers) for frame in truth),
        found=sum(len(frame.numbers) for frame in found),
        switches=switches,
        mixed=mixed,
        tracks=len({number for frame in found for number in frame.numbers.tolist()}),
        persons=len({number for frame in truth for number in frame.numbers.tolist()}),
    )


def _shared(truth: Sequence[Labelled], found: Sequence[Labelled]) -> int:
    """IDTP. Least IDFP and IDFN is most IDTP, for each box is in one sum or the other."""
    fits: Counter[tuple[int, int]] = Counter()
    for true, seen in zip(truth, found, strict=True):
        for person, track in np.argwhere(iou(true.boxes, seen.boxes) >= LEAST_IOU):
            fits[int(true.numbers[person]), int(seen.numbers[track])] += 1
    persons = sorted({person for person, _ in fits})
    tracks = sorted({track for _, track in fits})
    table = np.array([[fits[person, track] for track in tracks] for person in persons])
    table = table.reshape(len(persons), len(tracks))
    return int(table[linear_sum_assignment(table, maximize=True)].sum())


def _changes(truth: Sequence[Labelled], found: Sequence[Labelled]) -> tuple[int, int]:
    """Switches of persons, and of tracks."""
    track_of: dict[int, int] = {}
    person_of: dict[int, int] = {}
    switches = mixed = 0
    for true, seen in zip(truth, found, strict=True):
        for person, track in _matches(true, seen, track_of):
            switches += track_of.get(person, track) != track
            mixed += person_of.get(track, person) != person
            track_of[person], person_of[track] = track, person
    return switches, mixed


def _matches(true: Labelled, seen: Labelled, track_of: dict[int, int]) -> list[tuple[int, int]]:
    """Pairs of a person and a track on one frame."""
    overlaps = iou(true.boxes, seen.boxes)
    same = np.array([track_of.get(person, -1) for person in true.numbers.tolist()])
    stays = (same[:, None] == seen.numbers[None]) & (overlaps >= LEAST_IOU)
    overlaps = overlaps + stays  # a pair that stays outweighs any other
    return [
        (int(true.numbers[person]), int(seen.numbers[track]))
        for person, track in best_pairs(overlaps, least=LEAST_IOU)
    ]
