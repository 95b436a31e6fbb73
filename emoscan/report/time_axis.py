"""Where a time axis has its ticks, and how they are written: as players show times."""

import math

_STEPS_S = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 14400, 21600, 43200, 86400),
)


def time_ticks(start_s: float, end_s: float, *, most: int) -> list[float]:
    """At most `most` round times from `start_s` to `end_s`."""
    fitting = (step for step in _STEPS_S if (end_s - start_s) / step < most)
    step_s = next(fitting, _STEPS_S[-1])
    first, last = math.ceil(start_s / step_s - 1e-9), math.floor(end_s / step_s + 1e-9)
    return [index * step_s for index in range(first, last + 1)]


def clock(time_s: float, *, hours: bool, tenths: bool = False) -> str:
    """`1:05`, with `hours` `0:01:05`, with `tenths` `1:05.0`."""
    in_tenths = round(time_s * 10)
    minutes, seconds = divmod(in_tenths / 10 if tenths else round(time_s), 60)
    second = f"{seconds:04.1f}" if tenths else f"{int(seconds):02}"
    if not hours:
        return f"{int(minutes)}:{second}"
    return f"{int(minutes) // 60}:{int(minutes) % 60:02}:{second}"
