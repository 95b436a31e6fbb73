"""The cascade in torch finds what the one in the main memory finds; here on the CPU's tensors."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emoscan.faces import device_boxes, device_cascade
from emoscan.faces.candidates import (
    Candidates,
    not_inside_a_better,
)
from emoscan.faces.candidates import suppressed as suppressed_by_opencv
from emoscan.faces.cascade import HostCascade
from emoscan.faces.device_boxes import not_inside_better, suppressed
from emoscan.faces.device_cascade import DeviceCascade
from emoscan.faces.device_pyramid import plan
from emoscan.faces.mtcnn import FaceDetector
from emoscan.faces.networks import Networks, load_networks, places_along
from emoscan.faces.resample import Resampling
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
    resampling = options.get("resampling", Resampling.CHAINED)
    detector._cascade = kind(networks(), CPU.device, resampling)
    return detector.detect(images, min_faces_px=min_faces_px)


def alike(a: Sequence[Faces], b: Sequence[Faces], *, atol: float = 1e-2) -> bool:
    return [*map(len, a)] == [*map(len, b)] and all(
        np.allclose(x.boxes, y.boxes, atol=atol) and np.allclose(x.scores, y.scores, atol=1e-3)
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("resampling", Resampling)
def test_it_finds_the_same_in_pictures_of_several_sizes(resampling: Resampling) -> None:
    sides = [MIN_FACE_PX, 60] * (len(scenes()) // 2)
    host, device = (detect(kind, scenes(), sides, resampling=resampling) for kind in CASCADES)
    assert sum(map(len, host)) > 20
    assert alike(host, device)


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
    whole = DeviceCascade._find

    def scarce(self: DeviceCascade, pictures: Any, *settings: float) -> Candidates:
        sizes.append(len(pictures))
        if len(pictures) > 1:
            raise torch.OutOfMemoryError("no memory")
        return whole(self, pictures, *settings)

    monkeypatch.setattr(DeviceCascade, "_find", scarce)
    assert alike(detect(DeviceCascade, images, [MIN_FACE_PX] * 4), expected)
    assert sizes == [4, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("name", ["look", "refine"])
def test_it_says_the_same_of_squares(name: str) -> None:
    images = scenes()[:2]
    boxes = np.array([[50, 70, 230, 250], [-30, 5, 60, 95], [370.5, 99, 455, 183.5]], np.float32)
    frames = np.array([0, 0, 1])
    host, device = (
        getattr(cascade, name)(cascade.of_arrays(images), frames=frames, boxes=boxes)
        for cascade in (kind(networks(), CPU.device, Resampling.CHAINED) for kind in CASCADES)
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
    scores = random.random(count).astype(np.float32).round(2)  # some are equal
    return Candidates(
        np.sort(random.integers(0, 4, count)),
        np.concatenate([corners, corners + sides], axis=1).astype(np.float32),
        scores,
        np.zeros((count, 4), np.float32),
        np.zeros((count, 0), np.float32),
    )


@pytest.mark.parametrize("most_pairs", [7, 2**23])
@pytest.mark.parametrize("count", [0, 1, 2, 40, 100])
def test_suppression_keeps_what_opencv_keeps(
    count: int, most_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_boxes, "MOST_PAIRS", most_pairs)
    for seed in range(5):
        found = candidates(seed, count)
        found.scores[:] += np.arange(count, dtype=np.float32) * 1e-5  # no two are equal
        kept = suppressed(*tensors(found), iou=0.4).numpy()
        wanted = suppressed_by_opencv(found, 0.4)
        assert np.array_equal(found[kept].boxes, wanted.boxes)
        assert np.array_equal(found[kept].scores, wanted.scores)


def tensors(found: Candidates) -> tuple[torch.Tensor, ...]:
    return tuple(map(torch.from_numpy, (found.boxes, found.scores, found.frames)))


def test_of_nested_boxes_the_surer_and_of_equals_the_later_stays() -> None:
    for seed in range(8):
        found = candidates(seed, 60)
        kept = not_inside_better(*tensors(found), overlap=0.7).numpy()
        ends = np.searchsorted(found.frames, np.arange(5))
        wanted = [
            first + np.flatnonzero(not_inside_a_better(part.boxes, part.scores, overlap=0.7))
            for first, part in ((a, found[a:b]) for a, b in pairwise(ends))
        ]
        assert np.array_equal(kept, np.concatenate(wanted))


def test_a_long_chain_is_followed_to_its_end() -> None:
    """Each box suppresses the next one alone: every second one stays."""
    left = np.arange(25, dtype=np.float32)[:, None] * 4
    boxes = np.concatenate([left, 0 * left, left + 10, 0 * left + 10], axis=1)
    scores = np.linspace(0.9, 0.1, 25, dtype=np.float32)
    groups = torch.zeros(25, dtype=torch.int64)
    kept = suppressed(torch.from_numpy(boxes), torch.from_numpy(scores), groups, iou=0.4)
    assert kept.tolist() == list(range(0, 25, 2))


def test_the_detector_takes_it_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(FaceDetector(CPU)._cascade, HostCascade)
    monkeypatch.setattr(Runtime, "keeps_pictures", property(lambda self: True))
    assert isinstance(FaceDetector(CPU)._cascade, DeviceCascade)


def test_batches_are_filled_up_to_few_sizes_within_what_may_be_at_once() -> None:
    filled = device_cascade._filled
    assert [filled(count, most=30) for count in (1, 3, 9, 30)] == [1, 4, 12, 30]
    assert [filled(count, most=17) for count in (5, 13, 16)] == [8, 16, 16]
    assert [filled(most, most=most) for most in (17, 15, 7, 1)] == [16, 12, 4, 1]


def test_a_plan_is_one_object_as_long_as_it_is_remembered() -> None:
    """Recordings are told by it, and read its tensors."""
    first = plan(240, 320, 40, Resampling.CHAINED, CPU.device)
    assert plan(240, 320, 40, Resampling.CHAINED, CPU.device) is first
    assert plan(240, 321, 40, Resampling.CHAINED, CPU.device) != first
    assert hash(first) == object.__hash__(first)
