"""The commands that make something of timelines: tables, figures, pages, other programs' files.

Heavy modules are imported inside of them, as in `app.py`, which names them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from emoscan.cli.annotating import annotate_and_exit
from emoscan.cli.console import ProgressView, TerminalOptions, make_console
from emoscan.cli.endings import ending_in_a_sentence, listen_to_signals
from emoscan.cli.page import print_written
from emoscan.cli.parameters import MEDIA, TIMELINE, TIMELINES, takes_options
from emoscan.cli.products import print_export, print_plot
from emoscan.cli.tables import Output, TableOptions, put_episodes, put_summary
from emoscan.cli.tracks import list_or_edit
from emoscan.export.options import ExportOptions
from emoscan.report.options import AnnotateOptions
from emoscan.report.page_options import ReportOptions
from emoscan.report.plot_options import PlotOptions
from emoscan.timeline.options import EpisodeOptions, SummaryOptions
from emoscan.timeline.track_options import TrackOptions

# Commands whose result is a table take --json for that.
NO_REPORT = frozenset({"json"})


@takes_options(AnnotateOptions, TerminalOptions, arguments=(MEDIA, TIMELINE))
def annotate(
    media: Path, timeline: Path, options: AnnotateOptions, terminal: TerminalOptions
) -> None:
    """Draw a timeline onto a copy of its video or photos, or hide the faces there."""
    annotate_and_exit(media, timeline, options=options, terminal=terminal)


@takes_options(
    EpisodeOptions, TableOptions, TerminalOptions, without=NO_REPORT, arguments=(TIMELINES,)
)
def episodes(
    timelines: list[Path], options: EpisodeOptions, table: TableOptions, terminal: TerminalOptions
) -> None:
    """Find when each face's expressions begin, peak and end.

    An episode is a stretch of time in which one class is the likeliest and
    its smoothed score at least --low, and at some time at least --high.
    Onset and offset are known to half the smoothing and a frame.
    Scores are of apparent expression, not of what a person feels.
    """
    with _table_command(table, terminal) as output:
        put_episodes(timelines, options, output)


@takes_options(
    SummaryOptions, TableOptions, TerminalOptions, without=NO_REPORT, arguments=(TIMELINES,)
)
def summary(
    timelines: list[Path], options: SummaryOptions, table: TableOptions, terminal: TerminalOptions
) -> None:
    """Sum up each face's expressions: shares of time, means, quantiles, coverage.

    Everything is weighted by how long each frame was to be seen.
    Coverage is frames with a face ÷ readable frames; unreadable ones are
    counted apart. Where there is no face, figures are empty.
    Valence index: mean of happy − max(angry, disgust, fear, sad).
    Scores are of apparent expression, not of what a person feels.
    """
    with _table_command(table, terminal) as output:
        put_summary(timelines, options, output)


@takes_options(PlotOptions, EpisodeOptions, TerminalOptions, arguments=(TIMELINE,))
def plot(
    timeline: Path, options: PlotOptions, episodes: EpisodeOptions, terminal: TerminalOptions
) -> None:
    """Draw a timeline as a figure for print: scores over time, and episodes."""
    with _a_sentence_at_the_end(terminal) as console:
        from emoscan.report.plot import write_plot

        print_plot(write_plot(timeline, options, episodes), console=console, options=terminal)


@takes_options(ReportOptions, EpisodeOptions, TerminalOptions, arguments=(TIMELINES,))
def report(
    timelines: list[Path],
    options: ReportOptions,
    episodes: EpisodeOptions,
    terminal: TerminalOptions,
) -> None:
    """Write one HTML page about timelines: curves to zoom into, episodes, shares, quality."""
    with _a_sentence_at_the_end(terminal) as console:
        with ProgressView(console, terminal) as view:
            from emoscan.report.html import write_report

            written = write_report(timelines, options=options, episodes=episodes, listener=view)
        print_written(written, console=console, options=terminal)


@takes_options(ExportOptions, EpisodeOptions, TerminalOptions, arguments=(TIMELINE,))
def export(
    timeline: Path, options: ExportOptions, episodes: EpisodeOptions, terminal: TerminalOptions
) -> None:
    """Write a timeline for other programs: ELAN, Praat, subtitles, or a fixed step for R."""
    with _a_sentence_at_the_end(terminal) as console:
        from emoscan.export.export import export_timeline

        exported = export_timeline(timeline, options, episodes=episodes)
        print_export(exported, console=console, options=terminal)


@takes_options(TrackOptions, TerminalOptions, arguments=(TIMELINE,))
def tracks(timeline: Path, options: TrackOptions, terminal: TerminalOptions) -> None:
    """List the tracks of a timeline; merge, name and drop some of them into a new one."""
    with _a_sentence_at_the_end(terminal) as console:
        list_or_edit(timeline, options, terminal=terminal, console=console)


@contextmanager
def _table_command(table: TableOptions, terminal: TerminalOptions) -> Iterator[Output]:
    with _a_sentence_at_the_end(terminal) as console:
        yield Output(console=console, table=table, terminal=terminal)


@contextmanager
def _a_sentence_at_the_end(terminal: TerminalOptions) -> Iterator[Console]:
    console = make_console(terminal)
    with ending_in_a_sentence(console, terminal, lambda _: None):
        listen_to_signals()
        yield console


COMMANDS: tuple[Callable[..., None], ...] = (
    annotate,
    tracks,
    summary,
    episodes,
    plot,
    report,
    export,
)
