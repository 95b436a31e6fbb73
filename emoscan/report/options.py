"""What a user can set of what is made from timelines: light, for the command line's help."""

from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import UsageError
from emoscan.options import convert, option


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """How a copy of a video or of photos is made. Raises UsageError where choices contradict."""

    out: Path | None = option(
        None,
        "The copy: .mp4 or .mkv; for photos a folder. Default: NAME.annotated.mp4, or "
        "NAME.annotated/ for photos, in the current folder.",
        flags=("--out", "-o"),
        metavar="PATH",
    )
    blur_faces: bool = option(
        False,
        "Hide the faces by a blur beyond recognition. Faces that the detector missed stay visible!",
        flags=("--blur-faces",),
    )
    pixelate_faces: bool = option(
        False,
        "Hide them under a few large squares instead. What is missed stays visible here too!",
        flags=("--pixelate-faces",),
    )
    boxes: bool = option(
        True,
        "Draw boxes, numbers and scores; without them the copy only hides faces.",
        flags=("--boxes/--no-boxes",),
    )
    audio: bool = option(
        True,
        "Keep the sound; voices tell who speaks, hidden face or not.",
        flags=("--audio/--no-audio",),
    )
    overwrite: bool = option(False, "Replace an output that exists.", flags=("--overwrite",))

    def __post_init__(self) -> None:
        convert(self, "out", Path)
        if self.blur_faces and self.pixelate_faces:
            raise UsageError("Use --blur-faces or --pixelate-faces, not both.")
        if not self.boxes and not self.hides:
            raise UsageError(
                "--no-boxes alone would change nothing: add --blur-faces or --pixelate-faces."
            )

    @property
    def hides(self) -> bool:
        """Whether faces are hidden."""
        return self.blur_faces or self.pixelate_faces
