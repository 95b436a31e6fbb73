"""Praat's TextGrids, by pympi and by a reader that takes nothing but what Praat's manual shows."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

import emoscan
from tests.tracks import UNUSUAL, empty, face, timeline, two_episodes, write


class Strict:
    """Reads the long text format token by token: keys in their order, quotes doubled."""

    def __init__(self, text: str) -> None:
        pattern = r'"(?:[^"]|"")*"|<exists>|-?\d+\.\d+|(?<=size = )\d+'
        self.tokens = re.findall(pattern, text)
        assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = ')
        assert self.tokens[:2] == ['"ooTextFile"', '"TextGrid"']
        self.place = 2
        self.start, self.end = self.number(), self.number()
        assert self.take() == "<exists>"
        self.tiers = [self.tier() for _ in range(int(self.take()))]
        assert self.place == len(self.tokens)

    def take(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1]

    def number(self) -> float:
        return float(self.take())

    def text(self) -> str:
        token = self.take()
        assert token[0] == token[-1] == '"'
        return token[1:-1].replace('""', '"')

    def tier(self) -> tuple[str, str, list[tuple]]:
        kind, name = self.text(), self.text()
        assert (self.number(), self.number()) == (self.start, self.end)
        count = int(self.take())
        if kind == "TextTier":
            return kind, name, [(self.number(), self.text()) for _ in range(count)]
        return kind, name, [(self.number(), self.number(), self.text()) for _ in range(count)]


def exported(folder: Path, rows, *, duration_s: float | None = None, **changes) -> Strict:
    table = write(folder / "interview.csv", rows, duration_s=duration_s)
    emoscan.export_timeline(table, to="praat", out=folder / "out.TextGrid", **changes)
    return Strict((folder / "out.TextGrid").read_text("utf-8"))


def check_tiling(grid: Strict) -> None:
    for kind, _, items in grid.tiers:
        if kind == "IntervalTier":
            assert items[0][0] == 0 and items[-1][1] == grid.end
            assert all(before[1] == after[0] for before, after in pairwise(items))
            assert all(start < end for start, end, _ in items)


def test_intervals_tile_the_whole_video(tmp_path) -> None:
    rows = [empty(i, i * 0.04) for i in range(10)]
    rows += [face(i, i * 0.04, "happy") for i in range(10, 35)]
    rows += [empty(i, i * 0.04) for i in range(35, 50)]
    rows += [face(i, i * 0.04, "sad") for i in range(50, 75)]
    grid = exported(tmp_path, rows, duration_s=10.0)
    ((kind, name, items),) = grid.tiers
    assert (kind, name, grid.start, grid.end) == ("IntervalTier", "track 1", 0, 10)
    assert items == [
        (0, 0.4, ""), (0.4, 1.4, "happy"), (1.4, 2.0, ""), (2.0, 3.0, "sad"), (3.0, 10.0, ""),
    ]  # fmt: skip
    check_tiling(grid)


def test_episodes_that_touch_leave_no_empty_interval(tmp_path) -> None:
    rows = [face(i, i / 29.97, "happy" if i // 20 % 2 else "sad") for i in range(200)]
    grid = exported(tmp_path, rows)
    ((_, _, items),) = grid.tiers
    assert [text for *_, text in items] == ["sad", "happy"] * 5
    check_tiling(grid)


def test_without_metadata_it_ends_with_the_last_frame(tmp_path) -> None:
    write(tmp_path / "t.csv", two_episodes())
    (tmp_path / "t.csv.meta.json").unlink()
    emoscan.export_timeline(tmp_path / "t.csv", to="praat", out=tmp_path / "t.TextGrid")
    assert Strict((tmp_path / "t.TextGrid").read_text("utf-8")).end == 2.0


def test_apexes_are_points(tmp_path) -> None:
    rows = [face(i, i * 0.04, "happy", 0.95 if i == 12 else 0.8) for i in range(25)]
    rows += [face(i, i * 0.04, track=2) for i in range(25, 50)]
    grid = exported(tmp_path, rows, apexes=True, episodes=emoscan.EpisodeOptions(smoothing_s=0))
    assert [(kind, name) for kind, name, _ in grid.tiers] == [
        ("IntervalTier", "track 1"), ("TextTier", "track 1 apex"),
        ("IntervalTier", "track 2"), ("TextTier", "track 2 apex"),
    ]  # fmt: skip
    assert grid.tiers[1][2] == [(0.48, "happy")]


def test_unusual_labels_survive_in_pympi_too(tmp_path) -> None:
    from pympi import TextGrid

    grid = exported(tmp_path, two_episodes(label=UNUSUAL), apexes=True)
    assert [name for _, name, _ in grid.tiers] == [UNUSUAL, f"{UNUSUAL} apex"]
    read = TextGrid(str(tmp_path / "out.TextGrid"))
    assert [tier.name for tier in read.get_tiers()] == [UNUSUAL, f"{UNUSUAL} apex"]
    intervals = list(read.get_tier(UNUSUAL).get_intervals())
    assert [text for *_, text in intervals] == ["happy", "sad"]
    assert intervals[0][1] == pytest.approx(1.0, abs=0.04)


def test_very_short_episodes_keep_a_length(tmp_path) -> None:
    rows = [face(i, i * 1e-7, "happy" if i % 2 else "sad") for i in range(20)]
    short = emoscan.EpisodeOptions(least_s=0, smoothing_s=0)
    check_tiling(exported(tmp_path, rows, episodes=short))


def test_a_track_without_an_episode_is_one_empty_interval(tmp_path) -> None:
    rows = [face(i, i * 0.04, score=0.3) for i in range(20)]
    assert exported(tmp_path, rows).tiers == [("IntervalTier", "track 1", [(0.0, 0.8, "")])]


def test_a_frame_of_pandas_needs_a_name(tmp_path) -> None:
    rows = timeline(tmp_path, two_episodes())
    with pytest.raises(emoscan.EmoscanError, match="Name the file with out"):
        emoscan.export_timeline(rows, to="praat")
    done = emoscan.export_timeline(rows, out=tmp_path / "x.textgrid")
    assert done.files == (tmp_path / "x.textgrid",) and done.episodes == 2
