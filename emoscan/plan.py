"""Which table each input goes to: settled, and refused if need be, before any work starts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import OutputError, UsageError
from emoscan.media.find import MediaFile
from emoscan.options import STANDARD_OUTPUT, RunOptions, TableFormat
from emoscan.timeline.writers import format_of

TIMELINES = "timelines"


@dataclass(frozen=True, slots=True)
class Plan:
    """`outputs` holds one path an input, in their order; None where rows go to stdout."""

    table_format: TableFormat
    outputs: tuple[Path | None, ...]

    @property
    def streams(self) -> bool:
        """Whether the rows go to stdout."""
        return None in self.outputs


def plan_videos(named: Sequence[Path], files: Sequence[MediaFile], run: RunOptions) -> Plan:
    """One table a video: `--out` itself for a single one, else a folder of timelines.

    Raises UsageError where two videos would share a table or --out does not fit, OutputError
    where a table exists and is not to be replaced.
    """
    if run.out == STANDARD_OUTPUT:
        return Plan(format_of(run.out, run.format), (None,) * len(files))
    if len(named) == 1 and [file.path for file in files] == [named[0]]:
        return plan_table(named[0].stem, run)
    table_format = run.format or TableFormat.PARQUET
    folder = _timelines_folder(named, run.out)
    outputs = [folder / f"{file.source}.{table_format.value}" for file in files]
    _refuse_shared(outputs)
    _refuse_existing(outputs, run)
    return Plan(table_format, tuple(outputs))


def plan_table(stem: str, run: RunOptions) -> Plan:
    """One table for everything: `--out`, or `<stem>.emotions.parquet` in the current folder."""
    if run.out and Path(run.out).is_dir():
        example = Path(run.out) / f"{stem}.parquet"
        raise UsageError(f"--out {run.out} is a folder; name a file such as {example}.")
    table_format = format_of(run.out, run.format)
    if run.out == STANDARD_OUTPUT:
        return Plan(table_format, (None,))
    out = Path(run.out or f"{stem}.emotions.{table_format.value}")
    _refuse_existing([out], run)
    return Plan(table_format, (out,))


def _timelines_folder(named: Sequence[Path], out: str | None) -> Path:
    if out is None:
        stem = named[0].resolve().name if len(named) == 1 else "videos"
        return Path(f"{stem}.emotions") / TIMELINES
    if Path(out).suffix.lstrip(".") in list(TableFormat) or Path(out).is_file():
        raise UsageError(f"For several videos --out is a folder, not a file such as {out}.")
    return Path(out) / TIMELINES


def _refuse_shared(outputs: Sequence[Path]) -> None:
    shared = [str(path) for path, count in Counter(outputs).items() if count > 1]
    if shared:
        raise UsageError(
            f"Two of these videos would share the table {shared[0]}; "
            "name a folder above both, or scan them one after the other."
        )


def _refuse_existing(outputs: Sequence[Path], run: RunOptions) -> None:
    existing = [path for path in outputs if path.exists()]
    if existing and not run.overwrite:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise OutputError(f"{existing[0]} exists already{more}; add --overwrite to replace it.")
