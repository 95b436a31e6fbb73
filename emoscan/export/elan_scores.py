"""Scores as curves in ELAN's Timeseries Viewer, beside an .eaf.

As ELAN writes them itself: `x_tsconf.xml` tells which columns of which CSVs are curves, `x.pfsx`
which of the curves are to be seen.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from emoscan.emotions import Emotion
from emoscan.export.media_link import configuration_path, file_url, relative_url
from emoscan.export.wide import COLUMNS
from emoscan.palette import rgb
from emoscan.timeline.named_tracks import NamedTrack

NO_DATE = "1970-01-01T00:00:00+00:00"  # today's would make a new file of every run
PROVIDER = "mpi.eudico.client.annotator.timeseries.csv.CSVServiceProvider"
# “Continuous Rate” rounds to whole Hz.
SAMPLING = "Discontinuous Rate"
MOST_PANELS = 4
# What ELAN calls the type of a CSV.
CSV_TYPE, XML_TYPE = "unknown", "text/xml"
_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_COLUMN = {name: str(index) for index, name in enumerate(COLUMNS)}

# A track, and the CSV with its scores.
TrackFile = tuple[NamedTrack, Path]


def link_scores(document: Any, files: Iterable[TrackFile], *, eaf: Path) -> None:
    """Make a `pympi.Eaf`, which is to be called `eaf`, point to its curves."""
    for path in [*(path for _, path in files), configuration_path(eaf)]:
        document.add_secondary_linked_file(
            file_url(path),
            relpath=relative_url(path, eaf.parent),
            mimetype=XML_TYPE if path.suffix == ".xml" else CSV_TYPE,
        )


def configuration(files: Iterable[TrackFile]) -> bytes:
    """Seven curves from each CSV, from 0 to 1, in the colours of their classes."""
    root = ET.Element("timeseries", date=NO_DATE, version="1.0")
    for track, path in files:
        source = ET.SubElement(
            root,
            "tracksource",
            {
                "source-url": file_url(path),
                "sample-type": SAMPLING,
                "time-column": _COLUMN["time_s"],
            },
        )
        ET.SubElement(source, "property", key="provider", value=PROVIDER)
        for emotion in Emotion:
            _add_curve(source, emotion, name=curve_name(track, emotion))
    return _document(root)


def _add_curve(source: ET.Element, emotion: Emotion, *, name: str) -> None:
    curve = ET.SubElement(source, "track", name=name, derivative="0")
    ET.SubElement(curve, "property", {"key": "detect-range", "value": "false"})
    position = ET.SubElement(curve, "sample-position")
    ET.SubElement(position, "pos", row="0", col=_COLUMN[emotion])
    ET.SubElement(curve, "description").text = "apparent expression"
    ET.SubElement(curve, "units").text = "score"
    ET.SubElement(curve, "range", min="0.0", max="1.0")
    ET.SubElement(curve, "color").text = ",".join(map(str, rgb(emotion)))


def preferences(tracks: Sequence[NamedTrack]) -> bytes:
    """A panel for each of the tracks that are longest in view, with its seven curves."""
    longest = sorted(tracks, key=lambda track: -track.in_view_s)[:MOST_PANELS]
    root = ET.Element(
        "preferences",
        {
            "version": "1.1",
            "xmlns:xsi": _SCHEMA_INSTANCE,
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/Prefs_v1.1.xsd",
        },
    )
    panels = ET.SubElement(root, "pref", key="TimeSeriesViewer.NumberOfPanels")
    ET.SubElement(panels, "Int").text = str(len(longest))
    for number, track in enumerate(longest, start=1):
        panel = ET.SubElement(root, "prefList", key=f"TimeSeriesViewer.Panel-{number}")
        for emotion in Emotion:
            ET.SubElement(panel, "String").text = curve_name(track, emotion)
    return _document(root)


def curve_name(track: NamedTrack, emotion: str) -> str:
    """`Anna happy`; ELAN tells curves by their names."""
    return f"{track.name} {emotion}"


def _document(root: ET.Element) -> bytes:
    ET.indent(root, "    ")
    document: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return document + b"\n"
