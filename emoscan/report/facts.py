"""How a timeline was made, from its metadata, in words.

Metadata may be missing, come from a later emoscan or have been edited: what is not understood is
shown as it is.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from emoscan.report.words import clock, shown, size, span
from emoscan.timeline.options import EpisodeOptions

Fact = tuple[str, str]


def media_facts(attrs: Mapping[Any, Any]) -> list[Fact]:
    """What is known of the video."""
    media = _mapping(attrs, "media")
    facts = [
        (
            "Size",
            size(media["width"], media["height"]) if {"width", "height"} <= set(media) else "",
        ),
        ("Frame rate", _with_unit(media.get("frame_rate"), "frames/s")),
        ("Duration", _seconds(media.get("duration_s"))),
        ("Frames in the file", _count(media.get("packets"))),
        ("Frames read", _count(media.get("frames_read"))),
        ("Frames unreadable", _count(media.get("frames_unreadable"))),
        ("Photos read", _count(media.get("photos_read"))),
        ("Photos unreadable", _count(media.get("photos_unreadable"))),
        ("Codec", shown(media.get("codec") or "")),
        ("Container", shown(media.get("container") or "")),
        ("Pixel format", shown(media.get("pixel_format") or "")),
        ("Turned by", f"{shown(media['rotation_deg'])}°" if media.get("rotation_deg") else ""),
        ("Times", "made up: the file has none" if media.get("times_synthesised") else ""),
    ]
    return [(name, value) for name, value in facts if value]


def option_facts(attrs: Mapping[Any, Any]) -> list[Fact]:
    """The options of the scan that were set, and what all are."""
    options = _mapping(attrs, "options")
    facts = []
    for name, value in options.items():
        if value is None:
            continue
        title, words = _OPTIONS.get(name, (shown(name).replace("_", " "), shown))
        facts.append((title, _said(words, value)))
    return facts


def program_facts(attrs: Mapping[Any, Any]) -> list[Fact]:
    """The program, its model and the machine."""
    model = _mapping(attrs, "model")
    versions = _mapping(attrs, "versions")
    facts = [
        ("emoscan", shown(attrs.get("emoscan_version") or "")),
        ("Model", shown(model.get("id") or "")),
        ("SHA-256 of its weights", shown(model.get("sha256") or "")),
        ("Device", shown(attrs.get("device") or "")),
        ("Run by", shown(attrs.get("backend") or "")),
        ("Number format", shown(attrs.get("precision") or "")),
        ("The detector's", shown(attrs.get("detector_precision") or "")),
        ("Its cascade", shown(attrs.get("detector_fidelity") or "")),
        ("Libraries", ", ".join(f"{shown(k)} {shown(v)}" for k, v in versions.items())),
    ]
    return [(name, value) for name, value in facts if value]


def episode_facts(options: EpisodeOptions) -> list[Fact]:
    """By what the curves were smoothed and episodes found."""
    return [
        ("Smoothing", f"{options.smoothing_s:g} s" if options.smoothing_s else "none"),
        ("An episode reaches", f"{options.high:g}"),
        ("and lasts while above", f"{options.low:g}"),
        ("for at least", f"{options.least_s:g} s"),
        ("Ended by a face away for", f"{options.gap_s:g} s"),
        ("Classes", ", ".join(options.emotion) or "all seven"),
    ]


def damage(attrs: Mapping[Any, Any]) -> list[str]:
    """What was wrong with the video, in emoscan's own sentences."""
    found = _mapping(attrs, "media").get("damage")
    return [shown(sentence) for sentence in found] if isinstance(found, list) else []


def raw(attrs: Mapping[Any, Any]) -> str:
    """All of it, as JSON for the eye."""
    lines = json.dumps(attrs, indent=2, ensure_ascii=False, default=str).split("\n")
    return "\n".join(map(shown, lines)) if attrs else ""


def _mapping(attrs: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    value = attrs.get(name)
    return value if isinstance(value, Mapping) else {}


def _said(words: Callable[[Any], str], value: Any) -> str:
    try:
        return words(value)
    except (TypeError, ValueError):  # of another type than emoscan writes
        return shown(value)


def _detection(value: Any) -> str:
    if value == 1:
        return "on every frame"
    if value == "auto":
        return "on key frames that what moves decides, faces followed between"
    return f"on one of every {shown(value)} frames, faces followed between"


def _every(value: Any) -> str:
    return "all" if value == 1 else f"one of every {shown(value)}"


def _views(value: Any) -> str:
    return {"none": "one", "flip": "two: itself and its mirror image"}.get(value, shown(value))


def _pixels(value: Any) -> str:
    text = shown(value)
    return f"{text} of the height" if text.endswith("%") else f"{text} px"


def _with_unit(value: Any, unit: str) -> str:
    return f"{shown(value)} {unit}" if value is not None else ""


def _seconds(value: Any) -> str:
    return span(value) if isinstance(value, int | float) else ""


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


# By the fields of ScanOptions.
_OPTIONS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "fps": ("Frames a second looked at", shown),
    "every": ("Frames looked at", _every),
    "start_s": ("Looked at from", clock),
    "end_s": ("Looked at until", clock),
    "min_face": ("Smallest face looked for", _pixels),
    "detector_stride": ("Detection", _detection),
    "threshold": ("Least score of a face", shown),
    "max_faces": ("Most faces in a frame", shown),
    "weights": ("Weights", shown),
    "precision": ("Number format asked for", shown),
    "tta": ("Views of a face", _views),
}
