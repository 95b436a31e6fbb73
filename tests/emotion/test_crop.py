import numpy as np
import pytest
import torch

from emoscan.emotion.crop import (
    CropSettings,
    Normalisation,
    crop_faces,
    crop_turned,
    normalise,
    tilts_deg,
    to_input,
    upright_turns_deg,
)

SETTINGS = CropSettings()


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0, x1, y1]], np.float32)


def test_a_square_of_the_size_of_the_input_comes_back_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    half = 48 / SETTINGS.side_per_box_height / 2
    crops = crop_faces(image, box(10, 24 - half, 38, 24 + half), SETTINGS, landmarks=None)
    assert np.array_equal(crops[0], image)


def test_a_crop_is_a_square_around_the_centre() -> None:
    gray = np.zeros((200, 300), np.uint8)
    gray[60:155, 105:200] = 255  # 95 px around (152.5, 107.5)
    crop = crop_faces(gray, box(120, 57.5, 185, 157.5), SETTINGS, landmarks=None)[0]
    assert crop.min() >= 254
    for moved in ((121, 57.5, 186, 157.5), (120, 56.5, 185, 156.5), (120, 56.5, 185, 158.5)):
        assert crop_faces(gray, box(*moved), SETTINGS, landmarks=None)[0].min() < 220


def test_edges_are_replicated() -> None:
    gray = np.full((100, 100), 200, np.uint8)
    for corner in ((-40, -40), (60, 60), (-40, 60), (60, -40)):
        crop = crop_faces(
            gray, box(*corner, corner[0] + 80, corner[1] + 80), SETTINGS, landmarks=None
        )[0]
        assert (crop == 200).all()


def test_a_box_beyond_the_frame_still_gives_a_crop() -> None:
    gray = np.tile(np.arange(100, dtype=np.uint8), (100, 1))
    assert (crop_faces(gray, box(500, 20, 560, 80), SETTINGS, landmarks=None)[0] == 99).all()
    assert (crop_faces(gray, box(-560, -500, -500, -440), SETTINGS, landmarks=None)[0] == 0).all()


def test_shrinking_does_not_alias() -> None:
    """A checkerboard of single pixels is gray from afar."""
    board = (np.indices((960, 960)).sum(axis=0) % 2 * 255).astype(np.uint8)
    side = 960 / SETTINGS.side_per_box_height
    crop = crop_faces(board, box(0, 480 - side / 2, 960, 480 + side / 2), SETTINGS, landmarks=None)[
        0
    ]
    assert np.abs(crop.astype(int) - 127.5).max() <= 1.5


def test_no_boxes_give_no_crops() -> None:
    crops = crop_faces(
        np.zeros((10, 10), np.uint8), np.zeros((0, 4), np.float32), SETTINGS, landmarks=None
    )
    assert crops.shape == (0, 48, 48)


def test_input_is_normalised() -> None:
    crops = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    norm = Normalisation(mean=0.5, std=0.25)
    assert to_input(crops, norm).flatten().tolist() == [-2, 2]
    assert normalise(torch.tensor([0.5]), norm).item() == 0


CENTRE = (150.0, 140.0)
HEIGHT = 90.0
BEYOND = SETTINGS.upright_beyond_deg


def tilted_box() -> np.ndarray:
    x, y = CENTRE
    return box(x - 35, y - HEIGHT / 2, x + 35, y + HEIGHT / 2)


def eyes(tilt_deg: float, *, apart: float = 0.4) -> np.ndarray:
    """Landmarks of a head tilted clockwise, its eyes so many heights of the box apart."""
    around = np.array([-apart / 2 - 0.1j, apart / 2 - 0.1j, 0, -0.1 + 0.2j, 0.1 + 0.2j]) * HEIGHT
    turned = np.exp(1j * np.radians(tilt_deg)) * around + complex(*CENTRE)
    return np.stack([turned.real, turned.imag], axis=1)[None].astype(np.float32)


def head(tilt_deg: float) -> np.ndarray:
    """A picture of two dark eyes and a wide mouth in a bright oval, tilted clockwise."""
    columns, rows = np.meshgrid(np.arange(300.0), np.arange(300.0))
    at = (columns - CENTRE[0] + 0.5 + 1j * (rows - CENTRE[1] + 0.5)) / HEIGHT
    at *= np.exp(-1j * np.radians(tilt_deg))

    def blot(x: float, y: float, *, wide: float, high: float) -> np.ndarray:
        return np.exp(-(((at.real - x) / wide) ** 2) - ((at.imag - y) / high) ** 2)

    levels = 40 + 180 * blot(0, 0, wide=0.5, high=0.7)
    for x in (-0.2, 0.2):
        levels -= 110 * blot(x, -0.1, wide=0.08, high=0.05)
    levels -= 90 * blot(0.05, 0.25, wide=0.15, high=0.05)
    return levels.round().clip(0, 255).astype(np.uint8)


