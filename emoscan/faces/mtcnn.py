"""MTCNN's cascade, batched over frames and candidates.

The method is that of Zhang et al. 2016 (arXiv 1604.02878) in the details of facenet-pytorch
2.5.3: P-Net proposes boxes on a pyramid, R-Net and O-Net look closer.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from emoscan.faces.boxes import areas, paired_iou
from emoscan.faces.candidates import (
    PROPOSAL_SIDE_PX,
    Candidates,
    Floats,
    Integers,
    joined,
    landmark_points,
    moved,
    no_candidates,
    not_inside_a_better,
    proposals,
    rectangles,
    squares,
    suppressed,
)
from emoscan.faces.networks import BOX_NUMBERS, LANDMARK_NUMBERS, Network, load_networks
from emoscan.faces.resample import Picture, Pixels, Resampling
from emoscan.options import MinFace, ScanOptions
from emoscan.runtime import Runtime, halving_on_out_of_memory
from emoscan.squares import cut_square
from emoscan.types import NO_TRACK, Faces, Frame

__all__ = ["FaceDetector", "Resampling"]

# The settings of facenet-pytorch, for equal boxes.
PYRAMID_FACTOR = 0.709
PROPOSAL_THRESHOLD, REFINEMENT_THRESHOLD = 0.6, 0.7
LEVEL_IOU, FRAME_IOU, REFINEMENT_IOU, OUTPUT_OVERLAP = 0.5, 0.7, 0.7, 0.7


# The square around one of O-Net's own boxes, as a share of its height, in which O-Net finds the
# same box again: looks that start apart come together fastest.
LOOK_SHARE = 0.85
# How often O-Net looks at its own box again, and how many of the last looks count.
SETTLING_LOOKS, AVERAGED_LOOKS = 3, 2
# A box that overlaps less with the one that it started from has gone to another face.
SETTLED_IOU = 0.5


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
CPU_BUDGET = Budget(frames_px=2**22, proposal_px=2**17, crops=64)
GPU_BUDGET = Budget(frames_px=2**25, proposal_px=2**23, crops=4096)


class FaceDetector:
    """Finds faces with MTCNN; all settings are facenet-pytorch's but for `resampling`.

    `threshold` is the least score that O-Net must give, `min_face` the least side that
    `detect_frames` looks for, `max_faces` how many of the largest are kept. Raises
    MissingPartError where the networks' weights are missing.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        threshold: float = 0.7,
        min_face: MinFace | None = None,
        resampling: Resampling = Resampling.CHAINED,
        max_faces: int | None = None,
    ) -> None:
        self._networks = load_networks(runtime)
        self._device = runtime.device
        self.threshold = threshold
        self._min_face = min_face or ScanOptions().min_face
        self._resampling = resampling
        self._max_faces = max_faces
        self._budget = CPU_BUDGET if runtime.device.type == "cpu" else GPU_BUDGET

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

    def detect_frames(self, frames: Sequence[Frame]) -> list[Faces]:
        """One Faces a frame, settled and without tracks, of faces from the `min_face` on."""
        images = [frame.rgb() for frame in frames]
        found = self.detect(
            images, min_faces_px=[self._min_face.in_px(frame.height) for frame in frames]
        )
        return self.settled([*map(Picture, images)], found)

    def settled(self, pictures: Sequence[Picture], found: Sequence[Faces]) -> list[Faces]:
        """The faces of each picture with steady boxes and landmarks, by O-Net's next looks.

        What one look gives depends on where its square happens to lie, and jumps to and fro by
        some per cent of the height; each look at the box of the look before halves that, and the
        mean of the last ones halves it again. A face that a look loses, or finds too far from
        where it was, keeps what it has; of two that end at one place the surer stays.
        """
        frames = np.repeat(np.arange(len(found)), [len(faces) for faces in found])
        first = np.concatenate([np.zeros((0, 4), np.float32), *(faces.boxes for faces in found)])
        points = np.concatenate([np.zeros((0, 5, 2), np.float32), *(f.landmarks for f in found)])
        boxes, looks = first, []
        for _ in range(SETTLING_LOOKS):
            seen = self.look_again(pictures, frames=frames, guesses=boxes)
            new = moved(seen, inclusive_px=1)
            sure = (seen.scores > self.threshold) & (paired_iou(first, new) > SETTLED_IOU)
            boxes = np.where(sure[:, None], new, boxes)
            points = np.where(sure[:, None, None], landmark_points(seen), points)
            looks.append((boxes, points))
        boxes, points = (
            np.mean(parts[-AVERAGED_LOOKS:], axis=0) for parts in zip(*looks, strict=True)
        )
        return [
            self._kept(
                replace(faces, boxes=boxes[frames == frame], landmarks=points[frames == frame])
            )
            for frame, faces in enumerate(found)
        ]

    def _kept(self, faces: Faces) -> Faces:
        """The largest first, without those that lie in a better one, at most `max_faces`."""
        better = not_inside_a_better(faces.boxes, faces.scores, overlap=OUTPUT_OVERLAP)
        kept = np.flatnonzero(better)
        kept = kept[np.argsort(-areas(faces.boxes[kept]), kind="stable")][: self._max_faces]
        return Faces(
            boxes=faces.boxes[kept],
            scores=faces.scores[kept],
            landmarks=faces.landmarks[kept],
            tracks=faces.tracks[kept],
            followed=faces.followed[kept],
        )

    def no_faces(self) -> Faces:
        """Those of a frame without a face."""
        return self.faces(no_candidates(outputs=LANDMARK_NUMBERS), followed=False)

    @torch.inference_mode()
    def look_again(
        self, pictures: Sequence[Picture], *, frames: Integers, guesses: Floats
    ) -> Candidates:
        """O-Net alone on `guesses`, (N, 4) boxes in the pictures that `frames` (N,) counts.

        One candidate a guess, sorted as they are by frame; its score is 0 where a guess lies
        outside of its picture. Squares around O-Net's own boxes are much like what R-Net hands it.
        """
        boxes = _around(guesses)
        inside = _touches(boxes, pictures, frames)
        out = np.full((len(guesses), self._networks.output.outputs), 0, np.float32)
        out[:, 0] = np.inf
        out[inside] = self._outputs_of_squares(pictures, frames[inside], boxes[inside])
        return Candidates.read(frames, boxes, out)

    def _outputs_of_squares(
        self, pictures: Sequence[Picture], frames: Integers, boxes: Floats
    ) -> Floats:
        """What O-Net says of squares with fractions of pixels, (N, 4)."""
        network = self._networks.output
        out = [np.zeros((0, network.outputs), np.float32)]
        for start in range(0, len(frames), self._budget.crops):
            part = slice(start, start + self._budget.crops)
            crops = [
                # As `rectangles` in the mean, which takes whole pixels from one before the box on.
                cut_square(
                    pictures[frame].pixels,
                    left=x0 - 1.5,
                    top=y0 - 1.5,
                    side=y1 - y0 + 1,
                    out_px=network.side_px,
                )
                for frame, (x0, y0, _, y1) in zip(frames[part], boxes[part].tolist(), strict=True)
            ]
            out.append(self._run(network, np.stack(crops)))
        return np.concatenate(out)

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
        found = found[found.scores > self.threshold]
        return [self.faces(part, followed=False) for part in _by_frame(found, len(pictures))]

    def _propose(self, pictures: Sequence[Picture], min_faces_px: Sequence[float]) -> Candidates:
        """P-Net on the pyramids of all pictures."""
        alike = defaultdict(list)
        for frame, (picture, min_face_px) in enumerate(zip(pictures, min_faces_px, strict=True)):
            alike[picture.height, picture.width, min_face_px].append(frame)
        found = [no_candidates(outputs=BOX_NUMBERS)]
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
        pixels = _pixels(pictures, frames, boxes)
        inside = _is_inside(pixels)
        frames, boxes, pixels = frames[inside], boxes[inside], pixels[inside]
        return Candidates.read(frames, boxes, self._outputs(network, pictures, frames, pixels))

    def _outputs(
        self, network: Network, pictures: Sequence[Picture], frames: Integers, pixels: Integers
    ) -> Floats:
        """What a network says of rectangles, (N, 4) in whole pixels, sorted by frame."""
        out = [np.zeros((0, network.outputs), np.float32)]
        for start in range(0, len(frames), self._budget.crops):
            part = slice(start, start + self._budget.crops)
            crops = _crops(pictures, frames[part], pixels[part], side=network.side_px)
            out.append(self._run(network, crops))
        return np.concatenate(out)

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
        return network.forward(images.to(self._device).permute(0, 3, 1, 2))

    def faces(self, found: Candidates, *, followed: bool) -> Faces:
        """What is left of one frame's candidates of O-Net, largest first."""
        return self._kept(
            Faces(
                boxes=moved(found, inclusive_px=1),
                scores=found.scores,
                landmarks=landmark_points(found),
                tracks=np.full(len(found), NO_TRACK, np.int32),
                followed=np.full(len(found), followed, np.bool_),
            )
        )


