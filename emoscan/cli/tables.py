"""Tables of results: on a terminal to be read, elsewhere as CSV, Parquet or JSON."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from emoscan.cli.console import TerminalOptions, plain, write_data
from emoscan.emotions import EMOTIONS, Emotion
from emoscan.errors import UsageError
from emoscan.media.find import counted
from emoscan.options import STANDARD_OUTPUT, option
from emoscan.palette import COLOURS
from emoscan.report.words import clock
from emoscan.timeline.options import EpisodeOptions, SummaryOptions

if TYPE_CHECKING:
    import pandas as pd

    from emoscan.timeline.results import ResultFormat

MOST_ROWS_SHOWN = 60
LONGEST_SOURCE = 24
_SUFFIXES = ".csv, .parquet, .json or .jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """Where a table goes, and as what."""

    out: Path | None = option(
        None,
        f"The table's file, whose suffix is its format: {_SUFFIXES}. Default: stdout, as CSV "
        "unless that is a terminal.",
        flags=("--out", "-o"),
        metavar="FILE",
    )
    overwrite: bool = option(False, "Replace a file that exists.", flags=("--overwrite",))
    as_csv: bool = option(False, "CSV to stdout.", flags=("--csv",))
    as_parquet: bool = option(False, "Parquet to stdout, for a pipe.", flags=("--parquet",))
    as_json: bool = option(False, "JSON to stdout: an array of objects.", flags=("--json",))

    def __post_init__(self) -> None:
        flags = [name for name in ("csv", "parquet", "json") if getattr(self, f"as_{name}")]
        if len(flags) > 1:
            raise UsageError(f"--{flags[0]} and --{flags[1]} are two formats; choose one.")
        if not self.file:
            return
        told = self.file.suffix.lower().removeprefix(".")
        if told not in ("csv", "parquet", "json", "jsonl"):
            raise UsageError(f"“{self.file}” tells no format; end it with {_SUFFIXES}.")
        if flags and flags[0] != told.removesuffix("l"):
            raise UsageError(f"“{self.file}” is at odds with --{flags[0]}; change one of them.")

    @property
    def file(self) -> Path | None:
        """The file that is to be written; None for stdout."""
        return None if self.out is None or str(self.out) == STANDARD_OUTPUT else self.out

    @property
    def flag(self) -> str | None:
        """The format that was asked for by its name."""
        return next(
            (name for name in ("csv", "parquet", "json") if getattr(self, f"as_{name}")), None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where results and sentences go."""

    console: Console
    table: TableOptions
    terminal: TerminalOptions

    def say(self, sentence: str) -> None:
        """Something worth knowing, on stderr."""
        if not self.terminal.quiet:
            self.console.print(Text(plain(sentence), style="dim"))


def put_episodes(timelines: Sequence[Path], options: EpisodeOptions, output: Output) -> None:
    """`emoscan episodes`."""
    _refuse_input_as_output(timelines, output.table)
    from emoscan.timeline.episodes import COLUMNS, find_episodes, sampling_notes
    from emoscan.timeline.several import read_timelines

    rows = read_timelines(timelines)
    episodes = find_episodes(rows, options)
    about = _metadata("episodes", rows, options.as_dict(), COLUMNS)
    _say_all([*rows.attrs["notes"], *sampling_notes(rows, options)], output)
    _put(episodes, about, draw=draw_episodes, output=output, noun="episode")
    if not len(episodes):
        output.say(_why_no_episode(rows))


def _why_no_episode(rows: "pd.DataFrame") -> str:
    from emoscan.timeline.schema import Status

    faces = rows[rows["status"] == Status.FACE]
    if not len(faces):
        return "No face was found in these timelines, so there are no episodes."
    if not faces["track"].notna().any():
        return "No face in these timelines has a track, which episodes are told by."
    return "No expression is that strong or lasts that long; lower --high, --low or --min-duration."


