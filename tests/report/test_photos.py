"""Copies of photos: upright, without what cameras write into them, and what is missing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import emoscan
from emoscan.errors import NoMediaError, OutputError, UsageError
from emoscan.events import Note
from emoscan.timeline.schema import Status
from tests.report.tables import empty_row, face_row, write_table

BOX = (40.0, 30.0, 40.0, 50.0)
GPS = 0x8825


def save(path: Path, *, orientation: int = 1, size=(200, 120), **settings) -> Path:
    """A photo of noise, with a place, a comment and a colour profile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.random.default_rng(3).integers(0, 255, (height // 4, width // 4, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "SECRET camera"
    exif.get_ifd(GPS)[1] = "N"
    image = Image.fromarray(pixels.repeat(4, 0).repeat(4, 1))
    image.save(path, exif=exif, **settings)
    return path


def rows(*sources: str):
    return [face_row(0, None, BOX, track=None, source=source) for source in sources]


@pytest.fixture
def folder(tmp_path) -> Path:
    save(tmp_path / "photos" / "a.jpg")
    save(tmp_path / "photos" / "sub" / "Jörg, “b”.png")
    save(tmp_path / "photos" / "c.webp")
    return tmp_path / "photos"


SOURCES = ("a.jpg", "sub/Jörg, “b”.png", "c.webp")


def test_copies_have_the_same_paths_and_boxes(tmp_path, folder) -> None:
    table = write_table(tmp_path / "t.csv", rows(*SOURCES))
    report = emoscan.annotate_photos(folder, table, tmp_path / "out")
    assert (report.frames, report.faces, report.exit_code) == (3, 3, 0)
    written = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert written == {"a.jpg", "sub/Jörg, “b”.png", "c.webp.jpg"}
    for before, after in (("a.jpg", "a.jpg"), ("c.webp", "c.webp.jpg")):
        with Image.open(folder / before) as old, Image.open(tmp_path / "out" / after) as new:
            assert new.format == "JPEG" and old.size == new.size
            assert (np.asarray(old.convert("RGB")) != np.asarray(new)).any()


def test_orientation_is_applied_and_nothing_of_exif_is_left(tmp_path) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = save(tmp_path / "photos" / "a.jpg", orientation=6, icc_profile=icc, comment=b"SECRET")
    assert b"SECRET" in photo.read_bytes()
    table = write_table(tmp_path / "t.csv", rows("a.jpg"))
    emoscan.annotate_photos(tmp_path / "photos", table, tmp_path / "out")
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        assert image.size == (120, 200) and not dict(image.getexif())
        assert image.info["icc_profile"] == icc
    assert b"SECRET" not in (tmp_path / "out" / "a.jpg").read_bytes()


def test_faces_are_hidden(tmp_path, folder) -> None:
    table = write_table(tmp_path / "t.csv", rows("sub/Jörg, “b”.png"))
    options = emoscan.AnnotateOptions(pixelate_faces=True, boxes=False)
    emoscan.annotate_photos(folder, table, tmp_path / "out", options)
    with Image.open(tmp_path / "out" / "sub" / "Jörg, “b”.png") as image:
        pixels = np.asarray(image)
    face = pixels[30:80, 40:80].reshape(-1, 3)
    assert len(np.unique(face, axis=0)) <= 20  # 4 × 5
    assert len(np.unique(pixels[:, 120:].reshape(-1, 3), axis=0)) > 100


def test_what_is_missing_or_another_is_a_problem_and_the_rest_is_written(tmp_path, folder) -> None:
    save(folder / "small.jpg", size=(40, 24))
    (folder / "broken.jpg").write_bytes(b"no photo")
    (tmp_path / "outside.jpg").write_bytes((folder / "a.jpg").read_bytes())
    bad = ["gone.jpg", "small.jpg", "broken.jpg", "../outside.jpg"]
    unread = [*rows("c.webp")[:0], empty_row(0, None, Status.UNREADABLE)]
    save(folder / "clip.mp4.jpg")
    unread = [type(row)("clip.mp4.jpg", 0, None, row.status) for row in unread]
    table = write_table(tmp_path / "t.csv", [*rows("a.jpg", *bad), *unread])
    report = emoscan.annotate_photos(folder, table, tmp_path / "out")
    assert [problem.source for problem in report.problems] == [*bad, "clip.mp4.jpg"]
    assert (report.frames, report.exit_code) == (1, 4)
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["a.jpg"]
    assert not list(tmp_path.rglob(".emoscan*"))


def test_photos_that_the_timeline_does_not_know_are_told(tmp_path, folder) -> None:
    notes: list[str] = []
    emoscan.annotate_photos(
        folder,
        write_table(tmp_path / "t.csv", rows("a.jpg")),
        tmp_path / "out",
        listener=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    assert notes == ["Left out 2 photos that the timeline does not know."]


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, folder) -> None:
    table = write_table(tmp_path / "t.csv", rows("a.jpg"))
    with pytest.raises(UsageError, match="hold"):
        emoscan.annotate_photos(folder, table, folder, emoscan.AnnotateOptions(overwrite=True))
    with pytest.raises(UsageError, match="other photos"):
        (tmp_path / "empty").mkdir()
        emoscan.annotate_photos(tmp_path / "empty", table, tmp_path / "out")
    with pytest.raises(NoMediaError, match="no folder"):
        emoscan.annotate_photos(folder / "a.jpg", table, tmp_path / "out")
    with pytest.raises(UsageError, match="no sound"):
        options = emoscan.AnnotateOptions(audio=False)
        emoscan.annotate_photos(folder, table, tmp_path / "out", options)
    with pytest.raises(UsageError, match="timeline of a video"):
        video = write_table(tmp_path / "v.csv", [face_row(0, 0.0, BOX)])
        emoscan.annotate_photos(folder, video, tmp_path / "out")
    with pytest.raises(UsageError, match=r"both become c\.webp\.jpg"):
        save(folder / "c.webp.jpg")
        both = write_table(tmp_path / "b.csv", rows("c.webp", "c.webp.jpg"))
        emoscan.annotate_photos(folder, both, tmp_path / "out")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="no folder"):
        emoscan.annotate_photos(folder, table, tmp_path / "file")
    assert not (tmp_path / "out").exists()
    emoscan.annotate_photos(folder, table, tmp_path / "out")
    with pytest.raises(OutputError, match="exists already"):
        emoscan.annotate_photos(folder, table, tmp_path / "out")
    emoscan.annotate_photos(
        folder, table, tmp_path / "out", emoscan.AnnotateOptions(overwrite=True)
    )
