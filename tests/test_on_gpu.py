"""What only a CUDA GPU can show: `EMOSCAN_TEST_GPU=1 pytest tests/test_on_gpu.py`."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import pytest
import torch

import emoscan
from emoscan.analyzer import Analyzer
from emoscan.faces.mtcnn import FaceDetector
from emoscan.faces.resample import Fidelity
from emoscan.faces.track import Tracker
from emoscan.graphs import CALLS_BEFORE, Replayed, ReplayedBatches
from emoscan.lanes import Lane, turn
from emoscan.media.picture import OnDemand
from emoscan.options import Precision, RunOptions, ScanOptions
from emoscan.runtime import choose_runtime
from emoscan.timeline.records import FaceRecord
from emoscan.types import Faces, Frame
from emoscan.uploads import TOGETHER, Uploads, on_its_way_back, upload
from tests.faces.test_device_cascade import alike, assert_resampled_alike
from tests.faces.test_mtcnn import MIN_FACE_PX, iou, scenes
from tests.test_device_rows import assert_boxes_are_alike

pytestmark = pytest.mark.skipif(
    not (os.environ.get("EMOSCAN_TEST_GPU") and torch.cuda.is_available()),
    reason="needs a CUDA GPU and EMOSCAN_TEST_GPU=1",
)


@pytest.fixture
def cuda() -> torch.device:
    return torch.device("cuda", 0)


def share_alike(a: list[Faces], b: list[Faces]) -> float:
    """Of all faces of both: where two libraries multiply, a score near a threshold may fall."""
    pairs = sum(
        int((iou(x.boxes, y.boxes) >= 0.9).any(axis=1).sum()) for x, y in zip(a, b, strict=True)
    )
    return 2 * pairs / (sum(map(len, a)) + sum(map(len, b)))


@pytest.mark.parametrize("fidelity", Fidelity)
def test_it_finds_what_the_cpu_finds(fidelity: Fidelity) -> None:
    host = FaceDetector(choose_runtime("cpu"), fidelity=fidelity)
    device = FaceDetector(choose_runtime("cuda"), fidelity=fidelity)
    sides = [MIN_FACE_PX] * len(scenes())
    wanted = host.detect(scenes(), min_faces_px=sides)
    for _ in range(CALLS_BEFORE + 2):
        assert share_alike(device.detect(scenes(), min_faces_px=sides), wanted) > 0.95
    assert device._cascade._seen._recorded  # type: ignore[attr-defined]
    assert not device._cascade._seen._has_failed  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(400, 640), (397, 331)])
def test_levels_and_crops_are_those_in_the_main_memory(size: tuple[int, int], cuda) -> None:
    assert_resampled_alike(size, cuda)


def test_recordings_give_what_the_work_gives(cuda) -> None:
    runs: list[int] = []

    def work(given: torch.Tensor, by: float) -> tuple[torch.Tensor, ...]:
        runs.append(1)
        return given.float() * by, given.sum(0)

    replayed = Replayed(Lane.FACES, kept=2)
    with turn(cuda, Lane.FACES):
        for number in range(8):
            for size in (3, 5):
                given = torch.arange(size * 4, device=cuda).reshape(size, 4) + number
                twice, sums = replayed(work, (given,), 2.0)
                assert torch.equal(twice, given * 2.0) and torch.equal(sums, given.sum(0))
    assert len(runs) == 2 * (CALLS_BEFORE + 2)  # once to get ready, once recorded


@pytest.mark.filterwarnings("ignore:The GPU's work is not recorded")
def test_work_that_cannot_be_recorded_runs_as_it_comes(cuda) -> None:
    replayed, work = (Replayed(Lane.FACES, kept=2) for _ in range(2))
    with turn(cuda, Lane.FACES):
        for number in range(1, 6):
            given = torch.ones(number, device=cuda).sum().reshape(1)
            found = replayed(lambda its: (its * float(its.sum()),), (given,))
            assert found[0].tolist() == [number**2]
        assert replayed._has_failed and not replayed._recorded
        for _ in range(4):  # others go on
            assert work(lambda its: (its + 1,), (torch.zeros(2, device=cuda),))[0].tolist() == [
                1,
                1,
            ]
        assert work._recorded
    assert torch.rand(3, device=cuda).shape == (3,)


def test_batches_are_filled_up_and_cut_again(cuda) -> None:
    layer = torch.nn.Linear(8, 3).to(cuda).requires_grad_(False)
    batches = ReplayedBatches()
    with turn(cuda, Lane.FACES):
        for _ in range(4):
            for count in (0, 1, 3, 30, 5000):
                items = torch.rand(count, 8, device=cuda)
                assert torch.allclose(batches(layer, items), layer(items), atol=1e-4)
    assert batches._replayed._recorded


def test_uploads_arrive_whole(cuda) -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (3 * TOGETHER + 2, 300, 400, 3), np.uint8)
    frames = [
        Frame("a", i, 0.0, 400, 300, OnDemand(lambda pixels=pixels: pixels))
        for i, pixels in enumerate(pictures)
    ]
    kept = Uploads()
    for frame in chain.from_iterable(kept.ahead(frames, cuda)):
        assert isinstance(frame, Frame)
        assert np.array_equal(kept.of(frame, cuda).taken().cpu().numpy(), pictures[frame.index])
        assert np.array_equal(frame.rgb(), pictures[frame.index])


def test_little_memory_costs_time_and_no_face(cuda) -> None:
    detector = FaceDetector(choose_runtime("cuda"))
    images = [np.tile(scenes()[0], (3, 3, 1))] * 16
    sides = [MIN_FACE_PX] * len(images)
    torch.cuda.reset_peak_memory_stats()
    wanted = detector.detect(images, min_faces_px=sides)
    before = torch.cuda.max_memory_allocated()
    del detector
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved()
    whole = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction((held + (before - held) * 0.4) / whole)
    try:
        scarce = FaceDetector(choose_runtime("cuda"))
        for _ in range(CALLS_BEFORE + 2):
            assert alike(scarce.detect(images, min_faces_px=sides), wanted, atol=0.5)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    for _ in range(CALLS_BEFORE + 2):
        assert alike(scarce.detect(images, min_faces_px=sides), wanted, atol=0.5)


def test_what_others_give_back_meanwhile_is_no_part_of_a_recording(cuda) -> None:
    """Memory that the lane has used is marked there when it is given back, and asked for again."""
    with turn(cuda, Lane.FACES):
        brought = [on_its_way_back(torch.ones(1000, device=cuda)) for _ in range(40)]
        pixels = [upload([np.ones((64, 64, 3), np.uint8)], cuda)[0] for _ in range(40)]
        for its in pixels:
            its.taken().float().sum()

    def give_back() -> None:
        for _ in range(10):
            if brought:
                brought.pop()().sum()
                pixels.pop()
            torch.empty(1000, pin_memory=True)
            torch.empty(64 * 64 * 3, dtype=torch.uint8, device=cuda)

    def work(given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(give_back).result()
        return (given + 1,)

    replayed, given = Replayed(Lane.FACES, kept=2), torch.zeros(3, device=cuda)
    torch.cuda.synchronize()
    for _ in range(CALLS_BEFORE + 3):
        with turn(cuda, Lane.FACES):
            assert replayed(work, (given,))[0].tolist() == [1, 1, 1]
    assert replayed._recorded and not replayed._has_failed


def test_recordings_go_and_come_when_memory_runs_out(cuda) -> None:
    replayed, given = Replayed(Lane.PICTURES, kept=2), torch.arange(6, device=cuda)
    torch.cuda.synchronize()
    for _ in range(2):
        for _ in range(CALLS_BEFORE + 2):
            with turn(cuda, Lane.PICTURES):
                found = replayed(lambda its: (its * 3,), (given,))[0]
                assert found.tolist() == [0, 3, 6, 9, 12, 15]
        assert replayed._recorded and not replayed._has_failed
        assert replayed.forget() and not replayed._recorded


def place(row: FaceRecord) -> tuple[int, int | None, int | None]:
    return row.frame, row.face, row.track


@pytest.mark.parametrize("stride", [1, 5])
def test_tables_are_those_of_the_cpu(portrait_clip, stride: int) -> None:
    options = ScanOptions(detector_stride=stride, precision=Precision.FP32)
    host, device = (
        list(emoscan.analyze_video(portrait_clip, options, run=RunOptions(device=name)))
        for name in ("cpu", "cuda")
    )
    assert [(r.frame, r.face, r.track) for r in host] == [
        (r.frame, r.face, r.track) for r in device
    ]
    faces = [pair for pair in zip(host, device, strict=True) if pair[0].x is not None]
    assert_boxes_are_alike(faces, most_px=3)
    assert np.mean([a.emotion == b.emotion for a, b in faces]) > 0.95


def test_photos_are_looked_at_there(tmp_path, cuda) -> None:
    from PIL import Image

    for number, pixels in enumerate(scenes()[:6]):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    host, device = (
        list(emoscan.analyze_images(tmp_path, run=RunOptions(device=name)))
        for name in ("cpu", "cuda")
    )
    assert [(r.source, r.face) for r in host] == [(r.source, r.face) for r in device]


def test_what_goes_through_two_lanes_at_once_stays_whole(cuda) -> None:
    """Uploads, the cascade, looks and the classifier side by side, in several threads."""
    images = [np.ascontiguousarray(np.roll(scenes()[0], shift, axis=1)) for shift in range(0, 96)]
    analyzer = Analyzer(ScanOptions(), RunOptions(device="cuda"))

    def rows() -> list[FaceRecord]:
        frames = [
            Frame("a", i, i / 30, its.shape[1], its.shape[0], OnDemand(lambda its=its: its))
            for i, its in enumerate(images)
        ]
        return [*chain.from_iterable(analyzer.video_rows(frames, Tracker()))]

    alone = [rows() for _ in range(3)][-1]
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(lambda _: rows(), range(12)):
            assert [*map(place, found)] == [*map(place, alone)]
            assert all(
                a.x == pytest.approx(b.x, abs=0.5) for a, b in zip(found, alone, strict=True)
            )
