"""Tables of photos: their manifest, what a kill leaves, failed photos, shards and status."""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import emoscan
import emoscan.media.images
from emoscan import RunOptions
from emoscan.batch.manifest import State
from emoscan.batch.photo_manifest import (
    PartEntry,
    PhotoEntry,
    PhotoManifest,
    PhotoRun,
    read_photo_log,
)
from emoscan.batch.photo_manifest import manifest_path as manifest_of
from emoscan.batch.status import find_status
from emoscan.errors import MediaError, OutputError, UsageError
from emoscan.events import FramesDone, Note
from emoscan.timeline.writers import _FileTable
from tests.batch.analyzers import QuickAnalyzer
from tests.json_values import JSON

pytestmark = pytest.mark.usefixtures("quick")

# Parts are of three photos here: of these eight, three parts.
NAMES = ("0.png", "1.png", "2.png", "3 [a]*?.png", "4\n\x1b[2J.png", "5.png", "б/6.png", "б/7.png")
FORMATS = ("t.parquet", "t.csv", "t.jsonl")
RESUME = RunOptions(resume=True)
RETRY = RunOptions(resume=True, retry_failed=True)


class Killed(BaseException):
    pass


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 50), (number * 20, 90, 40)).save(folder / name)
    return folder


@pytest.fixture
def out_of_reach(monkeypatch):
    """Have these photos fail until it is called again; the files stay as they are."""
    read = emoscan.media.images.read_photo

    def set_names(*names: str) -> None:
        def failing(file, **how):
            if file.source in names:
                raise MediaError(f"{file.source} is out of reach.")
            return read(file, **how)

        monkeypatch.setattr("emoscan.media.images.read_photo", failing)

    return set_names


@pytest.fixture
def looked_at(monkeypatch) -> list[str]:
    """The names of the photos that are read."""
    names: list[str] = []
    read = emoscan.media.images.read_photo

    def noting(file, **how):
        names.append(file.source)
        return read(file, **how)

    monkeypatch.setattr("emoscan.media.images.read_photo", noting)
    return names


def scan(photos: Path, out: Path | str, run: RunOptions | None = None, **more):
    return emoscan.scan(photos, out, kind="photo", run=run or RunOptions(), **more)


def scan_until_killed(photos: Path, out: Path, run: RunOptions | None = None, *, frames: int):
    def listen(event) -> None:
        if isinstance(event, FramesDone) and event.frames >= frames:
            raise Killed

    with pytest.raises(Killed):
        scan(photos, out, run, listener=listen)


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in manifest_of(out).read_text().splitlines()]


def part_lines(out: Path) -> list[dict]:
    return [line for line in lines(out) if "photos" in line and "part" in line]


def states(out: Path) -> dict[str, int]:
    (status,) = find_status(out).photos
    return status.states


def failed(out: Path) -> list[str]:
    (status,) = find_status(out).photos
    return [entry.source for _, entry in status.failed]


def unreadable(out: Path) -> list[str]:
    table = emoscan.read_timeline(out)
    return table.loc[table["status"] == "unreadable", "source"].to_list()


def assert_same(out: Path, clean: Path) -> None:
    tables = [emoscan.read_timeline(path) for path in (out, clean)]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=0)


@pytest.mark.parametrize("name", FORMATS)
def test_a_line_for_each_part_and_each_failed_photo(tmp_path, photos, name: str) -> None:
    out = tmp_path / name
    (photos / "1.png").write_bytes(b"")
    (photos / NAMES[4]).write_bytes(b"broken")
    scan(photos, out)
    run, *rest = lines(out)
    assert (run["photos"], run["parts"], run["kept"], run["shard"]) == (8, 3, 0, None)
    assert [(line["part"], line["state"]) for line in rest] == [
        (1, "failed"), (1, "done_with_damage"), (2, "failed"), (2, "done_with_damage"), (3, "done")
    ]  # fmt: skip
    empty, first, broken, _, last = rest
    assert (empty["source"], empty["error_class"]) == ("1.png", "MediaError")
    assert empty["error"] == "1.png is empty." and broken["source"] == NAMES[4]
    assert (first["first"], first["last"]) == ("0.png", "2.png")
    assert (first["photos"], first["rows"], first["unreadable"]) == (3, 5, 1)
    assert (last["first"], last["photos"], last["rows"]) == ("б/6.png", 2, 4)
    assert (
        first["seconds"] >= 0 and len(first["model_sha256"]) == len(first["options_sha256"]) == 64
    )
    assert first["versions"]["emoscan"] and first["fingerprint"]["size_bytes"] > 0
    assert failed(out) == unreadable(out)


