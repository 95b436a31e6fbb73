"""The files that an ELAN file points to, above all its video."""

import mimetypes
import os
from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import UsageError
from emoscan.timeline.named_tracks import readable

# Not the machine's own list, which differs from machine to machine.
_MIME_TYPES = mimetypes.MimeTypes()
ANY_VIDEO = "video/*"  # what ELAN writes where it does not know better


@dataclass(frozen=True, slots=True)
class MediaLink:
    """A video as ELAN's media descriptor wants it.

    ELAN takes what follows `file:` as a path, character by character, and writes it so itself:
    in a URL with %20 it would look for a file whose name holds “%20”.
    """

    path: Path
    is_there: bool
    url: str
    relative_url: str | None
    mime_type: str


def find_video(source: str, *, named: Path | None, beside: Path) -> Path | None:
    """`named`, else `source` or its last part in the folder `beside` or the current one.

    Raises UsageError where `named` is no file.
    """
    if named is not None:
        if not named.is_file():
            raise UsageError(f"--video {named} is not a file.")
        return named
    paths = [folder / name for folder in (beside, Path()) for name in (source, Path(source).name)]
    return next((path for path in paths if path.is_file()), None)


def media_link(video: Path | None, source: str, eaf: Path) -> MediaLink:
    """How `eaf` points to `video`; without one, to where ELAN looks first: beside itself."""
    path = video or eaf.parent / Path(source).name
    kind, _ = _MIME_TYPES.guess_type(path.name)
    return MediaLink(
        path=path,
        is_there=video is not None,
        url=file_url(path),
        relative_url=relative_url(path, eaf.parent),
        mime_type=kind or ANY_VIDEO,
    )


def configuration_path(eaf: Path) -> Path:
    """Where ELAN keeps which columns of linked tables are curves."""
    return eaf.with_name(f"{eaf.stem}_tsconf.xml")


def preferences_path(eaf: Path) -> Path:
    """Where ELAN keeps what a user sees of the document."""
    return eaf.with_suffix(".pfsx")


def file_url(path: Path) -> str:
    """The file as ELAN writes it."""
    return _text(f"file:///{path.absolute().as_posix().removeprefix('/')}")


def relative_url(path: Path, folder: Path) -> str | None:
    """The way from a folder to the file; None where there is none."""
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return None
    return _text(relative if relative.startswith("../") else f"./{relative}")


def _text(path: str) -> str:
    return readable(os.fsencode(path).decode("utf-8", "replace"))
