"""The cascade in torch finds what the one in the main memory finds; here on the CPU's tensors."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emoscan.faces import device_boxes, device_cascade, device_resample, resample
from emoscan.faces.candidates import (
    Candidates,
    not_inside_a_better,
)
from emoscan.faces.candidates import suppressed as suppressed_by_opencv
from emoscan.faces.cascade import HostCascade
from emoscan.faces.device_boxes import (
    Slots,
    first_places,
    greedy,
    paired_iou,
    shares_of_smaller,
)
from emoscan.faces.device_cascade import DeviceCascade, Rooms
from emoscan.faces.device_pyramid import plan
from emoscan.faces.mtcnn import FaceDetector
from emoscan.faces.networks import Networks, load_networks, places_along
from emoscan.faces.resample import Fidelity, Picture
from emoscan.runtime import Runtime, choose_runtime
from emoscan.types import Faces
from tests.faces.test_mtcnn import MIN_FACE_PX, scenes

CPU = choose_runtime("cpu")
CASCADES = (HostCascade, DeviceCascade)


@cache
def networks() -> Networks:
    return load_networks(CPU)


def detect(
    kind: type[Any], images: Sequence[NDArray[np.uint8]], min_faces_px: Sequence[float], **options
) -> list[Faces]:
    detector = FaceDetector(CPU, **options)
    fidelity = options.get("fidelity", Fidelity.QUICK)
    detector._cascade = kind(networks(), CPU.device, fidelity)
    return detector.detect(images, min_faces_px=min_faces_px)


def alike(a: Sequence[Faces], b: Sequence[Faces], *, atol: float = 1e-2) -> bool:
    return [*map(len, a)] == [*map(len, b)] and all(
        np.allclose(x.boxes, y.boxes, atol=atol) and np.allclose(x.scores, y.scores, atol=1e-3)
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("fidelity", Fidelity)
def test_it_finds_the_same_in_pictures_of_several_sizes(fidelity: Fidelity) -> None:
    sides = [MIN_FACE_PX, 60] * (len(scenes()) // 2)
    host, device = (detect(kind, scenes(), sides, fidelity=fidelity) for kind in CASCADES)
    assert sum(map(len, host)) > 20
    assert alike(host, device)


@pytest.mark.parametrize("size", [(400, 640), (399, 640), (397, 331), (127, 601), (40, 60)])
def test_levels_and_crops_are_those_in_the_main_memory(size: tuple[int, int]) -> None:
    assert_resampled_alike(size, CPU.device)


def test_few_samples_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_resample, "MOST_SAMPLES", 20_000)
    assert_resampled_alike((240, 319), CPU.device)


def test_levels_of_pictures_that_opencv_does_not_warp_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resample, "MOST_WARPED_PX", 100)
    assert_resampled_alike((351, 631), CPU.device, crops=False)


def assert_resampled_alike(
    size: tuple[int, int], device: torch.device, *, crops: bool = True
) -> None:
    """The second of two pictures; gray levels differ where roundings do: by one, and seldom."""
    height, width = size
    pixels = np.ascontiguousarray(np.tile(scenes()[1], (2, 2, 1))[:height, :width])
    host, random = Picture(pixels), np.random.default_rng(3)
    first = random.integers(0, [width - 9, height - 9], (200, 2))
    sides = random.integers(9, 1 + min(size), (200, 1))
    boxes = np.concatenate([first, np.minimum(first + sides, [width, height])], axis=1)
    two = torch.from_numpy(np.stack([255 - pixels, pixels])).to(device)
    for least_px in (8, 20, 40, 100):
        its_plan = plan(height, width, least_px, Fidelity.QUICK, device)
        if its_plan.halves is None:  # there is no level, and nobody looks
            continue
        there = device_resample.resampled(two, its_plan)
        levels = host.pyramid(its_plan.sizes, Fidelity.QUICK)
        is_exact = its_plan.halves.first is not None
        for ours, wanted in zip(there.levels(), levels, strict=True):
            assert_same_levels(ours[1], wanted, most=0 if is_exact else 2)
        for side in (24, 48) if crops else ():
            ones = torch.ones(len(boxes), dtype=torch.int64, device=device)
            found = there.crops(ones, torch.from_numpy(boxes).to(device), side=side)
            wanted_crops = host.crops(boxes, side=side, fidelity=Fidelity.QUICK)
            for ours, wanted in zip(found, wanted_crops, strict=True):
                assert_same_levels(ours, wanted, most=1)


def assert_same_levels(ours: torch.Tensor, wanted: NDArray[Any], *, most: int) -> None:
    away = np.abs(ours.permute(1, 2, 0).cpu().numpy() - wanted)
    assert away.max() <= most and np.count_nonzero(away) < 1e-3 * away.size + 5


@pytest.mark.parametrize("most_pairs", [7, 2**23])
def test_of_boxes_on_one_face_o_nets_word_on_the_surest_of_r_net_counts(
    most_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is surer by O-Net; the third lies elsewhere; on the fourth's face it sees none,
    and looks at the fifth, which lies there too, and so where the fourth lies outside the picture.
    The other frame has the fifth alone."""
    monkeypatch.setattr(device_boxes, "MOST_PAIRS", most_pairs)
    boxes = torch.tensor(
        [[0, 0, 40, 40], [2, 2, 42, 42], [90, 0, 130, 40], [0, 90, 40, 130], [3, 90, 43, 130]]
    ).float()
    out = torch.zeros(2, 5, 16)
    out[:, :, 1] = torch.tensor([2.0, 5.0, 2.0, -3.0, 4.0])
    filled = torch.tensor([[True] * 5, [False] * 4 + [True]])
    steps = device_cascade._Steps()
    found = steps.spared(Slots(boxes.expand(2, 5, 4), out, filled), filled, 0.7)
    assert found.filled.tolist() == [[True, False, True, True, True], [False] * 4 + [True]]
    assert bool(steps.settled[0])
    seen = filled.clone()
    seen[0, 0] = False  # it lies outside: the second is no surest one, but is looked at
    found = steps.spared(Slots(boxes.expand(2, 5, 4), out, seen), filled, 0.7)
    assert found.filled[0].tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("least_px", [7.3, 11.5, 12])
