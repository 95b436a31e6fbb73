import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from benchmarks.contact_sheet import (
    BAR_LINE_PX,
    BARS_LEFT_PX,
    BARS_RIGHT_PX,
    CELL_HEIGHT_PX,
    CELL_WIDTH_PX,
    CROP_PX,
    GAP_PX,
    GREEN,
    LINE_PX,
    RED,
    Face,
    Hits,
    Viewer,
    draw_face,
    draw_sheet,
    main,
    read_expected,
    side_by_side,
)
from emoscan.emotion.checkpoint import shipped_weights
from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.types import Frame
from tests.pictures import ArrayPicture


def portrait(*, brightness: float = 1.0, side_px: int = 256) -> np.ndarray:
    """One smiling face, (side, side, 3) RGB."""
    pixels = cv2.resize(astronaut()[0:256, 96:352], (side_px, side_px))
    return (pixels * brightness).astype(np.uint8)


def face(emotion: str, *, share: float = 0.7, accepted: set[str] | None = None) -> Face:
    probabilities = np.full(7, (1 - share) / 6, np.float32)
    probabilities[EMOTIONS.index(emotion)] = share
    crop = np.arange(48 * 48).reshape(48, 48).astype(np.uint8)
    return Face("a.jpg", crop, probabilities, accepted and frozenset(accepted))


