"""MTCNN's cascade on a device where the pictures lie: nothing comes back but what is found.

The steps and settings are those of `cascade`, and so are nearly all gray levels: a box differs by
fractions of a pixel. All of it is one piece of work, in which each step has room for so many boxes
a frame: it can be recorded, and the host waits once, for what is found. Where a frame needs more
room, its batch is looked at step by step, and the next one has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoscan.device_squares import SquareViewer
from emoscan.faces.candidates import (
    Candidates,
    Floats,
    Integers,
    joined,
    no_candidates,
    suppressed,
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
    SAME_FACE_IOU,
    Looks,
    alike,
    picture_sizes,
)
from emoscan.faces.device_boxes import (
    Slots,
    beside_any,
    face_scores,
    first_places,
    greedy,
    paired_iou,
    rectangles,
    shares_of_smaller,
    squares,
)
from emoscan.faces.device_pyramid import Plan, plan
from emoscan.faces.device_resample import Resampled, resampled
from emoscan.faces.networks import LANDMARK_NUMBERS, Network, Networks
from emoscan.faces.resample import Fidelity
from emoscan.graphs import Replayed
from emoscan.lanes import Lane, in_lane, turn
from emoscan.runtime import halving_on_out_of_memory, is_out_of_memory
from emoscan.types import Frame
from emoscan.uploads import UPLOADS, Upload, on_its_way_back, to_device

# Recordings of what is done with whole pictures are kept, for so many shapes of batches: each keeps
# its pictures, their halves and what P-Net says, some tens of bytes a pixel. Batches are filled up
# to these numbers of frames.
KEPT_CASCADES = 4
FRAMES = (1, 2, 4, 8, 12, 16, 30)
# Rather than in two, a batch is looked at in one that is so many times as large.
MOST_FILLED = 1.25

# Room for so many boxes a frame: few sizes, of which recordings are kept.
ROOMS = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
# A scene that needs so much now may soon need more.
SPARE_ROOM = 1.1
# On talking heads, in a street and on photos, chains of boxes that suppress each other took up to 9
# rounds of P-Net's, 7 of R-Net's and 1 over P-Net's levels; those that show one face up to 3.
LEVEL_ROUNDS, FRAME_ROUNDS, REFINEMENT_ROUNDS, OUTPUT_ROUNDS = 12, 3, 10, 6


class Rooms(NamedTuple):
    """For how many boxes a frame there is room: those of P-Net, and those that R- and O-Net see.

    The first ones are enough for one face in 720p: 172, 72 and 13 were the most of a clip.
    """

    proposals: int = 256
    refinements: int = 96
    outputs: int = 16

    @property
    def are_too_large(self) -> bool:
        """Whether nobody may have so much."""
        return max(self) > ROOMS[-1]

    def with_room_for(self, needed: Sequence[int]) -> "Rooms":
        """At least these, for as many boxes as each step needed; what was enough stays."""
        pairs = zip(self, needed, strict=True)
        return Rooms(*(room if need <= room else _room_for(need) for room, need in pairs))


def _room_for(needed: int) -> int:
    return next((room for room in ROOMS if room >= SPARE_ROOM * needed), needed + ROOMS[-1])


@dataclass(frozen=True, slots=True)
class DevicePicture:
    """(H, W, 3) uint8 RGB on a device, or on the way there."""

    upload: Upload

    @property
    def height(self) -> int:
        """In px."""
        return self.upload.pixels.shape[0]

    @property
    def width(self) -> int:
        """In px."""
        return self.upload.pixels.shape[1]


class DeviceCascade:
    """Pictures, pyramids, boxes and crops on one device, batched over frames of equal size."""

    works_ahead = True

    def __init__(self, networks: Networks, device: torch.device, fidelity: Fidelity) -> None:
        self._networks = networks
        self._device = device
        self._fidelity = fidelity
        self._seen = Replayed(Lane.PICTURES, kept=KEPT_CASCADES)
        self._rooms: WeakKeyDictionary[Plan, Rooms] = WeakKeyDictionary()
        self._refinement, self._output = (
            SquareViewer(network.forward, out_px=network.side_px)
            for network in (networks.refinement, networks.output)
        )

    def pictures(self, frames: Sequence[Frame]) -> list[DevicePicture]:
        """As `Cascade.pictures`."""
        return [DevicePicture(UPLOADS.of(frame, self._device)) for frame in frames]

    def of_arrays(self, images: Sequence[NDArray[np.uint8]]) -> list[DevicePicture]:
        """As `Cascade.of_arrays`."""
        return [DevicePicture(Upload(to_device(image, self._device))) for image in images]

    def start(
        self, pictures: Sequence[DevicePicture], min_faces_px: Sequence[float], *, threshold: float
    ) -> Callable[[], Candidates]:
        """As `Cascade.start`: the device works while others do something else."""
        found = []
        for (height, width, min_face_px), places in alike(pictures, min_faces_px).items():
            its_plan = plan(height, width, min_face_px, self._fidelity, self._device)
            if its_plan.sizes:
                its = [pictures[place] for place in places]
                found.append((np.array(places), self._start_alike(its, its_plan, threshold)))
        none = no_candidates(outputs=LANDMARK_NUMBERS)
        return lambda: joined([none, *(its().of_frames(frames) for frames, its in found)])

    def _start_alike(
        self, pictures: Sequence[DevicePicture], its_plan: Plan, threshold: float
    ) -> Callable[[], Candidates]:
        """In pictures of one size; what memory does not allow begins when it is called for."""

        def begun(size: int) -> list[Callable[[], Candidates]]:
            step = size if size == len(pictures) else _filled(size, most=size)
            parts = (slice(first, first + step) for first in range(0, len(pictures), step))
            return [self._begin(pictures, part, its_plan, threshold) for part in parts]

        size = _together(len(pictures), most=_most_frames(pictures[0]))
        ahead: list[list[Callable[[], Candidates]]] = []
        try:
            ahead.append(begun(size))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise

        def found(size: int) -> Candidates:
            return joined([part() for part in (ahead.pop() if ahead else begun(size))])

        return partial(halving_on_out_of_memory, found, size)

    def look(self, pictures: Sequence[DevicePicture], *, frames: Integers, boxes: Floats) -> Floats:
        """As `Cascade.look`."""
        return _seen_in_squares(self._output, pictures, frames, boxes)

    def refine(
        self, pictures: Sequence[DevicePicture], *, frames: Integers, boxes: Floats
    ) -> Floats:
        """As `Cascade.refine`."""
        return _seen_in_squares(self._refinement, pictures, frames, boxes)

    def _begin(
        self, pictures: Sequence[DevicePicture], part: slice, its_plan: Plan, threshold: float
    ) -> Callable[[], Candidates]:
        """What O-Net says of faces in some of the pictures, which are of one size."""
        frames, its = np.arange(len(pictures))[part], pictures[part]
        rooms = self._rooms.setdefault(its_plan, Rooms())

        def step_by_step() -> Candidates:
            return self._find_step_by_step(its, its_plan, threshold).of_frames(frames)

        if rooms.are_too_large:
            return step_by_step
        filling = [its[-1]] * (_filled(len(its), most=_most_frames(its[0])) - len(its))
        with turn(self._device, Lane.PICTURES):
            given = torch.stack([picture.upload.taken() for picture in (*its, *filling)])
            out = on_its_way_back(*self._seen(self._see, (given,), its_plan, threshold, rooms))

        def found() -> Candidates:
            faces, tallies = _read(out(), room=rooms.outputs)
            if tallies.are_enough(rooms):
                return faces[faces.frames < len(its)].of_frames(frames)
            self._rooms[its_plan] = self._rooms[its_plan].with_room_for(tallies.needed)
            return step_by_step()

        return found

    def _see(self, pixels: Tensor, its_plan: Plan, threshold: float, rooms: Rooms) -> tuple[Tensor]:
        """Of (B, H, W, 3) pictures what `_read` reads."""
        steps, pictures = _Steps(), resampled(pixels, its_plan)
        found = steps.proposed(self._proposals(pictures), its_plan, room=rooms.proposals)
        found = steps.packed(found, rooms.refinements)
        boxes = squares(found.moved(inclusive_px=0))
        found = _look_closer(self._networks.refinement, pictures, boxes, found.filled)
        found = steps.packed(steps.refined(found), rooms.outputs)
        boxes, filled = squares(found.moved(inclusive_px=1)), found.filled
        found = _look_closer(self._networks.output, pictures, boxes, filled)
        if self._spares:
            found = steps.spared(found, filled, threshold)
        return (steps.written(steps.chosen(found, threshold)),)

    def _proposals(self, pictures: Resampled) -> Tensor:
        """What P-Net says, (B, 6, S), of all places of the pictures."""
        maps = [self._networks.proposal.forward(level).flatten(2) for level in pictures.levels()]
        return torch.cat(maps, 2)

    @property
    def _spares(self) -> bool:
        return self._fidelity is Fidelity.QUICK

    def _find_step_by_step(
        self, pictures: Sequence[DevicePicture], its_plan: Plan, threshold: float
    ) -> Candidates:
        """The same with room for any number of boxes, which the host suppresses."""
        with in_lane(self._device, Lane.PICTURES):
            given = torch.stack([picture.upload.taken() for picture in pictures])
            there = resampled(given, its_plan)
            found = _proposed_to_host(self._proposals(there), its_plan)
            seen = partial(_outputs, there, self._device)
            looks = Looks(self._networks, picture_sizes(pictures), seen)
            return looks.confirmed(found, threshold=threshold, spares=self._spares)


@dataclass(slots=True)
class _Steps:
    """The steps between the networks, for `Rooms`: how much they `needed` in the frame with most
    boxes, and whether each suppression is `settled`."""

    needed: list[Tensor] = field(default_factory=list)
    settled: list[Tensor] = field(default_factory=list)

    def proposed(self, out: Tensor, its_plan: Plan, *, room: int) -> Slots:
        """P-Net's boxes, of what it says."""
        is_proposed = face_scores(out, dim=1) >= PROPOSAL_THRESHOLD
        self.needed.append(is_proposed.sum(1).max())
        places, filled = first_places(is_proposed, room)
        its_out = out.gather(2, places[:, None].expand(-1, out.shape[1], -1)).transpose(1, 2)
        boxes, level = its_plan.boxes(places.flatten())
        found = Slots(boxes.view(*places.shape, 4), its_out, filled)
        order = found.best_first()
        found, level = found.at(order), level.view_as(places).gather(1, order)

        def on_level(part: slice) -> Tensor:
            is_alike = level[part, :, None] == level[part, None]
            return is_alike & (paired_iou(found.boxes[part]) > LEVEL_IOU)

        found = self._suppressed(found, on_level, LEVEL_ROUNDS)
        return self._suppressed_by_iou(found, FRAME_IOU, FRAME_ROUNDS)

    def packed(self, found: Slots, room: int) -> Slots:
        """Without gaps, for the next network to see."""
        self.needed.append(found.filled.sum(1).max())
        return found.packed(room)

    def refined(self, found: Slots) -> Slots:
        """R-Net's boxes, of what it says."""
        found = found.where(found.scores > REFINEMENT_THRESHOLD)
        return self._suppressed_by_iou(
            found.at(found.best_first()), REFINEMENT_IOU, REFINEMENT_ROUNDS
        )

    def spared(self, found: Slots, filled: Tensor, threshold: float) -> Slots:
        """O-Net's boxes without those that lie on a face that it saw in a surer one of R-Net's.

        `filled` (B, K) are R-Net's, best first: of those that overlap, O-Net's word on the surest
        counts, as where it looks at that one first.
        """

        def show_the_same(part: slice) -> Tensor:
            return paired_iou(found.boxes[part]) > SAME_FACE_IOU

        surest, settled = greedy(filled, show_the_same, rounds=OUTPUT_ROUNDS)
        self.settled.append(settled)
        faces = surest & (found.scores > threshold)
        return found.where(surest | ~beside_any(faces, show_the_same))

    def chosen(self, found: Slots, threshold: float) -> Slots:
        """O-Net's faces: of equal ones the later is the better, as in `candidates`."""
        found = found.where(found.scores > threshold)
        found = found.at(found.best_first(later_first=True))
        boxes = found.moved(inclusive_px=1)
        return self._suppressed(
            found, lambda part: shares_of_smaller(boxes[part]) > OUTPUT_OVERLAP, OUTPUT_ROUNDS
        )

    def written(self, found: Slots) -> Tensor:
        """All in one (N,) tensor, to be read by one copy."""
        numbers = torch.cat([found.filled[..., None], found.boxes, found.out], -1)
        settled = torch.stack(self.settled).all()
        tallies = torch.stack([*self.needed, settled.long()])
        return torch.cat([numbers.flatten(), tallies.to(numbers.dtype)])

    def _suppressed_by_iou(self, found: Slots, iou: float, rounds: int) -> Slots:
        return self._suppressed(found, lambda part: paired_iou(found.boxes[part]) > iou, rounds)

    def _suppressed(
        self, found: Slots, suppresses: Callable[[slice], Tensor], rounds: int
    ) -> Slots:
        kept, settled = greedy(found.filled, suppresses, rounds=rounds)
        self.settled.append(settled)
        return found.where(kept)


