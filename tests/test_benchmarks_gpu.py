"""The GPU benchmark's own arithmetic, rehearsed on a CPU: what it counts, shares out and writes."""

import itertools
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.backend_parity import agreement
from benchmarks.gpu import __main__ as program
from benchmarks.gpu.bench import QUICK, Bench, Deadline, bench
from benchmarks.gpu.bounds import MEMORY, OPERATIONS, layer_bounds, share_of_decoding
from benchmarks.gpu.classifier import measure_classifier
from benchmarks.gpu.files import evenly_sharded
from benchmarks.gpu.frames import blocks, measure_frames, passed_on
from benchmarks.gpu.layers import REST, mark_layers, profile_layers, work_of
from benchmarks.gpu.machine import measure_machine
from benchmarks.gpu.parity import compare_boxes, measure_parity
from benchmarks.gpu.pixels import Clip, Shots, load
from benchmarks.gpu.plots import draw
from benchmarks.gpu.report import render
from benchmarks.gpu.scanning import Clock, scan
from benchmarks.gpu.sections import MOST_S, SECTIONS, section
from benchmarks.gpu.watch import PERIOD_S, GpuWatch, tree_cpu_s
from benchmarks.speed.results import Results
from emoscan.events import FileFinished, Note, ScanStarted
from emoscan.options import RunOptions, ScanOptions, Shard


def results(**parts: object) -> Results:
    return Results(Path("unused.json"), parts)


@pytest.fixture
def cpu_bench(tmp_path: Path) -> Bench:
    return Bench(
        device=torch.device("cpu"),
        effort=replace(QUICK, product_side=32, copied_mb=1),
        media=tmp_path,
        results=Results(tmp_path / "gpu.json"),
        folder=tmp_path,
    )


def test_every_section_is_there_and_has_a_limit() -> None:
    assert SECTIONS.keys() == MOST_S.keys()
    assert all(callable(section(name)) for name in SECTIONS)


def test_what_fails_is_noted_and_the_rest_goes_on(cpu_bench: Bench) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    assert not cpu_bench.tries("frames: street", fail)
    assert cpu_bench.tries("frames: talking", lambda: None)
    kept = json.loads(cpu_bench.results.path.read_text(encoding="utf-8"))
    assert kept == {
        "skipped": {
            "frames: street": "RuntimeError: CUDA error: an illegal memory access was encountered"
        }
    }


def test_a_deadline_passes() -> None:
    assert Deadline(0).is_over
    assert not Deadline(3600).is_over


def test_the_machine_is_measured_without_a_gpu(cpu_bench: Bench) -> None:
    measure_machine(cpu_bench)
    parts = cpu_bench.results.parts
    assert "skipped" not in parts
    assert set(parts["rates"]["products_tflops"]) == {"bf16", "fp16", "tf32", "fp32"}
    assert set(parts["rates"]["copies_gb_s"]) == {"pageable", "device"}
    assert parts["machine"]["gpu"] is None
    assert torch.get_float32_matmul_precision() == "highest"


def small(bench: Bench, media: Path) -> Bench:
    effort = replace(
        bench.effort, frames=4, seen_first=8, plain_frames=1, batches=(2,), batch_s=0.0
    )
    return replace(bench, media=media, effort=effort)


def test_the_classifier_is_measured_and_its_layers_told_apart(cpu_bench: Bench) -> None:
    measure_classifier(small(cpu_bench, cpu_bench.media))
    parts = cpu_bench.results.parts
    assert "skipped" not in parts
    # He et al. count 1.8 G multiply-adds on 224 px; this one has 48 px, and no first pooling.
    assert 0.6e9 < parts["classifier"]["operations"] < 0.65e9
    for found in parts["classifier"]["precisions"].values():
        assert found["batches"]["2"]["network"] > 0
        assert found["profile"]["kinds_ms"]["convolutions 3×3"] > 0
    assert "### Layer by layer in bf16, 2 images at once" in render(cpu_bench.results)


