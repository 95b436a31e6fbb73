"""What the detector does to the classifier: FER2013's images, found again and cut out again.

    python -m training.redetect --data DIR --out redetect.json

Photos and videos reach the classifier as squares around the detector's boxes, FER2013 as its
authors cut it. So its images are enlarged, padded with their own edge, and sent through the
detector and the crop as any photo; what is right then is set beside what is right on the same
images as they are. With --split public, the default, what follows may be chosen by it.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import CropSettings, crop_faces
from emoscan.errors import EmoscanError, UsageError
from emoscan.faces.mtcnn import FaceDetector
from emoscan.options import FER2013_HELP, EvaluationSplit
from emoscan.runtime import choose_runtime
from emoscan.types import Faces
from training.evaluate import OFFICIAL
from training.fer2013 import LabelledImages, check_side, find_data, load_dataset
from training.metrics import accuracy_figures
from training.report import set_name
from training.state import refusing_in_a_sentence

SCALED_PX = 192
MARGIN_PX = 96
PICTURE_PX = SCALED_PX + 2 * MARGIN_PX
MIN_FACE_PX = 40
CHUNK_IMAGES = 64
LANDMARKS = 5
LIMIT_SEED = 0
NOTHING = "–"

Images = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Figures = dict[str, Any]


def picture_of(image: Images, *, turn_deg: float = 0.0) -> Images:
    """(384, 384) gray picture with the (48, 48) image in its middle, 192 px large.

    Around it lies its own edge, repeated. `turn_deg` turns the picture about its centre,
    counter-clockwise as one looks at it.
    """
    scaled = cv2.resize(image, (SCALED_PX, SCALED_PX), interpolation=cv2.INTER_CUBIC)
    margins = (MARGIN_PX,) * 4
    picture = cv2.copyMakeBorder(scaled, *margins, borderType=cv2.BORDER_REPLICATE)
    if not turn_deg:  # another interpolation would blur
        return np.asarray(picture, np.uint8)
    centre = ((PICTURE_PX - 1) / 2, (PICTURE_PX - 1) / 2)
    return turned(np.asarray(picture, np.uint8), turn_deg, centre=centre)


def turned(picture: Images, deg: float, *, centre: tuple[float, float]) -> Images:
    """An (H, W) picture of the same size, turned counter-clockwise about the pixel (x, y)."""
    matrix = cv2.getRotationMatrix2D(centre, deg, 1.0)
    size = picture.shape[::-1]
    out = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(out, np.uint8)


def redetect(
    images: Images, detector: FaceDetector, *, turn_deg: float = 0.0
) -> tuple[Boxes, Boxes]:
    """Where the detector finds the faces of (N, 48, 48) images, in px of their `picture_of`.

    Gives boxes (N, 4) float32 x0 y0 x1 y1 and landmarks (N, 5, 2) float32, rows of NaN where none
    is found. Of several faces, the one nearest the picture's centre counts.
    """
    boxes = np.full((len(images), 4), np.nan, np.float32)
    landmarks = np.full((len(images), LANDMARKS, 2), np.nan, np.float32)
    for rows in chunks(len(images)):
        pictures = [colourless(picture_of(image, turn_deg=turn_deg)) for image in images[rows]]
        found = detector.detect(pictures, min_faces_px=[MIN_FACE_PX] * len(pictures))
        for row, faces in enumerate(found, start=rows.start):
            if len(faces):
                face = _nearest_the_centre(faces)
                boxes[row], landmarks[row] = faces.boxes[face], faces.landmarks[face]
    return boxes, landmarks


def chunks(count: int) -> Iterator[slice]:
    """Rows that are handled together: enlarged pictures of all images would fill the memory."""
    for start in range(0, count, CHUNK_IMAGES):
        yield slice(start, min(start + CHUNK_IMAGES, count))


def colourless(gray: Images) -> Images:
    """(H, W) as the (H, W, 3) that the detector takes."""
    return np.repeat(gray[:, :, None], 3, axis=2)


def _nearest_the_centre(faces: Faces) -> int:
    """The image's own face: FER2013's are in the middle, and another one may be larger."""
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    return int(np.hypot(*(centres - PICTURE_PX / 2).T).argmin())


def has_face(boxes: Boxes) -> NDArray[np.bool_]:
    """(N,) bool: which rows of (N, 4) boxes are not NaN."""
    return np.asarray(~np.isnan(boxes).any(axis=1))


def crop_again(images: Images, boxes: Boxes, settings: CropSettings, *, landmarks: Boxes) -> Images:
    """(N, side, side) crops by the (N, 4) boxes, without NaN, of (N, 48, 48) images.

    As `crop_faces`, heads that are tilted far are turned back by their (N, 5, 2) landmarks.
    """
    crops = np.empty((len(images), settings.side_px, settings.side_px), np.uint8)
    for crop, image, box, its in zip(crops, images, boxes, landmarks, strict=True):
        crop[:] = crop_faces(picture_of(image), box[None], settings, landmarks=its[None])[0]
    return crops


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """How well N crops were classified.

    `right` (N,) says whether the likeliest class is the label, `log_likelihood` (N,) is the
    logarithm of the label's probability, in nats.
    """

    right: NDArray[np.bool_]
    log_likelihood: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_]) -> "Scores":
        """Some of them."""
        return Scores(self.right[rows], self.log_likelihood[rows])

    def figures(self) -> Figures:
        """`accuracy` with its 95 % interval and `n`, and the mean `log_likelihood`."""
        labels = np.ones(len(self.right), np.int64)
        figures = accuracy_figures(self.right.astype(np.int64), labels)
        return figures | {"log_likelihood": mean(self.log_likelihood)}

    def against(self, other: "Scores") -> Figures:
        """The gain of both measures over others on the same images, pair by pair."""
        return {
            "accuracy_gain": paired_gain(self.right, other.right),
            "log_likelihood_gain": paired_gain(self.log_likelihood, other.log_likelihood),
        }


def score(classifier: EmotionClassifier, crops: Images, labels: NDArray[np.int64]) -> Scores:
    """Classify (N, side, side) crops whose right classes are the (N,) labels."""
    probabilities = classifier.classify_crops(crops).probabilities
    # A probability too small for float32 is 0, which would make the whole mean infinite.
    of_label = probabilities[np.arange(len(labels)), labels].clip(min=np.finfo(np.float32).tiny)
    return Scores(probabilities.argmax(axis=1) == labels, np.log(of_label.astype(np.float64)))


def mean(values: NDArray[Any]) -> float | None:
    """None where there is nothing to take the mean of: JSON knows no NaN."""
    return float(values.mean()) if len(values) else None


def paired_gain(after: NDArray[Any], before: NDArray[Any]) -> Figures:
    """The `mean` of (N,) differences and its standard error `se`; None where N is too small."""
    gains = after.astype(np.float64) - before
    enough = len(gains) > 1
    return {
        "mean": mean(gains),
        "se": float(gains.std(ddof=1) / np.sqrt(len(gains))) if enough else None,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What a study measures, and on which images; `about` says it for JSON."""

    classifier: EmotionClassifier
    detector: FaceDetector
    images: LabelledImages
    about: Figures