@pytest.mark.parametrize("hard", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("frames", range(1, 9))
def test_after_a_kill_the_manifest_has_what_is_on_the_disk(
    tmp_path, photos, monkeypatch, frames: int, hard: bool
) -> None:
    (photos / "1.png").write_bytes(b"broken")
    scan(photos, tmp_path / "clean.parquet")
    out = tmp_path / "t.parquet"
    with monkeypatch.context() as gone:
        if hard:  # as if the process were gone: nothing is tidied up
            gone.setattr(_FileTable, "keep_partial", lambda *_: None)
            gone.setattr(_FileTable, "discard", lambda *_: None)
        scan_until_killed(photos, out, frames=frames)
    parts = len(list((tmp_path / ".t.parquet.parts").glob("*.part")))
    assert parts == (frames - 1) // 3 and len(part_lines(out)) == parts
    assert states(out)["pending"] == 3 - parts
    scan(photos, out, RESUME)
    assert_same(out, tmp_path / "clean.parquet")
    assert [line["part"] for line in part_lines(out)] == [1, 2, 3]  # none is told twice
    assert states(out) == {"done": 2, "done_with_damage": 1, "pending": 0}
    assert failed(out) == ["1.png"] and not (tmp_path / ".t.parquet.parts").exists()


def test_a_part_whose_line_is_missing_gets_it_back(tmp_path, photos, monkeypatch) -> None:
    (photos / "1.png").write_bytes(b"broken")
    out = tmp_path / "t.csv"
    with monkeypatch.context() as dying:

        def die(*_: object, **__: object) -> None:
            raise Killed

        dying.setattr(PhotoManifest, "note", die)
        with pytest.raises(Killed):
            scan(photos, out)
    assert states(out) == {"pending": 3}
    scan(photos, out, RESUME)
    assert states(out) == {"done": 2, "done_with_damage": 1, "pending": 0}
    assert part_lines(out)[0]["seconds"] is None and failed(out) == ["1.png"]
    (status,) = find_status(out).photos
    assert "not a photo" in status.failed[0][1].error


@pytest.mark.parametrize("name", FORMATS)
def test_a_manifest_that_is_lost_is_made_of_the_table(tmp_path, photos, name: str) -> None:
    (photos / "1.png").write_bytes(b"broken")
    out = tmp_path / name
    scan(photos, out)
    manifest_of(out).unlink()
    report = scan(photos, out, RESUME)
    assert (report.done_before, report.frames, report.exit_code) == (8, 0, 4)
    assert states(out) == {"done": 2, "done_with_damage": 1, "pending": 0}
    assert failed(out) == ["1.png"]
    assert [line["rows"] for line in part_lines(out)] == [5, 6, 4]


def test_a_torn_line_costs_itself_alone(tmp_path, photos) -> None:
    out = tmp_path / "t.parquet"
    scan(photos, out)
    manifest = manifest_of(out)
    manifest.write_bytes(manifest.read_bytes()[:-40])
    assert states(out) == {"done": 2, "pending": 1}
    scan(photos, out, RESUME)
    assert states(out) == {"done": 3, "pending": 0}


def test_what_failed_is_skipped_and_named(tmp_path, photos, looked_at) -> None:
    (photos / "1.png").write_bytes(b"broken")
    out = tmp_path / "t.parquet"
    scan(photos, out)
    looked_at.clear()
    report = scan(photos, out, RESUME)
    assert looked_at == [] and report.done_before == 8
    (problem,) = report.problems
    assert problem.source == "1.png" and "not a photo" in problem.reason
    assert "--retry-failed" in problem.reason
    assert [line["source"] for line in lines(out) if line.get("state") == "skipped"] == ["1.png"]
    assert failed(out) == ["1.png"] and states(out)["done_with_damage"] == 1


@pytest.mark.parametrize("name", FORMATS)
def test_retry_failed_looks_at_nothing_else(
    tmp_path, photos, out_of_reach, name: str, request
) -> None:
    scan(photos, tmp_path / f"clean-{name}")
    out = tmp_path / name
    out_of_reach("1.png", NAMES[4], "б/7.png")
    scan(photos, out)
    assert unreadable(out) == ["1.png", NAMES[4], "б/7.png"] == failed(out)
    out_of_reach("б/7.png")
    looked_at = request.getfixturevalue("looked_at")
    report = scan(photos, out, RETRY)
    assert looked_at == ["1.png", NAMES[4], "б/7.png"]
    assert (report.frames, report.unreadable, report.exit_code) == (7, 1, 4)
    assert unreadable(out) == ["б/7.png"] == failed(out)
    out_of_reach()
    assert scan(photos, out, RETRY).exit_code == 0
    assert_same(out, tmp_path / f"clean-{name}")
    assert failed(out) == [] and states(out) == {"done": 3, "pending": 0}
    assert [line["part"] for line in part_lines(out)] == [1, 2, 3, 1, 2, 3, 3]


def test_a_retry_that_is_killed_changes_nothing_and_goes_on(
    tmp_path, photos, out_of_reach, request
) -> None:
    scan(photos, tmp_path / "clean.parquet")
    out = tmp_path / "t.parquet"
    out_of_reach("1.png", "5.png", "б/6.png")
    scan(photos, out)
    out_of_reach()
    scan_until_killed(photos, out, RETRY, frames=5)
    assert failed(out) == unreadable(out) == ["1.png", "5.png", "б/6.png"]
    looked_at = request.getfixturevalue("looked_at")
    scan(photos, out, RETRY)
    assert looked_at == ["5.png", "б/6.png"]  # the first part was safe already
    assert_same(out, tmp_path / "clean.parquet")
    assert failed(out) == [] and states(out) == {"done": 3, "pending": 0}


@pytest.mark.parametrize("run", [RESUME, RETRY])
@pytest.mark.parametrize("still_lost", [(), ("5.png",)])
def test_a_retry_that_is_killed_before_its_last_word(
    tmp_path, photos, out_of_reach, monkeypatch, run: RunOptions, still_lost
) -> None:
    """Its table has its name already, and the manifest tells of the one before."""
    out = tmp_path / "t.parquet"
    out_of_reach("1.png", "5.png")
    scan(photos, out)
    out_of_reach(*still_lost)

    def die(_) -> None:
        raise Killed

    with monkeypatch.context() as deadly, pytest.raises(Killed):
        deadly.setattr(PhotoManifest, "finish", die)
        scan(photos, out, RETRY)
    assert unreadable(out) == [*still_lost]
    report = scan(photos, out, run)
    assert [problem.source for problem in report.problems] == failed(out) == [*still_lost]


def test_a_retry_that_is_killed_may_be_left_at_that(tmp_path, photos, out_of_reach) -> None:
    out = tmp_path / "t.parquet"
    out_of_reach("1.png", "5.png")
    scan(photos, out)
    out_of_reach()
    scan_until_killed(photos, out, RETRY, frames=5)
    scan(photos, out, RESUME)
    assert failed(out) == unreadable(out) == ["1.png", "5.png"]
    assert not (tmp_path / ".t.parquet.parts").exists()


def test_retry_failed_where_no_table_is_yet(tmp_path, photos, out_of_reach) -> None:
    scan(photos, tmp_path / "clean.parquet")
    out = tmp_path / "t.parquet"
    out_of_reach("1.png")
    scan_until_killed(photos, out, frames=8)
    out_of_reach()
    scan_until_killed(photos, out, RETRY, frames=4)
    assert failed(out) == [] and states(out) == {"done": 2, "pending": 1}
    scan(photos, out, RESUME)
    assert_same(out, tmp_path / "clean.parquet")


ODD = os.fsdecode(b"1\xff.png")


@pytest.fixture
def with_odd_name(photos) -> Path:
    """As `photos`, but a name has a byte that is no UTF-8, which tables show as an escape."""
    try:
        (photos / "1.png").rename(photos / ODD)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    return photos


def test_odd_names_of_failed_photos_cost_no_row(tmp_path, with_odd_name, out_of_reach) -> None:
    scan(with_odd_name, tmp_path / "clean.parquet")
    out = tmp_path / "t.parquet"
    out_of_reach(ODD)
    scan_until_killed(with_odd_name, out, frames=8)
    out_of_reach()
    assert scan(with_odd_name, out, RETRY).not_done == 0
    assert_same(out, tmp_path / "clean.parquet")


@pytest.mark.parametrize("name", FORMATS)
def test_odd_names_are_found_in_a_table(
    tmp_path, with_odd_name, out_of_reach, name: str, request
) -> None:
    out = tmp_path / name
    out_of_reach(ODD, "5.png")
    scan(with_odd_name, out)
    manifest_of(out).unlink()
    report = scan(with_odd_name, out, RESUME)
    assert failed(out) == [ODD, "5.png"] == [problem.source for problem in report.problems]
    assert states(out) == {"done": 1, "done_with_damage": 2, "pending": 0}
    out_of_reach()
    looked_at = request.getfixturevalue("looked_at")
    assert scan(with_odd_name, out, RETRY).exit_code == 0
    assert looked_at == [ODD, "5.png"] and failed(out) == []


def test_rows_that_somebody_took_out_are_looked_at_again(tmp_path, photos) -> None:
    (photos / "1.png").write_bytes(b"broken")
    scan(photos, tmp_path / "clean.csv")
    out = tmp_path / "t.csv"
    scan(photos, out)
    rows = out.read_text().splitlines(keepends=True)
    out.write_text("".join(rows[:-4]))  # both photos of the last part
    scan(photos, out, RETRY)
    assert_same(out, tmp_path / "clean.csv")


def test_a_new_run_forgets_the_parts_of_the_one_before(tmp_path, photos) -> None:
    out = tmp_path / "t.parquet"
    scan(photos, out)
    scan_until_killed(photos, out, RunOptions(overwrite=True), frames=4)
    assert states(out) == {"done": 1, "pending": 2}
    scan(photos, out, RESUME)  # the table is still there, and of the same photos
    assert states(out) == {"done": 3, "pending": 0}


def test_a_bug_is_told_of_its_part_and_tried_again(tmp_path, photos, monkeypatch) -> None:
    out, rows = tmp_path / "t.parquet", QuickAnalyzer.photo_rows

    def broken(self, items):
        if any(item.source == "5.png" for item in items):
            raise RuntimeError("CUDA error")
        return rows(self, items)

    with monkeypatch.context() as faulty:
        faulty.setattr(QuickAnalyzer, "photo_rows", broken)
        assert scan(photos, out).exit_code == 4
    assert states(out) == {"done": 1, "failed": 1, "pending": 1}
    assert "CUDA error" in part_lines(out)[1]["error"]
    scan(photos, out, RESUME)
    assert states(out) == {"done": 3, "pending": 0}


def test_fail_fast_tells_how_far_it_came(tmp_path, photos) -> None:
    (photos / NAMES[4]).write_bytes(b"broken")
    out = tmp_path / "t.parquet"
    scan(photos, out, RunOptions(fail_fast=True))
    assert states(out) == {"done": 1, "done_with_damage": 1, "pending": 1}
    assert (part_lines(out)[1]["photos"], part_lines(out)[1]["last"]) == (2, NAMES[4])
    assert scan(photos, out, RESUME).done_before == 0
    assert states(out) == {"done": 2, "done_with_damage": 1, "pending": 0}


def test_a_retry_that_fails_leaves_the_table(tmp_path, photos, out_of_reach, monkeypatch) -> None:
    out = tmp_path / "t.parquet"
    out_of_reach("1.png", "5.png")
    scan(photos, out)
    before = out.read_bytes()

    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error")

    with monkeypatch.context() as faulty:
        faulty.setattr(QuickAnalyzer, "photo_rows", fail)
        assert "CUDA error" in scan(photos, out, RETRY).problems[-1].reason
    stopped = scan(photos, out, RunOptions(resume=True, retry_failed=True, fail_fast=True))
    assert stopped.exit_code == 4 and "stays" in stopped.problems[-1].reason
    assert out.read_bytes() == before and failed(out) == unreadable(out) == ["1.png", "5.png"]
    assert states(out) == {"done": 1, "done_with_damage": 2, "pending": 0}


def test_two_runs_into_one_table(tmp_path, photos) -> None:
    refused: list[str] = []

    def run_another(event) -> None:
        if isinstance(event, FramesDone) and not refused:
            with pytest.raises(OutputError, match="Another run") as error:
                scan(photos, tmp_path / "t.parquet", RESUME)
            refused.append(str(error.value))

    scan(photos, tmp_path / "t.parquet", listener=run_another)
    assert refused and states(tmp_path / "t.parquet") == {"done": 3, "pending": 0}


@pytest.mark.parametrize("name", FORMATS)
def test_shards_hold_the_rows_of_one_run(tmp_path, photos, name: str) -> None:
    (photos / "1.png").write_bytes(b"broken")
    whole = tmp_path / "one" / name
    scan(photos, whole)
    out = tmp_path / "in 3" / name
    reports = [scan(photos, out, RunOptions(shard=f"{number}/3")) for number in (1, 2, 3)]
    tables = sorted(out.parent.glob(f"t.*-of-3{out.suffix}"))  # as README has it
    assert [path.name for path in tables] == [f"t.{n}-of-3{out.suffix}" for n in (1, 2, 3)]
    assert sum(report.inputs for report in reports) == 8
    shards = pd.concat(map(emoscan.read_timeline, tables))
    wanted = emoscan.read_timeline(whole)
    key = ["source", "face"]
    pd.testing.assert_frame_equal(
        shards.astype({"source": str}).sort_values(key, ignore_index=True),
        wanted.astype({"source": str}).sort_values(key, ignore_index=True),
        check_categorical=False,
    )
    assert failed(out) == ["1.png"] and states(out)["pending"] == 0
    again = [scan(photos, out, RunOptions(shard=f"{n}/3", resume=True)) for n in (1, 2, 3)]
    assert sum(report.done_before for report in again) == 8


def test_shards_that_have_not_begun(tmp_path, photos) -> None:
    out = tmp_path / "t.parquet"
    for number in (1, 4):
        scan(photos, out, RunOptions(shard=f"{number}/4"))
    (status,) = find_status(tmp_path).photos
    assert (status.out, status.shards, status.photos) == ("t.parquet", 4, 8)
    assert status.not_begun == ["2/4", "3/4"]
    assert list(status.logs) == ["t.1-of-4.parquet", "t.4-of-4.parquet"]
    assert [found.out for found in find_status(tmp_path / "t.4-of-4.parquet").photos] == [out.name]


@pytest.mark.parametrize("name", FORMATS)
def test_a_shard_without_any_photo(tmp_path, name: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (60, 50)).save(folder / "one.png")
    told: list[str] = []

    def listen(event) -> None:
        told.extend([event.text] if isinstance(event, Note) else [])

    for number in (1, 2):
        run = RunOptions(shard=f"{number}/2")
        assert scan(folder, tmp_path / name, run, listener=listen).exit_code == 0
        with pytest.raises(OutputError, match="exists already"):
            scan(folder, tmp_path / name, run)
        again = scan(folder, tmp_path / name, RunOptions(shard=f"{number}/2", resume=True))
        assert again.exit_code == 0
    tables = sorted(tmp_path.glob(f"t.*-of-2{Path(name).suffix}"))
    assert sorted(len(emoscan.read_timeline(path)) for path in tables) == [0, 2]
    assert states(tmp_path / name) == {"done": 1, "pending": 0}
    assert [text for text in told if "None of the 1 photo" in text]


@pytest.mark.parametrize("shard", [None, "2/3"])
def test_rows_to_a_stream(photos, monkeypatch, shard) -> None:
    monkeypatch.setattr("emoscan.pipeline.photo_workers", lambda: 2)
    (photos / "1.png").write_bytes(b"broken")
    stream = io.BytesIO()
    report = scan(photos, "-", RunOptions(shard=shard), stdout=stream)
    sources = {line.split(b",")[0] for line in stream.getvalue().splitlines()[1:]}
    assert report.inputs == report.frames + report.unreadable and report.frames
    assert b"0.png" in sources or shard
    assert not list(photos.parent.glob("*.manifest.jsonl"))


def whole_lines() -> Sequence[st.SearchStrategy]:
    kinds = (PhotoRun, PartEntry, PhotoEntry)
    return [st.dictionaries(st.sampled_from(kind.__slots__), JSON) for kind in kinds]


@given(st.lists(st.one_of(*whole_lines()), max_size=6))
def test_whatever_a_manifest_holds_can_be_shown(tmp_path_factory, changes) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    run = {"run_began": "", "shard": "1/2", "photos": 3, "photos_in_all": 9, "parts": 3, "kept": 2}
    part = {"part": 1, "state": "done", "first": "a", "last": "b", "photos": 2, "rows": 2,
            "unreadable": 0}  # fmt: skip
    photo = {"part": 1, "source": "a", "state": "failed", "error_class": "E", "error": "no."}
    kinds = [run, part, photo]
    content = [json.dumps(run)]
    content += [json.dumps(kinds[n % 3] | change) for n, change in enumerate(changes)]
    path = folder / "t.1-of-2.csv.manifest.jsonl"
    path.write_text("\n".join(content))
    log = read_photo_log(path)
    assert all(isinstance(entry.state, State) for entry in log.parts.values())
    assert json.dumps(find_status(folder).as_dict())


def test_nothing_to_show(tmp_path, photos) -> None:
    with pytest.raises(UsageError, match="holds no manifest"):
        find_status(photos)
    with pytest.raises(UsageError, match="does not exist"):
        find_status(tmp_path / "no" / "t.parquet")
    with pytest.raises(UsageError, match="has no manifest"):
        find_status(photos / "0.png")
