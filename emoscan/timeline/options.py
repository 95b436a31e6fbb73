"""What a user can set of episodes and summaries: light, for the command line's help."""

import math
from dataclasses import dataclass

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeOptions:
    """Where an expression begins and ends. Raises UsageError where values make no sense."""

    smoothing_s: float = option(
        0.5, "Full width of the smoothing kernel, in seconds; 0 smooths nothing.", metavar="SECONDS"
    )
    high: float = option(0.6, "An episode reaches at least this smoothed score.", metavar="SCORE")
    low: float = option(0.4, "It lasts while the score is at least this.", metavar="SCORE")
    least_s: float = option(
        0.3, "It lasts at least this long.", flags=("--min-duration",), metavar="SECONDS"
    )
    gap_s: float = option(0.3, "A face that is away for longer ends an episode.", metavar="SECONDS")
    emotion: tuple[str, ...] = option(
        (), "Only this class; may be given again. Default: all seven.", metavar="CLASS"
    )

    def __post_init__(self) -> None:
        times_s = {
            "smoothing-s": self.smoothing_s,
            "min-duration": self.least_s,
            "gap-s": self.gap_s,
        }
        for name, value in times_s.items():
            if not 0 <= value < math.inf:
                raise UsageError(f"--{name} is at least 0 seconds, not {value:g}.")
        if not 0 < self.low <= self.high <= 1:
            raise UsageError(
                f"--low and --high are scores with 0 < low ≤ high ≤ 1, not {self.low:g} and "
                f"{self.high:g}."
            )
        unknown = [name for name in self.emotion if name not in EMOTIONS]
        if unknown:
            raise UsageError(f"--emotion is one of {', '.join(EMOTIONS)}, not “{unknown[0]}”.")
        object.__setattr__(self, "emotion", tuple(self.emotion))