def test_it_enlarges_pictures_for_the_smallest_faces(least_px: float) -> None:
    small = [scenes()[0][::4, ::4].copy()]
    host, device = (detect(kind, small, [least_px]) for kind in CASCADES)
    assert alike(host, device) and len(host[0])


@pytest.mark.parametrize("size", [(11, 11), (12, 300), (41, 39), (1, 1)])
def test_pictures_without_room_for_a_face_have_none(size: tuple[int, int]) -> None:
    images = [np.zeros((*size, 3), np.uint8)]
    assert [len(faces) for faces in detect(DeviceCascade, images, [MIN_FACE_PX])] == [0]


def test_it_halves_its_batch_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [scenes()[index] for index in (6, 7, 8, 9)]
    expected = detect(DeviceCascade, images, [MIN_FACE_PX] * 4)
    sizes: list[int] = []
    whole = DeviceCascade._begin

    def scarce(self: DeviceCascade, pictures: Any, part: slice, *settings: Any) -> Any:
        sizes.append(len(pictures[part]))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError("no memory")
        return whole(self, pictures, part, *settings)

    monkeypatch.setattr(DeviceCascade, "_begin", scarce)
    assert alike(detect(DeviceCascade, images, [MIN_FACE_PX] * 4), expected)
    assert sizes == [4, 4, 2, 1, 1, 1, 1]


def test_what_was_started_and_ran_out_of_memory_is_found_in_smaller_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [scenes()[index] for index in (6, 7, 8, 9)]
    expected = detect(DeviceCascade, images, [MIN_FACE_PX] * 4)
    sizes: list[int] = []
    monkeypatch.setattr(device_cascade, "LEVEL_ROUNDS", 1)
    whole = DeviceCascade._find_step_by_step

    def scarce(self: DeviceCascade, pictures: Any, *settings: Any) -> Candidates:
        sizes.append(len(pictures))
        if len(pictures) > 2:
            raise torch.OutOfMemoryError("no memory")
        return whole(self, pictures, *settings)

    monkeypatch.setattr(DeviceCascade, "_find_step_by_step", scarce)
    assert alike(detect(DeviceCascade, images, [MIN_FACE_PX] * 4), expected)
    assert sizes == [4, 2, 2]


@pytest.mark.parametrize("name", ["look", "refine"])
def test_it_says_the_same_of_squares(name: str) -> None:
    images = scenes()[:2]
    boxes = np.array([[50, 70, 230, 250], [-30, 5, 60, 95], [370.5, 99, 455, 183.5]], np.float32)
    frames = np.array([0, 0, 1])
    host, device = (
        getattr(cascade, name)(cascade.of_arrays(images), frames=frames, boxes=boxes)
        for cascade in (kind(networks(), CPU.device, Fidelity.QUICK) for kind in CASCADES)
    )
    assert host.shape == device.shape
    assert np.allclose(host[:, 2:], device[:, 2:], atol=5e-3)


