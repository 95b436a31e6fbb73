from dataclasses import replace

import pytest

from emoscan.errors import UsageError
from emoscan.media.source import VideoInfo
from emoscan.report.belongs import refuse_other_video
from emoscan.timeline.read import read_timeline
from tests.report.page_samples import METADATA, interview, write

ITS_VIDEO = VideoInfo(
    codec="h264", container="mov,mp4", pixel_format="yuv420p", width=640, height=360,
    rotation_deg=0, frame_rate=25.0, duration_s=12.0, start_s=0.0, video_start_s=0.0, packets=300,
    times_synthesised=False, segment_starts=(),
)  # fmt: skip


@pytest.fixture(params=[METADATA, {}, {"media": {"packets": "many"}}])
def timeline(request, tmp_path):
    return read_timeline(write(tmp_path / "t.parquet", interview(), request.param))


def test_its_own_video_is_taken(timeline):
    refuse_other_video(timeline, ITS_VIDEO)
    refuse_other_video(timeline, replace(ITS_VIDEO, duration_s=None))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"packets": 72}, "it has 72 frames, and the timeline"),
        ({"width": 150, "height": 60}, "its frames are 150 × 60 px"),
        ({"width": 1920, "height": 90}, "its frames are 1920 × 90 px"),
        ({"duration_s": 5.0}, "it lasts 5.00 s, and the timeline"),
    ],
)
def test_another_video_is_refused(timeline, changes, words):
    with pytest.raises(UsageError, match="This is not the video of the timeline") as refused:
        refuse_other_video(timeline, replace(ITS_VIDEO, **changes))
    assert words in str(refused.value)


def test_a_size_that_all_boxes_fit_into_is_refused_by_metadata(tmp_path):
    timeline = read_timeline(write(tmp_path / "t.parquet", interview()))
    with pytest.raises(UsageError, match="1280 × 720 px, and the timeline's are 640 × 360 px"):
        refuse_other_video(timeline, replace(ITS_VIDEO, width=1280, height=720))
