"""A page's parts to HTML: the template, what the script draws, and the policy that binds both."""

import base64
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from emoscan.media.find import counted
from emoscan.palette import COLOURS
from emoscan.report import facts
from emoscan.report.parts import OPEN_TRACKS, Part, VideoPart, part_id
from emoscan.report.strokes import number
from emoscan.report.thin import Curve, fitting, levels
from emoscan.report.words import clock, percent, span
from emoscan.timeline.options import EpisodeOptions

# Rows of a list that are shown at first.
MOST_LISTED = 100
# Faces, of some 3 kB each.
MOST_PICTURES = 1_000
# Timelines whose full part is open at first.
OPEN_PARTS = 3
# How finely the page stores times and scores; page.js knows the same numbers.
TICKS_PER_S = 10_000
FULL_SCORE = 2**16 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is on a page.

    `pictures` are data URIs by part, number of track and frame; `pictured` are the parts of which
    there is a video.
    """

    title: str
    parts: Sequence[Part]
    empty_files: Sequence[str]
    pictures: Mapping[tuple[str, int, int], str]
    pictured: Collection[str]
    episodes: EpisodeOptions

    @property
    def has_figures(self) -> bool:
        """Whether there is a curve to draw."""
        return any(isinstance(part, VideoPart) and part.tracks for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the script draws; the elements' ids by part and track; the width of bins in s."""

    data: dict[str, Any]
    ids: dict[tuple[str, int], str]
    bin_s: float


def render(page: Page, *, plotly: str) -> bytes:
    """The whole page in UTF-8."""
    part_ids = [part_id(number) for number in range(1, len(page.parts) + 1)]
    figures = _figures(page.parts, part_ids)
    plotly = plotly if page.has_figures else ""
    js = _resource("page.js")
    html: str = _template().render(
        page=page,
        part_ids=part_ids,
        figures=figures,
        facts=facts,
        colours=_colours(),
        most_listed=MOST_LISTED,
        most_pictures=MOST_PICTURES,
        open_tracks=OPEN_TRACKS,
        open_parts=OPEN_PARTS,
        version=version("emoscan"),
        made_on=date.today().isoformat(),
        css=Markup(_resource("page.css")),
        js=Markup(js),
        plotly=Markup(plotly),
        script_hashes=Markup(" ".join(_script_hash(script) for script in (plotly, js) if script)),
    )
    return html.encode("utf-8", "backslashreplace")


def _colours() -> dict[str, str]:
    return {emotion.value: colour for emotion, colour in COLOURS.items()}


def _figures(parts: Sequence[Part], part_ids: Sequence[str]) -> _Figures:
    named = zip(part_ids, parts, strict=True)
    videos = [(name, part) for name, part in named if isinstance(part, VideoPart)]
    curves, bin_s = fitting([track.curve for _, part in videos for track in part.tracks])
    remaining = iter(curves)
    ids: dict[tuple[str, int], str] = {}
    drawn: list[dict[str, Any]] = []
    for place, (of_part, part) in enumerate(videos):
        for track in part.tracks:
            name = ids[of_part, track.number] = f"figure-{len(drawn) + 1}"
            packed = [encode(level, start_s=part.start_s) for level in levels(next(remaining))]
            drawn.append({"id": name, "part": place, "levels": packed})
    spans = [{"start": part.start_s, "end": part.end_s} for _, part in videos]
    return _Figures({"colours": _colours(), "parts": spans, "figures": drawn}, ids, bin_s)


def encode(curve: Curve, *, start_s: float) -> dict[str, str]:
    """A curve as little-endian numbers in base64: small, and nothing that a script could run."""
    ticks = np.rint((curve.time_s - start_s) * TICKS_PER_S)
    scores = np.rint(curve.scores.clip(0, 1) * FULL_SCORE)
    return {
        "t": _base64(ticks.astype("<u4")),
        "p": _base64(scores.astype("<u2")),
        "ends": _base64(np.flatnonzero(curve.ends).astype("<u4")),
    }


def _base64(numbers: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(numbers.tobytes()).decode()


def _script_hash(script: str) -> str:
    """As the page's policy names a script that may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _template() -> Any:
    """Every value is escaped, but for the page's own style and scripts."""
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": clock,
        "counted": counted,
        "decimals": lambda value, digits: f"{value:.{digits}f}",
        "number": number,
        "percent": percent,
        "span": span,
        "thousands": lambda value: f"{value:,}",
    }
    return environment.get_template("page.html")


def _resource(name: str) -> str:
    return files("emoscan.report").joinpath(name).read_text("utf-8")
