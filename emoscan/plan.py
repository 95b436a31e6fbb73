"""Which table each input goes to: settled, and refused if need be, before any work starts."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import OutputError, UsageError
from emoscan.media.find import MediaFile
from emoscan.options import STANDARD_OUTPUT, RunOptions, Shard, TableFormat
from emoscan.timeline.disk import free_bytes, nearest_existing
from emoscan.timeline.writers import format_of

TIMELINES = "timelines"

# For tables of some hours, their parts, and the manifest.
LEAST_FREE_BYTES = 16 * 2**20

# File systems allow 255, and `.partial-2` and `.meta.json` have to fit as well.
MAX_NAME_BYTES = 230


@dataclass(frozen=True, slots=True)
class Plan:
    """`outputs` holds one path an input, in their order; None where rows go to stdout.

    `folder` is where the timelines of a batch lie, None where there is one table. Where that is
    `of_all` inputs, `outputs` holds it alone.
    """

    table_format: TableFormat
    outputs: tuple[Path | None, ...]
    folder: Path | None = None
    of_all: bool = False

    @property
    def streams(self) -> bool:
        """Whether the rows go to stdout."""
        return None in self.outputs


def plan_videos(named: Sequence[Path], files: Sequence[MediaFile], *, run: RunOptions) -> Plan:
    """One table a video: `--out` itself for a single one, else a folder of timelines.

    Raises UsageError where two videos would share a table or --out does not fit, OutputError
    where a table exists and is not to be replaced, or cannot be written.
    """
    is_single = len(files) == 1 and files[0].path in named
    if is_single or run.out == STANDARD_OUTPUT:
        return _plan_single(files, run=run, stem=files[0].path.stem)
    _refuse_equal_sources(files)
    table_format = run.format or TableFormat.PARQUET
    folder = _batch_folder(named, run.out)
    outputs = [folder / TIMELINES / f"{file.source}.{table_format.value}" for file in files]
    _check(outputs, files, run=run)
    return Plan(table_format, tuple(outputs), folder)


def _plan_single(files: Sequence[MediaFile], *, run: RunOptions, stem: str) -> Plan:
    """`--out` for a single video, or stdout for any."""
    table_format, out = _one_table(files, run=run, stem=stem)
    if out is None:
        return Plan(table_format, (None,) * len(files))
    _check([out], files, run=run)
    return Plan(table_format, (out,))


def plan_photos(named: Sequence[Path], files: Sequence[MediaFile], *, run: RunOptions) -> Plan:
    """One table for all photos, or one a shard: `--out`, or `<stem>.emotions.parquet`.

    Raises as `plan_videos`.
    """
    stem = _common_stem(named, default="photos")
    table_format, out = _one_table(files, run=run, stem=stem)
    if out and run.shard:
        out = sharded(out, run.shard)
    if out:
        _check_outputs([out], files, run=run)
    return Plan(table_format, (out,), of_all=True)


def sharded(out: Path, shard: Shard) -> Path:
    """What the table of a shard is called: `photos.3-of-8.parquet`."""
    return out.with_name(f"{out.stem}{_of_shard(shard)}{out.suffix}")


def unsharded(out: Path, shard: Shard | None) -> Path:
    """What was `sharded`; without a shard, the table itself."""
    stem = out.stem.removesuffix(_of_shard(shard)) if shard else out.stem
    return out.with_name(f"{stem}{out.suffix}")


def _of_shard(shard: Shard) -> str:
    return f".{shard.number}-of-{shard.of}"


def _one_table(
    files: Sequence[MediaFile], *, run: RunOptions, stem: str
) -> tuple[TableFormat, Path | None]:
    """Its format and where it goes: None is stdout."""
    _refuse_equal_sources(files)
    if run.out and _names_a_folder(run.out):
        example = Path(run.out) / f"{stem}.parquet"
        raise UsageError(f"--out {run.out} is a folder; name a file such as {example}.")
    table_format = format_of(run.out, run.format)
    if run.out == STANDARD_OUTPUT:
        return table_format, None
    return table_format, Path(run.out or f"{stem}.emotions.{table_format.value}")


def _common_stem(named: Sequence[Path], *, default: str) -> str:
    """The name of the one thing that was named, else the default."""
    only = named[0].resolve()
    if len(named) > 1 or not only.name:
        return default
    return only.name if only.is_dir() else only.stem


def _names_a_folder(out: str) -> bool:
    return out.endswith(("/", os.sep)) or Path(out).is_dir()


def _batch_folder(named: Sequence[Path], out: str | None) -> Path:
    if out is None:
        return Path(f"{_common_stem(named, default='videos')}.emotions")
    if Path(out).suffix.lstrip(".") in list(TableFormat) or Path(out).is_file():
        raise UsageError(f"For several videos, or a folder of them, --out is a folder, not {out}.")
    return Path(out)


def _refuse_equal_sources(files: Sequence[MediaFile]) -> None:
    """Rows and tables are told apart by their sources."""
    counts = Counter(file.source for file in files)
    shared = [source for source, count in counts.items() if count > 1]
    if shared:
        raise UsageError(
            f"Two inputs would both be called “{shared[0]}”; "
            "name a folder above both, or scan them one after the other."
        )


def _check(outputs: Sequence[Path], files: Sequence[MediaFile], *, run: RunOptions) -> None:
    if run.shard and len(outputs) == len(files):  # the others' tables are their business
        pairs = zip(outputs, files, strict=True)
        outputs = [out for out, file in pairs if run.shard.holds(file.source)]
    _check_outputs(outputs, files, run=run)


def _check_outputs(outputs: Sequence[Path], files: Sequence[MediaFile], *, run: RunOptions) -> None:
    _refuse_long_names(outputs)
    _refuse_inputs(outputs, files)
    _refuse_existing(outputs, run)
    _refuse_unwritable(outputs)


def _refuse_long_names(outputs: Sequence[Path]) -> None:
    long = [path for path in outputs if len(os.fsencode(path.name)) > MAX_NAME_BYTES]
    if long:
        raise UsageError(f"The table {long[0]} would have too long a name; shorten the input's.")


def _refuse_inputs(outputs: Sequence[Path], files: Sequence[MediaFile]) -> None:
    # Unlike Path.resolve it takes links in a circle.
    inputs = {os.path.realpath(file.path) for file in files}
    taken = [path for path in outputs if os.path.realpath(path) in inputs]
    if taken:
        raise UsageError(f"--out {taken[0]} is one of the inputs; choose another name.")


def _refuse_existing(outputs: Sequence[Path], run: RunOptions) -> None:
    if run.overwrite or run.resume:
        return
    existing = [path for path in outputs if path.exists()]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise OutputError(
            f"{existing[0]} exists already{more}; add --resume to go on with an earlier run, or "
            "--overwrite to replace what there is."
        )


def _refuse_unwritable(outputs: Sequence[Path]) -> None:
    """Better to learn now than after a night's work."""
    for folder in {path.parent for path in outputs}:
        nearest = nearest_existing(folder)
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            raise OutputError(
                f"{folder} cannot be written ({nearest} is no folder that takes files); "
                "choose another place with --out."
            )
        free = free_bytes(nearest)
        if free is not None and free < LEAST_FREE_BYTES:
            raise OutputError(
                f"{folder} has {free:,} bytes free, and a job wants {LEAST_FREE_BYTES:,} to begin; "
                "free some space, or choose another place with --out."
            )
