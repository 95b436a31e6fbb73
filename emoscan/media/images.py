"""Photos to Frames, with Pillow."""

import functools
import warnings

import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from emoscan.errors import MediaError
from emoscan.media.find import MediaFile
from emoscan.media.picture import OnDemand, Pixels
from emoscan.options import MinFace
from emoscan.types import Frame

# Only formats of photos: others of Pillow's start programs (EPS) or fetch files.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "HEIF")
BEHIND_ALPHA = (128, 128, 128, 255)
STRIP_PX = 2**17
FULL_SCALES = (1, 2**8 - 1, 2**16 - 1, 2**32 - 1)
# By what factors JPEG decoders shrink, and how large the least face must stay: what looks for it
# finds faces that are smaller by a third, too. Of some 800 faces in pictures that were read smaller
# those of 80 px and more there kept their class nearly as often as where a row and a column are cut
# off, smaller ones did not: the classifier's crops, of 48 px, average over more than one pixel.
SHRINKS = (8, 4, 2)
SHRUNK_FACE_PX = 128
# EXIF's orientations of pictures that need no turning, and of those that lie on their sides.
AS_STORED = (None, 1)
ON_THEIR_SIDES = (5, 6, 7, 8)


def read_photo(file: MediaFile, *, min_face: MinFace | None = None) -> Frame:
    """One photo, upright, as frame 0 without a time. Raises MediaError.

    Who looks for faces from a `min_face` on alone has a JPEG decoded at a half, a quarter or an
    eighth of its size where these stay SHRUNK_FACE_PX: in less time and memory.
    """
    try:
        pixels, shrunk = _read(file, min_face)
    except Image.DecompressionBombError as error:
        raise MediaError(
            f"{file.source} unpacks to more pixels than is safe: make it smaller."
        ) from error
    except UnidentifiedImageError as error:
        raise MediaError(_unidentified(file)) from error
    except Exception as error:  # broken files make decoders raise all sorts of errors
        raise MediaError(f"{file.source} cannot be read: {_reason(error)}.") from error
    height, width = pixels.shape[:2]
    return Frame(file.source, 0, None, width, height, OnDemand(lambda: pixels), shrunk)


def photo_size(file: MediaFile, *, min_face: MinFace | None = None) -> tuple[int, int]:
    """Width and height in px as `read_photo` reads it, but for any rotation, from the first bytes.

    (1, 1) where they do not tell.
    """
    _set_up_pillow()
    try:
        with Image.open(file.path, formats=FORMATS) as image:
            _shrink(image, min_face)
            return image.size
    except Exception:  # whoever reads the photo says what is wrong
        return 1, 1


def _read(file: MediaFile, min_face: MinFace | None) -> tuple[Pixels, int]:
    """The pixels, and how far they are shrunk."""
    _set_up_pillow()
    with Image.open(file.path, formats=FORMATS) as image:
        shrunk = _shrink(image, min_face)
        try:
            image.load()
        except Exception as error:
            if shrunk == 1 or isinstance(error, MemoryError):
                raise
            return _read(file, None)  # lossless JPEGs, say, have no smaller picture
        ImageOps.exif_transpose(image, in_place=True)  # else it copies what needs no turning
        return _rgb(image), shrunk


def _shrink(image: Image.Image, min_face: MinFace | None) -> int:
    """Have a JPEG decoded smaller; gives by what factor, 1 for other formats and small faces."""
    if min_face is None or not isinstance(image, JpegImageFile):
        return 1
    factor = _factor(image, min_face)
    drafted = factor > 1 and image.draft(None, (image.width // factor, image.height // factor))
    return factor if drafted else 1


def _factor(image: Image.Image, min_face: MinFace) -> int:
    """By how much a JPEG may be shrunk."""
    most = min(min_face.in_px(max(image.size)) / SHRUNK_FACE_PX, *image.size)
    factors = [by for by in SHRINKS if by <= most]
    if factors:  # by default there are none, and nobody looks at its EXIF
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        height_px = image.width if orientation in ON_THEIR_SIDES else image.height
        factors = [by for by in factors if by <= min_face.in_px(height_px) / SHRUNK_FACE_PX]
        if orientation not in AS_STORED:  # what is left over at an edge may not come first
            factors = [by for by in factors if image.width % by == image.height % by == 0]
    return max(factors, default=1)


@functools.cache
def _set_up_pillow() -> None:
    pi_heif.register_heif_opener()
    # Pillow warns from half the size on that it refuses. Not with catch_warnings around each
    # photo: filters are the whole process's, and photos are read in a thread.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def _rgb(image: Image.Image) -> Pixels:
    """(H, W, 3) uint8 of an image in any mode."""
    if image.mode.startswith(("I", "F")):
        return np.repeat(_eight_bits(image)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, BEHIND_ALPHA)
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    # `convert` would copy an image that is RGB already.
    return _pixels(image if image.mode == "RGB" else image.convert("RGB"))


def _pixels(image: Image.Image) -> Pixels:
    """(H, W, 3) of an RGB image, a strip after the other.

    Pillow hands an array over by way of two copies, which for a large photo take longer than
    its decoding unless they stay in the cache.
    """
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP_PX // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def _eight_bits(image: Image.Image) -> Pixels:
    """(H, W) uint8 of a grayscale image with more bits, scaled: Pillow's convert clips."""
    values: NDArray[np.float64] = np.nan_to_num(np.asarray(image, np.float64)).clip(0)
    full_scale = float(2**16 - 1) if "16" in image.mode else _full_scale(float(values.max()))
    return np.rint(values / full_scale * 255).astype(np.uint8)


def _full_scale(peak: float) -> float:
    """The value of white, which 32-bit modes do not tell: the least usual one above the peak."""
    return next((float(scale) for scale in FULL_SCALES if peak <= scale), peak)


def _unidentified(file: MediaFile) -> str:
    if file.path.stat().st_size == 0:
        return f"{file.source} is empty."
    return f"{file.source} is not a photo in a format that can be read."


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).rstrip(".") or type(error).__name__
