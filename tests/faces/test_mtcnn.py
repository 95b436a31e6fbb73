"""The cascade against the installed facenet-pytorch, and against itself."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.data import astronaut

from benchmarks.speed.quality import matched_pairs
from emoscan.errors import MissingPartError
from emoscan.faces import cascade, networks
from emoscan.faces.candidates import Candidates, joined, not_inside_a_better
from emoscan.faces.cascade import HostCascade
from emoscan.faces.mtcnn import FaceDetector, Fidelity
from emoscan.faces.resample import Picture
from emoscan.options import MinFace
from emoscan.runtime import choose_runtime
from emoscan.types import NO_TRACK, Faces, Frame
from tests.pictures import ArrayPicture

MIN_FACE_PX = 40
CPU = choose_runtime("cpu")
Pixels = NDArray[np.uint8]


@cache
def detector(fidelity: Fidelity = Fidelity.QUICK) -> FaceDetector:
    return FaceDetector(CPU, fidelity=fidelity)


def detect(images: Sequence[Pixels], fidelity: Fidelity = Fidelity.QUICK) -> list[Faces]:
    return detector(fidelity).detect(images, min_faces_px=[MIN_FACE_PX] * len(images))


@cache
def stock() -> Any:
    warnings.filterwarnings("ignore", category=FutureWarning)
    from facenet_pytorch import MTCNN

    return MTCNN(keep_all=True, post_process=False, min_face_size=MIN_FACE_PX, device="cpu")


def scene(
    height: int, width: int, portraits: Sequence[tuple[int, int, int]], *, seed: int = 0
) -> Pixels:
    """The portrait pasted at (x, y, side), every other one mirrored, on soft noise."""
    noise = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    picture = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    for index, (x, y, side) in enumerate(portraits):
        portrait = astronaut()[0:256, 96:352]
        portrait = portrait[:, ::-1] if index % 2 else portrait
        scaled = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
        room = picture[max(y, 0) : y + side, max(x, 0) : x + side]
        room[:] = scaled[max(-y, 0) :, max(-x, 0) :][: room.shape[0], : room.shape[1]]
    return picture


@cache
def scenes() -> list[Pixels]:
    random = np.random.default_rng(1)
    pictures = [
        scene(360, 640, [(40, 60, 220), (360, 90, 160)]),
        scene(360, 640, [(500, 160, 120)], seed=2),
        scene(360, 640, [], seed=3),
        scene(481, 333, [(10, 10, 150), (170, 20, 140), (20, 220, 110), (150, 200, 180)]),
        scene(300, 700, [(-40, 20, 240), (520, 60, 240)], seed=4),
        scene(400, 500, [(80, 20, 380)], seed=5),
    ]
    for seed in range(8):
        grid = random.permutation(6)[: random.integers(1, 5)]
        sides = random.integers(90, 200, len(grid))
        places = [
            (200 * int(cell % 3) + 3, 200 * int(cell // 3) + 5, int(side))
            for cell, side in zip(grid, sides, strict=True)
        ]
        pictures.append(scene(420, 640, places, seed=10 + seed))
    return pictures


@cache
def stock_faces() -> list[tuple[Any, Any, Any]]:
    return [stock().detect(picture, landmarks=True) for picture in scenes()]


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    first = np.maximum(a[:, None, :2], b[None, :, :2])
    last = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (last - first).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)


@pytest.mark.parametrize(
    ("fidelity", "least_iou"),
    [(Fidelity.STOCK, 0.9), (Fidelity.QUICK, 0.5)],
)
def test_finds_what_facenet_pytorch_finds(fidelity: Fidelity, least_iou: float) -> None:
    found = total = extra = 0
    for faces, (boxes, _, _) in zip(detect(scenes(), fidelity), stock_faces(), strict=True):
        wanted = np.zeros((0, 4), np.float32) if boxes is None else boxes.astype(np.float32)
        pairs = iou(wanted, faces.boxes) >= least_iou
        found, total = found + pairs.any(axis=1).sum(), total + len(wanted)
        extra += (~pairs.any(axis=0)).sum()
    assert total >= 25
    assert found >= 0.99 * total
    assert extra <= 0.01 * total


def test_boxes_scores_and_landmarks_are_near_stock() -> None:
    for faces, (boxes, scores, points) in zip(
        detect(scenes(), Fidelity.STOCK), stock_faces(), strict=True
    ):
        if boxes is None:
            assert len(faces) == 0
            continue
        assert np.allclose(faces.boxes, boxes.astype(np.float32), atol=0.05)
        assert np.allclose(faces.scores, scores.astype(np.float32), atol=1e-3)
        assert np.allclose(faces.landmarks, points.astype(np.float32), atol=0.05)


def same(a: Faces, b: Faces) -> bool:
    return len(a) == len(b) and all(
        np.allclose(getattr(a, name), getattr(b, name), atol=1e-2)
        for name in ("boxes", "scores", "landmarks")
    )


@pytest.mark.parametrize("fidelity", Fidelity)
def test_batches_change_nothing(fidelity: Fidelity) -> None:
    together = detect(scenes()[:5], fidelity)
    for picture, faces in zip(scenes()[:5], together, strict=True):
        assert same(detect([picture], fidelity)[0], faces)


def test_small_budgets_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    together = detect(scenes()[:3])
    small = cascade.Budget(frames_px=300_000, proposal_px=1, crops=20)
    monkeypatch.setattr(cascade, "CPU_BUDGET", small)
    found = FaceDetector(CPU).detect(scenes()[:3], min_faces_px=[MIN_FACE_PX] * 3)
    assert all(same(a, b) for a, b in zip(found, together, strict=True))


def test_nothing_is_kept_of_pictures_that_were_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [Picture(scene) for scene in scenes()[:2]]
    for fidelity in Fidelity:
        found = detector(fidelity)._cascade.start(pictures, [MIN_FACE_PX] * 2, threshold=0.7)()
        assert len(found)
        assert all(picture._table is None for picture in pictures)
        assert not any(picture._halves for picture in pictures)


def test_where_it_is_quick_o_net_finds_the_faces_in_half_of_the_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    whole = HostCascade._run_batch

    def counted(self: HostCascade, network: Any, images: torch.Tensor) -> torch.Tensor:
        looks.append(len(images) if network.side_px == 48 else 0)
        return whole(self, network, images)

    monkeypatch.setattr(HostCascade, "_run_batch", counted)
    all_faces = [sum(map(len, detect(scenes(), Fidelity.STOCK)))]
    of_all = sum(looks)
    looks.clear()
    assert [sum(map(len, detect(scenes())))] == all_faces
    assert sum(looks) < of_all / 2


def candidates_at(boxes: Sequence[Sequence[float]], scores: Sequence[float]) -> Candidates:
    count = len(boxes)
    return Candidates(
        np.zeros(count, np.int64),
        np.array(boxes, np.float32),
        np.array(scores, np.float32),
        np.zeros((count, 4), np.float32),
        np.zeros((count, 0), np.float32),
    )


@pytest.mark.parametrize("first_is_a_face", [True, False])
def test_where_the_surest_is_no_face_those_beside_it_are_looked_at(first_is_a_face: bool) -> None:
    seen: list[float] = []

    def outputs(network: Any, frames: NDArray[np.int64], pixels: NDArray[np.int64]) -> Any:
        out = np.zeros((len(pixels), network.outputs), np.float32)
        for row, (x0, *_) in zip(out, pixels, strict=True):
            # R-Net is surest of the first; what O-Net says of that is what is asked here.
            is_face = network.side_px == 24 or x0 != 39 or first_is_a_face
            row[1] = (5 if x0 == 39 else 3) if is_face else -5
            seen.extend([x0] if network.side_px == 48 else [])
        return out

    found = candidates_at([(40, 40, 79, 79), (52, 40, 91, 79), (200, 40, 239, 79)], [0.9, 0.8, 0.7])
    looks = cascade.Looks(networks.load_networks(CPU), np.array([(640, 480)]), outputs)
    faces = looks.confirmed(found, threshold=0.7, spares=True)
    lefts = sorted(faces.boxes[:, 0].tolist())
    assert lefts == ([40, 200] if first_is_a_face else [52, 200])
    assert seen == ([39, 199] if first_is_a_face else [39, 199, 51])


def test_faces_of_another_picture_spare_no_look() -> None:
    def outputs(network: Any, frames: NDArray[np.int64], pixels: NDArray[np.int64]) -> Any:
        out = np.zeros((len(pixels), network.outputs), np.float32)
        for row, frame, (x0, *_) in zip(out, frames, pixels, strict=True):
            # O-Net sees no face in the second picture's surest candidate.
            row[1] = -5 if (network.side_px == 48 and frame and x0 == 39) else 5 - x0 / 100
        return out

    boxes = [(40, 40, 79, 79), (52, 40, 91, 79)]
    found = joined([candidates_at(boxes, [0.9, 0.8]) for _ in range(2)])
    found = replace(found, frames=np.array([0, 0, 1, 1]))
    looks = cascade.Looks(networks.load_networks(CPU), np.array([(640, 480)] * 2), outputs)
    faces = looks.confirmed(found, threshold=0.7, spares=True)
    assert [*zip(faces.frames.tolist(), faces.boxes[:, 0].tolist(), strict=True)] == [
        (0, 40.0),
        (1, 52.0),
    ]


def test_halves_its_batch_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = detect(scenes()[:3])
    failures: list[int] = []
    whole = HostCascade._run_batch

    def scarce(self: HostCascade, network: Any, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 3:
            failures.append(len(images))
            raise torch.OutOfMemoryError("no memory")
        return whole(self, network, images)

    monkeypatch.setattr(HostCascade, "_run_batch", scarce)
    found = FaceDetector(CPU).detect(scenes()[:3], min_faces_px=[MIN_FACE_PX] * 3)
    assert max(failures) > 6
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_one_image_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> Any:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(HostCascade, "_run_batch", none_left)
    with pytest.raises(torch.OutOfMemoryError):
        FaceDetector(CPU).detect(scenes()[:2], min_faces_px=[MIN_FACE_PX] * 2)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (20, 20), (39, 200), (41, 41)])
@pytest.mark.parametrize("fidelity", Fidelity)
def test_tiny_images_have_no_face(size: tuple[int, int], fidelity: Fidelity) -> None:
    assert len(detect([np.full((*size, 3), 90, np.uint8)], fidelity)[0]) == 0


def test_black_images_and_no_images() -> None:
    assert detect([]) == []
    black = np.zeros((200, 300, 3), np.uint8)
    assert [len(faces) for faces in detect([black, scenes()[0], black])] == [0, 2, 0]


def test_largest_first_and_at_most_max_faces() -> None:
    picture = scenes()[3]
    faces = detect([picture])[0]
    areas = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(axis=1)
    assert len(faces) >= 3
    assert (np.diff(areas) <= 0).all()
    assert (faces.tracks == NO_TRACK).all()
    two = FaceDetector(CPU, max_faces=2).detect([picture], min_faces_px=[MIN_FACE_PX])[0]
    assert np.allclose(two.boxes, faces.boxes[:2], atol=1e-2)


def test_settled_boxes_hardly_depend_on_where_the_looks_start() -> None:
    picture = scenes()[3]
    found = detect([picture])[0]
    sides = np.tile(found.boxes[:, 2:] - found.boxes[:, :2], 2)
    aside = found.boxes + sides * np.float32([0.03, -0.02, 0.03, -0.02])
    settled = [
        detector().settled([Picture(picture)], [replace(found, boxes=boxes)])[0]
        for boxes in (found.boxes, aside)
    ]
    apart = np.abs(settled[0].boxes - settled[1].boxes) / sides
    assert apart.max() < 0.02 and np.median(apart) < 0.025 / 3  # they start 0.02 to 0.03 apart
    assert np.abs(settled[0].boxes - found.boxes).max() < 0.1 * sides.max()
    assert not np.array_equal(settled[0].landmarks, found.landmarks)
    assert np.array_equal(settled[0].scores, found.scores)


def test_a_face_that_no_look_finds_again_keeps_its_box() -> None:
    gray = np.full((200, 200, 3), 128, np.uint8)
    found = detect([scenes()[3]])[0]
    settled = detector().settled([Picture(gray)], [found])[0]
    assert np.array_equal(settled.boxes, found.boxes)
    assert np.array_equal(settled.landmarks, found.landmarks)
    nobody = detector().no_faces()
    assert len(detector().settled([Picture(gray)], [nobody])[0]) == 0


def test_settled_faces_are_largest_first_and_no_face_comes_twice() -> None:
    picture = scenes()[3]
    found = detect([picture])[0]
    twice = Faces(
        boxes=np.concatenate([found.boxes + 2, found.boxes])[::-1],
        scores=np.tile(found.scores, 2)[::-1],
        landmarks=np.tile(found.landmarks, (2, 1, 1))[::-1],
        tracks=np.tile(found.tracks, 2),
        followed=np.tile(found.followed, 2),
    )
    settled = detector().settled([Picture(picture)], [twice])[0]
    assert len(settled) == len(found)
    assert (np.diff((settled.boxes[:, 2:] - settled.boxes[:, :2]).prod(axis=1)) <= 0).all()
    two = FaceDetector(CPU, max_faces=2).settled([Picture(picture)], [twice])[0]
    assert np.array_equal(two.boxes, settled.boxes[:2])


def test_the_middle_network_confirms_faces_alone() -> None:
    picture = scenes()[3]
    height_px, width_px = picture.shape[:2]
    faces = detect([picture])[0].boxes
    side = np.float32(100)
    corner = np.float32([[0, 380, side, 380 + side]])
    outside = np.float32([[width_px + 200, 0, width_px + 200 + side, side]])
    boxes = np.concatenate([faces, corner, outside])
    confirmed = detector().confirmed(
        [Picture(np.full((height_px, width_px, 3), 128, np.uint8)), Picture(picture)],
        frames=np.repeat([0, 1], len(boxes)),
        boxes=np.concatenate([boxes, boxes]),
    )
    wanted = [False] * len(boxes) + [True] * len(faces) + [False, False]
    assert confirmed.tolist() == wanted
    none = detector().confirmed([], frames=np.zeros(0, np.int64), boxes=faces[:0])
    assert none.tolist() == []


def test_faces_far_below_the_least_are_not_confirmed() -> None:
    picture = scenes()[3]
    faces = detect([picture])[0].boxes
    heights = faces[:, 3] - faces[:, 1]

    def confirmed(least_px: float) -> list[bool]:
        strict = FaceDetector(CPU, min_face=MinFace(px=least_px))
        frames = np.zeros(len(faces), np.int64)
        return strict.confirmed([Picture(picture)], frames=frames, boxes=faces).tolist()

    assert all(confirmed(float(heights.min())))
    assert not any(confirmed(4 * float(heights.max())))


@pytest.mark.parametrize("fidelity", Fidelity)
def test_threshold_is_that_of_the_last_network(fidelity: Fidelity) -> None:
    """Where it is quick, another look at the same face may reach it."""
    faces = detect([scenes()[3]], fidelity)[0]
    least = float(np.sort(faces.scores)[-2]) + 1e-6
    strict = FaceDetector(CPU, threshold=least, fidelity=fidelity)
    kept = strict.detect([scenes()[3]], min_faces_px=[MIN_FACE_PX])[0]
    assert len(kept) < len(faces) or fidelity is Fidelity.QUICK
    assert len(kept) and (kept.scores > least).all()


def test_each_image_has_its_own_least_face() -> None:
    picture = scenes()[0]
    found = detector().detect([picture, picture], min_faces_px=[MIN_FACE_PX, 200])
    assert [len(faces) for faces in found] == [2, 0]


def test_images_need_not_be_contiguous() -> None:
    picture = scenes()[0]
    mirrored = picture[:, ::-1]
    assert not mirrored.flags.c_contiguous
    assert same(detect([mirrored])[0], detect([mirrored.copy()])[0])


def test_as_many_least_faces_as_images() -> None:
    with pytest.raises(ValueError, match="2 images"):
        detector().detect(scenes()[:2], min_faces_px=[40])


def test_missing_weights_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(networks, "find_spec", lambda _: None)
    with pytest.raises(MissingPartError, match="pip install facenet-pytorch"):
        FaceDetector(CPU)
    monkeypatch.setattr(networks, "_weights_folder", lambda: tmp_path)
    with pytest.raises(MissingPartError, match=r"pnet\.pt"):
        FaceDetector(CPU)


@pytest.mark.parametrize("side", [24, 48])
def test_crops_are_adaptive_averages(side: int) -> None:
    picture = scenes()[5]
    boxes = np.array([[0, 0, 9, 13], [5, 7, 53, 55], [100, 50, 411, 333], [499, 0, 500, 400]])
    crops = Picture(picture).crops(boxes, side=side, fidelity=Fidelity.STOCK)
    for crop, box in zip(crops, boxes, strict=True):
        assert np.allclose(crop, adaptive_averages(picture, box, side), atol=1e-3)


@pytest.mark.parametrize("side", [24, 48])
def test_quick_crops_are_nearly_those_averages(side: int) -> None:
    picture = cv2.GaussianBlur(scenes()[5], (0, 0), 1.5)
    boxes = np.array(
        [[5, 7, 53, 55], [3, 5, 103, 105], [100, 50, 411, 333], [0, 0, 499, 400], [30, 9, 180, 390]]
    )
    crops = Picture(picture).crops(boxes, side=side, fidelity=Fidelity.QUICK)
    assert crops.shape == (5, side, side, 3) and crops.dtype == np.uint8
    for crop, box in zip(crops, boxes, strict=True):
        differences = np.abs(crop - adaptive_averages(picture, box, side))
        # Bins of whole pixels lie elsewhere by up to half a pixel.
        assert differences.mean() < 2.5


@pytest.mark.parametrize("turned", [False, True])
def test_quick_crops_lie_where_they_are_asked_for(turned: bool) -> None:
    # A level every two pixels, dithered: halves round up what is exact.
    ramp = np.arange(512) / 2 + np.random.default_rng(5).random((512, 512))
    ramp = np.floor(ramp.T if turned else ramp).clip(0, 255).astype(np.uint8)
    picture = np.repeat(ramp[:, :, None], 3, axis=2)
    boxes = np.array([[9, 9, 33, 33], [99, 99, 136, 136], [16, 16, 176, 176], [7, 7, 503, 503]])
    crops = Picture(picture).crops(boxes, side=24, fidelity=Fidelity.QUICK)
    for crop, (first, _, past, _) in zip(crops, boxes, strict=True):
        middles_px = first + (np.arange(24) + 0.5) * (past - first) / 24 - 0.5
        levels = crop[..., 0].mean(axis=1 if turned else 0)
        assert abs((levels - middles_px / 2).mean()) < 0.6


def test_large_pictures_are_neither_copied_nor_handed_over_whole(monkeypatch) -> None:
    """Before 5.0 OpenCV's warps took no side of 32,767 px."""
    sides: list[int] = []
    warp = cv2.warpAffine

    def noted(pixels: Pixels, *settings: Any, **more: Any) -> Any:
        sides.append(max(pixels.shape[:2]))
        return warp(pixels, *settings, **more)

    monkeypatch.setattr(cv2, "warpAffine", noted)
    wide = Picture(np.random.default_rng(0).integers(0, 256, (120, 40_000, 3), np.uint8))
    boxes = np.array([[39_900, 10, 39_924, 34], [39_880, 0, 40_000, 120], [5, 5, 95, 120]])
    whole = wide.crops(boxes, side=24, fidelity=Fidelity.QUICK)
    assert len(sides) == 3 and max(sides) <= 100 + 4
    end = Picture(wide.pixels[:, 39_600:])
    moved = end.crops(boxes[:2] - [39_600, 0, 39_600, 0], side=24, fidelity=Fidelity.QUICK)
    assert np.array_equal(whole[:2], moved)
    kept = sum(half.nbytes for half in wide._halves)
    assert kept < 1.4 * wide.height * wide.width


