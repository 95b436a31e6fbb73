"""A long input in parts, each a table of its own from the moment it is whole.

They lie beside the table that is being made, in a hidden folder that goes when the table is there.
A run that goes on begins after the last whole part.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from emoscan.batch.identity import Fingerprint
from emoscan.batch.lock import LOCK_FILE, locked
from emoscan.errors import UsageError
from emoscan.options import TableFormat
from emoscan.timeline.read import read_metadata, read_records
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.writers import TableWriter, open_table

# Of a part, which is read from its beginning to its end, if ever: rows need not wait for more.
ROW_GROUP_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Part:
    """A whole part: `next_start` is where the input goes on, `damage` what was wrong so far.

    `tracker` is what the tracker knew there; None for photos.
    """

    path: Path
    next_start: int
    damage: tuple[str, ...]
    tracker: dict[str, Any] | None = None

    def damage_so_far(self) -> tuple[str, ...]:
        """Its damage for whoever goes on after it: the decoder may have been a little ahead."""
        return tuple(f"Up to about frame {self.next_start:,}: {text}" for text in self.damage)

    def rows(self) -> Iterator[list[FaceRecord]]:
        """Its rows, in lists. Raises UsageError."""
        return read_records(self.path)


class Parts:
    """The parts of one table; a context manager that keeps other runs away from them."""

    def __init__(self, out: Path, making: Mapping[str, Any], *, owner: str = "") -> None:
        """`making` is what parts have to agree on to belong together, `owner` whose they are."""
        self.folder = _folder(out)
        self._owner = owner
        self._making = dict(making)
        self._whole: dict[int, Part] = {}
        self._number = 0
        self._writer: TableWriter | None = None
        self._gave_up = False
        self._lock = ExitStack()

    def __enter__(self) -> Self:
        self._lock.enter_context(locked(self.folder / LOCK_FILE))
        return self

    def __exit__(self, *_: object) -> None:
        """A part that is not whole goes; those that are stay."""
        self.give_up()
        self._lock.close()
        if not self._whole:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def is_open(self) -> bool:
        """Whether a part is at hand that is not whole yet."""
        return self._writer is not None

    def take_up(self, input_of: Callable[[int], Fingerprint | None]) -> Sequence[Part]:
        """The whole parts of an earlier run, from the first on, as far as they follow each other.

        `input_of` tells what the part of a number is made of now. The next `write` continues after
        them.
        """
        while (part := self._read(self._number, input_of)) is not None:
            self._whole[self._number] = part
            self._number += 1
        return tuple(self._whole.values())

    def go_to(self, number: int) -> None:
        """The next `write` begins the part of this number, which may be there already."""
        self._number = number

    def write(self, rows: Sequence[FaceRecord]) -> None:
        """Take more rows of the part at hand. Raises OutputError."""
        if self._gave_up:
            return
        if self._writer is None:
            path = self._path(self._number)
            self._writer = open_table(
                path,
                TableFormat.PARQUET,
                overwrite=True,
                owner=self._owner,
                row_group_rows=ROW_GROUP_ROWS,
            )
        self._writer.write(rows)

    def close_part(
        self,
        *,
        next_start: int,
        damage: Sequence[str],
        input_: Fingerprint,
        tracker: dict[str, Any] | None = None,
    ) -> bool:
        """The part at hand is whole: whether it is kept. Raises OutputError."""
        if self._writer is None:  # it gave up
            return False
        number = self._number
        about = {
            "number": number,
            "next_start": next_start,
            "damage": list(damage),
            "input": input_.as_dict(),
            "tracker": tracker,
        }
        self._writer.commit(self._making | {"part": about})
        self._writer = None
        self._whole[number] = Part(self._path(number), next_start, tuple(damage), tracker)
        self._number += 1
        return True

    def give_up(self) -> None:
        """The part at hand goes, and no other begins."""
        if self._writer is not None:
            self._writer.discard()
        self._writer, self._gave_up = None, True

    def remove(self) -> None:
        """The table is there: they are not wanted any more."""
        self._whole.clear()

    @staticmethod
    def sweep(out: Path) -> None:
        """Remove the parts of a table that is there, if a run died before it could."""
        shutil.rmtree(_folder(out), ignore_errors=True)

    def _path(self, number: int) -> Path:
        # Parquet, but patterns such as timelines/**/*.parquet must not meet them.
        return self.folder / f"{number:05}.part"

    def _read(self, number: int, input_of: Callable[[int], Fingerprint | None]) -> Part | None:
        path = self._path(number)
        with suppress(UsageError, KeyError, TypeError):
            metadata = read_metadata(path, TableFormat.PARQUET)
            about = metadata["part"]
            agrees = all(metadata.get(name) == value for name, value in self._making.items())
            made_of, now = Fingerprint.from_dict(about["input"]), input_of(number)
            if agrees and about["number"] == number and now and now.fits(made_of):
                for _ in read_records(path):  # a page of it may be broken: better to learn now
                    pass
                return Part(
                    path, int(about["next_start"]), tuple(about["damage"]), about.get("tracker")
                )
        return None


def _folder(out: Path) -> Path:
    return out.with_name(f".{out.name}.parts")