def put_summary(timelines: Sequence[Path], options: SummaryOptions, output: Output) -> None:
    """`emoscan summary`."""
    _refuse_input_as_output(timelines, output.table)
    from emoscan.timeline.several import read_timelines
    from emoscan.timeline.summary import summarise, summary_columns

    rows = read_timelines(timelines)
    summary = summarise(rows, options)
    about = _metadata("summary", rows, options.as_dict(), summary_columns(options))
    _say_all([*rows.attrs["notes"], *summary.attrs["notes"]], output)
    _put(summary, about, draw=draw_summary, output=output, noun="row")
    if not len(summary):
        output.say("There is nothing to sum up in these timelines.")
    elif _is_to_be_read(output.table):
        whole = "the face's time" if summary["face_s"].notna().any() else "the faces in the photos"
        output.say(f"Per cents are of {whole}, by likeliest class.")


def _refuse_input_as_output(timelines: Sequence[Path], table: TableOptions) -> None:
    out = table.file and table.file.resolve()
    if out in [path.resolve() for path in timelines]:
        raise UsageError(f"--out {table.out} is one of the timelines; choose another name.")


def _metadata(
    command: str, rows: "pd.DataFrame", options: dict[str, Any], columns: dict[str, str]
) -> dict[str, Any]:
    """How a table was made, and what its columns mean."""
    from importlib.metadata import version

    return {
        "command": f"emoscan {command}",
        "emoscan_version": version("emoscan"),
        "options": options,
        "timelines": rows.attrs["timelines"],
        "columns": columns,
    }


def _say_all(notes: Sequence[str], output: Output) -> None:
    for note in notes:
        output.say(note)


def _put(
    table: "pd.DataFrame",
    metadata: dict[str, Any],
    *,
    draw: "Callable[[pd.DataFrame], list[Column]]",
    output: Output,
    noun: str,
) -> None:
    from emoscan.timeline.results import ResultFormat, encode, write_result

    options = output.table
    if options.file:
        write_result(table, options.file, metadata, overwrite=options.overwrite)
        output.say(f"{counted(len(table), noun)} → {options.file}")
    elif not _is_to_be_read(options):
        result_format = ResultFormat(options.flag or "csv")
        _refuse_binary_on_a_terminal(result_format)
        write_data(encode(table, result_format, metadata))
    elif len(table):
        _show(table, draw, output)


def _is_to_be_read(options: TableOptions) -> bool:
    """Whether the table is shown to a person: nobody said what it should be, on a terminal."""
    return not options.flag and not options.out and sys.stdout.isatty()


def _refuse_binary_on_a_terminal(result_format: "ResultFormat") -> None:
    if result_format == "parquet" and sys.stdout.isatty():
        raise UsageError("Parquet is no text to read; name a file with --out.")


def _show(
    table: "pd.DataFrame", draw: "Callable[[pd.DataFrame], list[Column]]", output: Output
) -> None:
    """The table to be read, on stdout; what it leaves out, on stderr."""
    columns = draw(table.head(MOST_ROWS_SHOWN))
    wide, narrow = (_width(columns, gap) for gap in (2, 1))
    width = Console().width
    # Numbers are rather wrapped by the terminal than broken. Without a height, rich takes no width
    # on terminals that tell nothing of themselves.
    screen = Console(
        no_color=output.terminal.no_color or None,
        highlight=False,
        width=max(width, narrow),
        height=len(table),
    )
    with screen.capture() as drawn:
        screen.print(_drawn(columns, gap=2 if wide <= width else 1))
    write_data(drawn.get())
    more = len(table) - MOST_ROWS_SHOWN
    rest = f"{counted(more, 'row')} more, and all columns" if more > 0 else "All columns"
    output.say(f"{rest}: --csv, or --out with a file. Scores are of apparent expression.")


@dataclass(frozen=True, slots=True)
class Column:
    """A column to be read: its heading, its cells, and how they stand."""

    heading: Text | str
    cells: list[Text]
    justify: JustifyMethod = "right"

    def texts(self) -> list[str]:
        """All that is to be read."""
        return [str(self.heading), *map(str, self.cells)]


