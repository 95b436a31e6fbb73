"""Faces by MTCNN: what the cascade finds, with steady boxes, and what it says of known places."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoscan.faces.boxes import areas, paired_iou
from emoscan.faces.candidates import (
    Candidates,
    Floats,
    Integers,
    by_frame,
    face_scores,
    landmark_points,
    moved,
    no_candidates,
    not_inside_a_better,
)
from emoscan.faces.cascade import (
    BEFORE_PX,
    LONGER_PX,
    OUTPUT_OVERLAP,
    REFINEMENT_THRESHOLD,
    Cascade,
    HostCascade,
    Sized,
    picture_sizes,
)
from emoscan.faces.device_cascade import DeviceCascade
from emoscan.faces.networks import LANDMARK_NUMBERS, load_networks
from emoscan.faces.resample import Fidelity
from emoscan.options import Backend, MinFace, ScanOptions
from emoscan.runtime import Runtime
from emoscan.types import NO_TRACK, Faces, Frame

__all__ = ["FaceDetector", "Fidelity"]

# The square around one of O-Net's own boxes, as a share of its height, in which O-Net finds the
# same box again: looks that start apart come together fastest.
LOOK_SHARE = 0.85
# How often O-Net looks at its own box again, and how many of the last looks count.
SETTLING_LOOKS, AVERAGED_LOOKS = 3, 2
# How far a box's edges lie right of and below what they were seen at; landmarks as the last two.
OFF_PX = np.array([BEFORE_PX, BEFORE_PX, BEFORE_PX - LONGER_PX, BEFORE_PX - LONGER_PX], np.float32)
# A box that overlaps less with the one that it started from has gone to another face.
SETTLED_IOU = 0.5


class FaceDetector:
    """Finds faces with MTCNN; all settings are facenet-pytorch's but for `fidelity`.

    `threshold` is the least score that O-Net must give, `min_face` the least side that
    `detect_frames` looks for, `max_faces` how many of the largest are kept. On a CUDA device all
    of the cascade runs there. Raises MissingPartError where the networks' weights are missing.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        threshold: float = 0.7,
        min_face: MinFace | None = None,
        fidelity: Fidelity = Fidelity.QUICK,
        max_faces: int | None = None,
    ) -> None:
        kind = DeviceCascade if runtime.keeps_pictures else HostCascade
        self.fidelity = fidelity
        self._cascade: Cascade[Any] = kind(load_networks(runtime), runtime.device, self.fidelity)
        # Whether two that ask it side by side have their answers sooner; torch shares out itself.
        self.gains_by_threads = runtime.backend is Backend.OPENVINO
        self.threshold = threshold
        self._min_face = min_face or ScanOptions().min_face
        self._max_faces = max_faces

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
        return self._start(self._cascade.of_arrays(images), min_faces_px)()

    def detect_frames(self, frames: Sequence[Frame]) -> list[Faces]:
        """One Faces a frame, settled and without tracks, of faces from the `min_face` on.

        Of a frame that was read smaller they lie, in px of its picture, where the whole has them.
        """
        return self.start_frames(frames)()

    def start_frames(self, frames: Sequence[Frame]) -> Callable[[], list[Faces]]:
        """The same, for whoever calls for it; on a GPU it has begun before."""
        pictures = self.pictures(frames)
        found = self._start(pictures, [*map(self._least_px, frames)])
        return lambda: [
            _as_in_the_file(faces, frame.shrunk)
            for frame, faces in zip(frames, self.settled(pictures, found()), strict=True)
        ]

    def _least_px(self, frame: Frame) -> float:
        """`min_face` in pixels of the frame's picture."""
        return self._min_face.in_px(frame.height * frame.shrunk) / frame.shrunk

    @property
    def works_ahead(self) -> bool:
        """Whether what `start_frames` began goes on while its caller does something else."""
        return self._cascade.works_ahead

    def pictures(self, frames: Sequence[Frame]) -> Sequence[Sized]:
        """The frames' pictures in the form that `look_again` and `settled` take."""
        return self._cascade.pictures(frames)

    @torch.inference_mode()
    def _start(
        self, pictures: Sequence[Sized], min_faces_px: Sequence[float]
    ) -> Callable[[], list[Faces]]:
        if not pictures:
            return list
        begun = self._cascade.start(pictures, min_faces_px, threshold=self.threshold)
        return partial(self._found, begun, len(pictures))

    @torch.inference_mode()
    def _found(self, begun: Callable[[], Candidates], count: int) -> list[Faces]:
        return [self.faces(part, followed=False) for part in by_frame(begun(), count)]

    def settled(self, pictures: Sequence[Sized], found: Sequence[Faces]) -> list[Faces]:
        """The faces of each picture with steady boxes and landmarks, by O-Net's next looks.

        What one look gives depends on where its square happens to lie, and jumps to and fro by
        some per cent of the height; each look at the box of the look before halves that, and the
        mean of the last ones halves it again. A face that a look loses, or finds too far from
        where it was, keeps what it has; of two that end at one place the surer stays.
        """
        if not found:
            return []
        counts = [len(faces) for faces in found]
        frames = np.repeat(np.arange(len(found)), counts)
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
        ends = np.cumsum(counts)[:-1]
        return [
            self._kept(replace(faces, boxes=its_boxes, landmarks=its_points))
            for faces, its_boxes, its_points in zip(
                found, np.split(boxes, ends), np.split(points, ends), strict=True
            )
        ]

    def _kept(self, faces: Faces) -> Faces:
        """The largest first, without those that lie in a better one, at most `max_faces`."""
        if len(faces) < 2:
            return faces
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
        self, pictures: Sequence[Sized], *, frames: Integers, guesses: Floats
    ) -> Candidates:
        """O-Net alone on `guesses`, (N, 4) boxes in the pictures that `frames` (N,) counts.

        One candidate a guess, sorted as they are by frame; its score is 0 where a guess lies
        outside of its picture. Squares around O-Net's own boxes are much like what R-Net hands it.
        """
        boxes = _around(guesses)
        inside = _touches(boxes, pictures, frames)
        out = np.full((len(guesses), LANDMARK_NUMBERS), 0, np.float32)
        out[:, 0] = np.inf
        if inside.any():
            out[inside] = self._cascade.look(pictures, frames=frames[inside], boxes=boxes[inside])
        return Candidates.read(frames, boxes, out)

    @torch.inference_mode()
    def confirmed(
        self, pictures: Sequence[Sized], *, frames: Integers, boxes: Floats
    ) -> NDArray[np.bool_]:
        """(N,) whether R-Net as well sees faces in O-Net's boxes, (N, 4) and sorted by frame.

        O-Net alone sees a face however small or hidden. In the whole detector it sees only what
        R-Net let pass. The windows of R-Net there, looked at around faces that the detector
        found, are LOOK_SHARE of their heights in the median, as O-Net's, and at least so much of
        `min_face`.
        """
        least_px = np.array([self._min_face.in_px(picture.height) for picture in pictures])
        windows = _around(boxes, least_px=least_px[frames])
        inside = _touches(windows, pictures, frames)
        sees = np.zeros(len(boxes), np.bool_)
        if inside.any():
            out = self._cascade.refine(pictures, frames=frames[inside], boxes=windows[inside])
            sees[inside] = face_scores(out) > REFINEMENT_THRESHOLD
        return sees

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


