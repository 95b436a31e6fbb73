"""What earlier runs, other programs and bad luck leave in a folder of tables."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from PIL import Image

import emoscan
from emoscan import RunOptions
from emoscan.batch.lock import locked
from emoscan.batch.manifest import State, read_manifests
from emoscan.batch.place import held
from emoscan.batch.status import read_status
from emoscan.errors import OutputError
from emoscan.events import FramesDone
from emoscan.media.video import Video
from emoscan.options import Shard
from emoscan.timeline.writers import _FileTable
from tests.batch.analyzers import QuickAnalyzer
from tests.batch.conftest import FRAMES, run_options

pytestmark = pytest.mark.usefixtures("quick")

RESUME = run_options(resume=True)


@pytest.fixture
def videos(tmp_path, long_clip) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(long_clip, folder / name)
    return folder


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        Image.new("RGB", (60, 50), (number * 20, 90, 40)).save(folder / f"{number}.png")
    return folder


def test_a_full_disk_is_said_while_the_decoder_is_at_work(tmp_path, long_clip, monkeypatch) -> None:
    """What closes the decoder must not hide why."""
    frames = Video.frames

    def slow(self, options, *, first=0):
        for frame in frames(self, options, first=first):
            time.sleep(0.01)
            yield frame

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Video, "frames", slow)
    monkeypatch.setattr("emoscan.timeline.writers.BATCH_ROWS", 1)
    monkeypatch.setattr("emoscan.timeline.encoders.ParquetEncoder.write", full)
    with pytest.raises(OutputError, match="disk is full"):
        emoscan.scan(long_clip, tmp_path / "t.parquet", run=run_options())


def test_photos_cut_short_by_fail_fast_are_not_all_photos(tmp_path, photos) -> None:
    (photos / "2.png").write_bytes(b"broken")
    out = tmp_path / "t.csv"
    emoscan.scan(photos, out, kind="photo", run=RunOptions(fail_fast=True))
    assert len(emoscan.read_timeline(out)["source"].unique()) == 3
    report = emoscan.scan(photos, out, kind="photo", run=RunOptions(resume=True))
    assert (report.done_before, report.not_done, report.exit_code) == (0, 0, 4)
    assert len(emoscan.read_timeline(out)["source"].unique()) == 8


def test_a_photo_that_changes_while_it_is_read_makes_no_part(tmp_path, photos, monkeypatch) -> None:
    rows = QuickAnalyzer.photo_rows

    def touching(self, items):
        os.utime(photos / "1.png", ns=(7, 7))
        return rows(self, items)

    def stop(event) -> None:
        if isinstance(event, FramesDone) and event.frames == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(QuickAnalyzer, "photo_rows", touching)
    with pytest.raises(KeyboardInterrupt):
        emoscan.scan(photos, tmp_path / "t.csv", kind="photo", listener=stop)
    assert not list(tmp_path.glob(".t.csv.parts/*.part"))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_other_programs_files_are_not_replaced(tmp_path, long_clip, name: str) -> None:
    out = tmp_path / name
    contents = {
        "t.csv": lambda: out.write_text("my,precious\n1,2\n"),
        "t.jsonl": lambda: out.write_text('{"my": "precious"}\n'),
        "t.parquet": lambda: emoscan.read_timeline(_scanned(long_clip, tmp_path))[["x"]].to_parquet(
            out
        ),
    }
    contents[name]()
    before = out.read_bytes()
    with pytest.raises(OutputError, match="move it away"):
        emoscan.scan(long_clip, out, run=RESUME)
    assert out.read_bytes() == before


def _scanned(clip: Path, folder: Path) -> Path:
    emoscan.scan(clip, folder / "made.parquet", run=run_options())
    return folder / "made.parquet"


def test_a_table_that_lost_its_metadata_is_made_again(tmp_path, long_clip) -> None:
    out = tmp_path / "t.csv"
    emoscan.scan(long_clip, out, run=run_options())
    (tmp_path / "t.csv.meta.json").unlink()
    assert emoscan.scan(long_clip, out, run=RESUME).done_before == 0
    assert (tmp_path / "t.csv.meta.json").exists()


def test_a_table_of_another_schema_is_made_again(tmp_path, long_clip) -> None:
    out = tmp_path / "t.csv"
    emoscan.scan(long_clip, out, run=run_options())
    beside = tmp_path / "t.csv.meta.json"
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"schema_version": 0}))
    assert emoscan.scan(long_clip, out, run=RESUME).done_before == 0
    assert emoscan.read_timeline(out).attrs["schema_version"] == 1


def test_a_broken_table_costs_itself_alone(tmp_path, videos) -> None:
    out = tmp_path / "out"
    emoscan.scan(videos, out, run=run_options())
    for name in ("a.mp4.parquet", "b.mp4.parquet"):
        (out / "timelines" / name).write_bytes(b"")
    shutil.copy(videos / "b.mp4", videos / "c.mp4")
    report = emoscan.scan(videos, out, run=RESUME)
    assert [problem.source for problem in report.problems] == ["a.mp4", "b.mp4"]
    assert (out / "timelines" / "c.mp4.parquet").exists() and report.not_done == 0


def test_damage_is_remembered_and_tried_again_on_demand(tmp_path, videos) -> None:
    whole = (videos / "a.mp4").read_bytes()
    (videos / "b.mp4").unlink()
    (videos / "a.mp4").write_bytes(whole[:-40] + bytes(40))
    broken = bytearray(whole)
    middle = len(whole) // 3
    broken[middle : middle + 400] = bytes(400)
    (videos / "a.mp4").write_bytes(broken)
    out = tmp_path / "out"
    first = emoscan.scan(videos, out, run=run_options())
    assert first.exit_code == 4 and first.problems
    again = emoscan.scan(videos, out, run=RESUME)
    assert (again.done_before, again.exit_code) == (1, 4)
    assert again.problems[0].reason == first.problems[0].reason
    retried = emoscan.scan(videos, out, run=run_options(resume=True, retry_failed=True))
    assert retried.done_before == 0


def test_a_bug_or_a_broken_machine_is_tried_again(tmp_path, videos, monkeypatch) -> None:
    def fail(*_: object, **__: object):
        raise RuntimeError("CUDA error")

    with monkeypatch.context() as broken:
        broken.setattr(QuickAnalyzer, "video_rows", fail)
        report = emoscan.scan(videos, tmp_path / "out", run=run_options())
    assert (report.exit_code, report.not_done) == (5, 0)
    assert emoscan.scan(videos, tmp_path / "out", run=RESUME).exit_code == 0


def test_a_manifest_that_lost_its_last_line_gets_it_back(tmp_path, videos) -> None:
    out = tmp_path / "out"
    emoscan.scan(videos, out, run=run_options())
    manifest = out / "manifest.jsonl"
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:-1]) + "\n")
    assert read_status(out).pending == ("b.mp4",)
    emoscan.scan(videos, out, run=RESUME)
    assert read_status(out).pending == ()
    assert [entry.state for entry in read_manifests(out)] == [State.DONE, State.DONE]


def test_pending_are_the_inputs_of_the_last_run_that_are_not_done(tmp_path, videos) -> None:
    out = tmp_path / "out"
    emoscan.scan(videos, out, run=run_options())
    (videos / "b.mp4").rename(videos / "z.mp4")
    shards = [Shard(number, 2) for number in (1, 2)]
    first = next(shard for shard in shards if not shard.holds("z.mp4"))
    emoscan.scan(videos, out, run=run_options(resume=True, shard=first))
    status = read_status(out)
    assert status.pending == ("z.mp4",)
    assert [entry.source for entry in status.entries] == ["a.mp4"]


def test_verify_after_a_run_without_it_reads_all_once(tmp_path, videos) -> None:
    out, verify = tmp_path / "out", run_options(resume=True, verify=True)
    emoscan.scan(videos, out, run=run_options())
    assert emoscan.scan(videos, out, run=verify).done_before == 0
    assert emoscan.scan(videos, out, run=verify).done_before == 2


def test_parts_of_a_run_that_died_at_its_very_end_go(tmp_path, long_clip, monkeypatch) -> None:
    out = tmp_path / "t.parquet"
    with monkeypatch.context() as dying:
        dying.setattr("emoscan.batch.parts.Parts.remove", lambda self: None)
        emoscan.scan(long_clip, out, run=run_options())
    assert (tmp_path / ".t.parquet.parts").exists()
    assert emoscan.scan(long_clip, out, run=RESUME).done_before == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_part_with_a_broken_page_is_done_again(tmp_path, long_clip, monkeypatch) -> None:
    out, parts = tmp_path / "t.parquet", tmp_path / ".t.parquet.parts"

    def stop(event) -> None:
        if isinstance(event, FramesDone) and event.frames > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emoscan.scan(long_clip, out, run=run_options(), listener=stop)
    first = sorted(parts.glob("*.part"))[0]
    content = bytearray(first.read_bytes())
    content[40:400] = bytes(360)
    first.write_bytes(content)
    emoscan.scan(long_clip, out, run=RESUME)
    assert len(emoscan.read_timeline(out)["frame"].unique()) == FRAMES


def test_a_commit_that_fails_is_counted_once(tmp_path, photos, monkeypatch) -> None:
    commit = _FileTable.commit

    def fail(self, metadata) -> None:
        if "part" not in metadata:
            raise RuntimeError("no reason")
        commit(self, metadata)

    monkeypatch.setattr(_FileTable, "commit", fail)
    report = emoscan.scan(photos, tmp_path / "t.csv", kind="photo")
    assert report.not_done == 0 and "no reason" in report.problems[-1].reason


@pytest.mark.parametrize(
    ("at_work", "other", "meet"),
    [
        (None, None, True),
        (None, "1/2", True),
        ("1/2", None, True),
        ("1/2", "1/2", True),
        ("1/2", "2/2", False),
        ("1/2", "1/3", True),
    ],
)
def test_runs_meet_unless_they_are_shards_of_one_batch(
    tmp_path, monkeypatch, at_work, other, meet: bool
) -> None:
    monkeypatch.setattr("emoscan.batch.place.PATIENCE_S", 0.05)
    with held(tmp_path, RunOptions(shard=at_work)):
        refused = pytest.raises(OutputError, match="Another run") if meet else nullcontext()
        with refused, held(tmp_path, RunOptions(shard=other)):
            pass
    with held(tmp_path, RunOptions(shard=other)):  # when the first has gone
        pass


def test_what_other_commands_are_writing_is_not_swept(tmp_path) -> None:
    (tmp_path / "timelines").mkdir()
    stale = tmp_path / "timelines" / ".emoscan-1-ab.writing"
    others = tmp_path / ".emoscan-2-cd.writing"
    stale.touch()
    others.touch()
    with held(tmp_path, RunOptions()):
        assert others.exists() and not stale.exists()


def test_a_shard_sweeps_what_was_its_own_alone(tmp_path) -> None:
    parts = tmp_path / "timelines" / "sub" / ".a.mp4.parquet.parts"
    parts.mkdir(parents=True)
    mine = [parts / ".emoscan-1-of-2-7-ab.writing", parts.parent / ".emoscan-1-of-2-8-cd.writing"]
    others = [
        parts / f".emoscan-{name}.writing" for name in ("2-of-2-7-ab", "1-of-22-7-ab", "1-ab")
    ]
    for path in (*mine, *others):
        path.touch()
    with held(tmp_path, RunOptions(shard="1/2")):
        assert not any(path.exists() for path in mine) and all(path.exists() for path in others)
    with held(tmp_path, RunOptions()):
        assert not any(path.exists() for path in others)


def test_a_shard_that_died_is_swept_by_itself(tmp_path, videos, monkeypatch) -> None:
    out, shards = tmp_path / "out", [run_options(resume=True, shard=f"{n}/2") for n in (1, 2)]
    shard = next(one for one in shards if one.shard.holds("a.mp4"))

    def die(event) -> None:
        if isinstance(event, FramesDone) and event.frames == 24:  # in the third segment
            raise KeyboardInterrupt

    with monkeypatch.context() as dying:  # as if the process were gone
        dying.setattr(_FileTable, "keep_partial", lambda *_: None)
        dying.setattr(_FileTable, "discard", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            emoscan.scan(videos, out, run=shard, listener=die)
    left = list(out.rglob("*.writing"))
    assert {path.parent.name for path in left} == {"timelines", ".a.mp4.parquet.parts"}
    emoscan.scan(videos, out, run=next(one for one in shards if one is not shard))
    assert set(left) <= set(out.rglob("*.writing"))
    emoscan.scan(videos, out, run=shard)
    assert not list(out.rglob("*.writing")) and (out / "timelines" / "a.mp4.parquet").exists()


def test_a_lock_of_a_dead_process_is_free(tmp_path) -> None:
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire();"
        "print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "lock"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline()
    with pytest.raises(OutputError), locked(path):
        pass
    process.kill()
    process.wait()
    with locked(path):
        pass
