"""Photos drawn upon or hidden, in files that say nothing but what is to be seen."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from emoscan.errors import MediaError
from emoscan.media.find import MediaFile
from emoscan.media.images import read_photo
from emoscan.report.belongs import fits_in
from emoscan.report.draw import Drawing
from emoscan.report.hide import enlarged, hide
from emoscan.report.marks import photo_marks
from emoscan.report.options import AnnotateOptions
from emoscan.timeline.schema import Status
from emoscan.timeline.writers import whole_file

Pixels = NDArray[np.uint8]

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG"}
# Small letters and coloured lines stay crisp.
JPEG_OPTIONS = {"quality": 92, "subsampling": 0}


def photo_name(source: str) -> str:
    """The copy's path: the same, with `.jpg` behind what is written as another format."""
    return source if Path(source).suffix.lower() in FORMATS else f"{source}.jpg"


def photo_path(folder: Path, source: str) -> Path | None:
    """Where a photo lies; None where it is missing, or would lie outside of the folder."""
    relative = PurePosixPath(source)
    if relative.is_absolute() or ".." in relative.parts:
        return None
    path = folder / relative
    return path if path.is_file() else None


def annotate_photo(
    folder: Path, source: str, rows: pd.DataFrame, *, target: Path, options: AnnotateOptions
) -> int:
    """Write one copy, and return how many faces it shows or hides. Raises MediaError."""
    path = photo_path(folder, source)
    if path is None:
        raise MediaError(f"{source} is not in {folder}.")
    if (rows["status"] == Status.UNREADABLE).all():
        raise MediaError(f"{source} could not be read when it was scanned: scan it again.")
    frame = read_photo(MediaFile(path, source))
    if not fits_in(rows, width=frame.width, height=frame.height):
        raise MediaError(f"{source} is another picture than the one that was scanned.")
    marks, pixels = photo_marks(rows), frame.rgb()
    for mark in marks if options.hides else ():
        hide(pixels, enlarged(mark.box), pixelate=options.pixelate_faces)
    if options.boxes:
        Drawing().draw(pixels, marks)
    copy = target / photo_name(source)
    with whole_file(copy, overwrite=options.overwrite) as hidden:
        _write_photo(pixels, hidden, original=path, suffix=copy.suffix)
    return len(marks)


def _write_photo(pixels: Pixels, path: Path, *, original: Path, suffix: str) -> None:
    """Write (H, W, 3) uint8 RGB, in the format of a suffix.

    Of what is in the original beside its pixels (EXIF with its place and time, comments, a
    thumbnail with a face in it) only the colour profile is taken over: colours look the same.
    """
    format_name = FORMATS[suffix.lower()]
    options: dict[str, Any] = dict(JPEG_OPTIONS) if format_name == "JPEG" else {}
    profile = _rgb_profile(original)
    Image.fromarray(pixels).save(path, format_name, **options, icc_profile=profile)


def _rgb_profile(original: Path) -> bytes | None:
    """The profile of a photo that is stored as RGB: those of other colours would be wrong."""
    with Image.open(original) as image:
        profile = image.info.get("icc_profile")
    is_rgb = isinstance(profile, bytes) and profile[16:20] == b"RGB "
    return profile if is_rgb else None
