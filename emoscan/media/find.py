"""Paths that a user names to the media files behind them, in a stable order."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import NoMediaError
from emoscan.media_kind import MediaKind


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One file to read; `source` is its POSIX path relative to what the user named."""

    path: Path
    source: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the paths hold: `passed_over` files are of the other kind, `skipped` of no kind.

    `unreadable` are the folders that cannot be listed, and their files that cannot be looked at:
    POSIX paths relative to what the user named, or that itself.
    """

    files: tuple[MediaFile, ...]
    passed_over: int
    skipped: int
    unreadable: tuple[str, ...] = ()


def find_media(paths: Sequence[Path], kind: MediaKind, *, recursive: bool) -> Found:
    """Look for files of one kind in files, folders and glob patterns.

    Hidden files and folders inside a folder are left out, links to folders are followed once,
    a file that is met twice is taken once. A link that leads nowhere is taken, for it to fail;
    pipes, sockets and devices are not. A file that is named itself is taken whatever its
    suffix, unless that is one of the other kind. Raises NoMediaError where a path does not exist
    or nothing is found.
    """
    taken: dict[str, MediaFile] = {}
    unreadable: list[str] = []
    special: list[Path] = []
    passed_over = skipped = 0
    for file, named in _candidates(paths, unreadable, special, recursive=recursive):
        suffix = file.path.suffix.lower()
        if suffix in kind.other.suffixes:
            passed_over += 1
        elif named or suffix in kind.suffixes:
            taken.setdefault(os.path.abspath(file.path), file)  # noqa: PTH100 - links stay links
        else:
            skipped += 1
    skipped += len(special)
    found = Found(tuple(taken.values()), passed_over, skipped, tuple(unreadable))
    if not found.files:
        raise NoMediaError(_nothing_found(found, kind))
    return found


def _candidates(
    paths: Sequence[Path], unreadable: list[str], special: list[Path], *, recursive: bool
) -> Iterator[tuple[MediaFile, bool]]:
    """Every file behind the paths, and whether the user named it itself."""
    for path in expanded(paths):
        if path.is_dir():
            for inner in _walk(path, unreadable, special, recursive=recursive):
                yield MediaFile(inner, inner.relative_to(path).as_posix()), False
        elif path.is_file():
            yield MediaFile(path, path.name), True
        elif path.exists():
            raise NoMediaError(f"{path} is neither a file nor a folder.")
        else:
            raise NoMediaError(f"{path} does not exist.")


def expanded(paths: Sequence[Path]) -> list[Path]:
    """The paths, with patterns replaced by what they match: not every shell does that.

    Raises NoMediaError where a pattern matches nothing.
    """
    return [match for path in paths for match in _matches(path)]


def _matches(path: Path) -> list[Path]:
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - takes any root
    if not matches:
        raise NoMediaError(f"Nothing matches {path}.")
    return [Path(match) for match in matches]


def _walk(
    folder: Path, unreadable: list[str], special: list[Path], *, recursive: bool
) -> Iterator[Path]:
    """The files of a folder in the order of their names, each folder visited once."""

    def failed(error: OSError) -> None:
        path = Path(error.filename or folder)
        shown = folder if path == folder else path.relative_to(folder)
        unreadable.append(shown.as_posix())

    visited: set[str] = set()
    for name, folders, files in os.walk(folder, onerror=failed, followlinks=True):
        real = os.path.realpath(name)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(f for f in folders if recursive and not f.startswith("."))
        for file in sorted(files):
            path = Path(name, file)
            if not file.startswith(".") and _is_file(path, failed, special):
                yield path


def _is_file(path: Path, failed: Callable[[OSError], None], special: list[Path]) -> bool:
    """Whether it is one, or a link that leads nowhere: of a disk that is not there, perhaps."""
    try:
        if path.is_file() or not path.exists():
            return True
        special.append(path)
        return False
    except OSError as error:  # a folder may be open to listing and to nothing else
        failed(error)
        return False


def _nothing_found(found: Found, kind: MediaKind) -> str:
    words = _nothing_else(found, kind)
    if found.unreadable:
        first, *more = found.unreadable
        words += f" {first} cannot be read" + (f", nor can {len(more):,} more." if more else ".")
    return words


def _nothing_else(found: Found, kind: MediaKind) -> str:
    if found.passed_over:
        count = counted(found.passed_over, kind.other.value)
        return f"No {kind.value} was found, but {count}: use “{kind.other.command}” for those."
    if found.skipped:
        return f"No {kind.value} was found among {counted(found.skipped, 'file')}."
    if found.unreadable:
        return f"No {kind.value} was found."
    return f"No {kind.value} was found: there are no files."


def counted(count: int, noun: str) -> str:
    """`1 photo`, `1,234 photos`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
