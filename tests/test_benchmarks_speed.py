"""The speed benchmark's own arithmetic: what it matches, claims, counts and writes."""

import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from benchmarks.speed.bench import QUICK, Bench
from benchmarks.speed.claims import Claim, claims, in_words
from benchmarks.speed.floor import breakdown
from benchmarks.speed.media import repeat, scale
from benchmarks.speed.memory import PERIOD_S, MemoryWatch, tree_mb
from benchmarks.speed.profile import STEPS, Profile, exists, profiled
from benchmarks.speed.protocol import Worker, WorkerError
from benchmarks.speed.quality import Quality, compare_tables, matched_pairs
from benchmarks.speed.report import render
from benchmarks.speed.results import Results
from benchmarks.speed.worker import Emoscan, work_s
from tests.clips import even_times, write_clip


def boxes(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, np.float32).reshape(-1, 4)


def faces(*rows: tuple[int, float, float, str]) -> pd.DataFrame:
    """A timeline: frame, left edge, side in px and class of square faces."""
    return pd.DataFrame(
        [
            {"frame": frame, "status": "face", "x": x, "y": 0.0, "width": side, "height": side}
            | {"emotion": emotion}
            for frame, x, side, emotion in rows
        ],
        columns=["frame", "status", "x", "y", "width", "height", "emotion"],
    )


def test_boxes_match_from_half_overlap_on() -> None:
    reference = boxes((0, 0, 10, 30))
    assert matched_pairs(reference, boxes((0, 0, 10, 15))) == [(0, 0)]
    assert matched_pairs(reference, boxes((0, 0, 10, 14.9))) == []
    assert matched_pairs(reference, boxes()) == matched_pairs(boxes(), reference) == []


def test_one_box_is_matched_once() -> None:
    twice = boxes((0, 0, 10, 10), (0, 0, 10, 9))
    assert matched_pairs(twice, boxes((0, 0, 10, 10))) == [(0, 0)]
    assert matched_pairs(boxes((0, 0, 10, 9)), twice) == [(0, 1)]


def test_as_many_boxes_match_as_can() -> None:
    # The first of the found fits both of the reference, one of them exactly; the second one only
    # that one. A greedy matcher would take the exact pair and lose the other.
    reference = boxes((0, 0, 10, 10), (4, 0, 14, 10))
    found = boxes((0, 0, 10, 10), (-3, 0, 7, 10))
    loose = matched_pairs(reference, found, least_iou=0.4)
    assert sorted(loose) == [(0, 1), (1, 0)]


def test_quality_counts_what_is_missed_extra_and_of_another_class() -> None:
    reference = faces((0, 0, 50, "happy"), (0, 100, 50, "sad"), (1, 0, 50, "fear"))
    table = faces((0, 100, 50, "angry"), (1, 0, 50, "fear"), (1, 300, 50, "fear"), (2, 0, 9, "sad"))
    quality = compare_tables(reference, table)
    assert quality == Quality(reference=3, found=4, matched=2, compared=2, agreeing=1)
    assert (quality.recall, quality.precision, quality.agreement) == (2 / 3, 1 / 2, 1 / 2)


def test_classes_of_small_faces_are_not_compared() -> None:
    table = faces((0, 0, 39, "happy"), (0, 100, 40, "sad"))
    quality = compare_tables(table, table, class_min_px=40)
    assert (quality.matched, quality.compared) == (2, 1)


def test_frames_without_faces_count_for_nothing() -> None:
    nobody = pd.DataFrame([{"frame": 0, "status": "no_face"}], columns=faces().columns)
    quality = compare_tables(nobody, nobody)
    assert quality == Quality()
    assert (quality.recall, quality.precision, quality.agreement) == (None, None, None)


def results(**parts: object) -> Results:
    return Results(Path("unused.json"), parts)


def rates(**subjects: list[float]) -> dict[str, object]:
    return {name: {"frames": 90, "rates": found} for name, found in subjects.items()}


def claim_of(found: Results, words: str) -> Claim:
    return next(claim for claim in claims(found) if words in claim.title)


@pytest.mark.parametrize(
    ("median", "verdict"), [(300.0, "met"), (299.0, "**missed**"), (None, "not measured")]
)
def test_a_target_is_met_by_the_ratio_of_medians(median: float | None, verdict: str) -> None:
    ours = {"default": [1.0, median, 900.0]} if median else {}
    found = results(speed={"talking": rates(fer=[8.0, 10.0, 99.0], **ours)})
    assert claim_of(found, "`fer`").verdict(found) == verdict


def test_memory_targets_are_upper_limits() -> None:
    def peak(minutes: float, mb: float) -> dict[str, object]:
        return {"minutes": minutes, "peak": {"peak_mb": mb, "frames": 1}}

    found = results(
        memory={
            "variants": {"default": {"peak_mb": 900.0, "frames": 1}},
            "lengths": [peak(1, 1482.0), peak(10, 1501.0)],
        }
    )
    assert claim_of(found, "peak memory").verdict(found) == "**missed**"
    assert claim_of(found, "between 1 and 10 min").verdict(found) == "met"


