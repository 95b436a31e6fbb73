"""Photos as a figure: which share of the faces each class has."""

import pandas as pd
from matplotlib.figure import Figure

from emoscan.errors import UsageError
from emoscan.report.plot_options import PlotOptions
from emoscan.report.plot_style import CM_PER_INCH, ORDER, SMALL_PT, area
from emoscan.timeline.durations import FRAME
from emoscan.timeline.schema import Status

HEIGHT_CM = 5.5


def draw_photos(timeline: pd.DataFrame, options: PlotOptions) -> Figure:
    """A bar for each class: its share of the faces, with the number of faces beside it.

    Raises UsageError where there is no face.
    """
    faces = timeline[timeline["status"] == Status.FACE]
    if not len(faces):
        raise UsageError("No face was found in these photos: there is nothing to draw.")
    counts = faces["emotion"].value_counts()
    size_cm = options.width_cm, options.height_cm or HEIGHT_CM
    figure = Figure(figsize=(size_cm[0] / CM_PER_INCH, size_cm[1] / CM_PER_INCH))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    shares = [int(counts.get(emotion, 0)) / len(faces) for emotion in ORDER]
    for place, (emotion, share) in enumerate(zip(ORDER, shares, strict=True)):
        axes.barh(place, share, height=0.75, **area(emotion))
        label = f"{_percent(share)} ({counts.get(emotion, 0):,})"
        axes.text(share, place, f"  {label}", va="center", size=SMALL_PT)
    axes.set_yticks(range(len(ORDER)), [emotion.value for emotion in ORDER])
    axes.invert_yaxis()
    axes.set_xlim(0, max(shares) * 1.35)  # room for the words
    axes.xaxis.set_major_formatter(lambda share, _: _percent(share))
    photos = len(faces.drop_duplicates(FRAME))
    axes.set_xlabel(f"share of {_counted(len(faces), 'face')} in {_counted(photos, 'photo')}")
    axes.set_ylabel("apparent expression")
    return figure


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
