"""Frames a second of emoscan beside a plain loop, in one interleaved run.

    python -m benchmarks.frame_rate VIDEO [--seconds 4] [--rounds 3] [--min-face 40]

The plain loop is what a tutorial writes: PyAV to RGB, facenet-pytorch's `MTCNN.detect` and a
ResNet18, one frame and one face at a time. Loading the networks is left out on both sides; the
table that emoscan writes is not.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image, ImageOps

import emoscan
from emoscan.emotion.checkpoint import load_checkpoint, shipped_weights
from emoscan.emotion.network import create_network
from emoscan.events import Event, FileFinished


def main() -> None:
    """Measure, and print the rounds and the ratio of their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="how much of the video")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--min-face", type=int, default=40)
    args = parser.parse_args()
    plain = PlainLoop(min_face_px=args.min_face)
    rates: dict[str, list[float]] = {"plain loop": [], "emoscan": []}
    print(f"{args.video.name}, first {args.seconds:g} s, {torch.get_num_threads()} threads")
    for number in range(args.rounds + 1):
        speeds = {
            "plain loop": plain.frames_per_s(args.video, seconds=args.seconds),
            "emoscan": emoscan_frames_per_s(args.video, args.seconds, min_face_px=args.min_face),
        }
        name = f"round {number}" if number else "warm-up"
        print(f"{name:>8}  " + "  ".join(f"{key} {value:.1f}/s" for key, value in speeds.items()))
        for key in speeds if number else ():
            rates[key].append(speeds[key])
    medians = {key: statistics.median(values) for key, values in rates.items()}
    print("  median  " + "  ".join(f"{key} {value:.1f}/s" for key, value in medians.items()))
    print(f"   ratio  {medians['emoscan'] / medians['plain loop']:.2f}")


class PlainLoop:
    """Stock MTCNN and a ResNet18, frame by frame and face by face."""

    def __init__(self, *, min_face_px: int, device: str = "cpu") -> None:
        """Load both networks."""
        self._mtcnn = MTCNN(keep_all=True, min_face_size=min_face_px, device=device)
        self._device = device
        self._norm = load_checkpoint(shipped_weights()).about.normalisation
        self._network = shipped_network().eval().to(device)

    def frames_per_s(self, path: Path, *, seconds: float) -> float:
        """Speed over the first seconds of the video."""
        began = time.perf_counter()
        frames = self.look_at_video(path, seconds=seconds)
        return frames / (time.perf_counter() - began)

    def look_at_video(self, path: Path, *, seconds: float) -> int:
        """Classify every face of the first seconds; the number of frames."""
        frames = 0
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                if frame.time >= seconds:
                    break
                self._look_at(frame.to_ndarray(format="rgb24"))
                frames += 1
        return frames

    def look_at_frames(self, frames: Iterable[np.ndarray]) -> int:
        """Classify every face of (H, W, 3) RGB frames in memory; the number of faces."""
        return sum(len(self._look_at(rgb)) for rgb in frames)

    def look_at_photos(self, folder: Path) -> int:
        """Classify every face of a folder's photos; the number of photos."""
        paths = sorted(folder.iterdir())
        for path in paths:
            with Image.open(path) as photo:
                self._look_at(np.asarray(ImageOps.exif_transpose(photo).convert("RGB")))
        return len(paths)

    def _look_at(self, rgb: np.ndarray) -> list[list[float]]:
        boxes, _ = self._mtcnn.detect(rgb)
        picture = Image.fromarray(rgb)
        return [
            self._classify(picture.crop(tuple(box))) for box in ([] if boxes is None else boxes)
        ]

    @torch.inference_mode()
    def _classify(self, face: Image.Image) -> list[float]:
        levels = torch.from_numpy(np.array(face.convert("L").resize((48, 48)), np.float32) / 255)
        normal = ((levels - self._norm.mean) / self._norm.std)[None, None]
        logits = self._network(normal.to(self._device))
        probabilities: list[float] = torch.softmax(logits, 1)[0].tolist()
        return probabilities


def shipped_network() -> torch.nn.Module:
    """The classifier's network in fp32, with its weights."""
    loaded = load_checkpoint(shipped_weights())
    network = create_network(loaded.about.architecture)
    network.load_state_dict(loaded.state)
    return network


def emoscan_frames_per_s(path: Path, seconds: float, *, min_face_px: int) -> float:
    """Speed of the whole job, without loading the networks."""
    finished: list[FileFinished] = []

    def listen(event: Event) -> None:
        if isinstance(event, FileFinished):
            finished.append(event)

    options = emoscan.ScanOptions(min_face=emoscan.MinFace(px=min_face_px), end_s=seconds)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "timeline.parquet"
        run = emoscan.RunOptions(device="cpu")
        emoscan.scan(path, out, options=options, run=run, listener=listen)
    return finished[0].frames / finished[0].seconds


if __name__ == "__main__":
    main()