def _width(columns: Sequence[Column], gap: int) -> int:
    cells = [max(map(cell_len, column.texts())) for column in columns]
    return sum(cells) + gap * (len(cells) - 1)


def _drawn(columns: Sequence[Column], *, gap: int) -> Table:
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column.heading, justify=column.justify, no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def draw_episodes(episodes: "pd.DataFrame") -> list[Column]:
    """The columns of episodes that people read."""
    return [
        *_sources(episodes),
        *_faces(episodes),
        Column("emotion", [_coloured(name) for name in episodes["emotion"]], "left"),
        *(
            Column(name.removesuffix("_s"), _cells(episodes[name], clock))
            for name in ("onset_s", "apex_s", "offset_s")
        ),
        Column("lasts", _cells(episodes["duration_s"], "{:.2f} s".format)),
        *(Column(name, _cells(episodes[name], "{:.2f}".format)) for name in ("mean", "peak")),
    ]


def draw_summary(summary: "pd.DataFrame") -> list[Column]:
    """The columns of a summary that people read: above all the shares of time."""
    return [
        *_sources(summary),
        *_faces(summary),
        *_windows(summary),
        *_words(summary, "speech"),
        *_words(summary, "speaker"),
        Column("seen", _cells(summary["coverage"], percent)),
        *_face_times(summary),
        *(Column(_coloured(name), _cells(summary[f"{name}_share"], percent)) for name in EMOTIONS),
        Column("valence", _cells(summary["valence_index"], signed)),
        *_changes(summary),
    ]


def _windows(summary: "pd.DataFrame") -> list[Column]:
    """When each window begins, where a face has several of them."""
    if summary.groupby("source", dropna=False, observed=True)["start_s"].nunique().max() < 2:
        return []
    return [Column("from", _cells(summary["start_s"], clock))]


def _face_times(summary: "pd.DataFrame") -> list[Column]:
    if not summary["face_s"].notna().any():
        return []
    return [Column("time", _cells(summary["face_s"], "{:,.1f} s".format))]


def _changes(summary: "pd.DataFrame") -> list[Column]:
    name = "valence_index_change"
    return [Column("change", _cells(summary[name], signed))] if name in summary else []


def _sources(table: "pd.DataFrame") -> list[Column]:
    """Which video or photo, where there are several; of a long name its end."""
    if table["source"].nunique() < 2:
        return []
    (column,) = _words(table, "source")
    return [Column("source", [_end_of(cell) for cell in column.cells], "left")]


def _end_of(name: Text) -> Text:
    return name if len(name) <= LONGEST_SOURCE else Text("…") + name[1 - LONGEST_SOURCE :]


def _faces(table: "pd.DataFrame") -> list[Column]:
    """Whose face: the label, or the track."""
    if not (table["track"].notna() | table["label"].notna()).any():
        return []
    tracks = table["track"].astype("string").fillna("")
    names = [
        Text(plain(label) if isinstance(label, str) else track)
        for label, track in zip(table["label"], tracks, strict=True)
    ]
    return [Column("face", names, "left")]


def _words(table: "pd.DataFrame", name: str) -> list[Column]:
    if name not in table or not table[name].notna().any():
        return []
    words = [Text(plain(word) if isinstance(word, str) else "") for word in table[name]]
    return [Column(name, words, "left")]


def _cells(values: "pd.Series", show: Callable[[Any], str]) -> list[Text]:
    """What is absent is an empty cell."""
    return [Text("" if math.isnan(value) else show(value)) for value in values.tolist()]


def _coloured(emotion: str) -> Text:
    return Text(emotion, style=COLOURS[Emotion(emotion)])


def percent(share: float) -> str:
    """Whole per cents; what is there is never 0%."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def signed(value: float) -> str:
    """A difference, of which nothing is +0.00."""
    return f"{round(value, 2) + 0.0:+.2f}"
