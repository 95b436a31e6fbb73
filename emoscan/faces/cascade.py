"""MTCNN's cascade on pictures in the main memory, batched over frames and candidates.

The method is that of Zhang et al. 2016 (arXiv 1604.02878) in the details of facenet-pytorch
2.5.3: P-Net proposes boxes on a pyramid, R-Net and O-Net look closer.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from emoscan.faces.boxes import iou
from emoscan.faces.candidates import (
    Candidates,
    Floats,
    Integers,
    best_of_each,
    by_frame,
    joined,
    moved,
    no_candidates,
    proposals,
    rectangles,
    squares,
    suppressed,
)
from emoscan.faces.networks import BOX_NUMBERS, Network, Networks
from emoscan.faces.pyramid import Sheet, on_few_sheets, one_each, pyramid_levels
from emoscan.faces.resample import Fidelity, Picture, Pixels
from emoscan.runtime import halving_on_out_of_memory
from emoscan.squares import cut_square
from emoscan.types import Frame

# The settings of facenet-pytorch, for equal boxes.
PROPOSAL_THRESHOLD, REFINEMENT_THRESHOLD = 0.6, 0.7
LEVEL_IOU, FRAME_IOU, REFINEMENT_IOU = 0.5, 0.7, 0.7
# Of two boxes of O-Net of which so much of the smaller lies in the other, the surer stays.
OUTPUT_OVERLAP = 0.7
# Candidates for O-Net that overlap by more show the same face, or none.
SAME_FACE_IOU = 0.5

# Squares that `look` and `refine` take lie as `rectangles` in the mean, which takes whole pixels
# from one before the box on: so far before the box, and so much longer.
BEFORE_PX, LONGER_PX = 1.5, 1


class Sized(Protocol):
    """What is known of any picture: its upright size."""

    @property
    def height(self) -> int:
        """In px."""
        ...

    @property
    def width(self) -> int:
        """In px."""
        ...


P = TypeVar("P", bound=Sized)


class Cascade(Protocol[P]):
    """The three networks, and how they see pictures; P is what it keeps of a picture."""

    @property
    def works_ahead(self) -> bool:
        """Whether what is started goes on while its host does something else."""
        ...

    def pictures(self, frames: Sequence[Frame]) -> list[P]:
        """The frames' pictures, where the cascade wants them."""
        ...

    def of_arrays(self, images: Sequence[NDArray[np.uint8]]) -> list[P]:
        """The same of (H, W, 3) uint8 RGB."""
        ...

    def start(
        self, pictures: Sequence[P], min_faces_px: Sequence[float], *, threshold: float
    ) -> Callable[[], Candidates]:
        """What O-Net says of faces in the pictures, sorted by picture: scores above `threshold`.

        Whoever calls for it waits for it. Of some faces it may say several things: whoever asks
        chooses by `not_inside_a_better`. The call raises torch.OutOfMemoryError where not even one
        picture fits into the device's memory.
        """
        ...

    def look(self, pictures: Sequence[P], *, frames: Integers, boxes: Floats) -> Floats:
        """O-Net's numbers, (N, 16), for squares with fractions of pixels, (N, 4), at least one."""
        ...

    def refine(self, pictures: Sequence[P], *, frames: Integers, boxes: Floats) -> Floats:
        """R-Net's numbers, (N, 6), for the same."""
        ...


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is computed at once, which bounds the memory.

    `frames_px` bounds the frames that go through the cascade together, `proposal_px` the pixels of
    sheets, but for one that is larger, and `crops` the crops that go through a network together.
    """

    frames_px: int
    proposal_px: int
    crops: int


# A CPU is fastest while the maps of a batch stay in its cache; a GPU wants large batches.
CPU_BUDGET = Budget(frames_px=2**22, proposal_px=2**17, crops=64)
GPU_BUDGET = Budget(frames_px=2**25, proposal_px=2**23, crops=4096)


@dataclass(frozen=True, slots=True)
class Looks:
    """R-Net's and O-Net's looks at what P-Net proposed, step by step in the main memory.

    `sizes` (F, 2) are the pictures' widths and heights; `outputs` gives what a network says of
    rectangles, (N, 4) in whole pixels, in the pictures that (N,) counts.
    """

    networks: Networks
    sizes: Integers
    outputs: Callable[[Network, Integers, Integers], Floats]

    def confirmed(self, found: Candidates, *, threshold: float, spares: bool) -> Candidates:
        """What both let pass. `spares` leaves out candidates that lie on a face that O-Net saw."""
        boxes = squares(moved(found, inclusive_px=0))
        found = self._closer(self.networks.refinement, replace(found, boxes=boxes))
        found = suppressed(found[found.scores > REFINEMENT_THRESHOLD], REFINEMENT_IOU)
        found = replace(found, boxes=squares(moved(found, inclusive_px=1)))
        return self._one_by_one(found, threshold) if spares else self._faces(found, threshold)

    def _one_by_one(self, found: Candidates, threshold: float) -> Candidates:
        """O-Net's faces, where it looks first at the surest of those candidates that overlap.

        Most of them show the same face: three of four looks are spared.
        """
        first = best_of_each(found, SAME_FACE_IOU)
        faces = self._faces(found[first], threshold)
        others = found[np.setdiff1d(np.arange(len(found)), first)]
        left = [
            its[np.flatnonzero((iou(its.boxes, its_faces.boxes) <= SAME_FACE_IOU).all(axis=1))]
            for its, its_faces in zip(
                by_frame(others, len(self.sizes)), by_frame(faces, len(self.sizes)), strict=True
            )
        ]
        return joined([faces, self._faces(joined(left), threshold)])

    def _faces(self, found: Candidates, threshold: float) -> Candidates:
        found = self._closer(self.networks.output, found)
        return found[found.scores > threshold]

    def _closer(self, network: Network, found: Candidates) -> Candidates:
        """What it says of their boxes; those that lie outside their pictures are dropped."""
        pixels = rectangles(found.boxes, self.sizes[found.frames])
        inside = np.all(pixels[:, :2] < pixels[:, 2:], axis=1)
        frames, boxes = found.frames[inside], found.boxes[inside]
        return Candidates.read(frames, boxes, self.outputs(network, frames, pixels[inside]))


class HostCascade:
    """Pictures and boxes in the main memory, resampled by OpenCV; networks wherever they are."""

    works_ahead = False

    def __init__(self, networks: Networks, device: torch.device, fidelity: Fidelity) -> None:
        self._networks = networks
        self._device = device
        self._fidelity = fidelity
        self._budget = CPU_BUDGET if device.type == "cpu" else GPU_BUDGET

    def pictures(self, frames: Sequence[Frame]) -> list[Picture]:
        """As `Cascade.pictures`."""
        return self.of_arrays([frame.rgb() for frame in frames])

    def of_arrays(self, images: Sequence[NDArray[np.uint8]]) -> list[Picture]:
        """As `Cascade.of_arrays`."""
        return [*map(Picture, images)]

    def start(
        self, pictures: Sequence[Picture], min_faces_px: Sequence[float], *, threshold: float
    ) -> Callable[[], Candidates]:
        """As `Cascade.start`, where nothing is done until it is called for."""
        return partial(self.find, pictures, min_faces_px, threshold=threshold)

    def find(
        self, pictures: Sequence[Picture], min_faces_px: Sequence[float], *, threshold: float
    ) -> Candidates:
        """The same; as many pictures at once as the budget allows."""
        found, first = [], 0
        for count in batches(pictures, self._budget.frames_px):
            part = slice(first, first + count)
            its = self._find(pictures[part], min_faces_px[part], threshold)
            for picture in pictures[part]:
                picture.forget()
            found.append(its.of_frames(np.arange(first, first + count)))
            first += count
        return joined(found)

    def look(self, pictures: Sequence[Picture], *, frames: Integers, boxes: Floats) -> Floats:
        """As `Cascade.look`."""
        return self._outputs_of_squares(self._networks.output, pictures, frames, boxes)

    def refine(self, pictures: Sequence[Picture], *, frames: Integers, boxes: Floats) -> Floats:
        """As `Cascade.refine`."""
        return self._outputs_of_squares(self._networks.refinement, pictures, frames, boxes)

    def _outputs_of_squares(
        self, network: Network, pictures: Sequence[Picture], frames: Integers, boxes: Floats
    ) -> Floats:
        out = []
        for start in range(0, len(frames), self._budget.crops):
            part = slice(start, start + self._budget.crops)
            crops = [
                cut_square(
                    pictures[frame].pixels,
                    left=x0 - BEFORE_PX,
                    top=y0 - BEFORE_PX,
                    side=y1 - y0 + LONGER_PX,
                    out_px=network.side_px,
                )
                for frame, (x0, y0, _, y1) in zip(frames[part], boxes[part].tolist(), strict=True)
            ]
            out.append(self._run(network, np.stack(crops)))
        return np.concatenate(out)

    def _find(
        self, pictures: Sequence[Picture], min_faces_px: Sequence[float], threshold: float
    ) -> Candidates:
        looks = Looks(
            self._networks, picture_sizes(pictures), partial(self._outputs, pictures=pictures)
        )
        return looks.confirmed(
            self._propose(pictures, min_faces_px),
            threshold=threshold,
            spares=self._fidelity is Fidelity.QUICK,
        )

    def _propose(self, pictures: Sequence[Picture], min_faces_px: Sequence[float]) -> Candidates:
        """P-Net on the pyramids of all pictures."""
        found = [no_candidates(outputs=BOX_NUMBERS)]
        lay_out = on_few_sheets if self._fidelity is Fidelity.QUICK else one_each
        for (height, width, min_face_px), frames in alike(pictures, min_faces_px).items():
            levels = pyramid_levels(height, width, min_face_px)
            sizes = [level.size for level in levels]
            pyramids = [iter(pictures[frame].pyramid(sizes, self._fidelity)) for frame in frames]
            for sheet in lay_out(tuple(levels)):
                its = [[*islice(pyramid, len(sheet.levels))] for pyramid in pyramids]
                found += self._propose_on(sheet, [*map(sheet.filled, its)], np.array(frames))
        return suppressed(joined(found), FRAME_IOU)

    def _propose_on(
        self, sheet: Sheet, filled: Sequence[Pixels], frames: Integers
    ) -> Iterator[Candidates]:
        """P-Net on one sheet of each of these frames."""
        step = max(1, self._budget.proposal_px // math.prod(sheet.size))
        for start in range(0, len(frames), step):
            part = slice(start, start + step)
            out = self._run(self._networks.proposal, _stacked(filled[part])).transpose(0, 2, 3, 1)
            for level, its in zip(sheet.levels, sheet.maps(out), strict=True):
                found = proposals(
                    its, frames[part], scale=level.scale, threshold=PROPOSAL_THRESHOLD
                )
                yield suppressed(found, LEVEL_IOU)

    def _outputs(
        self, network: Network, frames: Integers, pixels: Integers, *, pictures: Sequence[Picture]
    ) -> Floats:
        """What a network says of rectangles, (N, 4) in whole pixels, sorted by frame."""
        out = [np.zeros((0, network.outputs), np.float32)]
        for start in range(0, len(frames), self._budget.crops):
            part = slice(start, start + self._budget.crops)
            crops = self._crops(pictures, frames[part], pixels[part], side=network.side_px)
            out.append(self._run(network, crops))
        return np.concatenate(out)

    def _crops(
        self, pictures: Sequence[Picture], frames: Integers, pixels: Integers, *, side: int
    ) -> Pixels:
        """(N, side, side, 3) crops of `pixels`, sorted by frame."""
        parts: list[Any] = [
            pictures[frame].crops(pixels[frames == frame], side=side, fidelity=self._fidelity)
            for frame in np.unique(frames)
        ]
        crops: Pixels = np.concatenate(parts)
        return crops

    def _run(self, network: Network, pixels: NDArray[np.generic]) -> Floats:
        """(N, H, W, 3) pixels through a network, in halves where memory runs out."""
        images = torch.from_numpy(pixels)
        parts = halving_on_out_of_memory(
            lambda size: [self._run_batch(network, batch) for batch in images.split(size)],
            len(images),
        )
        # Torch's threads would copy large results, and then spin while others wait for a core.
        outs: list[Floats] = [part.cpu().numpy() for part in parts]
        return outs[0] if len(outs) == 1 else np.concatenate(outs)

    def _run_batch(self, network: Network, images: torch.Tensor) -> torch.Tensor:
        return network.forward(images.to(self._device).permute(0, 3, 1, 2))


def _stacked(pictures: Sequence[Pixels]) -> Pixels:
    """(N, H, W, 3) of (H, W, 3) each; of one without a copy."""
    several: list[Any] = [*pictures]
    stacked: Pixels = several[0][None] if len(several) == 1 else np.stack(several)
    return stacked


def alike(
    pictures: Sequence[Sized], min_faces_px: Sequence[float]
) -> dict[tuple[int, int, float], list[int]]:
    """Which pictures have the same height, width and least side of a face."""
    groups: dict[tuple[int, int, float], list[int]] = defaultdict(list)
    for place, (picture, min_face_px) in enumerate(zip(pictures, min_faces_px, strict=True)):
        groups[picture.height, picture.width, min_face_px].append(place)
    return groups


def batches(pictures: Sequence[Sized], most_px: int) -> Iterator[int]:
    """How many of the pictures each go together, in their order: one, or up to `most_px`."""
    ends_px = np.cumsum([picture.height * picture.width for picture in pictures])
    first, before_px = 0, 0
    while first < len(pictures):
        last = int(np.searchsorted(ends_px, before_px + most_px, side="right"))
        count = max(1, last - first)
        yield count
        first += count
        before_px = int(ends_px[first - 1])


def picture_sizes(pictures: Sequence[Sized]) -> Integers:
    """(N, 2) widths and heights."""
    sizes = [(picture.width, picture.height) for picture in pictures]
    return np.array(sizes, np.int64).reshape(-1, 2)
