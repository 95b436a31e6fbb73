"""Which video goes with which timeline of a page, and that each face is of its own video."""

from pathlib import Path

import numpy as np
import pytest

import emoscan
from emoscan.errors import UsageError
from emoscan.report.videos import videos_of
from tests.clips import even_times, write_clip
from tests.report.page_samples import face, write
from tests.report.test_page_html import parsed
from tests.report.test_page_thumbnails import pixels

FRAMES = 40
DAYS = ["day1/a.mp4", "day2/a.mp4", "b.mp4"]


def places(sources, *videos) -> dict[int, str]:
    return {place: path.as_posix() for place, path in videos_of(sources, list(videos)).items()}


def test_a_single_video_goes_with_a_single_timeline_whatever_its_name() -> None:
    assert places(["a.mp4"], Path("renamed.mp4")) == {0: "renamed.mp4"}


def test_names_tell_in_any_order_and_some_may_be_missing() -> None:
    assert places(["x/a.mp4", "b.mp4"], Path("b.mp4"), Path("a.mp4")) == {0: "a.mp4", 1: "b.mp4"}
    assert places(["a.mp4", "b.mp4", "c.mp4"], Path("c.mp4")) == {2: "c.mp4"}


def test_of_equal_names_the_path_tells() -> None:
    assert places(DAYS, Path("raw/day2/a.mp4")) == {1: "raw/day2/a.mp4"}


def test_where_names_do_not_tell_the_order_does() -> None:
    assert places(["a.mp4", "b.mp4"], Path("1.mp4"), Path("2.mp4")) == {0: "1.mp4", 1: "2.mp4"}


def test_a_folder_stands_for_the_videos_in_it(tmp_path) -> None:
    (tmp_path / "day2").mkdir()
    for name in ("day2/a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    found = videos_of(DAYS, [tmp_path])
    assert found == {1: tmp_path / "day2" / "a.mp4", 2: tmp_path / "b.mp4"}


def test_a_folder_of_the_scanned_one_stands_for_its_own_videos(tmp_path) -> None:
    (tmp_path / "day1").mkdir()
    (tmp_path / "day1/a.mp4").touch()
    assert videos_of(DAYS, [tmp_path / "day1"]) == {0: tmp_path / "day1" / "a.mp4"}


@pytest.mark.parametrize(
    ("sources", "videos", "sentence"),
    [
        ([], ["a.mp4"], "--video goes with timelines of videos"),
        (["a.mp4", "b.mp4"], ["c.mp4"], r"None of these 2 timelines are of a video called c\.mp4"),
        (DAYS, ["a.mp4"], r"2 of these 3 timelines are of a video called a\.mp4"),
        (["a.mp4", "b.mp4", "c.mp4"], ["x/a.mp4", "y/a.mp4"], "have the same name"),
        (["a.mp4"], ["."], r"--video \. holds no video of these timelines, as a\.mp4"),
    ],
)
def test_what_belongs_nowhere_is_refused(tmp_path, monkeypatch, sources, videos, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=sentence):
        videos_of(sources, [Path(video) for video in videos])


def test_each_timeline_shows_the_faces_of_its_own_video(run) -> None:
    """The same track and frame in both: their pictures are not to be mixed up."""
    for name, frames, gray in (("a", FRAMES, 60), ("b", FRAMES + 5, 120), ("c", FRAMES, 180)):
        picture = np.full((240, 320, 3), gray, np.uint8)
        write_clip(
            Path(f"{name}.mp4"), even_times(frames), size=(320, 240), picture=lambda _, p=picture: p
        )
        rows = [face(index, "happy", source=f"{name}.mp4") for index in range(frames)]
        write(Path(f"{name}.parquet"), rows, {})
    command = ("report", "a.parquet", "b.parquet", "c.parquet", "--overwrite")
    result = run(*command, "--video", "b.mp4", "--video", "a.mp4")
    assert result.code == 0 and "2 face pictures" in result.err, result.err
    page = parsed(Path("report.html"))
    grays = [float(pixels(image["src"]).mean()) for image in page.attributes("img")]
    assert grays == pytest.approx([60, 120], abs=4)
    assert page.text.count("Apex at") == 3 and page.text.count("Apex Class") == 2
    result = run(*command, "--video", ".")
    assert result.code == 0 and "3 face pictures" in result.err, result.err
    swapped = run(*command, "--video", "b.mp4", "--video", "c.mp4", "--video", "b.mp4")
    assert swapped.code == 2 and "made from another video than" in swapped.err


def test_from_python_one_path_or_several(tmp_path) -> None:
    options = emoscan.ReportOptions(video="a.mp4")
    assert options.video == (Path("a.mp4"),)
    assert emoscan.ReportOptions(video=["a.mp4", "b.mp4"]).video == (Path("a.mp4"), Path("b.mp4"))
