"""What changes from one frame to another, by a sample of the picture's pixels."""

from collections.abc import Sequence

import cv2
import numpy as np

from emoscan.types import Frame

# Between two frames whose levels differ by more in the mean, of 255, there is a cut.
CUT_LEVELS = 30.0

# Where a square of so much of the shorter side differs by as much in the mean, there is something
# new. The hands and the head of who talks to the camera mostly change less within half a second (27
# levels and less in three clips, but for once); who walks through the picture changes more.
NEW_SHARE, NEW_LEVELS = 1 / 7, 30.0


def is_cut_between(before: Frame, after: Frame) -> bool:
    """Whether the picture changes altogether from one frame to the next."""
    if (before.width, before.height) != (after.width, after.height):
        return True
    # Of every second pixel of a sample each way: a cut shows in few.
    levels = [frame.sample()[::2, ::2].astype(np.float32) for frame in (before, after)]
    return float(np.abs(levels[0] - levels[1]).mean()) > CUT_LEVELS


def most_unlike_both(between: Sequence[Frame], first: Frame, last: Frame) -> int | None:
    """Which of some frames shows most that neither of two others shows; None: all show little.

    All are of one size.
    """
    news = [_new_levels(frame, first, last) for frame in between]
    most = max(news, default=0.0)
    return news.index(most) if most > NEW_LEVELS else None


def _new_levels(frame: Frame, first: Frame, last: Frame) -> float:
    """The largest mean difference, over squares, from both others."""
    sample = frame.sample()
    from_first, from_last = (cv2.absdiff(sample, other.sample()) for other in (first, last))
    apart = cv2.cvtColor(cv2.min(from_first, from_last), cv2.COLOR_RGB2GRAY)
    side = max(1, round(NEW_SHARE * min(sample.shape[:2])))
    return float(np.max(cv2.blur(apart, (side, side))))