def _as_in_the_file(faces: Faces, shrunk: int) -> Faces:
    """The faces of a picture that was read smaller, where they would be in the whole one.

    MTCNN takes pixels from one before a box on, but counts from the box: all that it finds lies so
    many pixels too far right and down whatever the picture's size, which is more in a small one.
    """
    if shrunk == 1:
        return faces
    too_far = np.float32(1 - 1 / shrunk) * OFF_PX
    return replace(faces, boxes=faces.boxes - too_far, landmarks=faces.landmarks - too_far[2])


def _around(boxes: Floats, *, least_px: NDArray[np.float64] | None = None) -> Floats:
    """Squares of LOOK_SHARE times the boxes' heights, or `least_px` (N,), around their centres."""
    heights = boxes[:, 3:] - boxes[:, 1:2]
    if least_px is not None:
        heights = np.maximum(heights, least_px.astype(np.float32)[:, None])
    middle = (boxes[:, :2] + boxes[:, 2:]) / np.float32(2)
    half = heights * np.float32(LOOK_SHARE / 2)
    return np.concatenate([middle - half, middle + half], axis=1)


def _touches(boxes: Floats, pictures: Sequence[Sized], frames: Integers) -> NDArray[np.bool_]:
    """(N,) whether anything of a box lies in its picture."""
    ends = picture_sizes(pictures)[frames]
    touches: NDArray[np.bool_] = np.all((boxes[:, :2] < ends) & (boxes[:, 2:] > 0), axis=1)
    return touches & (boxes[:, 3] > boxes[:, 1])
