"""WebVTT subtitles, read line by line as the format has them, and by FFmpeg."""

import re
from itertools import pairwise
from pathlib import Path

import av

import emoscan
from tests.tracks import UNUSUAL, face, two_episodes, write

TIMES = re.compile(r"(\d\d):(\d\d):(\d\d)\.(\d{3}) --> (\d\d):(\d\d):(\d\d)\.(\d{3})")


def exported(folder: Path, rows, **changes) -> list[tuple[int, int, str]]:
    """Each cue's beginning, end and text."""
    table = write(folder / "interview.parquet", rows)
    emoscan.export_timeline(table, to="vtt", out=folder / "out.vtt", **changes)
    text = (folder / "out.vtt").read_bytes().decode("utf-8")
    assert text.endswith("\n") and "\r" not in text
    head, note, *blocks = text.rstrip("\n").split("\n\n")
    assert head == "WEBVTT" and note.startswith("NOTE\nApparent expression")
    cues = []
    for block in blocks:
        times, words = block.split("\n")  # nothing else: an empty line would end the cue
        hours, minutes, seconds, ms, *end = map(int, TIMES.fullmatch(times).groups())
        start_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
        cues.append((start_ms, ((end[0] * 60 + end[1]) * 60 + end[2]) * 1000 + end[3], words))
    return cues


def test_a_cue_for_each_episode(tmp_path) -> None:
    assert exported(tmp_path, two_episodes(label="Anna")) == [
        (0, 1000, "Anna: happy"), (1000, 2000, "Anna: sad"),
    ]  # fmt: skip


def test_cues_of_several_tracks_are_in_the_order_of_time(tmp_path) -> None:
    second = [face(i, i * 0.04, "fear", track=2) for i in range(10, 40)]
    cues = exported(tmp_path, sorted([*two_episodes(), *second], key=lambda row: row.frame))
    assert [text for *_, text in cues] == ["track 1: happy", "track 2: fear", "track 1: sad"]
    assert all(before[0] <= after[0] for before, after in pairwise(cues))


def test_hours_into_a_video(tmp_path) -> None:
    rows = [face(i, 2 * 3600 + 61 + i * 0.04) for i in range(25)]
    exported(tmp_path, rows)
    assert "02:01:01.000 --> 02:01:02.000" in (tmp_path / "out.vtt").read_text("utf-8")


def test_labels_break_no_cue(tmp_path) -> None:
    for label in (UNUSUAL, "a\n\nb --> c", "<v Bob>"):
        cues = exported(tmp_path, two_episodes(label=label), overwrite=True)
        assert len(cues) == 2
        assert not set("<>") & set(cues[0][2]) and cues[0][2].endswith(": happy")


def test_ffmpeg_reads_it(tmp_path) -> None:
    exported(tmp_path, two_episodes(label="Zoë & <Z> 😀"))
    with av.open(str(tmp_path / "out.vtt")) as file:
        packets = [packet for packet in file.demux(subtitles=0) if packet.size]
    assert [int(packet.pts * packet.time_base * 1000) for packet in packets] == [0, 1000]
    assert bytes(packets[0]).decode("utf-8") == "Zoë &amp; &lt;Z&gt; 😀: happy"


def test_without_an_episode_there_is_no_cue(tmp_path) -> None:
    assert exported(tmp_path, [face(i, i * 0.04, score=0.3) for i in range(20)]) == []
