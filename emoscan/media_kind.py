"""What a file's suffix says that it is: known to those that read media, and that refuse them."""

from enum import StrEnum


class MediaKind(StrEnum):
    """What a scan reads: each command reads one kind and passes over the other."""

    VIDEO = "video"
    PHOTO = "photo"

    @property
    def suffixes(self) -> frozenset[str]:
        """The lower-case file suffixes of this kind."""
        return _SUFFIXES[self]

    @property
    def other(self) -> "MediaKind":
        """The kind that this one is not."""
        return MediaKind.PHOTO if self is MediaKind.VIDEO else MediaKind.VIDEO

    @property
    def command(self) -> str:
        """The command that reads this kind."""
        return "emoscan video" if self is MediaKind.VIDEO else "emoscan folder"


_VIDEO_SUFFIXES = (
    ".3g2 .3gp .asf .avi .divx .dv .f4v .flv .h264 .hevc .ivf .m1v .m2t .m2ts .m2v .m4v .mjpeg "
    ".mkv .mov .mp4 .mpeg .mpg .mts .mxf .nut .ogm .ogv .qt .ts .vob .webm .wmv .y4m"
)
_PHOTO_SUFFIXES = (
    ".avif .bmp .gif .heic .heif .hif .jfif .jpe .jpeg .jpg .mpo .png .tif .tiff .webp"
)
_SUFFIXES = {
    MediaKind.VIDEO: frozenset(_VIDEO_SUFFIXES.split()),
    MediaKind.PHOTO: frozenset(_PHOTO_SUFFIXES.split()),
}
