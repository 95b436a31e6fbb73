from pathlib import Path

import pytest

from examples.demo_clip import write_demo_clip


@pytest.fixture(scope="session")
def portrait_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 50 frames: one face that leaves, nobody, two faces, one face."""
    path = tmp_path_factory.mktemp("clips") / "portrait.mp4"
    write_demo_clip(path, seconds=2.0)
    return path
