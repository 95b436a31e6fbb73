"""MTCNN's cascade on a device where the pictures lie: nothing comes back but what is found.

The steps, settings and whole gray levels are those of `cascade`; a box differs from the one that is
found there by fractions of a pixel. For each batch of frames, and for none of them by itself, the
host waits a few times to learn how many candidates there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from emoscan.device_squares import cut_squares
from emoscan.faces.candidates import Candidates, Floats, Integers, joined
from emoscan.faces.cascade import (
    BEFORE_PX,
    FRAME_IOU,
    GPU_BUDGET,
    LEVEL_IOU,
    LONGER_PX,
    OUTPUT_OVERLAP,
    PROPOSAL_THRESHOLD,
    REFINEMENT_IOU,
    REFINEMENT_THRESHOLD,
    alike,
)
from emoscan.faces.device_boxes import (
    DeviceCandidates,
    face_scores,
    not_inside_better,
    rectangles,
    squares,
    suppressed,
)
from emoscan.faces.device_pyramid import Plan, levels_of, plan
from emoscan.faces.networks import BOX_NUMBERS, Network, Networks
from emoscan.faces.resample import Resampling
from emoscan.graphs import TURNS, Replayed, ReplayedBatches
from emoscan.runtime import halving_on_out_of_memory
from emoscan.types import Frame
from emoscan.uploads import UPLOADS, to_device

# Recordings of what is done with whole pictures are kept, for so many shapes of batches: each keeps
# its pictures, its sums and what P-Net says, 15 to 30 bytes a pixel. Batches are filled up to these
# numbers of frames.
KEPT_RECORDINGS = 4
FRAMES = (1, 2, 4, 8, 12, 16, 30)


@dataclass(frozen=True, slots=True)
class DevicePicture:
    """(H, W, 3) uint8 RGB on a device."""

    pixels: Tensor

    @property
    def height(self) -> int:
        """In px."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """In px."""
        return self.pixels.shape[1]


class DeviceCascade:
    """Pictures, pyramids, boxes and crops on one device, batched over frames of equal size."""

    def __init__(self, networks: Networks, device: torch.device, resampling: Resampling) -> None:
        self._networks = networks
        self._device = device
        self._resampling = resampling
        self._seen = Replayed(kept=KEPT_RECORDINGS)
        self._refinement = _Replayable(networks.refinement)
        self._output = _Replayable(networks.output)

    def pictures(self, frames: Sequence[Frame]) -> list[DevicePicture]:
        """As `Cascade.pictures`."""
        return [DevicePicture(UPLOADS.of(frame, self._device)) for frame in frames]

    def of_arrays(self, images: Sequence[NDArray[np.uint8]]) -> list[DevicePicture]:
        """As `Cascade.of_arrays`."""
        return [DevicePicture(to_device(image, self._device)) for image in images]

    def find(
        self, pictures: Sequence[DevicePicture], min_faces_px: Sequence[float], *, threshold: float
    ) -> Candidates:
        """As `Cascade.find`."""
        found: list[Candidates] = []
        for (height, width, min_face_px), places in alike(pictures, min_faces_px).items():
            most = max(1, GPU_BUDGET.frames_px // (height * width))
            with TURNS:
                its_plan = plan(height, width, min_face_px, self._resampling, self._device)
                found += halving_on_out_of_memory(
                    partial(self._find_in, pictures, places, (its_plan, threshold)),
                    min(most, len(places)),
                )
        return joined(found)

    def _find_in(
        self,
        pictures: Sequence[DevicePicture],
        places: Sequence[int],
        settings: tuple[Plan, float],
        size: int,
    ) -> list[Candidates]:
        """In the pictures of one size at these places, at most so many at a time."""
        found, step = [], _filled(size, most=size)
        for first in range(0, len(places), step):
            part = places[first : first + step]
            pixels = [pictures[place].pixels for place in part]
            found.append(self._find(pixels, *settings).of_frames(np.array(part)))
        return found

    def look(self, pictures: Sequence[DevicePicture], *, frames: Integers, boxes: Floats) -> Floats:
        """As `Cascade.look`."""
        return _seen_in_squares(self._output, pictures, frames, boxes)

    def refine(
        self, pictures: Sequence[DevicePicture], *, frames: Integers, boxes: Floats
    ) -> Floats:
        """As `Cascade.refine`."""
        return _seen_in_squares(self._refinement, pictures, frames, boxes)

    def _find(self, pictures: Sequence[Tensor], its_plan: Plan, threshold: float) -> Candidates:
        """What O-Net says of faces in (H, W, 3) pictures of one size, counted from 0."""
        most = max(1, GPU_BUDGET.frames_px // math.prod(pictures[0].shape[:2]))
        filling = [pictures[-1]] * (_filled(len(pictures), most=most) - len(pictures))
        seen = self._seen(self._see, torch.stack([*pictures, *filling]), its_plan)
        out, sums = (part[: len(pictures)] for part in seen)
        found = _proposed(out, its_plan)
        boxes = squares(found.moved(inclusive_px=0))
        found = _look_closer(self._refinement, sums, found.frames, boxes)
        found = found[(found.scores > REFINEMENT_THRESHOLD).nonzero()[:, 0]]
        found = found[suppressed(found.boxes, found.scores, found.frames, iou=REFINEMENT_IOU)]
        boxes = squares(found.moved(inclusive_px=1))
        found = _look_closer(self._output, sums, found.frames, boxes)
        found = found[(found.scores > threshold).nonzero()[:, 0]]
        boxes = found.moved(inclusive_px=1)
        found = found[not_inside_better(boxes, found.scores, found.frames, overlap=OUTPUT_OVERLAP)]
        return Candidates.read(
            found.frames.cpu().numpy(), found.boxes.cpu().numpy(), found.out.cpu().numpy()
        )

    def _see(self, pixels: Tensor, its_plan: Plan) -> tuple[Tensor, Tensor]:
        """What P-Net says, (B, 6, S), of all places of (B, H, W, 3) pictures; and their sums."""
        planes = pixels.permute(0, 3, 1, 2).contiguous()
        maps = [torch.empty(len(planes), BOX_NUMBERS, 0, device=planes.device)]
        for level in levels_of(planes, its_plan):
            maps.append(self._networks.proposal.forward(level).flatten(2))
        return torch.cat(maps, 2), _sums(planes)


class _Replayable:
    """R-Net or O-Net, with what a GPU recorded of it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._replayed = ReplayedBatches()
        self.side_px = network.side_px

    def __call__(self, crops: Tensor) -> Tensor:
        """(N, 6) or (N, 16) numbers of (N, 3, side_px, side_px) crops."""
        return self._replayed(self._network.forward, crops)