@pytest.mark.parametrize("side_px", [12, 13, 14, 15, 47, 383])
def test_places_along_are_those_that_p_net_gives(side_px: int) -> None:
    with torch.inference_mode():
        out = networks().proposal.forward(torch.zeros(1, 3, side_px, 30))
    assert out.shape[2] == places_along(side_px)


def candidates(seed: int, count: int) -> Candidates:
    random = np.random.default_rng(seed)
    corners = random.integers(0, 60, (count, 2))
    sides = random.integers(8, 40, (count, 1))
    scores = (0.01 + 0.97 * random.random(count)).astype(np.float32).round(2)  # some are equal
    return Candidates(
        np.sort(random.integers(0, 4, count)),
        np.concatenate([corners, corners + sides], axis=1).astype(np.float32),
        scores,
        np.zeros((count, 4), np.float32),
        np.zeros((count, 0), np.float32),
    )


def slots(found: Candidates, *, room: int = 120) -> Slots:
    """Four frames' candidates, whose place is what is said of each."""
    ends = np.searchsorted(found.frames, np.arange(5))
    boxes, filled = torch.zeros(4, room, 4), torch.zeros(4, room, dtype=torch.bool)
    out = torch.zeros(4, room, 6)
    for frame, (first, last) in enumerate(pairwise(ends)):
        boxes[frame, : last - first] = torch.from_numpy(found.boxes[first:last])
        filled[frame, : last - first] = True
        logits = np.log(found.scores[first:last] / (1 - found.scores[first:last]))
        out[frame, : last - first, 1] = torch.from_numpy(logits)
        out[frame, : last - first, 5] = torch.arange(first, last)
    return Slots(boxes, out, filled)


def kept_places(found: Slots, kept: torch.Tensor) -> list[int]:
    return sorted(found.out[..., 5][kept].int().tolist())


@pytest.mark.parametrize("most_pairs", [7, 2**23])
@pytest.mark.parametrize("count", [0, 1, 2, 40, 100])
def test_suppression_keeps_what_opencv_keeps(
    count: int, most_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_boxes, "MOST_PAIRS", most_pairs)
    for seed in range(5):
        found = candidates(seed, count)
        found.scores[:] += np.arange(count, dtype=np.float32) * 1e-5  # no two are equal
        its = slots(found)
        its = its.at(its.best_first())
        boxes = its.boxes
        kept, settled = greedy(
            its.filled, lambda part, boxes=boxes: paired_iou(boxes[part]) > 0.4, rounds=20
        )
        wanted = suppressed_by_opencv(found, 0.4)
        assert settled and np.array_equal(found.boxes[kept_places(its, kept)], wanted.boxes)


def test_of_nested_boxes_the_surer_and_of_equals_the_later_stays() -> None:
    for seed in range(8):
        found = candidates(seed, 60)
        its = slots(found)
        its = its.at(its.best_first(later_first=True))
        boxes = its.boxes
        kept, settled = greedy(
            its.filled, lambda part, boxes=boxes: shares_of_smaller(boxes[part]) > 0.7, rounds=20
        )
        ends = np.searchsorted(found.frames, np.arange(5))
        wanted = [
            first + np.flatnonzero(not_inside_a_better(part.boxes, part.scores, overlap=0.7))
            for first, part in ((a, found[a:b]) for a, b in pairwise(ends))
        ]
        assert settled and kept_places(its, kept) == np.concatenate(wanted).tolist()


@pytest.mark.parametrize(("rounds", "settles"), [(24, False), (26, True)])
def test_a_long_chain_is_followed_to_its_end_or_is_not_settled(rounds: int, settles: bool) -> None:
    """Each box suppresses the next one alone: every second one stays."""
    left = torch.arange(25.0)[None, :, None] * 4
    boxes = torch.cat([left, 0 * left, left + 10, 0 * left + 10], dim=2)
    filled = torch.ones(1, 25, dtype=torch.bool)
    kept, settled = greedy(filled, lambda part: paired_iou(boxes[part]) > 0.4, rounds=rounds)
    assert bool(settled) is settles
    assert not settles or kept[0].nonzero()[:, 0].tolist() == list(range(0, 25, 2))


