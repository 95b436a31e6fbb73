"""A contact sheet: every face of some photos, with its class and probabilities, for the eye.

    python -m benchmarks.contact_sheet PHOTOS --out sheet.png --expect FILE.json
    python -m benchmarks.contact_sheet PHOTOS --weights OLD --weights NEW
    python -m benchmarks.contact_sheet interview.mp4 --at 0.5 1.5

Each face is shown as the network gets it. FILE.json maps a photo, relative to its folder, to a list
of the classes that a careful look accepts for its faces, from left to right, as
{"friends.jpg": [["happy"], ["happy", "neutral"]]}; a frame of a video is named "interview.mp4@1.5".
Of videos only those that are named themselves are looked at, at the seconds after --at.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import crop_faces
from emoscan.emotions import EMOTIONS
from emoscan.errors import EmoscanError, MediaError, NoMediaError, UsageError
from emoscan.faces.mtcnn import FaceDetector
from emoscan.media.find import find_media
from emoscan.media.images import read_photo
from emoscan.media.video import open_video
from emoscan.media_kind import MediaKind
from emoscan.options import ScanOptions
from emoscan.runtime import choose_runtime
from emoscan.types import Frame

CROP_PX = 192
GAP_PX = 12
LINE_PX = 15
BAR_LINE_PX = 12
BARS_LEFT_PX, BARS_RIGHT_PX = 50, 166
FRAME_PX = 4
CELL_WIDTH_PX = CROP_PX + GAP_PX
CELL_HEIGHT_PX = 2 * LINE_PX + CROP_PX + len(EMOTIONS) * BAR_LINE_PX + GAP_PX
COLUMNS = 8  # of all sheets together

WHITE, BLACK, GRAY, BLUE = "#ffffff", "#202020", "#b8c0c8", "#3b6ea8"
GREEN, RED = "#1a7f37", "#c62828"

Expected = Mapping[str, Sequence[frozenset[str]]]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face as one classifier sees it.

    `crop` is (side, side) uint8, `probabilities` (7,); `accepted` are the classes that count as
    right, None where nobody said.
    """

    title: str
    crop: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    accepted: frozenset[str] | None = None

    @property
    def emotion(self) -> str:
        """The likeliest class."""
        return EMOTIONS[int(self.probabilities.argmax())]

    @property
    def is_hit(self) -> bool | None:
        """Whether the likeliest class is accepted; None where nobody said what is."""
        return None if self.accepted is None else self.emotion in self.accepted


@dataclass(frozen=True, slots=True)
class Hits:
    """How many of the expected faces were classified as expected."""

    count: int
    expected: int

    def __str__(self) -> str:
        return f"{self.count} of {self.expected} as expected"