def pixels_of(colour: str, image: Image.Image) -> np.ndarray:
    """(H, W) bool."""
    rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return (np.asarray(image) == rgb).all(axis=2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(portrait()).save(folder / "smile.png")
    Image.new("RGB", (100, 100), "gray").save(folder / "wall.png")
    return folder


def write_expected(path: Path, **faces: object) -> Path:
    path.write_text(json.dumps({name.replace("_", "."): of for name, of in faces.items()}))
    return path


@pytest.mark.parametrize(
    ("accepted", "hits"), [(["happy", "sad"], "1 of 1"), ("happy", "1 of 1"), (["sad"], "0 of 1")]
)
def test_hits_are_counted(photos, tmp_path, capsys, accepted, hits) -> None:
    expected = write_expected(tmp_path / "e.json", smile_png=[accepted])
    out = tmp_path / "new" / "sheet.png"
    main([str(photos), "--expect", str(expected), "--out", str(out), "--device", "cpu"])
    said = capsys.readouterr().out
    assert f"{hits} as expected" in said
    assert "smile.png: 1 face\n" in said and "wall.png: no faces\n" in said
    with Image.open(out) as sheet:
        colour, other = (GREEN, RED) if hits[0] == "1" else (RED, GREEN)
        assert pixels_of(colour, sheet).sum() > 4 * CROP_PX
        assert pixels_of(other, sheet).sum() < CROP_PX


def test_another_number_of_faces_than_expected_is_a_miss(photos, tmp_path, capsys) -> None:
    expected = write_expected(tmp_path / "e.json", smile_png=["happy"] * 2, gone_png=["happy"])
    out = tmp_path / "sheet.png"
    main([str(photos), "--expect", str(expected), "--out", str(out), "--device", "cpu"])
    said = capsys.readouterr().out
    assert "0 of 2 as expected" in said
    assert "smile.png: 1 faces found, 2 expected" in said and "not counted: gone.png" in said


def test_two_weights_are_two_sheets_side_by_side(photos, tmp_path, capsys) -> None:
    sizes = []
    for count in (1, 2):
        words = ["--weights", str(shipped_weights())] * count
        out = tmp_path / f"{count}.png"
        main([str(photos), "--out", str(out), "--device", "cpu", "--columns", "3", *words])
        assert capsys.readouterr().out.count("emoscan-resnet18") == count
        with Image.open(out) as sheet:
            sizes.append(sheet.size)
    assert sizes[1] == (2 * sizes[0][0], sizes[0][1])


def test_faces_stand_from_left_to_right_not_by_their_size() -> None:
    picture = np.full((320, 640, 3), 128, np.uint8)
    picture[100:260, 20:180] = portrait(brightness=0.4, side_px=160)
    picture[20:300, 300:580] = portrait(side_px=280)
    viewer = Viewer([None], device="cpu")
    frame = Frame("pair.png", 0, None, 640, 320, ArrayPicture(picture))
    assert viewer.look_at(frame) == 2
    ((left, right),) = viewer.faces
    assert (left.title, right.title) == ("pair.png 1", "pair.png 2")
    assert left.crop.shape == (48, 48) and left.crop.mean() < 0.6 * right.crop.mean()
    assert viewer.hits([left, right]) is None


def test_frames_of_a_video_at_given_seconds(portrait_clip, tmp_path, capsys) -> None:
    clip = shutil.copy(portrait_clip, tmp_path / "clip.mp4")
    # The clip shows one face, from 0.8 s nobody, from 1.0 s two, from 1.5 s one.
    expected = tmp_path / "e.json"
    expected.write_text('{"clip.mp4@0.2": ["happy"], "clip.mp4@1.2": ["happy", "happy"]}')
    words = ["--at", "0.2", "0.9", "1.2", "--expect", str(expected), "--device", "cpu"]
    main([clip.as_posix(), *words, "--out", str(tmp_path / "sheet.png")])
    said = capsys.readouterr().out
    for line in ("clip.mp4@0.2: 1 face", "clip.mp4@0.9: no faces", "clip.mp4@1.2: 2 faces"):
        assert f"{line}\n" in said
    assert " of 3 as expected" in said


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [(["clip.mp4"], 2, "--at"), (["clip.mp4", "--at", "9"], 2, "9 s"), (["empty"], 3, "photo")],
)
def test_what_cannot_be_drawn_is_said(
    portrait_clip, tmp_path, monkeypatch, capsys, words, code, sentence
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(portrait_clip, "clip.mp4")
    Path("empty").mkdir()
    with pytest.raises(SystemExit) as end:
        main([*words, "--device", "cpu"])
    assert end.value.code == code and sentence in capsys.readouterr().err
    assert not Path("contact_sheet.png").exists()


def test_a_photo_without_a_face_is_no_sheet(photos, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit):
        main([str(photos / "wall.png"), "--out", str(tmp_path / "sheet.png"), "--device", "cpu"])
    assert "No face" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[", "[]", '{"a": 1}', '{"a": [["glad"]]}', '{"a": [[]]}'])
def test_expectations_that_make_no_sense_are_refused(tmp_path, text) -> None:
    path = tmp_path / "e.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"e\.json"):
        read_expected(path)


def test_a_face_shows_the_crop_enlarged_its_colour_and_bars_as_long_as_probabilities() -> None:
    cell = draw_face(face("sad", share=0.7))
    shown = np.asarray(cell)[LINE_PX : LINE_PX + CROP_PX, :, 0]
    assert (shown == np.kron(face("sad").crop, np.ones((4, 4), np.uint8))).all()
    top = 2 * LINE_PX + CROP_PX + EMOTIONS.index("sad") * BAR_LINE_PX
    line = pixels_of("#3b6ea8", cell)[top + BAR_LINE_PX // 2]
    assert np.flatnonzero(line).min() == BARS_LEFT_PX
    assert line.sum() == pytest.approx(0.7 * (BARS_RIGHT_PX - BARS_LEFT_PX), abs=1.5)
    assert not pixels_of(GREEN, cell).any() and not pixels_of(RED, cell).any()


def test_a_hit_is_green_and_a_miss_red() -> None:
    edge = (LINE_PX + 1, 1)
    for accepted, colour in (({"sad", "fear"}, GREEN), ({"happy"}, RED)):
        cell = draw_face(face("sad", accepted=accepted))
        assert pixels_of(colour, cell)[edge]


def test_a_sheet_has_rows_and_sheets_stand_side_by_side() -> None:
    one, four, seven = (draw_sheet([face("sad")] * n, "x", columns=3) for n in (1, 4, 7))
    assert one.width == four.width == seven.width
    assert seven.height - four.height == four.height - one.height > CROP_PX
    both = side_by_side([four, seven])
    assert both.size == (four.width + seven.width, seven.height)
    assert (np.asarray(both)[:, four.width :] == np.asarray(seven)).all()


def test_faces_stand_row_by_row() -> None:
    faces = [face(emotion) for emotion in EMOTIONS]
    sheet = draw_sheet(faces, "x", columns=3)
    step_x, step_y = CELL_WIDTH_PX, CELL_HEIGHT_PX
    first = (GAP_PX, sheet.height - 3 * step_y)
    for index in (0, 2, 3, 6):
        wanted = draw_face(faces[index])
        left, top = first[0] + index % 3 * step_x, first[1] + index // 3 * step_y
        here = sheet.crop((left, top, left + wanted.width, top + wanted.height))
        assert (np.asarray(here) == np.asarray(wanted)).all()


def test_a_long_name_keeps_its_end() -> None:
    def title(name: str) -> bytes:
        drawn = draw_face(replace(face("sad"), title=name))
        return np.asarray(drawn)[:LINE_PX].tobytes()

    assert title("x" * 200 + "a.jpg") == title("y" + "x" * 200 + "a.jpg")
    assert title("x" * 200 + "a.jpg") != title("x" * 200 + "b.jpg")


def test_hits_in_words() -> None:
    assert str(Hits(21, 23)) == "21 of 23 as expected"
