"""Classes and probabilities of the fastest backend against torch in fp32, on the same crops.

    python -m benchmarks.backend_parity --media DIR [--every 3] [--precision auto]

Faces are those of all photos and of every third frame of all videos in the folder, found by torch
in fp32. What is compared is what a user's options choose here: OpenVINO where it is installed, and
by default int8 or bf16 where the CPU is faster by it.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import crop_faces
from emoscan.faces.mtcnn import FaceDetector
from emoscan.media.find import MediaFile, find_media
from emoscan.media.images import read_photo
from emoscan.media.video import open_video
from emoscan.media_kind import MediaKind
from emoscan.options import Precision, ScanOptions
from emoscan.runtime import choose_runtime, serving_runtime
from emoscan.types import Frame

BATCH_FRAMES = 8
CLOSE, CLOSE_IN_INT8 = 0.02, 0.05


def main() -> None:
    """Measure, and print each figure beside its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--every", type=int, default=3, help="look at every Nth frame of a video")
    parser.add_argument("--precision", type=Precision, default=Precision.AUTO, choices=Precision)
    args = parser.parse_args()
    exact = EmotionClassifier(choose_runtime("cpu"))
    fast = serving_runtime("cpu", args.precision)
    crops = np.concatenate([*_crops(args.media, exact, every=args.every)])
    wanted = exact.classify_crops(crops).probabilities
    got = EmotionClassifier(fast).classify_crops(crops).probabilities
    print(
        f"{len(crops)} faces, {fast.backend.value} in {fast.precision.value} against torch in fp32"
    )
    rounds = fast.precision is Precision.INT8
    close = CLOSE_IN_INT8 if rounds else CLOSE
    same_class, largest = ("98 %", 0.15) if rounds else ("99.5 %", 0.08)
    found = agreement(wanted, got, close=close)
    print(f"the same class     {found.same_class:.2%}   (target: {same_class} or more)")
    print(f"within {close}        {found.within:.2%}   (target: 99 % or more)")
    print(f"largest difference {found.largest:.4f}   (target: {largest} or less)")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares of faces with the same class, and of probabilities that are close; the furthest."""

    faces: int
    same_class: float
    within: float
    largest: float


def agreement(
    wanted: NDArray[np.float32], got: NDArray[np.float32], *, close: float = CLOSE
) -> Agreement:
    """Of (N, 7) probabilities of the same faces, at least one."""
    away = np.abs(wanted - got)
    return Agreement(
        faces=len(wanted),
        same_class=float((wanted.argmax(axis=1) == got.argmax(axis=1)).mean()),
        within=float((away <= close).mean()),
        largest=float(away.max()),
    )


def _crops(
    folder: Path, classifier: EmotionClassifier, *, every: int
) -> Iterator[NDArray[np.uint8]]:
    detector = FaceDetector(choose_runtime("cpu"))
    for batch in batches(folder, every):
        for frame, faces in zip(batch, detector.detect_frames(batch), strict=True):
            about = classifier.about
            yield crop_faces(frame.gray(), faces.boxes, about.crop, landmarks=faces.landmarks)


def batches(folder: Path, every: int) -> Iterator[list[Frame]]:
    """Each photo, then every Nth frame of each video, of one size."""
    for file in find_media([folder], MediaKind.PHOTO, recursive=False).files:
        yield [read_photo(file)]
    for file in find_media([folder], MediaKind.VIDEO, recursive=False).files:
        yield from _video_batches(file, every)


def _video_batches(file: MediaFile, every: int) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    with open_video(file) as video:
        for item in video.frames(ScanOptions(every=every)):
            batch += [item] if isinstance(item, Frame) else []
            if len(batch) == BATCH_FRAMES:
                yield batch
                batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    main()