def read_expected(path: Path) -> Expected:
    """Photo to accepted classes, face by face. Raises UsageError where the file is not that."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {source: [_accepted(face) for face in faces] for source, faces in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} does not say what is expected: {error}.") from error


def _accepted(face: str | list[str]) -> frozenset[str]:
    classes = frozenset([face] if isinstance(face, str) else face)
    if not classes or not classes <= set(EMOTIONS):
        raise ValueError(f"{face!r} is not a list of some of {', '.join(EMOTIONS)}")
    return classes


def frames_of(paths: Sequence[Path], at_s: Sequence[float]) -> Iterator[Frame]:
    """The photos behind the paths, then the frames of the videos among them at some seconds.

    Raises NoMediaError where there is none, UsageError for videos without seconds.
    """
    videos = [path for path in paths if path.suffix.lower() in MediaKind.VIDEO.suffixes]
    if videos and not at_s:
        raise UsageError(f"Name the seconds of {videos[0]} to look at with --at.")
    if photos := [path for path in paths if path not in videos]:
        yield from _photos(photos)
    for path in videos:
        yield from _moments(path, at_s)


def _photos(paths: Sequence[Path]) -> Iterator[Frame]:
    for file in find_media(paths, MediaKind.PHOTO, recursive=True).files:
        try:
            yield read_photo(file)
        except MediaError as error:  # the others can still be looked at
            print(error, file=sys.stderr)


def _moments(path: Path, at_s: Sequence[float]) -> Iterator[Frame]:
    """The first frame at or after each of the seconds."""
    file = find_media([path], MediaKind.VIDEO, recursive=False).files[0]
    with open_video(file) as video:
        for second in at_s:
            frames = video.frames(ScanOptions(start_s=second))
            frame = next((item for item in frames if isinstance(item, Frame)), None)
            if frame is None:
                raise UsageError(f"{path} has no frame at or after {second:g} s.")
            yield replace(frame, source=f"{file.source}@{second:g}")


class Viewer:
    """The detector and some classifiers, and what they make of frames."""

    def __init__(
        self, weights: Sequence[Path | None], *, device: str, expected: Expected | None = None
    ) -> None:
        """Load the networks. Raises UsageError for the device, MissingPartError for weights."""
        runtime = choose_runtime(device)
        self.classifiers = [EmotionClassifier(runtime, path) for path in weights]
        self.faces: list[list[Face]] = [[] for _ in weights]
        self._detector = FaceDetector(runtime)
        self._min_face = ScanOptions().min_face
        self._expected = expected or {}
        self._seen: set[str] = set()

    def look_at(self, frame: Frame) -> int:
        """Add the faces of a frame from left to right; how many there are."""
        least_px = self._min_face.in_px(frame.height)
        faces = self._detector.detect([frame.rgb()], min_faces_px=[least_px])[0]
        order = np.argsort(faces.boxes[:, 0] + faces.boxes[:, 2], kind="stable")
        boxes, landmarks = faces.boxes[order], faces.landmarks[order]
        for classifier, seen in zip(self.classifiers, self.faces, strict=True):
            crops = crop_faces(frame.gray(), boxes, classifier.about.crop, landmarks=landmarks)
            seen.extend(self._faces(frame.source, crops, classifier))
        self._seen.add(frame.source)
        return len(boxes)

    def _faces(
        self, source: str, crops: NDArray[np.uint8], classifier: EmotionClassifier
    ) -> list[Face]:
        probabilities = classifier.classify_crops(crops).probabilities
        accepted: Sequence[frozenset[str] | None] = self._expected.get(source, ())
        if len(accepted) != len(crops):  # nobody knows which face is which
            accepted = [None] * len(crops)
        titles = [source if len(crops) == 1 else f"{source} {i + 1}" for i in range(len(crops))]
        return [Face(*of) for of in zip(titles, crops, probabilities, accepted, strict=True)]

    def hits(self, faces: Sequence[Face]) -> Hits | None:
        """Of all faces that were expected in the frames seen, found or not; None without."""
        expected = sum(len(of) for source, of in self._expected.items() if source in self._seen)
        return Hits(sum(face.is_hit is True for face in faces), expected) if expected else None

    def problems(self, found: Mapping[str, int]) -> Iterator[str]:
        """What stands in the way of counting hits; `found` are numbers of faces by source."""
        if absent := [source for source in self._expected if source not in found]:
            yield f"Expected and not there, so not counted: {', '.join(absent)}."
        for source, faces in self._expected.items():
            if source in found and found[source] != len(faces):
                yield (
                    f"{source}: {found[source]} faces found, {len(faces)} expected; which is which "
                    "is not known, so all of these are misses."
                )


def draw_sheet(faces: Sequence[Face], heading: str, *, columns: int) -> Image.Image:
    """The faces row by row under a heading, RGB."""
    rows = -(-len(faces) // columns)
    size = (GAP_PX + columns * CELL_WIDTH_PX, 2 * GAP_PX + LINE_PX + rows * CELL_HEIGHT_PX)
    sheet = Image.new("RGB", size, WHITE)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP_PX, GAP_PX // 2), _fitting(heading, size[0] - GAP_PX, 14), BLACK, _font(14))
    for index, face in enumerate(faces):
        left = GAP_PX + index % columns * CELL_WIDTH_PX
        top = 2 * GAP_PX + LINE_PX + index // columns * CELL_HEIGHT_PX
        sheet.paste(draw_face(face), (left, top))
    return sheet


def draw_face(face: Face) -> Image.Image:
    """The crop between its title and its class, then a bar a class, RGB."""
    cell = Image.new("RGB", (CROP_PX, CELL_HEIGHT_PX - GAP_PX), WHITE)
    draw = ImageDraw.Draw(cell)
    colour = {None: BLACK, True: GREEN, False: RED}[face.is_hit]
    draw.text((0, 0), _fitting(face.title, CROP_PX, 11), BLACK, _font(11))
    crop = Image.fromarray(face.crop).resize((CROP_PX, CROP_PX), Image.Resampling.NEAREST)
    cell.paste(crop, (0, LINE_PX))
    if face.is_hit is not None:
        draw.rectangle((0, LINE_PX, CROP_PX - 1, LINE_PX + CROP_PX - 1), None, colour, FRAME_PX)
    draw.text((0, LINE_PX + CROP_PX), _caption(face), colour, _font(12))
    for line in range(len(EMOTIONS)):
        _draw_bar(draw, face, line)
    return cell


def _caption(face: Face) -> str:
    # In words too: not everyone sees green and red apart.
    word = {None: "", True: "hit: ", False: "miss: "}[face.is_hit]
    return f"{word}{face.emotion} {face.probabilities.max():.0%}"


def _draw_bar(draw: ImageDraw.ImageDraw, face: Face, line: int) -> None:
    top = 2 * LINE_PX + CROP_PX + line * BAR_LINE_PX
    emotion, share = EMOTIONS[line], float(face.probabilities[line])
    is_accepted = emotion in (face.accepted or ())
    draw.text((0, top), emotion, GREEN if is_accepted else BLACK, _font(10))
    right = BARS_LEFT_PX + round(share * (BARS_RIGHT_PX - BARS_LEFT_PX))
    colour = BLUE if emotion == face.emotion else GRAY
    draw.rectangle((BARS_LEFT_PX, top + 2, right, top + BAR_LINE_PX - 3), colour)
    draw.text((right + 4, top), f"{100 * share:.0f}", BLACK, _font(10))


def _font(size_px: int) -> Any:
    return ImageFont.load_default(size_px)


def _fitting(text: str, width_px: int, size_px: int) -> str:
    """The end of a text that is too long: there file names differ."""
    font = _font(size_px)
    kept = text
    while font.getlength(kept) > width_px:
        text = text[1:]
        kept = f"…{text}"
    return kept


def side_by_side(sheets: Sequence[Image.Image]) -> Image.Image:
    """One picture of sheets of equal height, from left to right."""
    whole = Image.new("RGB", (sum(s.width for s in sheets), max(s.height for s in sheets)), WHITE)
    left = 0
    for sheet in sheets:
        whole.paste(sheet, (left, 0))
        left += sheet.width
    return whole


def make_sheet(args: argparse.Namespace) -> Image.Image:
    """Look at everything, print a line a file and the hits, and draw. Raises EmoscanError."""
    expected = read_expected(args.expect) if args.expect else None
    viewer = Viewer(args.weights or [None], device=args.device, expected=expected)
    found = {}
    for frame in frames_of(args.paths, args.at):
        found[frame.source] = viewer.look_at(frame)
        print(f"{frame.source}: {_counted(found[frame.source])}")
    if not any(found.values()):
        raise NoMediaError("No face was found.")
    for problem in viewer.problems(found):
        print(problem)
    columns = args.columns or max(1, COLUMNS // len(viewer.classifiers))
    sheets = []
    for classifier, faces in zip(viewer.classifiers, viewer.faces, strict=True):
        heading = _heading(classifier, viewer.hits(faces))
        print(heading)
        sheets.append(draw_sheet(faces, heading, columns=columns))
    return side_by_side(sheets)


def _counted(faces: int) -> str:
    return f"{faces or 'no'} face{'' if faces == 1 else 's'}"


def _heading(classifier: EmotionClassifier, hits: Hits | None) -> str:
    name = f"{classifier.about.model_id} ({classifier.sha256[:8]})"
    return name if hits is None else f"{name}: {hits}"


def main(words: Sequence[str] | None = None) -> None:
    """Write the sheet, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", type=Path, nargs="+", help="folders, photos, videos")
    parser.add_argument("--out", type=Path, default=Path("contact_sheet.png"), help="a PNG")
    parser.add_argument(
        "--weights", type=Path, action="append", help="repeated, sheets side by side"
    )
    parser.add_argument("--expect", type=Path, help="JSON: photo to accepted classes")
    parser.add_argument("--at", type=float, nargs="+", default=[], help="seconds, for videos")
    parser.add_argument("--columns", type=int, help="faces in a row of each sheet")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args(words)
    try:
        sheet = make_sheet(args)
    except EmoscanError as error:
        parser.exit(int(error.exit_code), f"{error}\n")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out)
    print(f"{args.out}: {sheet.width}×{sheet.height} px")


if __name__ == "__main__":
    main()
