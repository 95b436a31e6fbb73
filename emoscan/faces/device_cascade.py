"""MTCNN's cascade on a device where the pictures lie: nothing comes back but what is found.

The steps, settings and whole gray levels are those of `cascade`; a box differs from the one that is
found there by fractions of a pixel. For each batch of frames, and for none of them by itself, the
host waits a few times to learn how many candidates there are.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from emoscan.device_squares import cut_squares
from emoscan.faces.candidates import (
    PROPOSAL_STRIDE_PX,
    Candidates,
    Floats,
    Integers,
    joined,
)
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
    Level,
    alike,
    pyramid_levels,
)
from emoscan.faces.device_boxes import (
    DeviceCandidates,
    face_scores,
    not_inside_better,
    rectangles,
    squares,
    suppressed,
)
from emoscan.faces.networks import (
    BOX_NUMBERS,
    OUTPUT_SIDE_PX,
    PROPOSAL_SIDE_PX,
    REFINEMENT_SIDE_PX,
    Networks,
    places_along,
)
from emoscan.faces.resample import Resampling
from emoscan.graphs import TURNS, Replayed, ReplayedBatches
from emoscan.runtime import halving_on_out_of_memory
from emoscan.types import Frame
from emoscan.uploads import UPLOADS, to_device

# Pyramids for so many sizes of pictures are remembered.
KEPT_GRIDS = 64
# Recordings of what is done with whole pictures are kept, for so many shapes of batches: each keeps
# its sums, 12 bytes a pixel. Batches are filled up to these numbers of frames.
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
        self._seen = Replayed(self._see, kept=KEPT_RECORDINGS)
        self._refine = ReplayedBatches(networks.refinement.forward)
        self._settle = ReplayedBatches(networks.output.forward)

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
            settings = (min_face_px, threshold)
            found += halving_on_out_of_memory(
                partial(self._find_in, pictures, places, settings),
                max(1, GPU_BUDGET.frames_px // (height * width)),
            )
        return joined(found)

    def _find_in(
        self,
        pictures: Sequence[DevicePicture],
        places: Sequence[int],
        settings: tuple[float, float],
        size: int,
    ) -> list[Candidates]:
        """In the pictures of one size at these places, as many at a time."""
        found = []
        for first in range(0, len(places), size):
            part = places[first : first + size]
            pixels = [pictures[place].pixels for place in part]
            with TURNS:
                found.append(self._find(pixels, *settings).of_frames(np.array(part)))
        return found

    def look(self, pictures: Sequence[DevicePicture], *, frames: Integers, boxes: Floats) -> Floats:
        """As `Cascade.look`."""
        with TURNS:
            crops = _crops(pictures, frames, boxes, side_px=OUTPUT_SIDE_PX)
            out: Floats = self._settle(crops).cpu().numpy()
        return out

    def refine(
        self, pictures: Sequence[DevicePicture], *, frames: Integers, boxes: Floats
    ) -> Floats:
        """As `Cascade.refine`."""
        with TURNS:
            crops = _crops(pictures, frames, boxes, side_px=REFINEMENT_SIDE_PX)
            out: Floats = self._refine(crops).cpu().numpy()
        return out

    def _find(self, pictures: Sequence[Tensor], min_face_px: float, threshold: float) -> Candidates:
        """What O-Net says of faces in (H, W, 3) pictures of one size, counted from 0."""
        filling = [pictures[-1]] * (_batch_for(len(pictures)) - len(pictures))
        seen = self._seen(torch.stack([*pictures, *filling]), min_face_px)
        out, sums = (part[: len(pictures)] for part in seen)
        found = self._proposed(out, _grid(*pictures[0].shape[:2], min_face_px, self._device))
        boxes = squares(found.moved(inclusive_px=0))
        found = self._look_closer(self._refine, REFINEMENT_SIDE_PX, sums, found.frames, boxes)
        found = found[(found.scores > REFINEMENT_THRESHOLD).nonzero()[:, 0]]
        found = found[suppressed(found.boxes, found.scores, found.frames, iou=REFINEMENT_IOU)]
        boxes = squares(found.moved(inclusive_px=1))
        found = self._look_closer(self._settle, OUTPUT_SIDE_PX, sums, found.frames, boxes)
        found = found[(found.scores > threshold).nonzero()[:, 0]]
        boxes = found.moved(inclusive_px=1)
        found = found[not_inside_better(boxes, found.scores, found.frames, overlap=OUTPUT_OVERLAP)]
        return Candidates.read(
            found.frames.cpu().numpy(), found.boxes.cpu().numpy(), found.out.cpu().numpy()
        )

    def _see(self, pixels: Tensor, min_face_px: float) -> tuple[Tensor, Tensor]:
        """What P-Net says, (B, 6, S), of all places of (B, H, W, 3) pictures; and their sums."""
        planes = pixels.permute(0, 3, 1, 2).contiguous()
        sizes = _grid(*planes.shape[2:], min_face_px, self._device).sizes
        maps = [torch.empty(len(planes), BOX_NUMBERS, 0, device=self._device)]
        for level in _pyramid(planes, sizes, self._resampling):
            maps.append(self._networks.proposal.forward(level).flatten(2))
        return torch.cat(maps, 2), _sums(planes)

    def _proposed(self, out: Tensor, grid: "_Grid") -> DeviceCandidates:
        """P-Net's boxes, of what it says."""
        frames, places = (face_scores(out) >= PROPOSAL_THRESHOLD).nonzero(as_tuple=True)
        found = DeviceCandidates(frames, grid.boxes[places], out[frames, :, places])
        on_level = frames * (len(grid.sizes) + 1) + grid.level_of[places]
        found = found[suppressed(found.boxes, found.scores, on_level, iou=LEVEL_IOU)]
        return found[suppressed(found.boxes, found.scores, found.frames, iou=FRAME_IOU)]

    def _look_closer(
        self, network: ReplayedBatches, side_px: int, sums: Tensor, frames: Tensor, boxes: Tensor
    ) -> DeviceCandidates:
        """R-Net or O-Net on each box; boxes that lie outside their pictures are dropped."""
        height, width = sums.shape[2] - 1, sums.shape[3] - 1
        pixels = rectangles(boxes, width=width, height=height)
        inside = (pixels[:, :2] < pixels[:, 2:]).all(1).nonzero()[:, 0]
        frames, boxes, pixels = frames[inside], boxes[inside], pixels[inside]
        outs = [
            network(_averages(sums, frames[part], pixels[part], side=side_px))
            for part in torch.arange(len(frames), device=self._device).split(GPU_BUDGET.crops)
        ]
        return DeviceCandidates(frames, boxes, torch.cat(outs))


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


