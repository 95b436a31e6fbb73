"""MTCNN's cascade, batched over frames and candidates.

The method is that of Zhang et al. 2016 (arXiv 1604.02878) in the details of facenet-pytorch
2.5.3: P-Net proposes boxes on a pyramid, R-Net and O-Net look closer.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from emoscan.faces.candidates import (
    PROPOSAL_SIDE_PX,
    Candidates,
    Floats,
    Integers,
    joined,
    landmark_points,
    moved,
    not_inside_a_better,
    proposals,
    rectangles,
    squares,
    suppressed,
)
from emoscan.faces.networks import Network, load_networks
from emoscan.faces.resample import Picture, Pixels, Resampling
from emoscan.runtime import halving_on_out_of_memory
from emoscan.types import NO_TRACK, Faces

__all__ = ["FaceDetector", "Resampling"]

# The settings of facenet-pytorch, for equal boxes.
PYRAMID_FACTOR = 0.709
PROPOSAL_THRESHOLD, REFINEMENT_THRESHOLD = 0.6, 0.7
LEVEL_IOU, FRAME_IOU, REFINEMENT_IOU, OUTPUT_OVERLAP = 0.5, 0.7, 0.7, 0.7


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is computed at once, which bounds the memory.

    `frames_px` bounds the frames whose summed-area tables (12 bytes a pixel) are kept,
    `proposal_px` the pixels of a level and `crops` the crops that go through a network together.
    """

    frames_px: int
    proposal_px: int
    crops: int


# A CPU is fastest while the maps of a batch stay in its cache; a GPU wants large batches.
CPU_BUDGET = Budget(frames_px=2**23, proposal_px=2**17, crops=64)
GPU_BUDGET = Budget(frames_px=2**25, proposal_px=2**23, crops=4096)