def test_every_way_is_measured_on_frames_in_memory(
    cpu_bench: Bench, portrait_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = (Clip("talking_720p", "one face", portrait_clip.name), Clip("absent", "", "absent.mp4"))
    monkeypatch.setattr("benchmarks.gpu.frames.CLIPS", clips)
    measure_frames(small(cpu_bench, portrait_clip.parent))
    found = cpu_bench.results.get("frames", "clips", "talking_720p")
    assert (found["frames"], found["faces"], found["block_frames"]) == (8, 8, 4)
    assert {name: way["frames"] for name, way in found["ways"].items()} == {
        "rows_stride_1": 8,
        "detector": 8,
        "classifier": 8,
        "rows_followed": 8,
        "plain": 1,
    }
    assert all(len(way["rates"]) == QUICK.rounds for way in found["ways"].values())
    assert set(cpu_bench.results.parts["skipped"]) == {"frames: absent"}


def test_the_device_is_held_against_the_cpu(
    cpu_bench: Bench, portrait_clip: Path, tmp_path: Path
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / portrait_clip.name).symlink_to(portrait_clip)
    shots = load(Clip("clip", "", portrait_clip.name), media, count=1)
    Image.fromarray(shots.pixels[0]).save(media / "photo.png")
    measure_parity(small(cpu_bench, media))
    found = cpu_bench.results.parts["parity"]
    assert "skipped" not in cpu_bench.results.parts
    assert found["frames"] == found["boxes"]["reference"] == found["boxes"]["matched"] == 2
    assert found["whole_way"]["faces"] == found["same_crops"]["faces"] == 2
    assert found["same_crops"]["largest"] < 0.08


def test_frames_are_new_each_time_and_have_the_same_pixels() -> None:
    shots = Shots("clip", [np.full((4, 6, 3), level, np.uint8) for level in range(3)], [0, 1, 2])
    first, second = shots.frames(), shots.frames()
    assert [(frame.width, frame.height, frame.time_s) for frame in first] == [
        (6, 4, time_s) for time_s in range(3)
    ]
    for one, other, pixels in zip(first, second, shots.pixels, strict=True):
        assert one.picture is not other.picture
        assert one.rgb() is not other.rgb()
        assert one.rgb() is not pixels
        assert np.array_equal(one.rgb(), pixels)
        assert np.shares_memory(one.rgb(), pixels)


def test_frames_of_several_passes_are_one_video() -> None:
    levels = [np.full((4, 6, 3), level, np.uint8) for level in range(3)]
    frames = Shots("clip", levels, [1.0, 1.5, 2.0]).frames(passes=2)
    assert [frame.index for frame in frames] == [*range(6)]
    assert [frame.time_s for frame in frames] == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert [int(frame.rgb()[0, 0, 0]) for frame in frames] == [0, 1, 2, 0, 1, 2]
    given = [*frames]
    for frame, passed in zip(frames, passed_on(given), strict=True):
        assert passed is frame and frame not in given


def test_clips_are_scaled_in_proportion(portrait_clip: Path) -> None:
    whole = load(Clip("clip", "", portrait_clip.name), portrait_clip.parent, count=2)
    half = load(
        Clip("clip", "", portrait_clip.name, whole.height // 2), portrait_clip.parent, count=2
    )
    assert len(whole) == len(half) == 2
    assert half.height == whole.height // 2
    assert half.width / half.height == pytest.approx(whole.width / whole.height, rel=0.02)


def test_blocks_hold_everything_once() -> None:
    assert [*map(list, blocks(range(5), 2))] == [[0, 1], [2, 3], [4]]


def test_work_is_counted_by_kind_of_layer() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 7),
    )
    work = work_of(network, torch.zeros(1, 1, 8, 8))
    pixels = 8 * 8
    assert work["convolutions 3×3"].operations == 2 * 4 * pixels * 9
    assert work["convolutions 3×3"].values == pixels + 4 * pixels
    assert work["ReLU"].values == 2 * 4 * pixels
    assert work["dense layer"].operations == 2 * 4 * 7
    assert not any(module._forward_hooks for module in network.modules())


