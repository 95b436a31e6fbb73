"""Real clips and photos, which are not part of the repository: skipped without them."""

from pathlib import Path

import pandas as pd
import pytest

import emoscan
from emoscan import MediaKind
from tests.real_data import MEDIA

pytestmark = pytest.mark.skipif(not MEDIA.is_dir(), reason="needs real media: set EMOSCAN_MEDIA")


def scanned(name: str, folder: Path, kind: MediaKind = MediaKind.VIDEO) -> pd.DataFrame:
    report = emoscan.scan(MEDIA / name, folder / "t.parquet", kind=kind)
    assert report.exit_code == 0
    return emoscan.read_timeline(folder / "t.parquet")


def test_neutral_turns_into_happy(tmp_path) -> None:
    rows = scanned("neutral_to_happy_360p.mp4", tmp_path)
    assert set(rows["track"]) == {1}
    first = rows.loc[rows["time_s"] < 0.5, "emotion"]
    last = rows.loc[rows["time_s"] > rows["time_s"].max() - 1, "emotion"]
    assert (first == "neutral").mean() > 0.5
    assert (last == "happy").mean() > 0.5


def test_one_person_who_talks_is_one_track(tmp_path) -> None:
    rows = scanned("talking_720p.mp4", tmp_path)
    assert len(rows) == 464 and (rows["status"] == "face").all()
    assert set(rows["track"]) == {1}


def test_a_crowd_in_the_street(tmp_path) -> None:
    rows = scanned("street_1080p.mp4", tmp_path)
    faces = rows.groupby("frame")["face"].count()
    assert len(faces) == 105
    assert faces.between(3, 10).mean() > 0.5


@pytest.mark.parametrize(
    ("name", "faces", "accepted"),
    [
        ("portrait.jpg", 1, {"happy"}),
        ("posed_happy.jpg", 1, {"happy"}),
        ("posed_surprise.jpg", 1, {"surprise"}),
        ("speaker.jpg", 1, {"happy"}),
        ("friends.jpg", 5, {"happy", "neutral"}),
        ("group.jpg", 6, {"happy", "neutral"}),
    ],
)
def test_photos(tmp_path, name: str, faces: int, accepted: set[str]) -> None:
    rows = scanned(name, tmp_path, MediaKind.PHOTO)
    assert len(rows) == faces
    assert set(rows["emotion"]) <= accepted
