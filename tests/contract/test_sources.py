"""One suite for everything that gives frames: videos in several containers, and photos."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from emoscan.errors import MediaError
from emoscan.media.find import MediaFile
from emoscan.media.images import read_photo
from emoscan.media.process import DecoderProcess
from emoscan.media.video import open_video
from emoscan.options import ScanOptions
from emoscan.types import Frame
from tests.clips import even_times, noise_picture, write_clip

SIZE = (64, 48)
Source = Callable[[Path, DecoderProcess], Iterator[Frame]]


def video(suffix: str, *, in_process: bool) -> Source:
    def frames(folder: Path, decoder: DecoderProcess) -> Iterator[Frame]:
        path = write_clip(folder / f"a.{suffix}", even_times(6), picture=noise_picture)
        open_source = open_video if in_process else decoder.open
        with open_source(MediaFile(path, "named/a")) as opened:
            yield from opened.frames(ScanOptions())

    return frames


def photo(suffix: str) -> Source:
    def frames(folder: Path, _: DecoderProcess) -> Iterator[Frame]:
        path = folder / f"a.{suffix}"
        Image.fromarray(noise_picture(0)).save(path)
        yield read_photo(MediaFile(path, "named/a"))

    return frames


CONTAINERS = ("mp4", "mkv", "ts", "avi")
SOURCES = {f"{s} video": video(s, in_process=True) for s in CONTAINERS}
SOURCES |= {f"{s} video of another process": video(s, in_process=False) for s in CONTAINERS}
SOURCES |= {f"{s} photo": photo(s) for s in ("png", "jpg", "webp", "tiff")}


@pytest.fixture(params=SOURCES.values(), ids=SOURCES.keys())
def frames(request, tmp_path, decoder) -> list[Frame]:
    return list(request.param(tmp_path, decoder))


def test_indices_rise_from_0_and_times_with_them(frames) -> None:
    assert [frame.index for frame in frames] == list(range(len(frames)))
    times = [frame.time_s for frame in frames]
    assert times == [None] or times == sorted(set(times))


def test_the_source_is_what_was_named(frames) -> None:
    assert {frame.source for frame in frames} == {"named/a"}


def test_pixels_have_the_size_that_the_frame_tells(frames) -> None:
    for frame in frames:
        assert (frame.width, frame.height) == SIZE
        assert frame.rgb().shape == (SIZE[1], SIZE[0], 3) and frame.rgb().dtype == np.uint8
        assert frame.gray().shape == (SIZE[1], SIZE[0]) and frame.gray().dtype == np.uint8
        assert frame.rgb(0.5).shape == (SIZE[1] // 2, SIZE[0] // 2, 3)


def test_pixels_are_the_picture_in_rgb_and_gray_its_luma(frames) -> None:
    for frame in frames:
        written = noise_picture(frame.index).astype(int)
        luma = cv2.cvtColor(frame.rgb(), cv2.COLOR_RGB2GRAY)
        assert np.array_equal(frame.gray(), luma)
        # Coders blur colours across the blocks' edges, but never swap them or the frames.
        expected = cv2.cvtColor(noise_picture(frame.index), cv2.COLOR_RGB2GRAY).astype(int)
        assert np.abs(expected - luma).mean() < 16
        swapped = np.abs(frame.rgb()[:, :, ::-1] - written).mean()
        assert np.abs(frame.rgb() - written).mean() < swapped / 2


def test_pixels_are_made_once(frames) -> None:
    for frame in frames:
        assert frame.rgb() is frame.rgb() and frame.gray() is frame.gray()


def test_what_cannot_be_read_is_a_sentence(tmp_path, decoder) -> None:
    for name, content in {"empty": b"", "text": b"just words"}.items():
        (tmp_path / name).write_bytes(content)
        for open_source in (read_photo, open_video, decoder.open):
            with pytest.raises(MediaError, match=name):
                open_source(MediaFile(tmp_path / name, name))
