"""Scores at a fixed step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import emoscan
from emoscan import EMOTIONS
from emoscan.export.wide import COLUMNS
from tests.tracks import UNUSUAL, empty, face, two_episodes, write


def exported(folder: Path, rows, *, duration_s: float | None = None, **changes) -> pd.DataFrame:
    table = write(folder / "interview.jsonl", rows, duration_s=duration_s)
    done = emoscan.export_timeline(table, to="wide", out=folder / "interview.csv", **changes)
    return pd.read_csv(done.files[0])


def test_by_default_a_row_is_a_frame(tmp_path) -> None:
    rows = [face(i, i * 0.04, "happy", 0.5 + i / 100, x=i) for i in range(25)]
    table = exported(tmp_path, rows)
    assert list(table.columns) == list(COLUMNS)
    assert np.allclose(table["time_s"], np.arange(25) * 0.04)
    assert np.allclose(table["happy"], 0.5 + np.arange(25) / 100, atol=1e-6)
    assert np.allclose(table["x"], np.arange(25), atol=1e-4)
    assert (table["seen"] == 1).all()
    assert np.allclose(table[list(EMOTIONS)].sum(axis=1), 1, atol=1e-5)


def test_a_face_without_scores_empties_its_own_step_alone(tmp_path) -> None:
    rows = [face(i, i * 0.04, score=0.8) for i in range(10)]
    rows[3] = replace(rows[3], **dict.fromkeys(EMOTIONS), emotion=None, confidence=None)
    table = exported(tmp_path, rows)
    assert np.flatnonzero(table["happy"].isna()).tolist() == [3]
    assert table["happy"].drop(3).tolist() == pytest.approx([0.8] * 9)
    assert table["seen"].tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]


def test_a_step_holds_the_mean_weighted_by_time(tmp_path) -> None:
    """Frames of 0.1, 0.3 and 0.2 s in steps of 0.2 s: the second frame lies in two steps."""
    rows = [
        face(0, 0.0, score=0.2), face(1, 0.1, score=0.6), face(2, 0.4, score=0.9),
        face(3, 0.6, score=0.4), empty(4, 0.8),
    ]  # fmt: skip
    table = exported(tmp_path, rows, step_s=0.2)
    assert table["time_s"].tolist() == [0.0, 0.2, 0.4, 0.6, 0.8]
    means = table["happy"].tolist()
    assert means[:4] == pytest.approx([(0.2 + 0.6) / 2, 0.6, 0.9, 0.4])
    assert np.isnan(means[4])
    assert table["seen"].tolist() == [1, 1, 1, 1, 0]


def test_the_integral_over_time_stays_the_same_at_a_variable_frame_rate(tmp_path) -> None:
    steps_s = np.random.default_rng(7).uniform(0.01, 0.09, 400)
    times_s = np.concatenate([[0.0], np.cumsum(steps_s)[:-1]])
    scores = np.random.default_rng(8).uniform(0.2, 0.9, 400)
    rows = [
        face(i, float(time), score=float(score)) if i % 50 < 40 else empty(i, float(time))
        for i, (time, score) in enumerate(zip(times_s, scores, strict=True))
    ]
    durations_s = np.append(np.diff(times_s), np.median(np.diff(times_s)))
    seen = np.arange(400) % 50 < 40
    table = exported(tmp_path, rows, step_s=0.07)
    in_view_s = table["seen"] * 0.07
    assert in_view_s.sum() == pytest.approx(durations_s[seen].sum(), abs=1e-3)
    total = (table["happy"].fillna(0) * in_view_s).sum()
    assert total == pytest.approx((scores * durations_s)[seen].sum(), abs=1e-3)
    assert np.isnan(table["happy"]).any() and (table["seen"][table["happy"].isna()] == 0).all()


def test_gaps_are_empty_cells_and_the_last_cell_never_is(tmp_path) -> None:
    rows = [face(i, i * 0.04) for i in range(5)] + [empty(i, i * 0.04) for i in range(5, 10)]
    exported(tmp_path, rows, duration_s=0.6)
    lines = (tmp_path / "interview.track-1.csv").read_text("utf-8").splitlines()
    assert len(lines) == 1 + 15
    assert lines[7] == "0.240000" + "," * 12 + "0.000000"
    assert all(line.count(",") == 12 and not line.endswith(",") for line in lines)
    assert all("." in line.split(",")[0] for line in lines[1:])  # else ELAN takes milliseconds


def test_a_part_of_a_video_keeps_its_times(tmp_path) -> None:
    table = exported(tmp_path, [face(i, 1 + i * 0.04) for i in range(25)], step_s=0.5)
    assert table["time_s"].tolist() == [0, 0.5, 1, 1.5]
    assert table["seen"].tolist() == [0, 0, 1, 1]


def test_a_file_each_track_with_its_label_made_safe(tmp_path) -> None:
    rows = [*two_episodes(label=UNUSUAL), *(face(i, i * 0.04, track=12) for i in range(50, 60))]
    table = write(tmp_path / "day 1.mp4.parquet", rows)
    folder = tmp_path / "out"
    done = emoscan.export_timeline(table, to="wide", out=folder)
    names = [path.name for path in done.files]
    assert names[1] == "day 1.mp4.track-12.csv"
    assert names[0].startswith("day 1.mp4.track-1-Zoë-Z-x") and not set(names[0]) & set('<>"/\\\n$')
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_very_long_label_is_cut(tmp_path) -> None:
    done = emoscan.export_timeline(
        write(tmp_path / "t.parquet", two_episodes(label="語" * 300)), to="wide", out=tmp_path
    )
    assert len(done.files[0].name.encode()) < 120


def test_nothing_is_written_where_one_file_exists(tmp_path) -> None:
    rows = [*two_episodes(), *(face(i, i * 0.04, track=2) for i in range(50, 60))]
    table = write(tmp_path / "t.parquet", rows)
    (tmp_path / "t.track-2.csv").write_text("mine")
    with pytest.raises(emoscan.EmoscanError, match=r"track-2.csv exists already; use --overwrite"):
        emoscan.export_timeline(table, to="wide", out=tmp_path)
    assert not (tmp_path / "t.track-1.csv").exists()
    done = emoscan.export_timeline(table, to="wide", out=tmp_path, overwrite=True, track=[2])
    assert [path.name for path in done.files] == ["t.track-2.csv"]
    assert (tmp_path / "t.track-2.csv").read_text("utf-8").startswith("time_s,")


def test_steps_that_make_no_sense(tmp_path) -> None:
    table = write(tmp_path / "t.parquet", two_episodes())
    for step_s, reason in [(0, "more than 0 seconds"), (1e-9, "more than 20,000,000 rows")]:
        with pytest.raises(emoscan.EmoscanError, match=reason):
            emoscan.export_timeline(table, to="wide", out=tmp_path, step_s=step_s)
    crowd = write(tmp_path / "crowd.parquet", [face(i, i, track=i % 50) for i in range(1000)])
    with pytest.raises(emoscan.EmoscanError, match=r"20,000,000 rows for 50 tracks.*--track"):
        emoscan.export_timeline(crowd, to="wide", out=tmp_path, step_s=0.002)
    single = write(tmp_path / "single.parquet", [face(0, 0.0)])
    with pytest.raises(emoscan.EmoscanError, match="With a single frame there is no step"):
        emoscan.export_timeline(single, to="wide", out=tmp_path)
