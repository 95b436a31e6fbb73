"""Hidden faces: where, and that nothing is left of them."""

import cv2
import numpy as np
import pytest

from emoscan.report.hide import HOLD_S, Cover, enlarged, hide, hide_all
from emoscan.timeline.schema import Status
from tests.pictures import ArrayPicture
from tests.report.tables import as_frame, empty_row, face_row, rows_at

FPS = 25
A, B = (100.0, 100.0, 40.0, 50.0), (200.0, 100.0, 40.0, 50.0)


def times_s(count: int) -> np.ndarray:
    return np.arange(count) / FPS


def cover(boxes, folder, *, count: int = 60, every: int = 1) -> Cover:
    rows = rows_at(times_s(count).tolist(), boxes, every=every)
    return Cover(as_frame(rows, folder), times_s(count))


def contains(outer, box) -> bool:
    x, y, width, height = box
    return bool(
        outer[0] <= x and outer[1] <= y and outer[2] >= x + width and outer[3] >= y + height
    )


def test_a_found_face_is_covered_with_a_margin(tmp_path) -> None:
    (box,) = cover({10: [(1, A)]}, tmp_path).at(10)
    assert box.tolist() == [85, 85, 155, 165]


def test_a_face_is_covered_before_and_after_it_was_found_and_ever_more_widely(tmp_path) -> None:
    found = cover({20: [(1, A)]}, tmp_path)
    hold = int(HOLD_S * FPS)
    widths = [found.at(index)[0][2] - found.at(index)[0][0] for index in range(20, 20 + hold)]
    assert widths == sorted(widths) and widths[-1] > widths[0]
    assert contains(found.at(20 - hold)[0], A) and contains(found.at(20 + hold)[0], A)
    assert found.at(20 - hold - 1) == [] and found.at(20 + hold + 1) == []


def test_while_a_track_is_away_all_of_its_way_is_covered(tmp_path) -> None:
    found = cover({10: [(1, A)], 40: [(1, B)]}, tmp_path)  # 1.2 s
    for index in range(10, 41):
        share = (index - 10) / 30
        on_the_way = (100 + 100 * share, 100.0, 40.0, 50.0)
        assert any(contains(box, on_the_way) for box in found.at(index)), index


def test_between_frames_that_were_looked_at_faces_are_covered(tmp_path) -> None:
    found = cover({0: [(1, A)], 10: [(1, B)]}, tmp_path, every=10)
    for index in range(11):
        assert any(contains(box, (100 + 10.0 * index, 100, 40, 50)) for box in found.at(index))


def test_faces_without_a_track_are_covered_each(tmp_path) -> None:
    rows = [face_row(0, 0.0, A, track=None), face_row(0, 0.0, B, track=None, face=1)]
    assert len(Cover(as_frame(rows, tmp_path), times_s(5)).at(0)) == 2


def test_what_nobody_looked_at_is_unseen(tmp_path) -> None:
    rows = [empty_row(index, index / FPS) for index in range(20, 40)]
    found = Cover(as_frame(rows, tmp_path), times_s(60))
    unseen = [found.is_unseen(index) for index in range(60)]
    assert unseen[0] and unseen[12] and not unseen[13] and not unseen[46] and unseen[47]
    assert found.count_unseen() == sum(unseen)


def test_frames_that_could_not_be_read_do_not_count_as_looked_at(tmp_path) -> None:
    rows = [empty_row(index, index / FPS, Status.UNREADABLE) for index in range(30)]
    assert Cover(as_frame(rows, tmp_path), times_s(30)).count_unseen() == 30


def high_frequencies(pixels) -> float:
    """The variance of the Laplacian, a usual measure of sharpness."""
    return float(cv2.Laplacian(ArrayPicture(pixels).gray(), cv2.CV_64F).var())


@pytest.mark.parametrize("pixelate", [False, True])
@pytest.mark.parametrize("side_px", [12, 60, 400])
def test_a_few_values_are_left_of_a_face_of_any_size(pixelate: bool, side_px: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)
    box = enlarged(np.array([200.0, 200.0, 200 + side_px, 200 + side_px]))
    left, top, right, bottom = box.astype(int)
    hidden = noise.copy()
    hide(hidden, box, pixelate=pixelate)
    face = hidden[top:bottom, left:right]
    assert high_frequencies(face) < 0.05 * high_frequencies(noise[top:bottom, left:right])
    if pixelate:
        assert len(np.unique(face.reshape(-1, 3), axis=0)) <= 25  # 4 × 4, and cut rows
    else:
        few = cv2.resize(face, (4, 4), interpolation=cv2.INTER_AREA)
        restored = cv2.resize(few, face.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        assert np.abs(face.astype(int) - restored).mean() < 8
    outside = np.ones(noise.shape[:2], bool)
    outside[top - 1 : bottom + 1, left - 1 : right + 1] = False
    assert (hidden[outside] == noise[outside]).all()


def test_two_persons_cannot_be_told_apart() -> None:
    """Mirrored, or with all its details exchanged, a face looks the same once it is hidden."""
    rng = np.random.default_rng(1)
    details = rng.integers(-60, 60, (64, 64, 1))
    faces = [
        np.clip(128 + sign * details, 0, 255).astype(np.uint8).repeat(3, 2) for sign in (1, -1)
    ]
    for face in faces:
        hide_all(face, pixelate=False)
    assert np.abs(faces[0].astype(int) - faces[1]).max() < 25  # of ± 60 before


def test_a_face_cut_by_the_edge_leaves_no_more_than_others() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    hide(noise, np.array([-90.0, 20, 10, 120]), pixelate=True)
    assert len(np.unique(noise[20:120, :10].reshape(-1, 3), axis=0)) <= 4


def test_a_box_outside_of_the_picture_hides_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)
    kept = noise.copy()
    hide(noise, np.array([60.0, 60, 90, 90]), pixelate=False)
    assert (noise == kept).all()
