import cv2
import numpy as np
import pytest

from emoscan.squares import NEIGHBOURHOODS, _means, cut_square

# Levels that tell the place: 2 a pixel to the right, 1 a pixel down.
ROWS, COLUMNS = np.indices((80, 80))
SLOPE = (2 * COLUMNS + ROWS).astype(np.uint8)


def expected_slope(left: float, top: float, side: float, out_px: int) -> np.ndarray:
    """The levels in the middles of the cells."""
    middles = (np.arange(out_px) + 0.5) * side / out_px - 0.5
    return 2 * (left + middles)[None, :] + (top + middles)[:, None]


@pytest.mark.parametrize("side", [10.0, 23.5, 24.0, 24.25, 31.7, 48.0, 55.3, 60.0])
@pytest.mark.parametrize(("left", "top"), [(8.0, 9.0), (8.25, 9.5), (12.7, 13.1)])
def test_fractions_of_pixels_count(left: float, top: float, side: float) -> None:
    crop = cut_square(SLOPE, left=left, top=top, side=side, out_px=24)
    inner = np.s_[2:-2, 2:-2]  # cubic curves bend at the slope's ends
    error = crop.astype(float) - expected_slope(left, top, side, 24)
    assert np.abs(error[inner]).max() <= 1.5


@pytest.mark.parametrize("side", [24, 96, 240])
def test_whole_pixels_that_fit_are_averaged_exactly(side: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    crop = cut_square(image, left=17, top=5, side=side, out_px=24)
    part = image[5 : 5 + side, 17 : 17 + side].reshape(24, side // 24, 24, side // 24)
    assert np.abs(crop - part.mean((1, 3))).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("step", [2, *NEIGHBOURHOODS, 7])
def test_means_are_the_nearest_levels(step: int, channels: int) -> None:
    """For every sum that `step` by `step` levels can have."""
    count = step * step
    sums = np.arange(255 * count + 1)
    levels = sums[:, None] // count + (np.arange(count) < sums[:, None] % count)
    pixels = levels.reshape(-1, step, step).transpose(1, 0, 2).reshape(step, -1).astype(np.uint8)
    colours = np.repeat(pixels[..., None], channels, axis=2)
    means = _means(colours if channels > 1 else pixels, step).reshape(-1, channels)
    assert np.array_equal(
        means, np.repeat((2 * sums + count) // (2 * count), channels).reshape(-1, channels)
    )


@pytest.mark.parametrize("side", [192, 384, 768])
def test_averages_of_large_squares_are_not_lighter(side: int) -> None:
    """Rounded up at each of several halvings, they would be."""
    image = np.random.default_rng(0).integers(0, 256, (800, 800), np.uint8)
    crop = cut_square(image, left=17, top=5, side=side, out_px=24)
    assert abs(crop.mean() - image[5 : 5 + side, 17 : 17 + side].mean()) <= 0.35


def test_a_large_square_that_moves_by_a_fraction_moves_smoothly() -> None:
    """A step in the levels that passes through the square darkens it evenly."""
    image = np.zeros((500, 500), np.uint8)
    image[:, 250:] = 240
    means = [
        cut_square(image, left=100 + shift, top=100.3, side=300.0, out_px=24).mean()
        for shift in np.arange(0, 4, 0.25)
    ]
    steps = np.diff(means)
    assert np.allclose(steps, 240 * 0.25 / 300, atol=0.15)


@pytest.mark.parametrize(("left", "top"), [(-500.0, 20.0), (700.0, -300.0), (-3.5, 77.2)])
@pytest.mark.parametrize("side", [5.0, 24.0, 400.0])
def test_outside_the_edge_is_repeated(left: float, top: float, side: float) -> None:
    image = np.full((80, 80), 77, np.uint8)
    assert (cut_square(image, left=left, top=top, side=side, out_px=24) == 77).all()


@pytest.mark.parametrize("side", [11.3, 40.0, 70.1])
def test_colours_are_cut_as_gray_levels_are(side: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    crop = cut_square(image, left=3.3, top=4.7, side=side, out_px=24)
    assert crop.shape == (24, 24, 3)
    for channel in range(3):
        alone = cut_square(image[..., channel].copy(), left=3.3, top=4.7, side=side, out_px=24)
        assert np.abs(crop[..., channel].astype(int) - alone).max() <= 1


@pytest.mark.parametrize(("left", "top"), [(3.3, 4.7), (-20.5, 60.2), (-200.0, 5.0)])
@pytest.mark.parametrize("side", [11.3, 40.0, 70.1, 150.0])
def test_gray_of_the_square_alone_is_gray_of_the_picture(
    left: float, top: float, side: float
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    place = {"left": left, "top": top, "side": side, "out_px": 24}
    whole = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(cut_square(image, **place, gray=True), cut_square(whole, **place))


@pytest.mark.parametrize("side", [25.0, 47.0, 59.9, 71.0])
def test_shrinking_does_not_overshoot(side: float) -> None:
    """Cubic curves do, beside an edge: they are for enlarging."""
    image = np.full((80, 80), 50, np.uint8)
    image[:, 40:] = 200
    crop = cut_square(image, left=4.3, top=3.1, side=side, out_px=24)
    assert crop.min() == 50 and crop.max() <= 200


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Levels that differ everywhere, and slowly enough to be sampled."""
    return 128 + 60 * np.sin(x / 17) * np.cos(y / 23) + 50 * np.sin((x + 2 * y) / 41)


WAVES = np.round(waves(*np.indices((400, 400))[::-1])).astype(np.uint8)


def expected_waves(left: float, top: float, side: float, *, turn_deg: float) -> np.ndarray:
    """In the middles of 24 by 24 cells of a square turned clockwise about its middle."""
    across, down = np.meshgrid(*[((np.arange(24) + 0.5) / 24 - 0.5) * side] * 2)
    turn = np.exp(1j * np.radians(turn_deg)) * (across + 1j * down)
    return waves(left + side / 2 - 0.5 + turn.real, top + side / 2 - 0.5 + turn.imag)


@pytest.mark.parametrize("turn_deg", [-150.0, -45.0, -12.3, 3.0, 25.0, 90.0])
@pytest.mark.parametrize("side", [11.0, 24.0, 29.3, 41.0, 77.0, 118.6])
def test_a_turned_square_shows_what_lies_there(side: float, turn_deg: float) -> None:
    place = {"left": 203.3, "top": 190.8, "side": side}
    crop = cut_square(WAVES, **place, out_px=24, turn_deg=turn_deg)
    assert np.abs(crop - expected_waves(**place, turn_deg=turn_deg)).max() <= 5


@pytest.mark.parametrize("turn_deg", [-90.0, 90.0])
@pytest.mark.parametrize("side", [24.0, 96.0, 240.0])
def test_a_quarter_of_a_turn_is_that_of_the_square(side: float, turn_deg: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    place = {"left": 17.0, "top": 25.0, "side": side, "out_px": 24}
    upright = cut_square(image, **place).astype(int)
    turned = cut_square(image, **place, turn_deg=turn_deg)
    assert np.abs(np.rot90(upright, round(turn_deg / 90)) - turned).max() <= 2


@pytest.mark.parametrize("turn_deg", [20.0, 45.0])
def test_a_turned_square_is_averaged_too(turn_deg: float) -> None:
    """A checkerboard of single pixels is gray from afar, from any angle."""
    board = (np.indices((960, 960)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for side in (100.0, 300.0, 600.0):
        crop = cut_square(board, left=180, top=180, side=side, out_px=24, turn_deg=turn_deg)
        assert np.abs(crop.astype(int) - 127.5).max() <= 16


@pytest.mark.parametrize("side", [20.0, 60.0, 300.0])
def test_turned_or_not_a_square_without_a_turn_is_the_same_bits(side: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    place = {"left": -3.7, "top": 15.2, "side": side, "out_px": 24}
    for turn_deg in (0.0, -0.0):
        turned = cut_square(image, **place, turn_deg=turn_deg)
        assert np.array_equal(turned, cut_square(image, **place))
