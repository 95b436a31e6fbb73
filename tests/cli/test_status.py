"""`emoscan status`: what became of every input, for eyes and for machines."""

import json
from pathlib import Path

import pytest
from PIL import Image

from emoscan.batch.manifest import Entry, Manifest, State
from emoscan.batch.photo_manifest import PartEntry, PhotoEntry, PhotoManifest, PhotoRun

ENTRIES = [
    Entry(source="a.mp4", state=State.DONE, rows=464, frames_expected=464, frames_decoded=464,
          seconds=8.2, ended="2026-01-01T01:00:00.000+00:00"),
    Entry(source="day 2/b\x1b[2J.mov", state=State.DONE_WITH_DAMAGE, rows=90, frames_expected=100,
          frames_decoded=88, damage=("12 of 100 frames are unreadable.",),
          ended="2026-01-01T02:00:00.000+00:00"),
    Entry(source="c.mp4", state=State.FAILED, error="c.mp4 is empty.", error_class="MediaError",
          ended="2026-01-01T03:00:00.000+00:00"),
]  # fmt: skip


@pytest.fixture
def tables(tmp_path) -> Path:
    manifest = Manifest(tmp_path / "manifest.jsonl")
    manifest.begin([*(entry.source for entry in ENTRIES), *(f"{n}.mp4" for n in range(15))])
    for entry in ENTRIES:
        manifest.add(entry)
    return tmp_path


def test_a_table_and_counts(run, tables) -> None:
    result = run("status", tables)
    assert result.code == 0 and "\x1b" not in result.out
    lines = result.out.splitlines()
    assert any("a.mp4" in line and "464 of 464" in line and "8 s" in line for line in lines)
    assert any("done with damage" in line and "12 of 100 frames" in line for line in lines)
    assert any("failed" in line and "c.mp4 is empty." in line for line in lines)
    assert "… and 5 more" in result.out
    assert "18 inputs: 1 done, 1 done with damage, 1 failed, 15 pending" in lines[-1]


def test_as_json(run, tables) -> None:
    status = json.loads(run("status", tables, "--json").out)
    assert status["inputs"] == 18 and len(status["pending"]) == 15
    assert status["states"] == {"done": 1, "done_with_damage": 1, "failed": 1, "pending": 15}
    assert [entry["source"] for entry in status["entries"]] == sorted(e.source for e in ENTRIES)


def test_a_folder_without_a_manifest(run, tmp_path) -> None:
    result = run("status", tmp_path)
    assert result.code == 2 and "--out" in result.err


@pytest.fixture
def photo_tables(tmp_path) -> Path:
    """The first and the last of three shards, both at work, and a table beside them."""
    ended = "2026-01-01T01:00:00.000+00:00"
    for shard, parts in (("1/3", 9), ("3/3", 2), (None, 1)):
        name = f"p.{shard.replace('/', '-of-')}.csv" if shard else "whole.csv"
        manifest = PhotoManifest(tmp_path / name)
        run = PhotoRun(run_began=ended, shard=shard, photos=parts * 1000, photos_in_all=12345,
                       parts=parts, kept=0)  # fmt: skip
        manifest.begin(run, skips_failed=True)
        for part in range(1, min(parts, 2) + 1):
            lost = [
                PhotoEntry(part=part, source=f"b\x1b[2J/{n}.jpg", state=State.FAILED,
                           error_class="MediaError", error="It is *empty*.", ended=ended)
                for n in range(150 if part == 2 else 0)
            ]  # fmt: skip
            entry = PartEntry(part=part, state=State.DONE_WITH_DAMAGE if lost else State.DONE,
                              first=f"{part}a.jpg", last=f"{part}z.jpg", photos=1000, rows=2345,
                              unreadable=len(lost), seconds=61.2, ended=ended)  # fmt: skip
            manifest.note(entry, lost, at_once=True)
    return tmp_path


