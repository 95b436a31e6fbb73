"""emoscan: tables of facial expressions from videos and photos.

The names below are loaded on first use: importing emoscan alone loads no heavy library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emoscan.emotions import EMOTIONS, Emotion
    from emoscan.errors import EmoscanError, ExitCode
    from emoscan.export.export import Exported, export_timeline
    from emoscan.export.options import ExportFormat, ExportOptions
    from emoscan.media_kind import MediaKind
    from emoscan.options import MinFace, Precision, RunOptions, ScanOptions, TableFormat
    from emoscan.outcome import ScanReport
    from emoscan.pipeline import analyze_images, analyze_video, scan
    from emoscan.report.annotate import annotate_photos, annotate_video
    from emoscan.report.html import WrittenReport, write_report
    from emoscan.report.options import AnnotateOptions
    from emoscan.report.outcome import AnnotateReport
    from emoscan.report.page_options import ReportOptions
    from emoscan.report.plot import plot_timeline
    from emoscan.report.plot_options import PlotOptions, PlotStyle
    from emoscan.timeline.episodes import find_episodes
    from emoscan.timeline.options import EpisodeOptions, SummaryOptions
    from emoscan.timeline.read import read_timeline
    from emoscan.timeline.records import FaceRecord
    from emoscan.timeline.summary import summarise
    from emoscan.timeline.tracks import edit_tracks, list_tracks
    from emoscan.timeline.write import write_timeline

_HOMES = {
    "AnnotateOptions": "report.options",
    "AnnotateReport": "report.outcome",
    "EMOTIONS": "emotions",
    "EmoscanError": "errors",
    "Emotion": "emotions",
    "EpisodeOptions": "timeline.options",
    "ExitCode": "errors",
    "ExportFormat": "export.options",
    "ExportOptions": "export.options",
    "Exported": "export.export",
    "FaceRecord": "timeline.records",
    "MediaKind": "media_kind",
    "MinFace": "options",
    "PlotOptions": "report.plot_options",
    "PlotStyle": "report.plot_options",
    "Precision": "options",
    "ReportOptions": "report.page_options",
    "RunOptions": "options",
    "ScanOptions": "options",
    "ScanReport": "outcome",
    "SummaryOptions": "timeline.options",
    "TableFormat": "options",
    "WrittenReport": "report.html",
    "analyze_images": "pipeline",
    "analyze_video": "pipeline",
    "annotate_photos": "report.annotate",
    "annotate_video": "report.annotate",
    "edit_tracks": "timeline.tracks",
    "export_timeline": "export.export",
    "find_episodes": "timeline.episodes",
    "list_tracks": "timeline.tracks",
    "plot_timeline": "report.plot",
    "read_timeline": "timeline.read",
    "scan": "pipeline",
    "summarise": "timeline.summary",
    "write_report": "report.html",
    "write_timeline": "timeline.write",
}

__all__ = [  # noqa: RUF022 - the order of the table above, checked by a test
    "AnnotateOptions",
    "AnnotateReport",
    "EMOTIONS",
    "EmoscanError",
    "Emotion",
    "EpisodeOptions",
    "ExitCode",
    "ExportFormat",
    "ExportOptions",
    "Exported",
    "FaceRecord",
    "MediaKind",
    "MinFace",
    "PlotOptions",
    "PlotStyle",
    "Precision",
    "ReportOptions",
    "RunOptions",
    "ScanOptions",
    "ScanReport",
    "SummaryOptions",
    "TableFormat",
    "WrittenReport",
    "analyze_images",
    "analyze_video",
    "annotate_photos",
    "annotate_video",
    "edit_tracks",
    "export_timeline",
    "find_episodes",
    "list_tracks",
    "plot_timeline",
    "read_timeline",
    "scan",
    "summarise",
    "write_report",
    "write_timeline",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emoscan' has no attribute {name!r}")
    value = getattr(import_module(f"emoscan.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