def test_the_profiler_knows_the_layers() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU())
    mark_layers(network)
    images = torch.zeros(8, 1, 64, 64)
    found = profile_layers(lambda: network(images), calls=2, on_gpu=False)
    assert set(found["kinds_ms"]) == {"convolutions 3×3", "ReLU", REST}
    assert found["kinds_ms"]["convolutions 3×3"] > 0
    assert any("conv" in kernel["name"] for kernel in found["kernels"])
    assert sum(found["kinds_ms"].values()) >= found["total_ms"] * 0.99


def profiled(kinds_ms: dict[str, float]) -> dict[str, Any]:
    profile = {"batch": 1000, "total_ms": sum(kinds_ms.values()), "kinds_ms": kinds_ms}
    kernels = [{"name": "void conv|kernel", "ms": 2.0, "share": 0.5}]
    return {
        "operations": 2e9,
        "layers": {
            "convolutions 3×3": {"operations": 2e9, "values": 1e6},
            "ReLU": {"operations": 1e6, "values": 2e6},
        },
        "precisions": {
            "fp16": {
                "batches": {"1000": {"network": 1e5, "classify_crops": 5e4}},
                "profile": profile | {"kernels": kernels},
            }
        },
    }


def test_a_layer_is_bound_by_what_takes_longer() -> None:
    found = results(
        classifier=profiled({"ReLU": 3.0, "convolutions 3×3": 5.0, REST: 1.0}),
        rates={"products_tflops": {"fp16": 1000.0}, "copies_gb_s": {"device": 1000.0}},
    )
    convolutions, relu, rest = layer_bounds(found, "fp16")
    assert (convolutions.bound_by, relu.bound_by, rest.bound_by) == (OPERATIONS, MEMORY, None)
    assert convolutions.least_ms == pytest.approx(1000 * 2e9 / 1e15 * 1000)
    # Two bytes a number; a copy of 1000 GB/s reads and writes 2000.
    assert relu.least_ms == pytest.approx(1000 * 4e6 / 2e12 * 1000)
    assert convolutions.intensity == pytest.approx(1000)


def test_boxes_are_missed_extra_or_a_little_off() -> None:
    wanted = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    found = np.array([[0, 0, 10, 11], [200, 200, 220, 220], [300, 0, 320, 20]], np.float32)
    compared = compare_boxes([wanted], [found])
    assert (compared["reference"], compared["found"], compared["matched"]) == (2, 3, 1)
    assert (compared["recall"], compared["precision"]) == (1 / 2, 1 / 3)
    assert (compared["median_px"], compared["most_px"]) == (0, 1)
    nobody = compare_boxes([wanted[:0]], [found[:0]])
    assert (nobody["recall"], nobody["precision"], nobody["p99_px"]) == (None, None, None)


def test_agreement_counts_faces_for_classes_and_each_probability() -> None:
    wanted = np.array([[0.9, 0.1], [0.6, 0.4]], np.float32)
    got = np.array([[0.89, 0.11], [0.45, 0.55]], np.float32)
    found = agreement(wanted, got)
    assert (found.faces, found.same_class, found.within) == (2, 0.5, 0.5)
    assert found.largest == pytest.approx(0.15)