@pytest.mark.parametrize("size", [(480, 640), (481, 640), (479, 639), (63, 1279)])
@pytest.mark.parametrize("share", [0.9, 0.55, 0.49, 0.26, 0.13])
def test_quick_levels_are_nearly_averages_and_lie_where_those_do(
    size: tuple[int, int], share: float
) -> None:
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(columns / 37 + rows / 53), np.sin(rows / 41), np.sin(columns / 61)]
    pixels = (127 + 120 * np.stack(waves, axis=2)).astype(np.uint8)
    level = int(height * share), int(width * share)
    (quick,) = Picture(pixels).pyramid([level], Fidelity.QUICK)
    area = cv2.resize(pixels, level[::-1], interpolation=cv2.INTER_AREA)
    assert quick.shape == area.shape == (*level, 3)
    differences = np.abs(quick.astype(int) - area.astype(int))
    # At the edge what lies beyond is repeated, half a pixel of the half.
    assert differences.mean() < 1 and differences[1:-1, 1:-1].max() <= 4


def test_levels_come_from_halves_that_are_not_smaller() -> None:
    picture = Picture(np.zeros((400, 600, 3), np.uint8))
    for height in range(1, 401, 7):
        picture.pyramid([(height, height * 3 // 2 or 1)], Fidelity.QUICK)
        least = [half.shape[0] for half in picture._halves if half.shape[0] >= height]
        assert len(picture._halves) == len(least)
        picture.forget()


def adaptive_averages(picture: Pixels, box: NDArray[np.int64], side: int) -> NDArray[np.float32]:
    x0, y0, x1, y1 = box
    part = torch.from_numpy(picture[y0:y1, x0:x1]).permute(2, 0, 1)[None].float()
    averages = torch.nn.functional.interpolate(part, size=(side, side), mode="area")
    return averages[0].permute(1, 2, 0).numpy()


def test_no_boxes_have_no_crops() -> None:
    none = np.zeros((0, 4), np.int64)
    for fidelity in Fidelity:
        crops = Picture(scenes()[0]).crops(none, side=24, fidelity=fidelity)
        assert crops.shape == (0, 24, 24, 3)


def test_sums_that_wrap_around_give_right_averages() -> None:
    bright = Picture(np.full((3000, 3000, 3), 255, np.uint8))
    corner = np.array([[2000, 2000, 3000, 3000]])
    assert (bright.crops(corner, side=24, fidelity=Fidelity.STOCK) == 255).all()
    (level,) = bright.pyramid([(24, 24)], Fidelity.STOCK)
    assert (level == 255).all()


def test_suppression_is_the_greedy_one() -> None:
    random = np.random.default_rng(0)
    first = random.uniform(0, 60, (120, 2))
    boxes = np.concatenate([first, first + random.uniform(10, 50, (120, 2))], axis=1)
    boxes, scores = boxes.astype(np.float32), random.permutation(120).astype(np.float32)
    from facenet_pytorch.models.utils.detect_face import nms_numpy

    greedy = np.sort(nms_numpy(boxes, scores, 0.7, "Min"))
    kept = np.flatnonzero(not_inside_a_better(boxes, scores, overlap=0.7))
    assert kept.tolist() == greedy.tolist()


def test_faces_of_photos_that_were_read_smaller_are_where_they_are_in_the_whole() -> None:
    sharp = cv2.INTER_CUBIC  # blurred faces are found in larger boxes
    large = [cv2.resize(it, None, fx=2, fy=2, interpolation=sharp) for it in scenes()]
    looking = FaceDetector(CPU, min_face=MinFace(px=2 * MIN_FACE_PX))
    in_small = looking.detect_frames([frame(picture, shrunk=2) for picture in scenes()])
    in_large = looking.detect_frames([frame(picture) for picture in large])
    edges, points = [], []
    for small, whole in zip(in_small, in_large, strict=True):
        for ours, its in matched_pairs(2 * small.boxes, whole.boxes):
            edges.append(2 * small.boxes[ours] - whole.boxes[its])
            points.append(2 * small.landmarks[ours] - whole.landmarks[its])
    # In their mean; where O-Net sees them, left and top are off by 1.5 px and all else by 0.5.
    assert len(edges) > 30
    assert np.abs(np.mean(edges, axis=0)).max() < 0.25
    assert np.abs(np.mean(points, axis=(0, 1))).max() < 0.25


def frame(pixels: Pixels, *, shrunk: int = 1) -> Frame:
    height, width = pixels.shape[:2]
    return Frame("a.jpg", 0, None, width, height, ArrayPicture(pixels), shrunk)
