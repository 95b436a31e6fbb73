"""What whoever makes a copy is told: what it shows that one might not expect."""

from typing import Any

import pandas as pd

from emoscan.events import Listener, Note
from emoscan.report.options import AnnotateOptions
from emoscan.report.text import is_drawable, one_line
from emoscan.timeline.schema import Status

LABELS_TOLD = 5


def visible_still(rows: pd.DataFrame, copies: str) -> str:
    """What a copy with hidden faces shows all the same."""
    if not (rows["status"] == Status.FACE).any():
        return "The timeline has no faces: none is hidden."
    scanned = rows.attrs.get("options", {})
    sought = [
        f"smaller than {_least_size(scanned['min_face'])}" if scanned.get("min_face") else "",
        f"beside the {scanned['max_faces']} largest" if scanned.get("max_faces") else "",
    ]
    limits = " or ".join(filter(None, sought))
    unsought = f", as do those {limits}, which were not looked for" if limits else ""
    return (
        f"Faces that the detector missed stay visible{unsought}. "
        f"Look at {copies} before you show any of it."
    )


def _least_size(min_face: Any) -> str:
    share = str(min_face).endswith("%")
    return f"{min_face} of the frame's height" if share else f"{min_face} px"


def tell_of_labels(rows: pd.DataFrame, options: AnnotateOptions, listener: Listener) -> None:
    """Tell which labels cannot be drawn, and which stand beside faces that are hidden."""
    labels = [one_line(label) for label in rows["label"].dropna().astype(str).unique()]
    if not options.boxes or not labels:
        return
    lacking = [label for label in labels if not is_drawable(label)]
    if lacking:
        listener(
            Note(f"No font here has the letters of “{lacking[0]}”: its number is drawn instead.")
        )
    if options.hides:
        named = ", ".join(f"“{label}”" for label in labels[:LABELS_TOLD])
        listener(Note(f"The labels are drawn too ({named}): --no-boxes leaves them out."))