@pytest.mark.parametrize(("number", "shards"), [(16, 4), (2, 2), (4, 1)])
def test_every_shard_gets_as_many_videos(number: int, shards: int) -> None:
    names = evenly_sharded(number, shards=shards)
    assert len(set(names)) == number
    held = Counter(
        each for name in names for each in range(1, shards + 1) if Shard(each, shards).holds(name)
    )
    assert set(held.values()) == {number // shards}


def test_the_clock_runs_from_the_first_files_turn_to_the_last_ones_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = itertools.count(100.0)
    monkeypatch.setattr("benchmarks.gpu.scanning.time.monotonic", lambda: next(ticks))
    clock = Clock()
    clock(Note("Running on cpu."))
    clock(ScanStarted(2))
    for source in ("a", "b"):
        clock(FileFinished(source, 10, 20, 1.0, None, None))
    answer = clock.answer()
    assert (answer["frames"], answer["faces"], answer["notes"]) == (20, 40, ["Running on cpu."])
    assert answer["ended_s"] - answer["began_s"] == 2
    clock(FileFinished("c", 1, 1, 1.0, "It is cut off.", None))
    with pytest.raises(ValueError, match="cut off"):
        clock.answer()


def test_a_scan_is_timed_and_its_processes_counted(portrait_clip: Path, tmp_path: Path) -> None:
    run = RunOptions(device="cpu")
    options = ScanOptions(end_s=0.2)
    answer = scan([portrait_clip], tmp_path / "table.parquet", options=options, run=run)
    assert (answer["frames"], answer["faces"]) == (5, 5)
    assert answer["ended_s"] > answer["began_s"]
    assert answer["cpu_s"] > 0


def test_processor_time_grows_with_work() -> None:
    import os

    before = tree_cpu_s(os.getpid())
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert tree_cpu_s(os.getpid()) - before >= 0.05
    assert tree_cpu_s(2**31 - 1) == 0


def fake_nvml(*, lacks_driver: bool) -> ModuleType:
    class NVMLError(Exception):
        pass

    def init() -> None:
        if lacks_driver:
            raise NVMLError("Driver Not Loaded")

    class Of:
        def __init__(self, **values: float) -> None:
            self.__dict__ |= values

    nvml: Any = ModuleType("pynvml")
    nvml.__spec__ = ModuleSpec("pynvml", None)
    nvml.NVMLError = NVMLError
    nvml.nvmlInit = init
    nvml.nvmlDeviceGetHandleByIndex = lambda index: index
    nvml.nvmlDeviceGetUtilizationRates = lambda card: Of(gpu=75, memory=10)
    nvml.nvmlDeviceGetPowerUsage = lambda card: 350_000
    nvml.nvmlDeviceGetMemoryInfo = lambda card: Of(used=2_000_000_000)
    return nvml


@pytest.mark.parametrize("lacks_driver", [False, True])
def test_the_gpu_is_watched_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch, *, lacks_driver: bool
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(lacks_driver=lacks_driver))
    with GpuWatch() as watch:
        deadline = time.monotonic() + 5
        while not (watch.summary or lacks_driver) and time.monotonic() < deadline:
            time.sleep(PERIOD_S)
    summary = watch.summary
    if lacks_driver:
        assert summary == {}
    else:
        assert (summary["utilisation"], summary["power_w"], summary["used_mb"]) == (0.75, 350, 2000)


def file_case(**facts: Any) -> dict[str, Any]:
    return {
        "name": "talking_720p × 1, every frame",
        "frames": 1000,
        "rate": 300.0,
        "cpu_ms": 5.0,
        "decode_auto": 600.0,
        "decode_single": 200.0,
        "gpu": {"utilisation": 0.4, "power_w": 200.0, "used_mb": 3000.0, "samples": 20},
        "memory": {"allocated_mb": 900.0, "reserved_mb": 1500.0},
        "notes": ["h264 is decoded by cuda."],
        "decoded_by": {"cuda": 1000},
    } | facts


def way(*rates: float, frames: int = 256) -> dict[str, Any]:
    return {"frames": frames, "rates": [*rates], "cpu_ms": [1.0] * len(rates)}


