"""What is drawn, and that it leaves faces alone."""

import numpy as np
import pytest

from emoscan.emotions import EMOTIONS, Emotion
from emoscan.palette import rgb
from emoscan.report.area import Area
from emoscan.report.draw import Drawing, Sizes, draw_box, draw_notice
from emoscan.report.marks import Mark
from emoscan.report.text import LONGEST_TEXT, is_drawable, one_line, text_mask

GRAY = 120
NO_FONT = "\U000e0001"  # a tag, which no font shows


def picture(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), GRAY, np.uint8)


def mark(box, *, key: int = 1, title: str | None = None, emotion=Emotion.SAD, looked_at=True):
    scores = np.full(len(EMOTIONS), 0.05)
    scores[EMOTIONS.index(emotion)] = 0.7
    return Mark(key, title or f"#{key}", np.array(box, float), emotion, scores, looked_at)


def changed(pixels) -> np.ndarray:
    """(H, W) where something was drawn."""
    return (pixels != GRAY).any(axis=2)


def inside(pixels, box) -> np.ndarray:
    left, top, right, bottom = box
    return changed(pixels)[top:bottom, left:right]


@pytest.mark.parametrize(("width", "height"), [(596, 336), (1920, 1080), (2160, 3840)])
def test_the_box_has_its_classs_colour_around_the_face(width: int, height: int) -> None:
    pixels = picture(width, height)
    box = (width // 4, height // 4, width // 2, height // 2)
    Drawing().draw(pixels, [mark(box)])
    out = 1 + max(1, Sizes.on(pixels).line // 3)  # behind the dark rim
    assert tuple(pixels[height // 3, width // 4 - out]) == rgb(Emotion.SAD)
    assert tuple(pixels[height // 4 - out, width // 3]) == rgb(Emotion.SAD)
    assert not inside(pixels, box).any()


def test_a_panel_tells_all_seven_scores() -> None:
    pixels = picture(1280, 720)
    Drawing().draw(pixels, [mark((300, 200, 500, 460))])
    panel = pixels[:, 510:]
    filled = {name: int((panel == rgb(Emotion(name))).all(axis=2).sum()) for name in EMOTIONS}
    assert min(filled.values()) > 0 and max(filled, key=filled.__getitem__) == "sad"


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_drawn_onto_a_face_nor_two_things_onto_each_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, (900, 500), (9, 2))
    sides = rng.integers(25, 160, (9, 1))
    boxes = [tuple(map(int, box)) for box in np.hstack([corners, corners + sides])]
    pixels = picture(1280, 720)
    Drawing().draw(pixels, [mark(box, key=key) for key, box in enumerate(boxes)])
    alone = picture(1280, 720)
    for key, box in enumerate(boxes):  # outlines of faces that overlap may cross them
        draw_box(alone, mark(box, key=key), line_px=Sizes.on(alone).line)
    for left, top, right, bottom in boxes:
        across, down = round(0.2 * (right - left)), round(0.2 * (bottom - top))
        middle = np.s_[top + down : bottom - down, left + across : right - across]
        assert (pixels[middle] == alone[middle]).all()


@pytest.mark.parametrize(
    "box", [(-20, -30, 60, 90), (1180, 600, 1300, 760), (0, 0, 1280, 720), (5, 300, 90, 420)]
)
def test_at_the_edges_everything_stays_inside(box) -> None:
    pixels = picture(1280, 720)
    Drawing().draw(pixels, [mark(box)])
    colour = (pixels == rgb(Emotion.SAD)).all(axis=2)
    line = Sizes.on(pixels).line
    assert colour.any(axis=0).sum() > line and colour.any(axis=1).sum() > line


def test_a_face_that_fills_the_picture_has_its_name_in_a_corner() -> None:
    pixels = picture(640, 360)
    Drawing().draw(pixels, [mark((0, 0, 640, 360))])
    with_name, without = changed(pixels), picture(640, 360)
    Drawing().draw(without, [mark((0, 0, 640, 360), title=" ")])
    assert (with_name != changed(without)).any() or (pixels != without).any()
    assert not inside(pixels, (160, 90, 480, 270)).any()


def test_a_panel_stays_on_its_side() -> None:
    drawing, sides = Drawing(), []
    for shift in (0, 3, -3, 5):
        pixels = picture(1280, 720)
        box = (560 + shift, 200, 760 + shift, 460)
        drawing.draw(pixels, [mark(box)])
        sides.append(changed(pixels)[:600, 800:].any())
    assert all(sides)


def test_dashes_say_that_nobody_looked() -> None:
    whole, dashed = picture(1280, 720), picture(1280, 720)
    box = (400, 200, 600, 460)
    Drawing().draw(whole, [mark(box)])
    Drawing().draw(dashed, [mark(box, looked_at=False)])
    row = np.s_[198, 400:600]
    coloured = [(pixels[row] == rgb(Emotion.SAD)).all(axis=1) for pixels in (whole, dashed)]
    assert coloured[0].all() and 0.3 < coloured[1].mean() < 0.7
    assert (whole[-30:] != dashed[-30:]).any()  # the footer says so


def test_without_faces_nothing_is_drawn() -> None:
    pixels = picture(320, 240)
    Drawing().draw(pixels, [])
    assert not changed(pixels).any()


@pytest.mark.parametrize(("width", "height"), [(16, 16), (64, 48), (1, 1)])
def test_tiny_pictures_are_no_error(width: int, height: int) -> None:
    pixels = picture(width, height)
    Drawing().draw(pixels, [mark((2, 2, 12, 12), title="a long label")])
    draw_notice(pixels, "unreadable frame")
    assert pixels.shape == (height, width, 3)


def test_letters_grow_with_the_picture() -> None:
    small, large = Sizes.on(picture(596, 336)), Sizes.on(picture(3840, 2160))
    assert small.letters >= 11 and large.letters == 54
    assert Sizes.on(picture(2160, 3840)) == large  # upright alike


@pytest.mark.parametrize("text", ["Jörg", "Мария", "Ελένη", "أحمد", "שרה"])
def test_letters_of_many_scripts_are_drawn(text: str) -> None:
    assert is_drawable(text)
    mask, other = text_mask(text, 20), text_mask("".join(sorted(text)), 20)
    assert mask.max() == 255 and mask.shape[1] > 20
    assert mask.shape != other.shape or (mask != other).any() or text == "".join(sorted(text))


def test_letters_that_no_font_has_are_told_and_no_error() -> None:
    assert not is_drawable(f"a{NO_FONT}")
    assert text_mask(f"a{NO_FONT}", 20).any()


def test_a_label_is_one_line_of_some_letters() -> None:
    assert one_line("a\nb\x1b[31m\t c") == "a b [31m c"
    assert len(one_line("x" * 500)) == LONGEST_TEXT
    assert one_line(" \n ") == ""


def test_areas() -> None:
    area = Area(10, 10, 30, 20)
    assert area.meets(Area(29, 19, 40, 40)) and not area.meets(Area(30, 10, 40, 20))
    assert Area(-5, 3, 5, 8).moved_onto(picture(20, 20)) == Area(0, 3, 10, 8)
    assert Area(-5, -5, 100, 100).moved_onto(picture(20, 10)) == Area(0, 0, 20, 10)
