"""Squares cut by torch are those that OpenCV cuts."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emoscan import device_squares
from emoscan.device_squares import SquareViewer, grids_of
from emoscan.graphs import SIZES
from emoscan.squares import cut_square, grid_of
from emoscan.uploads import Upload

SIDES = (11.3, 23.9, 40.0, 59.9, 77.7, 97.2, 150.0, 230.4, 301.0)
TURNS = (0.0, 12.5, -31.0)


def picture(height: int, width: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Soft and coloured, with an edge in it."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), np.uint8)
    pixels = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels[: height // 3, : width // 4] = (250, 10, 90)
    return pixels


def places() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 3) squares, some of which lie partly or wholly outside of 320 by 240 px, and turns."""
    random = np.random.default_rng(3)
    sides = np.repeat(SIDES, len(TURNS))
    corners = random.uniform(-60, 250, (len(sides), 2))
    corners[:3] = -500
    return np.column_stack([corners, sides]), np.tile(TURNS, len(SIDES))


def by_opencv(
    pictures: Sequence[NDArray[np.uint8]], frames: NDArray[np.int64], *, gray: bool
) -> NDArray[np.float32]:
    crops = [
        cut_square(
            pictures[frame], left=left, top=top, side=side, out_px=24, gray=gray, turn_deg=turn
        )
        for frame, (left, top, side), turn in zip(frames, *places(), strict=True)
    ]
    return np.stack(crops).reshape(len(crops), 24, 24, -1).transpose(0, 3, 1, 2).astype(np.float32)


def cut_squares(
    pictures: Sequence[torch.Tensor], *, out_px: int, gray: bool = False, **where: Any
) -> torch.Tensor:
    """What a network would see."""
    return SquareViewer(lambda levels: levels, out_px=out_px, gray=gray)(pictures, **where)


@pytest.mark.parametrize("gray", [False, True])
def test_they_are_alike_but_for_one_level_in_a_few(gray: bool) -> None:
    pictures = [picture(240, 320), picture(180, 260, seed=1), picture(240, 320, seed=2)]
    squares, turns = places()
    frames = np.arange(len(squares)) % 3
    out = cut_squares(
        [torch.from_numpy(pixels) for pixels in pictures],
        frames=frames,
        squares=squares,
        out_px=24,
        gray=gray,
        turns_deg=turns,
    ).numpy()
    away = np.abs(out - by_opencv(pictures, frames, gray=gray))
    assert (out == out.round()).all() and out.min() >= 0 and out.max() <= 255
    assert away.max() <= 1 and away.mean() < 0.003


def test_little_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    squares, turns = places()
    pixels = [torch.from_numpy(picture(240, 320))]
    frames = np.zeros(len(squares), np.int64)

    def cut() -> torch.Tensor:
        return cut_squares(pixels, frames=frames, squares=squares, out_px=24, turns_deg=turns)

    whole = cut()
    monkeypatch.setattr(device_squares, "MOST_CUT_PX", 1)
    assert torch.equal(cut(), whole)


def test_no_square_gives_none() -> None:
    none = np.zeros((0, 3))
    pixels = [torch.from_numpy(picture(20, 30))]
    out = cut_squares(pixels, frames=none[:, 0].astype(int), squares=none, out_px=24, gray=True)
    assert out.shape == (0, 1, 24, 24)


def test_grids_of_many_are_those_of_each() -> None:
    squares, turns = places()
    grids = grids_of(squares, turns, out_px=24)
    for row, ((left, top, side), turn) in enumerate(zip(squares.tolist(), turns, strict=True)):
        alone = grid_of(left=left, top=top, side=side, out_px=24, turn_deg=turn)
        assert [getattr(grids, name)[row] for name in alone._fields] == pytest.approx(
            list(alone), abs=1e-9
        )


def test_no_more_go_together_than_are_recorded() -> None:
    parts = device_squares._parts(np.arange(2500), np.full(2500, 64))
    assert [*map(len, parts)] == [SIZES[-1], SIZES[-1], 2500 - 2 * SIZES[-1]]


def test_they_are_looked_at_in_halves_where_memory_runs_out(monkeypatch) -> None:
    squares, turns = places()
    frames = np.zeros(len(squares), np.int64)
    uploads = [Upload(torch.from_numpy(picture(240, 320)))]
    viewer = SquareViewer(lambda levels: levels.flatten(1), out_px=24)
    wanted = viewer.look(uploads, frames=frames, squares=squares, turns_deg=turns)
    assert wanted.shape == (len(squares), 3 * 24 * 24)
    whole, sizes = SquareViewer.__call__, list[int]()

    def scarce(self: SquareViewer, pictures: Any, *, frames: Any, **where: Any) -> torch.Tensor:
        sizes.append(len(frames))
        if len(frames) > 8:
            raise torch.OutOfMemoryError("no memory")
        return whole(self, pictures, frames=frames, **where)

    monkeypatch.setattr(SquareViewer, "__call__", scarce)
    found = viewer.look(uploads, frames=frames, squares=squares, turns_deg=turns)
    assert np.array_equal(found, wanted)
    assert sizes == [27, 14, 7, 7, 7, 6]
    none = viewer.look(uploads, frames=frames[:0], squares=squares[:0])
    assert none.shape == (0, 3 * 24 * 24)