def test_utilisation_is_that_of_the_longest_video() -> None:
    def scan(minutes: float, **utilisation: float) -> dict[str, object]:
        return {"minutes": minutes, "peak": {"peak_mb": 1.0, "frames": 1, **utilisation}}

    short, long = scan(1, utilisation=0.5), scan(10, utilisation=0.851)
    found = results(memory={"variants": {}, "lengths": [short, long]})
    assert claim_of(found, "utilisation of all cores, 10 min").verdict(found) == "met"
    assert "| 10 minutes of it, default | 1 | 1 MB | 85% |" in render(found)
    older = results(memory={"variants": {}, "lengths": [short, scan(10)]})
    assert claim_of(older, "utilisation").verdict(older) == "not measured"
    assert "| 10 minutes of it, default | 1 | 1 MB | – |" in render(older)


def test_targets_of_every_frame_are_held_against_stride_1() -> None:
    found = results(speed={"street": rates(plain=[2.0], default=[100.0], stride_1=[5.0])})
    claim = claim_of(found, "crowd, every frame detected")
    assert (claim.target, claim.verdict(found)) == ("≥ 3 ×", "**missed**")


def test_figures_have_units() -> None:
    assert in_words(0.99512, "%") == "99.51 %"
    assert in_words(0.995, "%", digits=False) == "99.5 %"
    assert in_words(30, "×", digits=False) == "30 ×"


def profile_of(*, seconds: float) -> dict[str, object]:
    """Ten frames; each computes 2 Gflop in the classifier."""
    steps = [("decode", 1, 0.02, 0.0), ("classifier", 2, 0.4, 1.5e10), ("classifier", 3, 0, 5e9)]
    names = ("step", "thread", "seconds", "operations")
    return {
        "frames": 10,
        "seconds": seconds,
        "cpu_s": 0.9,
        "precision": "fp32",
        "floats": "fp32",
        "steps": [dict(zip(names, step, strict=True)) for step in steps],
    }


def test_the_floor_is_decoding_and_operations_at_the_matrix_rate() -> None:
    of_clip = {"decode": {"frames": 100, "seconds": 0.1}, "default": profile_of(seconds=0.5)}
    measured = {"matrix_gflops": {"fp32": 100.0, "bf16": 200.0}, "clips": {"talking": of_clip}}
    found = breakdown(results(steps=measured), "talking", "default")
    assert found
    assert (found.decode_ms, found.floor_ms, found.ms) == pytest.approx((1, 1 + 20, 50))
    decode, classifier = found.steps
    assert (decode.ms, decode.least_ms) == pytest.approx((2, 1))
    assert (classifier.ms, classifier.mflop, classifier.threads) == (40, 2000, (2, 3))
    assert found.rates == {"fp32": 100}
    assert breakdown(results(), "talking", "default") is None


def test_the_classifiers_operations_have_a_rate_of_their_own() -> None:
    profile = profile_of(seconds=0.5) | {"precision": "int8", "floats": "fp32"}
    of_clip = {"decode": {"frames": 100, "seconds": 0.1}, "default": profile}
    measured = {"matrix_gflops": {"fp32": 100.0, "int8": 400.0}, "clips": {"talking": of_clip}}
    found = breakdown(results(steps=measured), "talking", "default")
    assert found and found.rates == {"fp32": 100, "int8": 400}
    assert found.floor_ms == pytest.approx(1 + 5)


def test_every_step_has_a_function() -> None:
    absent = {step: names for step, names in STEPS.items() if not all(map(exists, names))}
    assert not absent