class FaceDetector:
    """Finds faces with MTCNN; all settings are facenet-pytorch's but for `resampling`.

    `threshold` is the least score that O-Net must give, `max_faces` how many of the largest are
    kept. Raises MissingPartError where the networks' weights are missing.
    """

    def __init__(
        self,
        *,
        device: torch.device,
        threshold: float = 0.7,
        resampling: Resampling = Resampling.CHAINED,
        max_faces: int | None = None,
    ) -> None:
        self._networks = load_networks(device)
        self._device = device
        self._threshold = threshold
        self._resampling = resampling
        self._max_faces = max_faces
        self._budget = CPU_BUDGET if device.type == "cpu" else GPU_BUDGET

    @torch.inference_mode()
    def detect(
        self, images: Sequence[NDArray[np.uint8]], *, min_faces_px: Sequence[float]
    ) -> list[Faces]:
        """One Faces an image, without tracks.

        `images` are (H, W, 3) uint8 RGB of any sizes, `min_faces_px` the least side of a face
        that is looked for in each. What is found does not depend on what else is in the call.
        Raises torch.OutOfMemoryError where not even one image fits into the device's memory.
        """
        if len(images) != len(min_faces_px):
            raise ValueError(f"{len(images)} images need as many least sides, not {min_faces_px}")
        found: list[Faces] = []
        while len(found) < len(images):
            found += self._detect_next(images[len(found) :], min_faces_px[len(found) :])
        return found

    def _detect_next(
        self, images: Sequence[NDArray[np.uint8]], min_faces_px: Sequence[float]
    ) -> list[Faces]:
        """Faces of as many images as the budget allows."""
        ends_px = np.cumsum([image.shape[0] * image.shape[1] for image in images])
        count = max(1, int(np.searchsorted(ends_px, self._budget.frames_px, side="right")))
        pictures = [Picture(image) for image in images[:count]]
        return self._detect_batch(pictures, min_faces_px[:count])

    def _detect_batch(
        self, pictures: Sequence[Picture], min_faces_px: Sequence[float]
    ) -> list[Faces]:
        found = self._propose(pictures, min_faces_px)
        boxes = squares(moved(found, inclusive_px=0))
        refinement, output = self._networks.refinement, self._networks.output
        found = self._look_closer(refinement, pictures=pictures, frames=found.frames, boxes=boxes)
        found = suppressed(found[found.scores > REFINEMENT_THRESHOLD], REFINEMENT_IOU)
        boxes = squares(moved(found, inclusive_px=1))
        found = self._look_closer(output, pictures=pictures, frames=found.frames, boxes=boxes)
        found = found[found.scores > self._threshold]
        return [self._faces(part) for part in _by_frame(found, len(pictures))]

    def _propose(self, pictures: Sequence[Picture], min_faces_px: Sequence[float]) -> Candidates:
        """P-Net on the pyramids of all pictures."""
        alike = defaultdict(list)
        for frame, (picture, min_face_px) in enumerate(zip(pictures, min_faces_px, strict=True)):
            alike[picture.height, picture.width, min_face_px].append(frame)
        found = [_no_candidates()]
        for (height, width, min_face_px), frames in alike.items():
            scales = _scales(min(height, width), min_face_px)
            sizes = [(int(height * scale + 1), int(width * scale + 1)) for scale in scales]
            pyramids = [pictures[frame].pyramid(sizes, self._resampling) for frame in frames]
            for scale, *level in zip(scales, *pyramids, strict=True):
                found += self._propose_on(level, np.array(frames), scale=scale)
        return suppressed(joined(found), FRAME_IOU)

    def _propose_on(
        self, level: Sequence[Pixels], frames: Integers, *, scale: float
    ) -> Iterator[Candidates]:
        """P-Net on one level of the pyramids of frames of equal size."""
        height, width = level[0].shape[:2]
        step = max(1, self._budget.proposal_px // (height * width))
        for start in range(0, len(frames), step):
            part = slice(start, start + step)
            out = self._run(self._networks.proposal, np.stack(level[part])).transpose(0, 2, 3, 1)
            found = proposals(out, frames[part], scale=scale, threshold=PROPOSAL_THRESHOLD)
            yield suppressed(found, LEVEL_IOU)

    def _look_closer(
        self, network: Network, *, pictures: Sequence[Picture], frames: Integers, boxes: Floats
    ) -> Candidates:
        """R-Net or O-Net on each box; boxes that lie outside their pictures are dropped."""
        sizes = np.array([(picture.width, picture.height) for picture in pictures])
        pixels = rectangles(boxes, sizes[frames])
        inside = (pixels[:, :2] < pixels[:, 2:]).all(axis=1)
        frames, boxes, pixels = frames[inside], boxes[inside], pixels[inside]
        out = [np.zeros((0, network.outputs), np.float32)]
        for start in range(0, len(frames), self._budget.crops):
            part = slice(start, start + self._budget.crops)
            crops = _crops(pictures, frames[part], pixels[part], side=network.side_px)
            out.append(self._run(network, crops))
        return Candidates.read(frames, boxes, np.concatenate(out))

    def _run(self, network: Network, pixels: NDArray[np.generic]) -> Floats:
        """(N, H, W, 3) pixels through a network, in halves where memory runs out."""
        images = torch.from_numpy(pixels)
        parts = halving_on_out_of_memory(
            lambda size: [self._run_batch(network, batch) for batch in images.split(size)],
            len(images),
        )
        out: Floats = torch.cat(parts).numpy()
        return out

    def _run_batch(self, network: Network, images: torch.Tensor) -> torch.Tensor:
        levels = images.to(self._device).float().permute(0, 3, 1, 2)
        out: torch.Tensor = network.layers(levels).cpu()
        return out

    def _faces(self, found: Candidates) -> Faces:
        """What is left of one frame's candidates, largest first."""
        boxes = moved(found, inclusive_px=1)
        kept = np.flatnonzero(not_inside_a_better(boxes, found.scores, overlap=OUTPUT_OVERLAP))
        areas = (boxes[kept, 2:] - boxes[kept, :2]).prod(axis=1)
        kept = kept[np.argsort(-areas, kind="stable")][: self._max_faces]
        return Faces(
            boxes=boxes[kept],
            scores=found.scores[kept],
            landmarks=landmark_points(found)[kept],
            tracks=np.full(len(kept), NO_TRACK, np.int32),
        )


def _scales(least_side_px: int, min_face_px: float) -> list[float]:
    """Of the levels at which P-Net's 12 px look at faces of `min_face_px` and larger."""
    scale = PROPOSAL_SIDE_PX / min_face_px
    side_px, scales = least_side_px * scale, []
    while side_px >= PROPOSAL_SIDE_PX:
        scales.append(scale)
        scale, side_px = scale * PYRAMID_FACTOR, side_px * PYRAMID_FACTOR
    return scales


def _no_candidates() -> Candidates:
    none = np.zeros(0, np.int64)
    return Candidates.read(none, np.zeros((0, 4), np.float32), np.zeros((0, 6), np.float32))


def _crops(pictures: Sequence[Picture], frames: Integers, pixels: Integers, *, side: int) -> Floats:
    """(N, side, side, 3) crops of `pixels`, sorted by frame."""
    parts = [
        pictures[frame].crops(pixels[frames == frame], side=side) for frame in np.unique(frames)
    ]
    return np.concatenate(parts)


def _by_frame(found: Candidates, count: int) -> Iterator[Candidates]:
    ends = np.searchsorted(found.frames, np.arange(count + 1))
    return (found[start:end] for start, end in pairwise(ends))
