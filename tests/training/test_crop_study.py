import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from emoscan.emotion.crop import CropSettings, crop_faces, crop_turned, tilts_deg
from emoscan.types import Emotions, Faces
from tests.training.test_redetect import (
    WHOLE_IMAGE,
    StubClassifier,
    StubDetector,
    detector,
    labelled,
    portrait,
)
from training import crop_study
from training.crop_study import Rule, Square, score_turned, shifted
from training.redetect import CHUNK_IMAGES, Study, picture_of, redetect

BOX = WHOLE_IMAGE.astype(np.float32)


@cache
def eyes_deg(turn_deg: float) -> float:
    _, landmarks = redetect(portrait()[None], detector(), turn_deg=turn_deg)
    return float(tilts_deg(landmarks)[0])


def plain(levels: list[int]) -> np.ndarray:
    return np.stack([np.full((48, 48), level, np.uint8) for level in levels])


def bright_below() -> np.ndarray:
    image = np.zeros((48, 48), np.uint8)
    image[24:] = 180
    return image


def whole_image(picture: np.ndarray) -> list[np.ndarray]:
    return [WHOLE_IMAGE]


def test_boxes_move_down_by_a_share_of_their_own_height() -> None:
    boxes = np.array([[10, 20, 30, 120], [0, 0, 50, 10]], np.float32)
    moved = shifted(boxes, 0.1)
    assert moved.dtype == np.float32
    assert moved == pytest.approx(np.array([[10, 30, 30, 130], [0, 1, 50, 11]]))
    assert shifted(boxes, -0.1)[0, 1] == 10


@pytest.mark.parametrize("turn_deg", [-20.0, 20.0])
def test_the_detectors_eyes_turn_a_turned_face_back(turn_deg: float) -> None:
    # MTCNN sees about three quarters of a turn.
    deg = eyes_deg(turn_deg) - eyes_deg(0.0)
    assert deg == pytest.approx(-turn_deg, abs=8)
    settings = CropSettings(side_per_box_height=0.8)
    wanted = crop_faces(picture_of(portrait()), BOX[None], settings, landmarks=None)[0]
    turned = picture_of(portrait(), turn_deg=turn_deg)
    as_it_is, upright = crop_turned(
        turned, np.tile(BOX, (2, 1)), settings, turns_deg=np.array([0, deg])
    ).astype(int)
    assert np.abs(upright - wanted).mean() < 0.5 * np.abs(as_it_is - wanted).mean()


@pytest.mark.parametrize(
    ("rule", "turns"),
    [
        (Rule(0), [-40, -12, -8, 0, 5, 12, 40]),
        (Rule(10), [-30, -2, 0, 0, 0, 2, 30]),
        (Rule(10, steepness=3), [-40, -6, 0, 0, 0, 6, 40]),
    ],
)
def test_rules_turn_back_what_lies_beyond(rule: Rule, turns: list[float]) -> None:
    tilts = np.array([-40, -12, -8, 0, 5, 12, 40], float)
    assert rule.turns_deg(tilts).tolist() == turns


def test_every_row_of_angles_has_its_own_scores_and_equal_crops_are_classified_once() -> None:
    class Counting(UpperHalf):
        seen = 0

        def classify_crops(self, crops: np.ndarray) -> Emotions:
            self.seen += len(crops)
            return super().classify_crops(crops)

    boxes = np.stack([BOX, np.full(4, np.nan, np.float32), BOX])
    study = Study(Counting(), None, labelled(np.stack([bright_below()] * 3), [0, 1, 6]), {})
    turns = np.array([[0, 180], [180, 0], [0, 0]], float)
    scores = score_turned(study, 0.0, boxes=boxes, turns_deg=turns)
    assert study.classifier.seen == 4
    assert [of.right.tolist() for of in scores] == [[True, True], [False, False], [True, False]]


def test_every_square_has_its_own_scores_whatever_the_chunk() -> None:
    count = CHUNK_IMAGES + 5
    images = np.concatenate([plain([60] * (count - 1)), bright_below()[None]])
    boxes = np.repeat(BOX[None], count, axis=0)
    boxes[3] = np.nan
    study = Study(StubClassifier(), None, labelled(images, [2] * (count - 1) + [3]), {})
    squares = [Square(1.0), Square(1.0, shift=0.5), Square(0.8, shift=-0.5)]
    scores = crop_study.score_squares(study, boxes, squares)
    # The image without a face is left out; the last one is half bright, then bright, then dark.
    assert [len(of.right) for of in scores] == [count - 1] * 3
    assert all(of.right[:-1].all() for of in scores)
    assert [bool(of.right[-1]) for of in scores] == [True, False, False]
    for square, of in zip(squares, scores, strict=True):
        (alone,) = crop_study.score_squares(study, boxes, [square])
        assert of.log_likelihood.tolist() == alone.log_likelihood.tolist()


