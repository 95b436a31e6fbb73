from pathlib import Path

import pytest

from emoscan.options import RunOptions
from tests.batch.analyzers import QuickAnalyzer
from tests.clips import even_times, noise_picture, write_clip

FRAMES = 40


@pytest.fixture
def quick(monkeypatch) -> None:
    """No networks, and segments of about 0.4 s of which only a decoder in this process knows."""
    monkeypatch.setattr("emoscan.pipeline.Analyzer", QuickAnalyzer)
    monkeypatch.setattr("emoscan.media.video.SEGMENT_S", 0.4)
    monkeypatch.setattr("emoscan.batch.photos.PHOTOS_A_PART", 3)


def run_options(**fields) -> RunOptions:
    return RunOptions(decode_in_process=True, **fields)


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory) -> Path:
    """40 frames at 25 fps with a key frame every 5: four segments of 0.4 s."""
    return write_clip(
        tmp_path_factory.mktemp("clips") / "long.mp4",
        even_times(FRAMES),
        options={"g": "5", "sc_threshold": "0"},
        picture=noise_picture,
    )
