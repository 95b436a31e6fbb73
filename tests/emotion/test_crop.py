import numpy as np
import torch

from emoscan.emotion.crop import CropSettings, Normalisation, crop_faces, normalise, to_input

SETTINGS = CropSettings()


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0, x1, y1]], np.float32)


def test_a_square_of_the_size_of_the_input_comes_back_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    half = 48 / SETTINGS.side_per_box_height / 2
    crops = crop_faces(image, box(10, 24 - half, 38, 24 + half), SETTINGS)
    assert np.array_equal(crops[0], image)


def test_a_crop_is_a_square_around_the_centre() -> None:
    gray = np.zeros((200, 300), np.uint8)
    gray[60:155, 105:200] = 255  # 95 px around (152.5, 107.5)
    crop = crop_faces(gray, box(120, 57.5, 185, 157.5), SETTINGS)[0]
    assert crop.min() >= 254
    for moved in ((121, 57.5, 186, 157.5), (120, 56.5, 185, 156.5), (120, 56.5, 185, 158.5)):
        assert crop_faces(gray, box(*moved), SETTINGS)[0].min() < 220


def test_edges_are_replicated() -> None:
    gray = np.full((100, 100), 200, np.uint8)
    for corner in ((-40, -40), (60, 60), (-40, 60), (60, -40)):
        crop = crop_faces(gray, box(*corner, corner[0] + 80, corner[1] + 80), SETTINGS)[0]
        assert (crop == 200).all()


def test_a_box_beyond_the_frame_still_gives_a_crop() -> None:
    gray = np.tile(np.arange(100, dtype=np.uint8), (100, 1))
    assert (crop_faces(gray, box(500, 20, 560, 80), SETTINGS)[0] == 99).all()
    assert (crop_faces(gray, box(-560, -500, -500, -440), SETTINGS)[0] == 0).all()


def test_shrinking_does_not_alias() -> None:
    """A checkerboard of single pixels is gray from afar."""
    board = (np.indices((960, 960)).sum(axis=0) % 2 * 255).astype(np.uint8)
    side = 960 / SETTINGS.side_per_box_height
    crop = crop_faces(board, box(0, 480 - side / 2, 960, 480 + side / 2), SETTINGS)[0]
    assert np.abs(crop.astype(int) - 127.5).max() <= 1.5


def test_no_boxes_give_no_crops() -> None:
    crops = crop_faces(np.zeros((10, 10), np.uint8), np.zeros((0, 4), np.float32), SETTINGS)
    assert crops.shape == (0, 48, 48)


def test_input_is_normalised() -> None:
    crops = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    norm = Normalisation(mean=0.5, std=0.25)
    assert to_input(crops, norm).flatten().tolist() == [-2, 2]
    assert normalise(torch.tensor([0.5]), norm).item() == 0