def crop_of(tilt_deg: float, **settings: float) -> np.ndarray:
    crops = crop_faces(
        head(tilt_deg), tilted_box(), CropSettings(**settings), landmarks=eyes(tilt_deg)
    )
    return crops[0].astype(int)


def turn_of(tilt_deg: float, *, apart: float = 0.4) -> float:
    return float(upright_turns_deg(tilted_box(), eyes(tilt_deg, apart=apart), SETTINGS)[0])


def test_a_tilt_is_positive_where_the_right_eye_is_lower() -> None:
    landmarks = np.zeros((3, 5, 2), np.float32)
    landmarks[:, 1] = [[10, 10], [10, 0], [0, -10]]
    assert tilts_deg(landmarks) == pytest.approx([45, 0, -90])


@pytest.mark.parametrize("tilt_deg", [-40.0, -25.0, 25.0, 40.0])
def test_a_head_tilted_far_is_seen_as_one_tilted_a_little(tilt_deg: float) -> None:
    allowed = np.copysign(BEYOND, tilt_deg)
    assert np.abs(crop_of(tilt_deg) - crop_of(allowed)).max() <= 4
    upright = crop_of(0)
    assert np.abs(crop_of(tilt_deg, upright_beyond_deg=0) - upright).max() <= 4
    as_it_is = crop_of(tilt_deg, upright_beyond_deg=180)
    assert np.abs(as_it_is - upright).max() > 60


@pytest.mark.parametrize("tilt_deg", [0.0, -5.0, 8.0, BEYOND - 0.01, 0.01 - BEYOND])
def test_heads_that_are_nearly_upright_stay_the_same_bits(tilt_deg: float) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    with_them, without = (
        crop_faces(picture, tilted_box(), SETTINGS, landmarks=landmarks)
        for landmarks in (eyes(tilt_deg), None)
    )
    assert np.array_equal(with_them, without)


def test_what_a_tilt_has_beyond_is_turned_back_up_to_a_most() -> None:
    for tilt_deg, turn in ((20, 20 - BEYOND), (45, 45 - BEYOND), (80, 45 - BEYOND)):
        assert turn_of(tilt_deg) == pytest.approx(turn, abs=1e-3)
        assert turn_of(-tilt_deg) == pytest.approx(-turn, abs=1e-3)


def test_while_a_head_is_being_tilted_nothing_jumps() -> None:
    tilts = np.arange(-60, 60, 0.25)
    steps = np.diff([turn_of(tilt) for tilt in tilts])
    assert steps.min() > -1e-3 and steps.max() < 0.26
    picture = head(BEYOND)
    before, after = (
        crop_faces(picture, tilted_box(), SETTINGS, landmarks=eyes(BEYOND + by)).astype(int)
        for by in (-0.1, 0.1)
    )
    assert np.abs(before - after).max() <= 2


def test_eyes_in_one_place_say_nothing_of_a_tilt() -> None:
    assert [turn_of(30, apart=apart) for apart in (0.0, 0.05, 0.099)] == [0, 0, 0]
    assert turn_of(30, apart=0.15) == pytest.approx(turn_of(30) / 2, abs=0.01)
    assert turn_of(30, apart=0.201) == pytest.approx(turn_of(30), abs=1e-3)


def test_each_face_of_a_frame_is_turned_by_its_own_eyes() -> None:
    picture = head(25)
    boxes = np.concatenate([tilted_box()] * 3)
    landmarks = np.concatenate([eyes(0), eyes(25), eyes(-25)])
    together = crop_faces(picture, boxes, SETTINGS, landmarks=landmarks)
    turns = np.array([0, 25 - BEYOND, BEYOND - 25])
    for crop, turn, its_eyes in zip(together, turns, landmarks, strict=True):
        alone = crop_faces(picture, tilted_box(), SETTINGS, landmarks=its_eyes[None])[0]
        assert np.array_equal(crop, alone)
        turned = crop_turned(picture, tilted_box(), SETTINGS, turns_deg=np.array([turn]))[0]
        assert np.abs(crop.astype(int) - turned).max() <= 1


def test_a_box_without_a_height_and_eyes_far_outside_still_give_a_crop() -> None:
    flat = box(20, 30, 60, 30)
    crop = crop_faces(head(0), flat, SETTINGS, landmarks=eyes(30) + 1000)
    assert crop.shape == (1, 48, 48)
