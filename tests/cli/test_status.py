"""`emoscan status`: what became of every input, for eyes and for machines."""

import json
from pathlib import Path

import pytest

from emoscan.batch.manifest import Entry, Manifest, State

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