def test_photos_of_all_shards(run, photo_tables) -> None:
    result = run("status", photo_tables / "p.csv")
    assert result.code == 0 and "\x1b" not in result.out
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert lines[1] == "done 1/3 1 1a.jpg … 1z.jpg 1,000 of 1,000 2,345 61 s"
    assert "done with damage 1/3 2 2a.jpg … 2z.jpg 850 of 1,000 2,345 61 s 150 photos" in lines[2]
    assert lines[3].endswith("It is *empty*.") and "failed 1/3 2 b\\x1b[2J/0.jpg" in lines[3]
    assert "pending 1/3 3 to 9" in lines and "pending 2/3 not begun" in lines
    assert sum(line.startswith("failed") for line in lines) == 101
    assert any("… and 200 more (--json has all)" in line for line in lines)
    assert lines[-1].startswith(
        "p.csv in 3 shards: 12,345 photos; 11 parts: 2 done, 2 done with damage, 7 pending; the "
        "last ended 2026-01-01"
    )
    assert lines[-1].endswith("; 300 photos failed; 1 shard not begun.")


def test_photos_as_json(run, photo_tables) -> None:
    table, whole = json.loads(run("status", photo_tables, "--json").out)["photo_tables"]
    assert (table["out"], table["shards"], table["not_begun"]) == ("p.csv", 3, ["2/3"])
    assert table["states"] == {"done": 2, "done_with_damage": 2, "pending": 7}
    assert table["pending"][0] == {"table": "p.1-of-3.csv", "part": 3}
    assert len(table["failed"]) == 300 and table["failed"][0]["table"] == "p.1-of-3.csv"
    assert [part["table"] for part in table["parts"]] == ["p.1-of-3.csv"] * 2 + ["p.3-of-3.csv"] * 2
    assert (whole["out"], whole["shards"], whole["states"]) == (
        "whole.csv", None, {"done": 1, "pending": 0}
    )  # fmt: skip


@pytest.mark.parametrize("name", ["whole.csv", "whole.csv.manifest.jsonl"])
def test_one_table_of_photos_alone(run, photo_tables, name) -> None:
    (photo_tables / "whole.csv").touch()
    result = run("status", photo_tables / name)
    assert "12,345 photos; 1 part: 1 done" in result.out and "p.csv" not in result.out
    assert "shard" not in result.out


def test_videos_and_photos_in_one_folder(run, tables, photo_tables) -> None:
    assert tables == photo_tables
    both = json.loads(run("status", tables, "--json").out)
    assert both["inputs"] == 18 and len(both["photo_tables"]) == 2
    out = run("status", tables).out
    assert "18 inputs" in out and "whole.csv: " in out and "p.csv in 3 shards" in out
    alone = json.loads(run("status", tables / "manifest.jsonl", "--json").out)
    assert alone["inputs"] == 18 and "photo_tables" not in alone


def test_photos_on_the_command_line(run) -> None:
    Path("in").mkdir()
    Image.new("RGB", (60, 50)).save("in/a.png")
    Path("in/b.png").write_bytes(b"")
    assert run("folder", "in", "--out", "t.csv", "--shard", "1/1").code == 4
    again = run("folder", "in", "--out", "t.csv", "--shard", "1/1", "--resume")
    assert again.code == 4 and "b.png is empty. It failed before" in again.err
    Path("in/b.png").unlink()
    Image.new("RGB", (60, 50)).save("in/b.png")
    command = ("folder", "in", "--out", "t.csv", "--shard", "1/1", "--resume", "--retry-failed")
    assert run(*command).code == 0
    assert "2 photos; 1 part: 1 done, 0 pending" in run("status", "t.csv").out


def test_two_workers_and_a_table_each(run, portrait_clip) -> None:
    for name in ("a.mp4", "b.mp4"):
        Path("in").mkdir(exist_ok=True)
        Path("in", name).write_bytes(portrait_clip.read_bytes())
    result = run("video", "in", "--out", "out", "--workers", 2, "--every", 10)
    assert result.code == 0, result.err
    assert sorted(path.name for path in Path("out/timelines").iterdir()) == [
        "a.mp4.parquet",
        "b.mp4.parquet",
    ]
    again = run("video", "in", "--out", "out", "--resume", "--every", 10)
    assert again.code == 0 and "2 of them" in again.err
    assert "2 done, 0 pending" in run("status", "out").out