def run_study(
    about: str | None,
    measure: Callable[[Study], Figures],
    *,
    report: Callable[[Figures], str],
    words: Sequence[str] | None = None,
) -> None:
    """The command line of a study: its Markdown to stdout and, with --out, its figures to a file.

    `about` is the module's docstring, `words` default to those of the command line.
    """
    parser = _parser(about)
    args = parser.parse_args(words)
    try:
        study = _open(args)
        _make_folder_of(args.out)
        figures = study.about | measure(study)
        print(f"{_title(figures)}\n\n{report(figures)}")
        _write(figures, args.out)
    except EmoscanError as error:
        parser.exit(int(error.exit_code), f"{error}\n")


def _parser(about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the shipped ones")
    parser.add_argument("--data", type=Path, metavar="DIR", help=FER2013_HELP)
    splits = [split.value for split in EvaluationSplit]
    parser.add_argument("--split", choices=splits, default="public", help="default: public")
    parser.add_argument("--limit", type=int, metavar="N", help="only N images, drawn at random")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    return parser


def _open(args: argparse.Namespace) -> Study:
    runtime = choose_runtime(args.device)
    classifier = EmotionClassifier(runtime, args.weights)
    check_side(classifier.about)
    split = EvaluationSplit(args.split)
    images = _choose(find_data(args.data), split, limit=args.limit)
    about = {
        "split": split.value,
        "images": len(images),
        "model_id": classifier.about.model_id,
        "model_sha256": classifier.sha256,
        "device": runtime.device_name,
        "precision": runtime.precision.value,
    }
    return Study(classifier, FaceDetector(runtime), images, about)


def _choose(folder: Path, split: EvaluationSplit, *, limit: int | None) -> LabelledImages:
    data = load_dataset(folder)
    images = data.test if split is EvaluationSplit.TEST else data.split(OFFICIAL[split])
    if limit is None or limit >= len(images):
        return images
    if limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}.")
    drawn = np.random.default_rng(LIMIT_SEED).choice(len(images), limit, replace=False)
    return images.take(np.sort(drawn).astype(np.int64))