def _batch_for(count: int) -> int:
    """So many frames are looked at for this many: few sizes, of which recordings are kept."""
    return next((size for size in FRAMES if size >= count), count)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where P-Net looks: the levels' sizes, and of all their S places in turn (S, 4) boxes in the
    picture and (S,) which level each is on."""

    sizes: list[tuple[int, int]]
    boxes: Tensor
    level_of: Tensor


@lru_cache(KEPT_GRIDS)
def _grid(height: int, width: int, min_face_px: float, device: torch.device) -> _Grid:
    levels = pyramid_levels(height, width, min_face_px)
    boxes = [torch.empty(0, 4), *map(_places_on, levels)]
    level_of = [torch.full((len(its),), number) for number, its in enumerate(boxes)]
    return _Grid(
        [level.size for level in levels],
        torch.cat(boxes).to(device),
        torch.cat(level_of).to(device),
    )


def _places_on(level: Level) -> Tensor:
    """(S, 4) boxes in the picture of all places of P-Net's maps, row by row."""
    rows, columns = (
        PROPOSAL_STRIDE_PX * torch.arange(places_along(side_px), dtype=torch.float32)
        for side_px in level.size
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    corners = torch.stack([x.flatten(), y.flatten()], 1)
    scale = torch.tensor(level.scale, dtype=torch.float32)
    return torch.cat([corners + 1, corners + PROPOSAL_SIDE_PX], 1).div(scale).floor()


def _pyramid(
    planes: Tensor, sizes: Sequence[tuple[int, int]], resampling: Resampling
) -> Iterator[Tensor]:
    """(B, 3, h, w) float32 levels of these sizes, largest first, in 0..255; see `Resampling`."""
    above: Tensor | None = None
    for size in sizes:
        if resampling is Resampling.AREA:
            yield functional.interpolate(planes.float(), size, mode="area")
            continue
        above = _linear(above, size) if above is not None else _shrunk(planes, size)
        yield above.float()


def _shrunk(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 3, h, w) int32: averages over areas, shares of pixels included; enlarged if larger."""
    if size[0] > planes.shape[2] or size[1] > planes.shape[3]:
        return _linear(planes.int(), size, by_area=True)
    height, width = planes.shape[2:]
    across = planes.new_zeros(*planes.shape[:2], size[0], width, dtype=torch.float32)
    for pixels, shares in _shares(height, size[0], planes.device):
        across += planes[:, :, pixels] * shares[:, None]
    out = across.new_zeros(*planes.shape[:2], *size)
    for pixels, shares in _shares(width, size[1], planes.device):
        out += across[..., pixels] * shares
    return out.round().int()


@lru_cache(KEPT_GRIDS)
def _shares(length_px: int, count: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Which pixels, (count,), the first of each of `count` equal parts are, and their shares in it;
    then the second ones, and so on."""
    length = length_px / count
    borders = torch.arange(count + 1, dtype=torch.float64) * length
    first = borders[:-1].floor()
    shares = []
    for step in range(math.ceil(length) + 1):
        pixels = first + step
        inside = torch.minimum(borders[1:], pixels + 1) - torch.maximum(borders[:-1], pixels)
        share = (inside.clamp(min=0) / length).float()
        shares.append((pixels.long().clamp(max=length_px - 1).to(device), share.to(device)))
    return shares


def _linear(levels: Tensor, size: tuple[int, int], *, by_area: bool = False) -> Tensor:
    """(B, 3, h, w) int32 of this size, to the bit what OpenCV makes of bytes bilinearly.

    With `by_area` as it enlarges where it is asked for averages over areas.
    """
    height, width = levels.shape[2:]
    left, right, of_left, of_right = _neighbours(width, size[1], by_area, levels.device)
    across = (levels[..., left] * of_left + levels[..., right] * of_right) >> 4
    top, bottom, of_top, of_bottom = _neighbours(height, size[0], by_area, levels.device)
    upper = (across[:, :, top] * of_top[:, None]) >> 16
    lower = (across[:, :, bottom] * of_bottom[:, None]) >> 16
    return (upper + lower + 2) >> 2


@lru_cache(KEPT_GRIDS)
def _neighbours(
    length_px: int, count: int, by_area: bool, device: torch.device
) -> tuple[Tensor, ...]:
    """Of `count` places along so many pixels, (count,) each: the pixels before and behind and their
    weights in 2048ths."""
    index = torch.arange(count, dtype=torch.float64)
    if by_area:  # only the places whose area reaches into the next pixel lie between two
        before = (index * (length_px / count)).floor()
        share = ((index + 1) - (before + 1) * (count / length_px)).float().clamp(min=0)
        share -= share.floor()
    else:
        places = ((index + 0.5) * (length_px / count) - 0.5).float().clamp(0, length_px - 1)
        before = places.floor()
        share = places - before
    weights = ((1 - share) * 2048).round().int(), (share * 2048).round().int()
    before = before.long()
    behind = (before + 1).clamp(max=length_px - 1)
    return tuple(part.to(device) for part in (before, behind, *weights))


def _sums(planes: Tensor) -> Tensor:
    """(B, 3, H + 1, W + 1) int32 sums over all that lies above and left; they may wrap around."""
    sums = functional.pad(planes.cumsum(3, dtype=torch.int32), (1, 0, 1, 0))
    return sums.cumsum_(2)


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
