"""Numbers and names as a reader wants them."""

import math
from typing import Any


def clock(seconds: float | None, digits: int = 2) -> str:
    """`0:03.24`, `1:02:03.24`, as a player shows it."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    scale = 10**digits
    whole, rest = divmod(round(seconds * scale), scale)
    minutes, second = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    fraction = f".{rest:0{digits}d}" if digits else ""
    return f"{start}:{second:02d}{fraction}"


def span(seconds: float) -> str:
    """How long something lasts: `0.42 s`, `12.3 s`, `3 min 05 s`, `2 h 10 min`."""
    if not seconds:
        return "0 s"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def percent(share: float) -> str:
    """`42 %`; what is neither nothing nor everything never reads like it."""
    if not math.isfinite(share):
        return "–"
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{100 * share:.0f} %"


def size(width: Any, height: Any) -> str:
    """`1280 × 720 px`."""
    return f"{shown(width)} × {shown(height)} px"


def shown(value: Any) -> str:
    """Any value as text; what cannot be printed or turns the line around is shown as escapes.

    Bytes of a file name that are no UTF-8 end here too.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