def _title(figures: Figures) -> str:
    return f"{figures['model_id']}, {figures['images']:,} images of {set_name(figures['split'])}"


def _make_folder_of(out: Path | None) -> None:
    """Before the work, not after it."""
    if out:
        with refusing_in_a_sentence(out.parent):
            out.parent.mkdir(parents=True, exist_ok=True)


def _write(figures: Figures, out: Path | None) -> None:
    if out:
        text = json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with refusing_in_a_sentence(out.parent):
            out.write_text(text, encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float | None) -> str:
    """A share in 0..1."""
    return NOTHING if share is None else f"{100 * share:.1f} %"


def number(value: float | None) -> str:
    """A mean log-likelihood."""
    return NOTHING if value is None else f"{value:.3f}"


def points(gain: Figures) -> str:
    """A gain of accuracy in percentage points, with its standard error."""
    if gain["se"] is None:
        return NOTHING
    return f"{100 * gain['mean']:+.1f} ± {100 * gain['se']:.1f}"


def nats(gain: Figures) -> str:
    """A gain of the mean log-likelihood, with its standard error."""
    return NOTHING if gain["se"] is None else f"{gain['mean']:+.3f} ± {gain['se']:.3f}"


def measure(study: Study) -> Figures:
    """The share of images with a face, and how well crops and images are classified."""
    images, labels = study.images.images, study.images.labels
    boxes, landmarks = redetect(images, study.detector)
    found = has_face(boxes)
    direct = score(study.classifier, images, labels)
    settings = study.classifier.about.crop
    crops = crop_again(images[found], boxes[found], settings, landmarks=landmarks[found])
    redetected = score(study.classifier, crops, labels[found])
    return {
        "found": {"share": float(found.mean()), "count": int(found.sum()), "n": len(found)},
        "redetected": redetected.figures(),
        "direct": direct.take(found).figures(),
        "direct_without_face": direct.take(~found).figures(),
        "direct_all": direct.figures(),
        "redetected_against_direct": redetected.against(direct.take(found)),
    }


def report(figures: Figures) -> str:
    """What `measure` found, as Markdown."""
    names = {
        "redetected": "found again, the detector's crop",
        "direct": "the same images as they are",
        "direct_without_face": "images without a face, as they are",
        "direct_all": "all images as they are",
    }
    rows = [
        [name, f"{of['n']:,}", percent(of["accuracy"]), _interval(of), number(of["log_likelihood"])]
        for name, of in ((name, figures[key]) for key, name in names.items())
    ]
    found, gain = figures["found"], figures["redetected_against_direct"]
    return (
        f"A face is found in {percent(found['share'])} ({found['count']:,} of {found['n']:,}).\n\n"
        + table(["crops", "n", "accuracy", "95 % interval", "mean log-likelihood"], rows)
        + f"\n\nThe detector's crop against the image, pair by pair (± standard error): "
        f"{points(gain['accuracy_gain'])} points, {nats(gain['log_likelihood_gain'])} nats."
    )


def _interval(figures: Figures) -> str:
    interval = figures["accuracy_ci95"]
    return NOTHING if interval is None else " to ".join(f"{100 * end:.1f}" for end in interval)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    run_study(__doc__, measure, report=report, words=words)


if __name__ == "__main__":
    main()
