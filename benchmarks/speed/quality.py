"""What speed costs: the faces and classes of one table against those of another."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks.mtcnn_parity import Boxes, iou

LEAST_IOU = 0.5
CORNER_AND_SIZE = ["x", "y", "width", "height"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Counts of faces: in the reference, in the table looked at, and matched between them.

    `compared` are the matched faces whose classes were compared, `agreeing` those of one class.
    """

    reference: int = 0
    found: int = 0
    matched: int = 0
    compared: int = 0
    agreeing: int = 0

    def __add__(self, other: "Quality") -> "Quality":
        return Quality(
            reference=self.reference + other.reference,
            found=self.found + other.found,
            matched=self.matched + other.matched,
            compared=self.compared + other.compared,
            agreeing=self.agreeing + other.agreeing,
        )

    @property
    def recall(self) -> float | None:
        """The share of the reference's faces that were found, None without any."""
        return self.matched / self.reference if self.reference else None

    @property
    def precision(self) -> float | None:
        """The share of the faces found that the reference has, None without any."""
        return self.matched / self.found if self.found else None

    @property
    def agreement(self) -> float | None:
        """The share of matched faces with the same class, None without any."""
        return self.agreeing / self.compared if self.compared else None


def compare_tables(
    reference: pd.DataFrame, table: pd.DataFrame, *, class_min_px: float = 0
) -> Quality:
    """Two timelines of one video, as `emoscan.read_timeline` gives them.

    Classes are compared on matched faces that are at least `class_min_px` high in the reference.
    """
    wanted, found = _faces_by_frame(reference), _faces_by_frame(table)
    nobody = reference.iloc[:0]
    total = Quality()
    for frame in sorted(wanted.keys() | found.keys()):
        total += _compare_frame(
            wanted.get(frame, nobody), found.get(frame, nobody), class_min_px=class_min_px
        )
    return total


def matched_pairs(
    reference: Boxes, found: Boxes, *, least_iou: float = LEAST_IOU
) -> list[tuple[int, int]]:
    """Indices of (N, 4) and (M, 4) boxes x0 y0 x1 y1: one to one, as many pairs as can be.

    Of equally many pairs those with the largest overlaps.
    """
    if not len(reference) or not len(found):
        return []
    overlaps = iou(reference, found)
    # A pair counts for more than all overlaps together, so that none is given up for another's.
    worth = np.where(overlaps >= least_iou, 1 + overlaps / (1 + len(reference)), 0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    real = worth[rows, columns] > 0
    return list(zip(rows[real].tolist(), columns[real].tolist(), strict=True))


def _faces_by_frame(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    faces = table[table["status"] == "face"]
    numbers = faces["frame"].to_numpy(np.int64)
    return {frame: faces[numbers == frame] for frame in np.unique(numbers).tolist()}


def _compare_frame(reference: pd.DataFrame, table: pd.DataFrame, *, class_min_px: float) -> Quality:
    pairs = matched_pairs(_boxes(reference), _boxes(table))
    heights = reference["height"].to_numpy(np.float32)
    classes = reference["emotion"].astype(str).to_list(), table["emotion"].astype(str).to_list()
    compared = [(row, column) for row, column in pairs if heights[row] >= class_min_px]
    return Quality(
        reference=len(reference),
        found=len(table),
        matched=len(pairs),
        compared=len(compared),
        agreeing=sum(classes[0][row] == classes[1][column] for row, column in compared),
    )


def _boxes(faces: pd.DataFrame) -> NDArray[np.float32]:
    """(N, 4) x0 y0 x1 y1."""
    sides = faces[CORNER_AND_SIZE].to_numpy(np.float32)
    return np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1)
