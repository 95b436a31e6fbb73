"""Which video belongs to which timeline: by name, and where names do not tell, by order.

Whether it is the one that was scanned is for its contents to tell (`belongs.py`).
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from emoscan.errors import UsageError


def videos_of(sources: Sequence[str], videos: Sequence[Path]) -> dict[int, Path]:
    """The video of each source, by the source's place; some may have none.

    A folder stands for those of the videos that lie there under their sources' names. As many
    files as sources belong together in their order where names do not tell. Raises UsageError
    for a video that belongs to no source, or to several.
    """
    if not sources:
        raise UsageError("--video goes with timelines of videos, and here is none.")
    found: dict[int, Path] = {}
    for folder in (path for path in videos if path.is_dir()):
        found |= _in_folder(sources, folder)
    return found | _of_files(sources, [path for path in videos if not path.is_dir()])


def _in_folder(sources: Sequence[str], folder: Path) -> dict[int, Path]:
    found = {}
    for place, source in enumerate(sources):
        paths = (folder / name for name in (source, PurePosixPath(source).name))
        path = next((path for path in paths if path.is_file()), None)
        if path is not None and place in _called(sources, path):
            found[place] = path
    if not found:
        raise UsageError(f"--video {folder} holds no video of these timelines, as {sources[0]}.")
    return found


def _of_files(sources: Sequence[str], files: Sequence[Path]) -> dict[int, Path]:
    places = [_called(sources, file) for file in files]
    found = {own[0]: file for own, file in zip(places, files, strict=True) if len(own) == 1}
    if len(found) == len(files):
        return found
    if len(files) == len(sources):
        return dict(enumerate(files))
    for file, own in zip(files, places, strict=True):
        if len(own) != 1:
            count = f"{len(own)} of" if own else "None of"
            raise UsageError(
                f"{count} these {len(sources)} timelines are of a video called {file.name}; give "
                "--video for each of them, in their order, or the folder that was scanned."
            )
    raise UsageError("Two of the videos have the same name; give --video the folder of them.")


def _called(sources: Sequence[str], file: Path) -> list[int]:
    """The places of the sources of this name; of several those that end as its path does."""
    same = [place for place, name in enumerate(sources) if PurePosixPath(name).name == file.name]
    if len(same) < 2:
        return same
    path = file.absolute().as_posix()
    return [place for place in same if path.endswith(f"/{sources[place]}")] or same