class Tallies(NamedTuple):
    """How much room each step needed in the frame with most boxes, and whether all is settled."""

    needed: tuple[int, int, int]
    settled: bool

    def are_enough(self, rooms: Rooms) -> bool:
        """Whether all boxes had room, and had their rounds."""
        has_room = all(need <= room for need, room in zip(self.needed, rooms, strict=True))
        return self.settled and has_room


def _read(numbers: Floats, *, room: int) -> tuple[Candidates, Tallies]:
    """What `_Steps` wrote of slots with so much room."""
    proposals, refinements, outputs, settled = map(int, numbers[-4:])
    each = numbers[:-4].reshape(-1, room, 1 + 4 + LANDMARK_NUMBERS)
    frames, slots = np.nonzero(each[..., 0])
    its = each[frames, slots, 1:]
    found = Candidates.read(frames, its[:, :4], its[:, 4:])
    return found, Tallies((proposals, refinements, outputs), bool(settled))


def _proposed_to_host(out: Tensor, its_plan: Plan) -> Candidates:
    """What P-Net proposes, in any number, suppressed."""
    frames, places = (face_scores(out, dim=1) >= PROPOSAL_THRESHOLD).nonzero(as_tuple=True)
    boxes, level = its_plan.boxes(places)
    on_level = (frames * len(its_plan.sizes) + level).cpu().numpy()
    found = Candidates.read(on_level, boxes.cpu().numpy(), out[frames, :, places].cpu().numpy())
    found = suppressed(found, LEVEL_IOU)
    return suppressed(replace(found, frames=found.frames // len(its_plan.sizes)), FRAME_IOU)


def _look_closer(network: Network, pictures: Resampled, boxes: Tensor, filled: Tensor) -> Slots:
    """R-Net or O-Net on each box; those that lie outside their pictures are dropped."""
    pixels = rectangles(boxes, width=pictures.width, height=pictures.height)
    filled = filled & (pixels[..., :2] < pixels[..., 2:]).all(-1)
    # Empty slots see the first pixel.
    first = torch.where(filled[..., None], pixels[..., :2], 0)
    pixels = torch.cat([first, torch.where(filled[..., None], pixels[..., 2:], 1)], -1)
    frames = torch.arange(len(boxes), device=boxes.device)[:, None].expand(boxes.shape[:2])
    out = _seen_in_rectangles(network, pictures, frames.flatten(), pixels.flatten(0, 1))
    return Slots(boxes, out.view(*boxes.shape[:2], -1), filled)


def _seen_in_rectangles(
    network: Network, pictures: Resampled, frames: Tensor, pixels: Tensor
) -> Tensor:
    """What R-Net or O-Net says of rectangles, (N, 4) in whole pixels, in the frames (N,)."""
    parts = zip(frames.split(GPU_BUDGET.crops), pixels.split(GPU_BUDGET.crops), strict=True)
    outs = [network.forward(pictures.crops(*part, side=network.side_px)) for part in parts]
    return torch.cat(outs)


def _outputs(
    pictures: Resampled, device: torch.device, network: Network, frames: Integers, pixels: Integers
) -> Floats:
    """The same of arrays."""
    if not len(frames):
        return np.zeros((0, network.outputs), np.float32)
    there = torch.from_numpy(frames).to(device), torch.from_numpy(pixels).to(device)
    out: Floats = _seen_in_rectangles(network, pictures, *there).cpu().numpy()
    return out


def _seen_in_squares(
    viewer: SquareViewer,
    pictures: Sequence[DevicePicture],
    frames: Integers,
    boxes: Floats,
) -> Floats:
    """What R-Net or O-Net says of squares with fractions of pixels, (N, 4)."""
    sides = boxes[:, 3:] - boxes[:, 1:2] + LONGER_PX
    around = np.concatenate([boxes[:, :2] - BEFORE_PX, sides], axis=1).astype(np.float64)
    uploads = [picture.upload for picture in pictures]
    return viewer.look(uploads, frames=frames, squares=around)


def _most_frames(picture: DevicePicture) -> int:
    """So many pictures of its size go through the cascade together."""
    return max(1, GPU_BUDGET.frames_px // (picture.height * picture.width))


def _together(count: int, *, most: int) -> int:
    """How many of so many are looked at first: all, where that does not take many to fill up."""
    if count <= _filled(count, most=most) <= MOST_FILLED * count:
        return count
    return _filled(count, most=min(count, most))


def _filled(count: int, *, most: int) -> int:
    """So many frames are looked at for this many: few sizes, of which recordings are kept."""
    sizes = [size for size in FRAMES if size <= most]
    return next((size for size in sizes if size >= count), sizes[-1])