def _proposed(out: Tensor, its_plan: Plan) -> DeviceCandidates:
    """P-Net's boxes, of what it says."""
    frames, places = (face_scores(out) >= PROPOSAL_THRESHOLD).nonzero(as_tuple=True)
    boxes, level = its_plan.boxes(places)
    found = DeviceCandidates(frames, boxes, out[frames, :, places])
    on_level = frames * len(its_plan.sizes) + level
    found = found[suppressed(found.boxes, found.scores, on_level, iou=LEVEL_IOU)]
    return found[suppressed(found.boxes, found.scores, found.frames, iou=FRAME_IOU)]


def _look_closer(
    network: _Replayable, sums: Tensor, frames: Tensor, boxes: Tensor
) -> DeviceCandidates:
    """R-Net or O-Net on each box; boxes that lie outside their pictures are dropped."""
    height, width = sums.shape[2] - 1, sums.shape[3] - 1
    pixels = rectangles(boxes, width=width, height=height)
    inside = (pixels[:, :2] < pixels[:, 2:]).all(1).nonzero()[:, 0]
    frames, boxes, pixels = frames[inside], boxes[inside], pixels[inside]
    parts = zip(frames.split(GPU_BUDGET.crops), pixels.split(GPU_BUDGET.crops), strict=True)
    outs = [network(_averages(sums, *part, side=network.side_px)) for part in parts]
    return DeviceCandidates(frames, boxes, torch.cat(outs))


def _seen_in_squares(
    network: _Replayable,
    pictures: Sequence[DevicePicture],
    frames: Integers,
    boxes: Floats,
) -> Floats:
    """What R-Net or O-Net says of squares with fractions of pixels, (N, 4)."""

    def see(size: int) -> list[Tensor]:
        parts = (slice(first, first + size) for first in range(0, len(frames), size))
        return [
            network(_crops(pictures, frames[part], boxes[part], side_px=network.side_px))
            for part in parts
        ]

    size = min(len(frames), GPU_BUDGET.crops)
    with TURNS:
        out: Floats = torch.cat(halving_on_out_of_memory(see, size)).cpu().numpy()
    return out


def _crops(
    pictures: Sequence[DevicePicture], frames: Integers, boxes: Floats, *, side_px: int
) -> Tensor:
    """(N, 3, side_px, side_px) of squares with fractions of pixels, (N, 4)."""
    sides = boxes[:, 3:] - boxes[:, 1:2] + LONGER_PX
    return cut_squares(
        [picture.pixels for picture in pictures],
        frames=frames,
        squares=np.concatenate([boxes[:, :2] - BEFORE_PX, sides], axis=1).astype(np.float64),
        out_px=side_px,
    )


def _filled(count: int, *, most: int) -> int:
    """So many frames are looked at for this many: few sizes, of which recordings are kept."""
    sizes = [size for size in FRAMES if size <= most]
    return next((size for size in sizes if size >= count), sizes[-1])


def _sums(planes: Tensor) -> Tensor:
    """(B, 3, H + 1, W + 1) int32 sums over all that lies above and left; they may wrap around."""
    return functional.pad(planes, (1, 0, 1, 0)).cumsum(3, dtype=torch.int32).cumsum_(2)


def _averages(sums: Tensor, frames: Tensor, boxes: Tensor, *, side: int) -> Tensor:
    """(N, 3, side, side) float32 averages over bins of `boxes`, (N, 4) in whole pixels.

    The bins are those of torch's `adaptive_avg_pool2d`, whole pixels too, as in `resample`.
    """
    left, right = _bins(boxes[:, 0], boxes[:, 2], side)
    top, bottom = _bins(boxes[:, 1], boxes[:, 3], side)

    def above_left(y: Tensor, x: Tensor) -> Tensor:
        return sums[frames[:, None, None], :, y[:, :, None], x[:, None, :]]

    found = above_left(bottom, right) - above_left(top, right)
    found += above_left(top, left) - above_left(bottom, left)
    areas = (bottom - top)[:, :, None] * (right - left)[:, None, :]
    return (found / areas[..., None]).permute(0, 3, 1, 2)


def _bins(first: Tensor, last: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, count) first pixels and ends of the bins from (N,) `first` up to `last`."""
    index = torch.arange(count, device=first.device)
    length = (last - first)[:, None]
    starts = index * length // count
    ends = ((index + 1) * length + count - 1) // count
    return first[:, None] + starts, first[:, None] + ends