def test_a_steps_time_is_its_own() -> None:
    profile = Profile()
    clock = iter([0.0, 1.0, 4.0, 10.0])
    inner = profile.timing("inner", lambda: None)
    outer = profile.timing("outer", inner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.speed.profile.time.perf_counter", lambda: next(clock))
        outer()
    spent = {step: entry.seconds for (step, _), entry in profile.spent.items()}
    assert spent == {"inner": 3.0, "outer": 7.0}


def test_operations_of_layers_are_counted_and_nothing_stays_wrapped() -> None:
    import torch

    before = torch.nn.functional.conv2d
    with profiled() as profile:
        torch.nn.Conv2d(3, 8, 3, bias=False)(torch.zeros(2, 3, 6, 7))
        torch.nn.Linear(5, 4)(torch.zeros(2, 5))
    operations = sum(entry.operations for entry in profile.spent.values())
    assert operations == 2 * (2 * 8 * 4 * 5 * 27 + 2 * 4 * 5)
    assert torch.nn.functional.conv2d is before


def test_every_step_of_a_scan_is_seen_again_and_again(portrait_clip: Path) -> None:
    subject = Emoscan({})
    for _ in range(2):
        answer = subject.profile(str(portrait_clip), seconds=0.2)
        assert {entry["step"] for entry in answer["steps"]} >= set(STEPS)
        assert answer["frames"] == 5


def test_memory_of_child_processes_counts() -> None:
    hold = "import sys; held = bytearray(80_000_000); print(flush=True); sys.stdin.read()"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    command = [sys.executable, "-c", start]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        with MemoryWatch(process.pid) as watch:
            process.stdout.readline()
            time.sleep(4 * PERIOD_S)
        process.stdin.close()
        process.wait()
    assert 80 < watch.peak_mb < 160
    assert tree_mb(process.pid) == 0


def test_work_of_child_processes_counts() -> None:
    work = "import time\nwhile time.process_time() < 0.2: pass"
    began_s = work_s()
    subprocess.run([sys.executable, "-c", work], check=True)
    assert work_s() - began_s > 0.15


def test_what_was_never_measured_is_not_rendered(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="measure first"):
        Results.read(tmp_path / "speed.json")


def test_an_empty_run_and_a_whole_one_render() -> None:
    assert "not measured" in render(results())
    of_clip = {"decode": {"frames": 100, "seconds": 0.1}, "default": profile_of(seconds=0.5)}
    rates_of_products = {"fp32": 100.0, "bf16": 200.0}
    text = render(
        results(
            run={"date": "2026-01-02", "rounds": 5, "quick": True},
            speed={"talking": rates(plain=[2.0, 3.0, 4.0], default=[100.0])},
            quality={"talking": {"default": dict.fromkeys(QUALITY, 1)}},
            memory={"variants": {"default": {"peak_mb": 900.4, "frames": 464}}, "lengths": []},
            steps={"matrix_gflops": rates_of_products, "clips": {"talking": of_clip}},
            skipped={"fer": "the peers are not installed"},
        )
    )
    assert "rehearsal" in text
    assert "| 3.0 | 2.0 to 4.0 | 90 |" in text
    assert "**33.3 ×**" in text
    assert "900 MB" in text
    assert "- fer: the peers are not installed" in text


QUALITY = ("reference", "found", "matched", "compared", "agreeing", "recall")


def test_results_are_whole_after_each_part(tmp_path: Path) -> None:
    path = tmp_path / "results" / "speed.json"
    written = Results(path)
    written.put("speed", {"talking": rates(plain=[1.0, 5.0, 2.0])})
    written.skip("fer", "absent")
    read = Results.read(path)
    assert read.rate("talking", "plain") == 2.0
    assert read.get("skipped", "fer") == "absent"
    assert read.get("skipped", "fer", "deeper") is None
    assert [file.name for file in path.parent.iterdir()] == ["speed.json"]


SERVING = """
from benchmarks.speed.protocol import serve
def echo(word):
    print("not an answer")
    return {"word": word}
def fail():
    raise ValueError("a reason")
"""


def worker(tmp_path: Path, last_line: str) -> Worker:
    return Worker([sys.executable, "-c", SERVING + last_line], log=tmp_path / "log")


def test_workers_answer_and_say_why_they_cannot(tmp_path: Path) -> None:
    with worker(tmp_path, 'serve(lambda: {"echo": echo, "fail": fail})') as asked:
        assert asked.ask("echo", word="é") == {"word": "é"}
        with pytest.raises(WorkerError, match="a reason"):
            asked.ask("fail")
        assert asked.ask("echo", word="still there") == {"word": "still there"}


@pytest.mark.parametrize("last_line", ["serve(fail)", "raise SystemExit('a reason')"])
def test_workers_that_cannot_start_say_why(tmp_path: Path, last_line: str) -> None:
    with pytest.raises(WorkerError, match="a reason"):
        worker(tmp_path, last_line)


def test_options_that_this_emoscan_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="no option “warp”"):
        Emoscan({"warp": 9})


def test_peers_that_are_not_installed_are_skipped_aloud(tmp_path: Path, capsys) -> None:
    written = Results(tmp_path / "speed.json")
    with (
        Bench(effort=QUICK, media=tmp_path, peers=tmp_path / "none", results=written) as bench,
        bench.team(["fer"]) as team,
    ):
        assert team == {}
    assert "make peers" in capsys.readouterr().out
    assert "make peers" in written.get("skipped", "fer")


def frame_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_repeated_clips_go_on_evenly(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", even_times(10), time_base=Fraction(1, 12800))
    repeat(source, tmp_path / "b.mp4", seconds=1)
    times = frame_times(tmp_path / "b.mp4")
    assert len(times) == 30
    assert np.diff(times) == pytest.approx(0.04, abs=0.002)


def test_scaled_clips_keep_their_frames_and_times(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", [0, 40, 100, 180])
    scale(source, tmp_path / "b.mp4", height=24)
    assert frame_times(tmp_path / "b.mp4") == frame_times(source)
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (32, 24)
