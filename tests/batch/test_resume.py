"""Jobs that are stopped, killed and damaged go on to what they would have been."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import emoscan
from emoscan import RunOptions, ScanOptions
from emoscan.batch import videos as video_jobs
from emoscan.batch.manifest import State, read_manifests
from emoscan.batch.status import read_status
from emoscan.errors import OutputError, UsageError
from emoscan.events import FileKept, FramesDone
from emoscan.faces.mtcnn import Fidelity
from emoscan.options import Precision
from emoscan.timeline.writers import _FileTable
from tests.batch.analyzers import QuickAnalyzer
from tests.batch.conftest import FRAMES, run_options

pytestmark = pytest.mark.usefixtures("quick")


class Killed(BaseException):
    pass


def killed_after(blocks: int):
    """A listener that ends the job after so many blocks of rows."""
    left = [blocks]

    def listen(event) -> None:
        if isinstance(event, FramesDone):
            left[0] -= 1
            if not left[0]:
                raise Killed

    return listen


def scan_until_killed(*args, blocks: int, **kwargs) -> None:
    with pytest.raises(Killed):
        emoscan.scan(*args, listener=killed_after(blocks), **kwargs)


def rows(path: Path) -> pd.DataFrame:
    return emoscan.read_timeline(path)


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=0)
    return True


@pytest.fixture
def videos(tmp_path, long_clip) -> Path:
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    for name in ("a.mp4", "more/b.mp4", "c.mp4"):
        shutil.copy(long_clip, folder / name)
    (folder / "bad.mp4").write_bytes(b"no video")
    return folder


@pytest.mark.parametrize("blocks", [1, 3, 5, 9, 12])
def test_a_stopped_video_goes_on_after_its_last_whole_segment(
    tmp_path, long_clip, blocks: int, monkeypatch
) -> None:
    emoscan.scan(long_clip, tmp_path / "whole.parquet", run=run_options())
    out = tmp_path / "t.parquet"
    scan_until_killed(long_clip, out, run=run_options(), blocks=blocks)
    assert not out.exists() and (tmp_path / "t.partial.parquet").exists()
    parts = sorted(path.name for path in (tmp_path / ".t.parquet.parts").glob("*.part"))
    # A segment has three blocks, and is whole when the next one begins: it is not done again.
    assert len(parts) == (blocks - 1) // 3
    begun: list[int] = []
    real = video_jobs.video_rows

    def noted(*args, first: int, **kwargs):
        begun.append(first)
        return real(*args, first=first, **kwargs)

    monkeypatch.setattr(video_jobs, "video_rows", noted)
    report = emoscan.scan(long_clip, out, run=run_options(resume=True))
    assert begun == [10 * len(parts)]
    assert same(rows(out), rows(tmp_path / "whole.parquet"))
    assert report.frames == FRAMES and report.outputs == (str(out),)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.parquet", "whole.parquet"]


def test_parts_of_another_run_are_not_taken_up(tmp_path, long_clip) -> None:
    out = tmp_path / "t.parquet"
    scan_until_killed(long_clip, out, run=run_options(), blocks=8)
    other = ScanOptions(threshold=0.8)
    emoscan.scan(long_clip, out, options=other, run=run_options(resume=True))
    assert rows(out).attrs["options"]["threshold"] == 0.8 and len(rows(out)) > FRAMES


@pytest.mark.parametrize(
    ("name", "value"), [("precision", Precision.BF16), ("detector_fidelity", Fidelity.STOCK)]
)
def test_parts_that_were_computed_otherwise_are_not_taken_up(
    tmp_path, long_clip, monkeypatch, name: str, value: Precision | Fidelity
) -> None:
    """As after an update by which `auto` is another precision, or faces are found otherwise."""
    out, begun = tmp_path / "t.parquet", list[int]()
    real = video_jobs.video_rows

    def noted(*args, first: int, **kwargs):
        begun.append(first)
        return real(*args, first=first, **kwargs)

    class Otherwise(QuickAnalyzer):
        def __init__(self, options, run) -> None:
            super().__init__(options, run)
            if isinstance(value, Fidelity):
                self.fidelity = value
            else:
                self.runtime = replace(self.runtime, precision=value)

    scan_until_killed(long_clip, out, run=run_options(), blocks=8)
    monkeypatch.setattr(video_jobs, "video_rows", noted)
    monkeypatch.setattr("emoscan.pipeline.Analyzer", Otherwise)
    emoscan.scan(long_clip, out, run=run_options(resume=True))
    assert begun == [0] and rows(out).attrs[name] == value.value


def test_a_damaged_part_is_done_again(tmp_path, long_clip) -> None:
    emoscan.scan(long_clip, tmp_path / "whole.parquet", run=run_options())
    out = tmp_path / "t.parquet"
    scan_until_killed(long_clip, out, run=run_options(), blocks=10)
    (tmp_path / ".t.parquet.parts" / "00001.part").write_bytes(b"PAR1 no more")
    emoscan.scan(long_clip, out, run=run_options(resume=True))
    assert same(rows(out), rows(tmp_path / "whole.parquet"))


def test_without_resume_nothing_is_taken_up(tmp_path, long_clip) -> None:
    out = tmp_path / "t.parquet"
    scan_until_killed(long_clip, out, run=run_options(), blocks=8)
    shutil.rmtree(tmp_path / ".t.parquet.parts")
    emoscan.scan(long_clip, out, run=run_options())
    assert len(rows(out)["frame"].unique()) == FRAMES


def test_a_batch_is_done_once(tmp_path, videos) -> None:
    out = tmp_path / "out"
    first = emoscan.scan(videos, out, run=run_options())
    assert first.exit_code == 4 and len(first.outputs) == 3
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    with pytest.raises(OutputError, match="--resume"):
        emoscan.scan(videos, out, run=run_options())
    events = []
    again = emoscan.scan(videos, out, run=run_options(resume=True), listener=events.append)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == before
    assert (again.done_before, again.frames, again.not_done, again.exit_code) == (3, 0, 0, 4)
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 7  # nothing of what was kept
    assert sum(isinstance(event, FileKept) for event in events) == 3
    assert "--retry-failed" in again.problems[0].reason
    retried = emoscan.scan(videos, out, run=run_options(resume=True, retry_failed=True))
    assert "--retry-failed" not in retried.problems[0].reason
    states = [entry.state for entry in read_manifests(out) if entry.source == "bad.mp4"]
    assert states == [State.FAILED, State.SKIPPED, State.FAILED]


@pytest.mark.parametrize("change", ["content", "time", "options", "output", "schema"])
def test_what_has_changed_is_done_again(tmp_path, videos, change: str) -> None:
    out, options = tmp_path / "out", ScanOptions()
    emoscan.scan(videos, out, run=run_options())
    table = out / "timelines" / "a.mp4.parquet"
    match change:
        case "content":
            stat = (videos / "a.mp4").stat()
            (videos / "a.mp4").write_bytes((videos / "a.mp4").read_bytes() + b"\0")
            os.utime(videos / "a.mp4", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        case "time":
            os.utime(videos / "a.mp4", ns=(1, 1))
        case "options":
            options = ScanOptions(every=2)
        case "output":
            table.unlink()
        case "schema":
            shutil.copy(out / "timelines" / "c.mp4.parquet", table)  # of another input
            os.utime(videos / "c.mp4", ns=(5, 5))
    report = emoscan.scan(videos, out, options=options, run=run_options(resume=True))
    redone = {"options": 3, "schema": 2}.get(change, 1)
    assert len(report.outputs) == redone and report.done_before == 3 - redone
    assert len(rows(table)["frame"].unique()) == FRAMES // options.every


def test_verify_reads_the_whole_file(tmp_path, videos) -> None:
    """A change in the middle of a large file, with the old time: its ends do not tell."""
    big = videos / "big.ts"
    big.write_bytes(os.urandom(3 * 2**20))
    out, resume = tmp_path / "out", run_options(resume=True)
    emoscan.scan(videos, out, run=run_options(resume=True, verify=True))
    stat = big.stat()
    with big.open("r+b") as file:
        file.seek(3 * 2**19)
        file.write(b"changed")
    os.utime(big, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def reason(run: RunOptions) -> str:
        problems = emoscan.scan(videos, out, run=run).problems
        return next(problem.reason for problem in problems if problem.source == "big.ts")

    assert "has not changed" in reason(resume)
    assert "has not changed" not in reason(run_options(resume=True, verify=True))


def test_a_table_of_somebody_elses_is_not_replaced(tmp_path, long_clip) -> None:
    out = tmp_path / "t.parquet"
    out.write_text("my notes")
    with pytest.raises(OutputError, match="move it away"):
        emoscan.scan(long_clip, out, run=run_options(resume=True))
    assert out.read_text() == "my notes"


def test_a_crash_leaves_nothing_that_looks_whole(tmp_path, videos, monkeypatch) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as crash:  # as if the process were gone
        crash.setattr(_FileTable, "keep_partial", lambda *_: None)
        crash.setattr(_FileTable, "discard", lambda *_: None)
        scan_until_killed(videos, out, run=run_options(), blocks=5)
    assert list(out.rglob(".emoscan-*.writing"))
    assert not list((out / "timelines").rglob("*.parquet"))
    emoscan.scan(videos, out, run=run_options(resume=True))
    assert not list(out.rglob("*.writing")) and not list(out.rglob("*.parts"))
    assert len(list((out / "timelines").rglob("*.parquet"))) == 3


def test_workers_write_the_same_tables(tmp_path, videos) -> None:
    one = emoscan.scan(videos, tmp_path / "one", run=run_options())
    three = emoscan.scan(videos, tmp_path / "three", run=run_options(workers=3))
    names = [path.removeprefix(str(tmp_path / "one")) for path in one.outputs]
    assert names == [path.removeprefix(str(tmp_path / "three")) for path in three.outputs]
    for name in names:
        assert same(rows(Path(f"{tmp_path}/one{name}")), rows(Path(f"{tmp_path}/three{name}")))
    assert (one.frames, one.faces, one.tracks) == (three.frames, three.faces, three.tracks)


def test_shards_never_meet_and_their_manifests_merge(tmp_path, videos) -> None:
    out, reports = tmp_path / "out", []
    for number in (1, 2, 3):
        reports.append(emoscan.scan(videos, out, run=run_options(shard=f"{number}/3")))
    assert sum(report.inputs for report in reports) == 4
    assert sum(len(report.outputs) for report in reports) == 3
    status = read_status(out)
    assert [entry.source for entry in status.entries] == ["a.mp4", "bad.mp4", "c.mp4", "more/b.mp4"]
    assert (status.states["done"], status.states["failed"]) == (3, 1)
    assert status.states["pending"] == 0


def test_a_shard_without_inputs_is_done(tmp_path, long_clip) -> None:
    reports = [
        emoscan.scan(long_clip.parent, tmp_path / "out", run=run_options(shard=f"{number}/2"))
        for number in (1, 2)
    ]
    assert sorted(report.inputs for report in reports) == [0, 1]
    assert all(report.exit_code == 0 for report in reports)


def test_two_runs_into_one_folder(tmp_path, videos) -> None:
    second: list[str] = []

    def run_another(event) -> None:
        if isinstance(event, FramesDone) and not second:
            with pytest.raises(OutputError, match="Another run") as refused:
                emoscan.scan(videos, tmp_path / "out", run=run_options(resume=True))
            second.append(str(refused.value))

    emoscan.scan(videos, tmp_path / "out", run=run_options(), listener=run_another)
    assert second


def test_the_manifest_tells_what_became_of_each(tmp_path, videos, long_clip) -> None:
    whole = long_clip.read_bytes()
    (videos / "cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    emoscan.scan(videos, tmp_path / "out", run=run_options())
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert len(json.loads(lines[0])["inputs"]) == 5
    entries = {entry["source"]: entry for entry in map(json.loads, lines[1:])}
    assert entries["a.mp4"]["state"] == "done"
    assert entries["a.mp4"]["output"] == "timelines/a.mp4.parquet"
    assert entries["a.mp4"]["frames_expected"] == entries["a.mp4"]["frames_decoded"] == FRAMES
    assert entries["a.mp4"]["rows"] == len(rows(tmp_path / "out/timelines/a.mp4.parquet"))
    assert entries["bad.mp4"]["error_class"] == "MediaError" and entries["bad.mp4"]["error"]
    assert len(entries["a.mp4"]["model_sha256"]) == 64
    assert entries["cut.mp4"]["state"] in ("done_with_damage", "failed")


def test_photos_go_on_after_their_last_whole_part(tmp_path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        Image.new("RGB", (60, 50), (number * 20, 90, 40)).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes(b"broken")
    emoscan.scan(folder, tmp_path / "whole.csv", kind="photo")
    out = tmp_path / "t.csv"
    scan_until_killed(folder, out, kind="photo", blocks=5)
    assert len(list((tmp_path / ".t.csv.parts").glob("*.part"))) == 1
    report = emoscan.scan(folder, out, kind="photo", run=RunOptions(resume=True))
    assert same(rows(out), rows(tmp_path / "whole.csv"))
    assert [problem.source for problem in report.problems] == ["2.png"]
    assert "2.png" in report.problems[0].reason and not (tmp_path / ".t.csv.parts").exists()
    kept = emoscan.scan(folder, out, kind="photo", run=RunOptions(resume=True))
    assert (kept.done_before, kept.not_done, kept.frames) == (8, 0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"workers": 0},
        {"shard": "0/3"},
        {"shard": "4/3"},
        {"shard": "a"},
        {"resume": True, "overwrite": True},
        {"verify": True},
        {"out": "-", "workers": 2},
        {"out": "-", "resume": True},
        {"retry_failed": True},
    ],
)
def test_options_that_do_not_fit(fields) -> None:
    with pytest.raises(UsageError):
        RunOptions(**fields)
