"""Inputs that are removed, replaced or growing while they are read."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

import emoscan
from emoscan.batch.manifest import State, latest, read_manifests
from emoscan.events import FramesDone
from emoscan.options import RunOptions
from tests.batch.conftest import long_clip, quick, run_options  # noqa: F401 - fixtures
from tests.clips import even_times, gray_picture, write_clip

pytestmark = pytest.mark.usefixtures("quick")


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def replace(path: Path) -> None:
    """By another video of which nothing has been read."""
    other = path.with_suffix(".new.mp4")
    write_clip(other, even_times(40), options={"g": "5"}, picture=gray_picture)
    other.replace(path)


CHANGES = {"grows": grow, "is replaced": replace, "is removed": Path.unlink}


@pytest.mark.parametrize("change", CHANGES)
def test_an_input_that_changes_while_it_is_read(tmp_path, long_clip, faults, change) -> None:  # noqa: F811
    faults(
        "an input that grows, is replaced or removed while it is read",
        passes_when="that input fails, no table mixes two versions; --resume reads the new one",
    )
    videos, out = tmp_path / "in", tmp_path / "out"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(long_clip, videos / name)
    seen: list[str] = []

    def listen(event) -> None:
        if isinstance(event, FramesDone) and event.source == "a.mp4":
            seen.append(event.source)
            if len(seen) == 5:  # in its second segment
                CHANGES[change](videos / "a.mp4")

    report = emoscan.scan(videos, out, run=run_options(), listener=listen)
    assert [problem.source for problem in report.problems] == ["a.mp4"]
    assert "changed or removed" in report.problems[0].reason
    assert latest(read_manifests(out))["a.mp4"].state is State.FAILED
    assert [path.name for path in out.rglob("*.parquet")] == ["b.mp4.parquet"]
    if change == "is removed":
        return
    emoscan.scan(videos, out, run=run_options(resume=True))
    emoscan.scan(videos / "a.mp4", tmp_path / "clean.parquet", run=run_options())
    resumed = emoscan.read_timeline(out / "timelines" / "a.mp4.parquet")
    assert resumed.drop(columns="source").equals(
        emoscan.read_timeline(tmp_path / "clean.parquet").drop(columns="source")
    )


def test_links_that_lead_nowhere(tmp_path, run, long_clip, faults) -> None:  # noqa: F811
    faults(
        "links that lead nowhere or to themselves, a pipe, a device, each named .mp4",
        passes_when="the links fail by name, the others are counted, nothing waits for them",
    )
    videos = tmp_path / "in"
    videos.mkdir()
    shutil.copy(long_clip, videos / "a.mp4")
    (videos / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (videos / "itself.mp4").symlink_to("itself.mp4")
    (videos / "zeros.mp4").symlink_to("/dev/zero")
    os.mkfifo(videos / "pipe.mp4")
    result = run("video", videos, "--out", tmp_path / "out", "--decode-in-process")
    assert result.code == 4 and "Skipped 2 files" in result.err
    assert "gone.mp4 cannot be opened: no such file" in result.err
    assert "itself.mp4 cannot be opened: too many" in result.err
    states = {entry.source: entry.state for entry in read_manifests(tmp_path / "out")}
    assert states == {"a.mp4": State.DONE, "gone.mp4": State.FAILED, "itself.mp4": State.FAILED}


def test_a_photo_that_is_a_link_to_nowhere(tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.new("RGB", (60, 50), (number * 20, 90, 40)).save(
            tmp_path / "photos" / f"{number}.png"
        )
    (tmp_path / "photos" / "2.jpg").symlink_to(tmp_path / "nowhere.jpg")
    out = tmp_path / "t.csv"
    report = emoscan.scan(tmp_path / "photos", out, kind="photo")
    assert [problem.source for problem in report.problems] == ["2.jpg"] and report.frames == 4
    resumed = emoscan.scan(tmp_path / "photos", out, kind="photo", run=RunOptions(resume=True))
    assert resumed.done_before == 5


class Killed(BaseException):
    pass


def test_a_photo_that_changes_while_its_part_is_read(tmp_path, faults) -> None:
    faults(
        "a photo that is replaced after it was read, before a kill",
        passes_when="--resume reads it again",
    )
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(8):
        Image.new("RGB", (60, 50), (number * 20, 90, 40)).save(photos / f"{number}.png")
    count = [0]

    def listen(event) -> None:
        count[0] += isinstance(event, FramesDone)
        if count[0] == 2:  # the first part, of three photos, is still open
            Image.new("RGB", (60, 50), (250, 0, 0)).save(photos / "0.png")
            os.utime(photos / "0.png", ns=(5, 5))
        if count[0] == 5:
            raise Killed

    out = tmp_path / "t.parquet"
    with pytest.raises(Killed):
        emoscan.scan(photos, out, kind="photo", listener=listen)
    emoscan.scan(photos, out, kind="photo", run=RunOptions(resume=True))
    emoscan.scan(photos, tmp_path / "clean.parquet", kind="photo")
    resumed, clean = map(emoscan.read_timeline, (out, tmp_path / "clean.parquet"))
    assert resumed.equals(clean)