def _around(boxes: Floats) -> Floats:
    """Squares of LOOK_SHARE times the boxes' heights around their centres."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / np.float32(2)
    half = (boxes[:, 3:] - boxes[:, 1:2]) * np.float32(LOOK_SHARE / 2)
    return np.concatenate([middle - half, middle + half], axis=1)


def _touches(boxes: Floats, pictures: Sequence[Picture], frames: Integers) -> NDArray[np.bool_]:
    """(N,) whether anything of a box lies in its picture."""
    ends = _sizes(pictures)[frames]
    touches: NDArray[np.bool_] = np.all((boxes[:, :2] < ends) & (boxes[:, 2:] > 0), axis=1)
    return touches & (boxes[:, 3] > boxes[:, 1])


def _sizes(pictures: Sequence[Picture]) -> Integers:
    """(N, 2) widths and heights."""
    sizes = [(picture.width, picture.height) for picture in pictures]
    return np.array(sizes, np.int64).reshape(-1, 2)


def _pixels(pictures: Sequence[Picture], frames: Integers, boxes: Floats) -> Integers:
    return rectangles(boxes, _sizes(pictures)[frames])


def _is_inside(pixels: Integers) -> NDArray[np.bool_]:
    """(N,) whether anything of a rectangle lies in its picture."""
    inside: NDArray[np.bool_] = np.all(pixels[:, :2] < pixels[:, 2:], axis=1)
    return inside


def _scales(least_side_px: int, min_face_px: float) -> list[float]:
    """Of the levels at which P-Net's 12 px look at faces of `min_face_px` and larger."""
    scale = PROPOSAL_SIDE_PX / min_face_px
    side_px, scales = least_side_px * scale, []
    while side_px >= PROPOSAL_SIDE_PX:
        scales.append(scale)
        scale, side_px = scale * PYRAMID_FACTOR, side_px * PYRAMID_FACTOR
    return scales


def _crops(pictures: Sequence[Picture], frames: Integers, pixels: Integers, *, side: int) -> Floats:
    """(N, side, side, 3) crops of `pixels`, sorted by frame."""
    parts = [
        pictures[frame].crops(pixels[frames == frame], side=side) for frame in np.unique(frames)
    ]
    return np.concatenate(parts)


def _by_frame(found: Candidates, count: int) -> Iterator[Candidates]:
    ends = np.searchsorted(found.frames, np.arange(count + 1))
    return (found[start:end] for start, end in pairwise(ends))