def test_a_shift_is_downwards_and_a_larger_side_shows_more() -> None:
    def level(square: Square, image: np.ndarray) -> int:
        study = Study(StubClassifier(), None, labelled(image[None].repeat(7, axis=0), range(7)), {})
        (scores,) = crop_study.score_squares(study, BOX[None].repeat(7, axis=0), [square])
        return int(scores.right.argmax())

    assert level(Square(0.8), bright_below()) == 3
    assert (
        level(Square(0.8, shift=0.4), bright_below()) > 3 > level(Square(0.8, -0.4), bright_below())
    )
    ringed = plain([180])[0]
    ringed[6:-6, 6:-6] = 0
    assert level(Square(0.5), ringed) == 0 < level(Square(1.0), ringed)


def test_the_grid_is_measured_against_the_weights_own_square() -> None:
    images = plain([0, 60, 90])
    study = Study(StubClassifier(), None, labelled(images, [0, 2, 6]), {})
    figures = crop_study.measure_squares(study, BOX[None].repeat(3, axis=0))
    assert (figures["own"]["side"], figures["own"]["shift"], figures["own"]["n"]) == (0.95, 0.0, 3)
    cells = {(at["side"], at["shift"]): at for at in figures["grid"]}
    assert len(cells) == 55 and {0.8, 0.95, 1.3} < {side for side, _ in cells}
    assert cells[0.95, 0.0]["log_likelihood_gain"] == {"mean": 0.0, "se": 0.0}
    assert cells[1.3, -0.1]["accuracy"] == pytest.approx(2 / 3)


def test_turned_pictures_are_cropped_plain_and_upright() -> None:
    images = np.stack([portrait()] * 2 + [np.zeros((48, 48), np.uint8)])
    study = Study(StubClassifier(), detector(), labelled(images, [4, 0, 0]), {})
    turn = crop_study.measure_turn(study, 20.0)
    assert turn["found"] == pytest.approx(2 / 3)
    assert turn["plain"]["n"] == turn["upright"]["n"] == 2
    assert turn["eyes_deg"] == pytest.approx(eyes_deg(20.0), abs=0.5)
    gain = turn["upright_against_plain"]["accuracy_gain"]
    assert gain["mean"] == turn["upright"]["accuracy"] - turn["plain"]["accuracy"]


class UpperHalf(StubClassifier):
    """Looks at nothing below."""

    def classify_crops(self, crops: np.ndarray) -> Emotions:
        return super().classify_crops(crops[:, :24])


class UpsideDown(StubDetector):
    """Sees the left eye on the right."""

    def _faces(self, boxes: np.ndarray) -> Faces:
        faces = super()._faces(boxes)
        landmarks = faces.landmarks.copy()
        landmarks[:, 0, 0] += 50
        return replace(faces, landmarks=landmarks)


def test_upright_crops_of_faces_upside_down_are_the_better_ones() -> None:
    images = np.stack([bright_below()] * 2)
    study = Study(UpperHalf(), UpsideDown(whole_image), labelled(images, [0, 0]), {})
    turn = crop_study.measure_turn(study, 180.0)
    assert turn["eyes_deg"] == pytest.approx(180)
    assert (turn["plain"]["accuracy"], turn["upright"]["accuracy"]) == (0.0, 1.0)
    assert turn["upright_against_plain"]["accuracy_gain"]["mean"] == 1.0


def test_the_report_names_the_likeliest_square() -> None:
    # Bright below: the label is met by squares that sit higher, and best by none of the others.
    images = np.stack([bright_below()] * 3)
    study = Study(StubClassifier(), StubDetector(whole_image), labelled(images, [2] * 3), {})
    boxes, _ = redetect(images, study.detector)
    figures = {"squares": crop_study.measure_squares(study, boxes), "turns": []}
    text = crop_study.report(figures)
    assert "shift of -0.10: +100.0 ± 0.0 points" in text
    assert text.count("\n| 0.95 |") == 2


def test_the_command_line_where_no_face_is_found(dataset, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(crop_study, "TURNS_DEG", (0.0, 20.0))
    out = tmp_path / "crop_study.json"
    crop_study.main(["--data", str(dataset), "--device", "cpu", "--out", str(out)])
    said = capsys.readouterr().out
    assert "n = 0" in said and "| +20° | 0.0 % | – | 0 | – | – | – | – |" in said
    figures = json.loads(out.read_text())
    assert len(figures["squares"]["grid"]) == 55 and len(figures["turns"]) == 2
    assert figures["squares"]["grid"][0]["accuracy"] is None
