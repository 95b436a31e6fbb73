"""What is counted of faces: the shares of the classes, and what the faces were like."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from emoscan.emotions import EMOTIONS
from emoscan.report.strokes import histogram_path, share_rectangles
from emoscan.timeline.schema import Origin


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the time, or of the faces, has a class as its likeliest."""

    emotion: str
    amount: float
    share: float


@dataclass(frozen=True, slots=True)
class Shares:
    """All seven, and the rectangles that show them side by side."""

    rows: tuple[Share, ...]

    @property
    def rectangles(self) -> list[tuple[str, float, float]]:
        """Class, left edge and width in per cent."""
        return share_rectangles([(row.emotion, row.share) for row in self.rows])

    @property
    def likeliest(self) -> Share | None:
        """The largest, None where there is nothing."""
        best = max(self.rows, key=lambda row: row.share)
        return best if best.amount > 0 else None


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the range of a quantity, and its histogram's bars."""

    median: float
    low: float
    high: float
    path: str
    axis: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Quality:
    """What the faces were like that the scores come from."""

    faces: int
    height_px: Spread
    score: Spread
    confidence: Spread
    followed: float


def shares(emotions: pd.Series, amounts: pd.Series) -> Shares:
    """Of each class by `amounts`, such as seconds; all zero where they are."""
    by_class = amounts.groupby(emotions.astype(str)).sum()
    total = float(by_class.reindex(EMOTIONS).sum())
    return Shares(
        tuple(
            Share(name, float(by_class.get(name, 0)), float(by_class.get(name, 0)) / (total or 1))
            for name in EMOTIONS
        )
    )


def quality(faces: pd.DataFrame) -> Quality:
    """Of at least one row with a face."""
    heights = faces["height"]
    top = float(np.ceil(heights.max() / 20) * 20) if heights.notna().any() else 1.0
    return Quality(
        faces=len(faces),
        height_px=_spread(heights, (0.0, top)),
        score=_spread(faces["score"], (0.5, 1.0)),
        confidence=_spread(faces["confidence"], (0.0, 1.0)),
        followed=float((faces["origin"] == Origin.FOLLOWED).mean()),
    )


def _spread(values: pd.Series, axis: tuple[float, float]) -> Spread:
    low, median, high = (float(values.quantile(share)) for share in (0.05, 0.5, 0.95))
    path = histogram_path(values, low=axis[0], high=axis[1])
    return Spread(median=median, low=low, high=high, path=path, axis=axis)
