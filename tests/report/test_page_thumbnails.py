import base64
import io

import numpy as np
import pytest
from PIL import Image

from emoscan.errors import MediaError, UsageError
from emoscan.events import FileStarted, FramesDone
from emoscan.report import thumbnails
from emoscan.report.thumbnails import SIDE_PX, apex_faces
from emoscan.timeline.read import read_timeline
from tests.clips import even_times, level, write_clip, zeroed_copy
from tests.report.page_samples import face, write

FRAMES = 120
SIZE = (320, 240)


def pixels(uri):
    kind, data = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(
        tmp_path_factory.mktemp("clips") / "levels.mp4", even_times(FRAMES), size=SIZE
    )


@pytest.fixture
def timeline(tmp_path):
    rows = [face(index, "happy", track=track) for index in range(FRAMES) for track in (1, 2)]
    return read_timeline(write(tmp_path / "t.parquet", rows, {}))


def test_each_face_is_of_its_very_frame(timeline, clip):
    # Neighbours that share a look at the file, and far ones that do not.
    apexes = [(1, 0), (1, 1), (2, 1), (1, 30), (2, 119)]
    events = []
    pictures = apex_faces(timeline, apexes, video=clip, listener=events.append)
    assert set(pictures) == set(apexes)
    for (_, frame), uri in pictures.items():
        picture = pixels(uri)
        assert picture.shape == (SIDE_PX, SIDE_PX, 3)
        assert abs(float(picture.mean()) - level(frame)) < 4
    assert events[0] == FileStarted("levels.mp4", 4) and events[-1] == FramesDone(
        "levels.mp4", 4, 5
    )


def test_the_box_is_in_the_middle_and_enlarged(timeline, tmp_path):
    def picture(_index):
        drawn = np.full((240, 320, 3), 40, np.uint8)
        drawn[60:160, 100:180] = 220  # the box of the samples
        return drawn

    clip = write_clip(tmp_path / "box.mp4", even_times(FRAMES), size=SIZE, picture=picture)
    [uri] = apex_faces(timeline, [(1, 7)], video=clip, listener=lambda _: None).values()
    bright = np.argwhere(pixels(uri)[:, :, 0] > 130)
    top, left = bright.min(axis=0)
    bottom, right = bright.max(axis=0)
    # 100 px of 140 are the box's height, 80 its width.
    assert (top + bottom) / 2 == pytest.approx(47.5, abs=1.5)
    assert (left + right) / 2 == pytest.approx(47.5, abs=1.5)
    assert bottom - top == pytest.approx(96 * 100 / 140, abs=3)
    assert right - left == pytest.approx(96 * 80 / 140, abs=3)


def test_a_frame_that_is_lost_has_no_picture(timeline, clip, tmp_path):
    broken = zeroed_copy(clip, tmp_path / "broken.mp4", start=0.3, stop=1.0)
    pictures = apex_faces(timeline, [(1, 0), (1, 119)], video=broken, listener=lambda _: None)
    assert (1, 0) in pictures and (1, 119) not in pictures


def test_another_video_is_refused_before_anything_is_decoded(timeline, tmp_path):
    other = write_clip(tmp_path / "short.mp4", even_times(30), size=SIZE)
    with pytest.raises(UsageError, match="it has a frame 119, and this one ends with 29"):
        apex_faces(timeline, [(1, 3)], video=other, listener=lambda _: None)


def test_what_is_no_video_is_refused(timeline, tmp_path):
    (tmp_path / "no.mp4").write_text("no video")
    with pytest.raises(MediaError):
        apex_faces(timeline, [(1, 3)], video=tmp_path / "no.mp4", listener=lambda _: None)


def test_times_that_are_close_share_a_range():
    ranges = thumbnails._ranges([0.0, 0.5, 1.9, 10.0])
    assert len(ranges) == 2
    assert ranges[0][0] < 0 and 1.9 < ranges[0][1] < 1.9002
    assert ranges[1][0] < 10.0 < ranges[1][1]
