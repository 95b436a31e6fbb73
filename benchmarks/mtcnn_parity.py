"""Our MTCNN against facenet-pytorch's: what is found, and how fast.

Run as `python -m benchmarks.mtcnn_parity --media DIR`. At min_face_size 40, for every photo and
every 5th frame of every video: the share of stock's boxes that ours finds and the share of ours
that stock has not, with stock's way of resampling (IoU >= 0.9) and by default (quick, IoU >= 0.5).
Then the time for each on one clip, frame by frame, interleaved, on one thread.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from emoscan.faces.mtcnn import FaceDetector, Fidelity
from emoscan.runtime import choose_runtime

MIN_FACE_PX = 40
EVERY = 5
LEAST_IOU = {Fidelity.STOCK: 0.9, Fidelity.QUICK: 0.5}
PHOTO_SUFFIXES = {".jpg", ".png"}
SPEED_CLIP, SPEED_FRAMES, SPEED_ROUNDS = "talking_720p.mp4", 24, 3

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Detect = Callable[[Pixels], Boxes]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many boxes of stock were found, of how many, and how many of ours stock has not."""

    found: int = 0
    stock: int = 0
    extra: int = 0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            self.found + other.found, self.stock + other.stock, self.extra + other.extra
        )

    def __str__(self) -> str:
        stock = max(self.stock, 1)
        return f"{self.found / stock:8.2%} {self.extra / stock:8.2%}"


def iou(a: Boxes, b: Boxes) -> Boxes:
    """(N, M) intersections over unions of (N, 4) and (M, 4) boxes."""
    first = np.maximum(a[:, None, :2], b[None, :, :2])
    last = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (last - first).clip(min=0).prod(axis=2)
    areas_a, areas_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b))
    shares: Boxes = shared / (areas_a[:, None] + areas_b[None, :] - shared)
    return shares


def compare(stock: Boxes, ours: Boxes, *, least_iou: float) -> Agreement:
    """Boxes of one picture, (N, 4) and (M, 4)."""
    pairs = iou(stock, ours) >= least_iou
    found = int(pairs.any(axis=1).sum())
    return Agreement(found=found, stock=len(stock), extra=int((~pairs.any(axis=0)).sum()))


def pictures(path: Path) -> Iterator[Pixels]:
    """A photo, or every 5th frame of a video, as (H, W, 3) uint8 RGB."""
    if path.suffix in PHOTO_SUFFIXES:
        with Image.open(path) as photo:
            yield np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))
        return
    with av.open(str(path)) as container:
        for frame in islice(container.decode(video=0), 0, None, EVERY):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def stock_detector() -> Detect:
    """facenet-pytorch's, as its documentation shows it."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    from facenet_pytorch import MTCNN

    mtcnn: Any = MTCNN(keep_all=True, post_process=False, min_face_size=MIN_FACE_PX)

    def detect(image: Pixels) -> Boxes:
        boxes = mtcnn.detect(image)[0]
        return np.zeros((0, 4), np.float32) if boxes is None else boxes.astype(np.float32)

    return detect


def our_detector(fidelity: Fidelity) -> Detect:
    """Ours, a frame at a time."""
    detector = FaceDetector(choose_runtime("cpu"), fidelity=fidelity)
    return lambda image: detector.detect([image], min_faces_px=[MIN_FACE_PX])[0].boxes


def print_agreement(paths: list[Path], stock: Detect, ours: dict[Fidelity, Detect]) -> None:
    """A line a file, then one for all."""
    print(f"{'':38}", *(f"{f'{how}, IoU >= {least}':>18}" for how, least in LEAST_IOU.items()))
    print(f"{'file':24} {'images':>6} {'boxes':>6}", *[f"{'found':>9} {'extra':>8}"] * len(ours))
    total, count = {how: Agreement() for how in ours}, 0
    for path in paths:
        here, images = {how: Agreement() for how in ours}, 0
        for images, image in enumerate(pictures(path), start=1):  # noqa: B007
            wanted = stock(image)
            for how, detect in ours.items():
                here[how] += compare(wanted, detect(image), least_iou=LEAST_IOU[how])
        print_line(path.name, images, here)
        total, count = {how: total[how] + here[how] for how in ours}, count + images
    print_line("all", count, total)


def print_line(name: str, images: int, agreement: dict[Fidelity, Agreement]) -> None:
    """One file's figures."""
    boxes = agreement[Fidelity.STOCK].stock
    print(f"{name:24} {images:6} {boxes:6}", *(f" {its}" for its in agreement.values()), flush=True)


def print_speed(path: Path, stock: Detect, ours: dict[Fidelity, Detect]) -> None:
    """The median time a frame of each, one after the other on each frame, on one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    frames = list(islice(pictures(path), SPEED_FRAMES)) * SPEED_ROUNDS
    detectors = {"stock": stock} | {f"ours, {how}": detect for how, detect in ours.items()}
    times_ms: dict[str, list[float]] = {name: [] for name in detectors}
    for frame in frames:
        for name, detect in detectors.items():
            start = time.thread_time()
            detect(frame)
            times_ms[name].append((time.thread_time() - start) * 1000)
    print(f"\n{path.name}, {len(frames)} frames, one thread, processor time")
    stock_ms = statistics.median(times_ms["stock"])
    for name, values in times_ms.items():
        median = statistics.median(values)
        print(f"{name:14} {median:6.1f} ms a frame  {stock_ms / median:5.2f} × stock's speed")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, required=True, help="photos and videos")
    parser.add_argument("--only-speed", action="store_true", help="leave out what is found")
    arguments = parser.parse_args()
    suffixes = PHOTO_SUFFIXES | {".mp4"}
    paths = sorted(path for path in arguments.media.iterdir() if path.suffix in suffixes)
    stock, ours = stock_detector(), {how: our_detector(how) for how in Fidelity}
    if not arguments.only_speed:
        print_agreement(paths, stock, ours)
    if (arguments.media / SPEED_CLIP).exists():
        print_speed(arguments.media / SPEED_CLIP, stock, ours)
    else:
        print(f"No speed is measured without {SPEED_CLIP}.")


if __name__ == "__main__":
    main()