def test_first_places_are_those_that_are_filled_as_far_as_there_is_room() -> None:
    filled = torch.tensor([[0, 1, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]).bool()
    places, there = first_places(filled, 2)
    assert places.tolist() == [[1, 3], [4, 0], [0, 0]]
    assert there.tolist() == [[True, True], [True, False], [False, False]]
    assert first_places(filled, 7)[1].sum() == 4


@pytest.mark.parametrize(
    "rooms", [Rooms(16, 96, 32), Rooms(256, 8, 32), Rooms(256, 96, 4), Rooms(9999, 9999, 9999)]
)
def test_what_has_no_room_is_found_step_by_step_and_has_room_next(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, steps = scenes()[:6], list[int]()
    step_by_step = DeviceCascade._find_step_by_step

    def counted(self: DeviceCascade, pictures: Any, *settings: Any) -> Candidates:
        steps.append(len(pictures))
        return step_by_step(self, pictures, *settings)

    monkeypatch.setattr(DeviceCascade, "_find_step_by_step", counted)
    cascade = DeviceCascade(networks(), CPU.device, Fidelity.QUICK)
    detector = FaceDetector(CPU)
    detector._cascade = cascade
    sides = [MIN_FACE_PX] * len(images)
    wanted = detect(HostCascade, images, sides)
    detector.detect(images, min_faces_px=sides)  # what is needed has room now
    steps.clear()
    assert alike(detector.detect(images, min_faces_px=sides), wanted) and not steps
    for its_plan in cascade._rooms:
        cascade._rooms[its_plan] = rooms
    assert alike(detector.detect(images, min_faces_px=sides), wanted) and steps
    first = len(steps)
    assert alike(detector.detect(images, min_faces_px=sides), wanted)
    assert (len(steps) > first) is rooms.are_too_large


def test_a_chain_that_is_too_long_is_followed_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    images = scenes()[:6]
    wanted = detect(HostCascade, images, [MIN_FACE_PX] * len(images))
    monkeypatch.setattr(device_cascade, "LEVEL_ROUNDS", 1)
    steps = list[int]()
    step_by_step = DeviceCascade._find_step_by_step

    def counted(self: DeviceCascade, pictures: Any, *settings: Any) -> Candidates:
        steps.append(len(pictures))
        return step_by_step(self, pictures, *settings)

    monkeypatch.setattr(DeviceCascade, "_find_step_by_step", counted)
    assert alike(detect(DeviceCascade, images, [MIN_FACE_PX] * len(images)), wanted) and steps


def test_rooms_grow_where_they_must_and_stay_elsewhere() -> None:
    assert Rooms(256, 96, 32).with_room_for((200, 97, 10)) == Rooms(256, 128, 32)
    assert Rooms(256, 96, 32).with_room_for((257, 96, 40)) == Rooms(384, 96, 64)
    assert Rooms(256, 96, 32).with_room_for((4000, 0, 0)).are_too_large


def test_the_detector_takes_it_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(FaceDetector(CPU)._cascade, HostCascade)
    monkeypatch.setattr(Runtime, "keeps_pictures", property(lambda self: True))
    assert isinstance(FaceDetector(CPU)._cascade, DeviceCascade)


@pytest.mark.parametrize("count", [1, 3, 7, 11, 15])
def test_what_fills_up_a_batch_is_not_found(count: int) -> None:
    images = [scenes()[index % 2] for index in range(count)]
    host, device = (detect(kind, images, [MIN_FACE_PX] * count) for kind in CASCADES)
    assert all(map(len, host)) and alike(host, device)


def test_a_batch_that_is_nearly_full_is_looked_at_in_one() -> None:
    together = device_cascade._together
    assert [together(count, most=30) for count in (30, 29, 24, 23, 17)] == [30, 29, 24, 16, 16]
    assert [together(count, most=30) for count in (15, 13, 9, 7, 3)] == [15, 13, 8, 7, 2]
    assert [together(count, most=15) for count in (30, 15, 14)] == [12, 12, 12]


def test_batches_are_filled_up_to_few_sizes_within_what_may_be_at_once() -> None:
    filled = device_cascade._filled
    assert [filled(count, most=30) for count in (1, 3, 9, 30)] == [1, 4, 12, 30]
    assert [filled(count, most=17) for count in (5, 13, 16)] == [8, 16, 16]
    assert [filled(most, most=most) for most in (17, 15, 7, 1)] == [16, 12, 4, 1]


def test_a_plan_is_one_object_as_long_as_it_is_remembered() -> None:
    """Recordings are told by it, and read its tensors."""
    first = plan(240, 320, 40, Fidelity.QUICK, CPU.device)
    assert plan(240, 320, 40, Fidelity.QUICK, CPU.device) is first
    assert plan(240, 321, 40, Fidelity.QUICK, CPU.device) != first
    assert hash(first) == object.__hash__(first)
