"""What people hand to emoscan: odd, rotated, cut and empty files, from the outside."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage import data

import emoscan
from tests.clips import cut_copy, even_times, noise_picture, sound_only, write_clip
from tests.conftest import Result

SIZE = (320, 240)
UNEVEN_MS = [0, 33, 100, 110, 300, 333, 700, 1000, 1033, 1500]


def portrait(_: int) -> np.ndarray:
    """NASA's portrait from scikit-image's wheel, upright and in the middle."""
    picture = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    picture[:, 40:280] = data.astronaut()[0:240, 110:350]
    return picture


def lying_portrait(index: int) -> np.ndarray:
    """The portrait turned by 90° clockwise, as a phone stores it."""
    return np.rot90(portrait(index), -1)


def table() -> pd.DataFrame:
    return emoscan.read_timeline("t.parquet")


def scan(run, path: Path, *words: object) -> Result:
    return run("video", path, "--out", "t.parquet", *words)


def test_a_clip_rotated_by_metadata(run, tmp_path) -> None:
    """The face is found upright, in pixels of the upright frame."""
    clip = write_clip(
        tmp_path / "a.mp4",
        even_times(5),
        size=SIZE[::-1],
        picture=lying_portrait,
        rotation_deg=90,
    )
    assert scan(run, clip).code == 0
    rows = table()
    assert (rows["status"] == "face").all() and (rows["face"] == 0).all()
    assert (rows.attrs["media"]["width"], rows.attrs["media"]["height"]) == SIZE
    eyes_y = np.stack(rows["landmarks"])[:, [1, 3]].mean(axis=1)
    mouth_y = np.stack(rows["landmarks"])[:, [7, 9]].mean(axis=1)
    assert (mouth_y > eyes_y + 20).all()


def test_a_variable_rate_clip_keeps_its_times(run, tmp_path) -> None:
    clip = write_clip(tmp_path / "a.mp4", UNEVEN_MS, size=SIZE, picture=portrait)
    assert scan(run, clip).code == 0
    assert table()["time_s"].tolist() == pytest.approx([t / 1000 for t in UNEVEN_MS], abs=1e-3)


def test_video_that_starts_after_its_sound(run, tmp_path) -> None:
    times = [400 + t for t in even_times(5)]
    clip = write_clip(tmp_path / "a.mkv", times, size=SIZE, picture=portrait, audio_s=1.0)
    assert scan(run, clip).code == 0
    assert table()["time_s"].tolist() == pytest.approx([t / 1000 for t in times], abs=1e-3)


def test_a_clip_cut_at_60_percent(run, tmp_path) -> None:
    whole = write_clip(
        tmp_path / "whole.mp4",
        even_times(100),
        size=(160, 120),
        picture=lambda index: noise_picture(index, (160, 120)),
        muxer={"movflags": "faststart"},
    )
    result = scan(run, cut_copy(whole, tmp_path / "cut.mp4", 0.6))
    assert result.code == 4 and result.out == "" and "1 damaged" in result.err
    assert "cut.mp4" in result.err and ("unreadable" in result.err or "ends at" in result.err)
    rows = table()
    assert rows["frame"].is_monotonic_increasing and rows["frame"].is_unique
    assert 40 <= (rows["status"] != "unreadable").sum() <= 75
    assert rows.attrs["media"]["damage"]
    lost = rows[rows["status"] == "unreadable"]
    assert lost["time_s"].notna().all() and lost[["x", "emotion", "happy"]].isna().all(axis=None)


def test_sound_alone(run, tmp_path) -> None:
    result = scan(run, sound_only(tmp_path / "a.mp4"))
    assert (result.code, result.out) == (5, "")
    assert "no video stream" in result.err and not Path("t.parquet").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"just words", "not a video"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "not in a video format"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n", "not a video"),
    ],
)
def test_files_that_are_no_video(run, content: bytes, words: str) -> None:
    Path("x.mp4").write_bytes(content)
    result = scan(run, Path("x.mp4"))
    assert (result.code, result.out) == (5, "")
    assert "x.mp4" in result.err and words in result.err
    assert [path.name for path in Path().iterdir()] == ["x.mp4"]


def test_a_range_beyond_the_end_is_an_empty_table(run, tmp_path) -> None:
    clip = write_clip(tmp_path / "a.mp4", even_times(5), size=SIZE, picture=portrait)
    result = scan(run, clip, "--start", "1:00:00")
    assert result.code == 0 and len(table()) == 0