def whole_run() -> Results:
    clips = {
        name: {"title": title, "width": 1280, "height": 720, "frames": 256, "faces": faces}
        | {"block_frames": 30}
        | {"ways": {"rows_stride_1": way(1400, 1600, 1700), "plain": way(20, frames=32)}}
        for name, title, faces in (
            ("talking_720p", "one face, 720p", 256),
            ("street_720p", "crowd, 720p", 1024),
        )
    }
    clips["talking_720p"]["ways"]["detector"] = way()
    words = {"faces": 100, "same_class": 0.99, "within": 1.0, "largest": 0.01}
    return results(
        run={"date": "2026-01-02", "quick": False},
        machine={"cpu": "some", "cores": 16, "gpu": GPU},
        rates={
            "product_side": 8192,
            "products_tflops": {"fp16": 1000.0},
            "copies_gb_s": {"pageable": 10.0, "device": 1000.0},
        },
        frames={"clips": clips},
        classifier=profiled({"convolutions 3×3": 5.0, REST: 1.0}),
        files=[file_case(), file_case(gpu={}, memory={}, notes=[])],
        parity={"frames": 10, "every": 6, "is_whole": True, "same_crops": words}
        | {"boxes": compare_boxes([BOX], [BOX])},
        skipped={"parity: boxes": "RuntimeError: no"},
    )


GPU = {"name": "H", "capability": "9.0", "multiprocessors": 132, "memory_mb": 80000.0}
BOX = np.array([[0, 0, 10, 10]], np.float32)


def test_an_empty_run_and_a_whole_one_render(tmp_path: Path) -> None:
    assert "not measured" in render(results())
    text = render(whole_run())
    assert "| frames/s, every frame detected, one face, 720p | ≥ 1,500 | met | 1,600 |" in text
    assert "the same against the plain loop on this GPU | ≥ 20.0 × | met | 80.0 × |" in text
    assert "| same class as in fp32: the same crops | ≥ 99.50% | **missed** | 99.00% |" in text
    assert "| same class as in fp32: GPU all the way | ≥ 99.50% | not measured | – |" in text
    assert "`void conv kernel`" in text
    assert "100.00% are found" in text
    assert "RuntimeError: no" in text
    # 10 GB/s by 3 × 1280 × 720 bytes.
    assert "3,617 frames/s" in text
    draw(whole_run(), tmp_path / "gpu.png")
    assert (tmp_path / "gpu.png").stat().st_size > 0
    draw(results(), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_share_is_of_the_faster_way_to_decode() -> None:
    assert share_of_decoding({"rate": 300, "decode_auto": 400, "decode_single": 600}) == 0.5


def test_a_section_that_cannot_be_done_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    before = {"parity": {"old": 1}, "files": [], "skipped": {"parity: x": "no", "files: y": "no"}}
    (tmp_path / "results" / "gpu.json").write_text(json.dumps(before), encoding="utf-8")
    monkeypatch.setattr(program, "write", lambda *_: None)
    words = ["--media", str(tmp_path), "--device", "cpu", "--quick", "--only", "parity", "machine"]
    monkeypatch.setattr(sys, "argv", ["gpu", *words, "--out", str(tmp_path)])
    program.main()
    kept = json.loads((tmp_path / "results" / "gpu.json").read_text(encoding="utf-8"))
    assert "parity" not in kept  # the folder holds no media
    assert set(kept["skipped"]) == {"parity", "files: y"}
    assert kept["machine"]["cores"] >= 1
    assert set(kept["seconds"]) == {"parity", "machine"}


def test_a_section_that_hangs_is_ended() -> None:
    hanging = [sys.executable, "-c", "import time; time.sleep(60)"]
    began_s = time.monotonic()
    assert program._failure(hanging, most_s=0.2) == "it took more than 0 s, and was ended"
    assert time.monotonic() - began_s < 30
    assert program._failure([sys.executable, "-c", "exit(3)"], most_s=30) == (
        "its process ended with code 3"
    )
    assert program._failure([sys.executable, "-c", ""], most_s=30) is None


def test_a_bench_leaves_no_folder(tmp_path: Path) -> None:
    with bench(device="cpu", effort=QUICK, media=tmp_path, results=results()) as ready:
        folder = ready.folder
        assert folder.is_dir()
    assert not folder.exists()
