"""What is to be seen on which frame."""

import numpy as np
import pytest

from emoscan.report import text
from emoscan.report.marks import Marks, photo_marks
from emoscan.timeline.schema import Status
from tests.report.tables import as_frame, empty_row, face_row, labelled, rows_at

TIMES_S = [0.0, 0.04, 0.09, 0.17, 0.2, 0.26, 0.3, 0.5]
A, B = (10.0, 20.0, 30.0, 40.0), (50.0, 20.0, 30.0, 40.0)


def marks(rows, folder, times_s=TIMES_S) -> Marks:
    return Marks(as_frame(rows, folder), np.array(times_s))


def test_a_frame_that_was_looked_at_shows_its_rows(tmp_path) -> None:
    found = marks(rows_at(TIMES_S, {2: [(1, A), (2, B)]}), tmp_path)
    first, second = found.at(2)
    assert (first.key, first.title, first.looked_at) == (1, "#1", True)
    assert first.box.tolist() == [10, 20, 40, 60] and second.box.tolist() == [50, 20, 80, 60]
    assert first.emotion == "happy" and first.confidence == pytest.approx(0.7)
    assert found.at(1) == [] and found.at(3) == []


def test_between_two_frames_that_were_looked_at_the_box_is_between_in_time(tmp_path) -> None:
    found = marks(rows_at(TIMES_S, {0: [(1, A)], 3: [(1, B)]}, every=3), tmp_path)
    (mark,) = found.at(2)
    assert not mark.looked_at
    assert mark.box[0] == pytest.approx(10 + 40 * 0.09 / 0.17)  # by time, not by frame


def test_only_what_both_frames_around_show_is_drawn_between(tmp_path) -> None:
    found = marks(rows_at(TIMES_S, {0: [(1, A), (2, B)], 3: [(2, B), (3, A)]}, every=3), tmp_path)
    assert [mark.key for mark in found.at(1)] == [2]
    assert found.at(7) == []  # behind the last frame that was looked at


def test_a_face_that_was_not_found_is_not_made_up(tmp_path) -> None:
    found = marks(rows_at(TIMES_S, {0: [(1, A)], 2: [(1, A)]}), tmp_path)
    assert found.at(1) == []


def test_frames_far_apart_have_nothing_between(tmp_path) -> None:
    times_s = [0.0, 1.0, 2.5, 4.0]
    rows = [face_row(0, 0.0, A), face_row(3, 4.0, A)]
    assert marks(rows, tmp_path, times_s).at(1) == []


def test_a_frame_that_could_not_be_read_was_not_looked_at(tmp_path) -> None:
    rows = [face_row(0, 0.0, A), empty_row(1, 0.04, Status.UNREADABLE), face_row(2, 0.09, A)]
    (mark,) = marks(rows, tmp_path).at(1)
    assert not mark.looked_at


def test_a_label_stands_for_the_track(tmp_path) -> None:
    rows = labelled([face_row(0, 0.0, A)], "Jörg,\nΜαρία")
    assert marks(rows, tmp_path).at(0)[0].title == "Jörg, Μαρία"


def test_a_label_that_cannot_be_drawn_does_not_stand_for_the_track(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(text, "_system_fonts", lambda: [])
    rows = labelled([face_row(0, 0.0, A)], "Linear A: \U00010600")
    assert marks(rows, tmp_path).at(0)[0].title == "#1"


def test_faces_of_a_photo_are_numbered_as_in_the_table(tmp_path) -> None:
    rows = [face_row(0, None, A, track=None), face_row(0, None, B, track=None, face=1)]
    assert [mark.title for mark in photo_marks(as_frame(rows, tmp_path))] == ["face 0", "face 1"]
    assert len({mark.key for mark in photo_marks(as_frame(rows, tmp_path))}) == 2
