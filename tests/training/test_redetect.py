import json
from functools import cache
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from emoscan.emotion.crop import CropSettings
from emoscan.emotions import EMOTIONS
from emoscan.faces.mtcnn import FaceDetector
from emoscan.runtime import choose_runtime
from emoscan.types import Emotions, Faces
from training import redetect as study
from training.fer2013 import LabelledImages
from training.redetect import (
    CHUNK_IMAGES,
    MARGIN_PX,
    PICTURE_PX,
    SCALED_PX,
    Scores,
    Study,
    crop_again,
    has_face,
    picture_of,
    redetect,
    score,
)

# Where the image itself lies in its picture.
WHOLE_IMAGE = np.array([MARGIN_PX, MARGIN_PX, MARGIN_PX + SCALED_PX, MARGIN_PX + SCALED_PX])


@cache
def portrait() -> np.ndarray:
    """A face as FER2013 has it: (48, 48) uint8."""
    gray = cv2.cvtColor(astronaut()[60:172, 168:280], cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, (48, 48), interpolation=cv2.INTER_AREA)


@cache
def detector() -> FaceDetector:
    return FaceDetector(choose_runtime("cpu"))


def noise(*, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)


def labelled(images: np.ndarray, labels: list[int]) -> LabelledImages:
    votes = np.zeros((len(images), 8), np.uint8)
    return LabelledImages(images, np.array(labels, np.int64), votes, ("",) * len(images))


class StubDetector:
    """Finds in each picture what `look(picture)` says: boxes (N, 4)."""

    def __init__(self, look) -> None:
        self._look = look

    def detect(self, images, *, min_faces_px) -> list[Faces]:
        assert len(images) == len(min_faces_px) and set(min_faces_px) == {40}
        return [self._faces(np.array(self._look(image), np.float32)) for image in images]

    def _faces(self, boxes: np.ndarray) -> Faces:
        boxes = boxes.reshape(-1, 4)
        landmarks = np.repeat(boxes[:, None, :2], 5, axis=1)
        count = len(boxes)
        tracks, followed = np.full(count, -1, np.int32), np.zeros(count, np.bool_)
        return Faces(boxes, np.ones(count, np.float32), landmarks, tracks, followed)


class StubClassifier:
    """Its likeliest class is the crop's mean gray level over 30, with a probability of 0.4."""

    about = SimpleNamespace(crop=CropSettings())

    def classify_crops(self, crops: np.ndarray) -> Emotions:
        classes = np.rint(crops.mean(axis=(1, 2)) / 30).astype(int).clip(0, 6)
        probabilities = np.full((len(crops), len(EMOTIONS)), 0.1, np.float32)
        probabilities[np.arange(len(crops)), classes] = 0.4
        return Emotions(probabilities)


def test_a_picture_is_the_image_enlarged_in_the_middle_of_its_own_edge() -> None:
    picture = picture_of(portrait())
    assert picture.shape == (PICTURE_PX, PICTURE_PX) == (384, 384)
    inside = picture[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    small = cv2.resize(inside, (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - portrait()).mean() < 2
    assert (picture[:MARGIN_PX] == picture[MARGIN_PX]).all()
    assert (picture[:, -MARGIN_PX:] == picture[:, -MARGIN_PX - 1, None]).all()


def test_a_picture_is_turned_counter_clockwise_about_its_centre() -> None:
    image = np.zeros((48, 48), np.uint8)
    image[20:28, 40:46] = 255  # on the right, at half height
    bright = np.argwhere(picture_of(image, turn_deg=90) > 128).mean(axis=0)
    right = np.argwhere(picture_of(image) > 128).mean(axis=0)
    centre = (PICTURE_PX - 1) / 2
    assert right[1] - centre > 60 and abs(right[0] - centre) < 1
    assert bright == pytest.approx([centre - (right[1] - centre), centre], abs=2)  # at the top


def test_the_detector_finds_the_face_again_and_nothing_in_noise() -> None:
    images = np.stack([noise(), portrait(), noise(seed=1), portrait()[:, ::-1]])
    boxes, landmarks = redetect(images, detector())
    assert boxes.shape == (4, 4) and landmarks.shape == (4, 5, 2)
    assert boxes.dtype == landmarks.dtype == np.float32
    assert has_face(boxes).tolist() == [False, True, False, True]
    assert np.isnan(boxes[[0, 2]]).all() and np.isnan(landmarks[[0, 2]]).all()
    for box, points in zip(boxes[[1, 3]], landmarks[[1, 3]], strict=True):
        centre = (box[:2] + box[2:]) / 2
        assert centre == pytest.approx([PICTURE_PX / 2] * 2, abs=25)
        assert ((points > box[:2]) & (points < box[2:])).all()
        assert points[0, 0] < points[1, 0] and points[0, 1] < points[3, 1]
    # The mirror image's box is the box's mirror image, all but a few pixels.
    assert boxes[3, 0] == pytest.approx(PICTURE_PX - boxes[1, 2], abs=12)


def test_the_face_nearest_the_centre_counts() -> None:
    large, central = [0, 0, 200, 200], [150, 150, 240, 240]
    for order in ([large, central], [central, large]):
        boxes, landmarks = redetect(noise()[None], StubDetector(lambda _, order=order: order))
        assert boxes.tolist() == [central]
        assert landmarks[0, 0].tolist() == central[:2]


def test_rows_stay_in_order_over_many_chunks() -> None:
    count = 2 * CHUNK_IMAGES + 3
    images = np.repeat(np.arange(count, dtype=np.uint8), 48 * 48).reshape(count, 48, 48)

    def level(picture: np.ndarray) -> list[list[int]]:
        return [[picture[0, 0, 0]] * 2 + [300, 300]] if picture[0, 0, 0] % 2 else []

    boxes, _ = redetect(images, StubDetector(level))
    assert has_face(boxes).tolist() == [number % 2 == 1 for number in range(count)]
    assert boxes[1::2, 0].tolist() == list(range(1, count, 2))


def test_the_square_of_the_image_gives_the_image_back() -> None:
    boxes = WHOLE_IMAGE[None].astype(np.float32)
    settings, nowhere = CropSettings(side_per_box_height=1.0), np.zeros((1, 5, 2), np.float32)
    crops = crop_again(portrait()[None], boxes, settings, landmarks=nowhere)
    assert np.abs(crops[0].astype(int) - portrait()).mean() < 2
    moved = crop_again(portrait()[None], boxes + 12, settings, landmarks=nowhere)
    assert np.abs(moved[0, :-3, :-3].astype(int) - portrait()[3:, 3:]).mean() < 2


def test_scores_count_hits_and_take_the_logarithm_of_the_labels_probability() -> None:
    crops = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 60)])
    scores = score(StubClassifier(), crops, np.array([0, 3]))
    assert scores.right.tolist() == [True, False]
    assert scores.log_likelihood == pytest.approx(np.log([0.4, 0.1]))
    figures = scores.figures()
    assert (figures["accuracy"], figures["n"]) == (0.5, 2)
    assert figures["log_likelihood"] == pytest.approx(np.log(0.04) / 2)


def test_a_probability_of_zero_leaves_the_mean_finite() -> None:
    sure = SimpleNamespace(
        classify_crops=lambda crops: Emotions(np.eye(7, dtype=np.float32)[: len(crops)])
    )
    scores = score(sure, np.zeros((1, 48, 48), np.uint8), np.array([5]))
    assert -100 < scores.log_likelihood[0] < -80


def test_gains_are_paired() -> None:
    before = Scores(np.array([True, False, False, False]), np.array([-1.0, -2.0, -3.0, -4.0]))
    after = Scores(np.array([True, True, True, False]), np.array([-0.5, -1.5, -2.5, -3.5]))
    gain = after.against(before)
    # Differences 0, 1, 1, 0: their standard deviation is 1/sqrt(3), over the root of 4.
    assert gain["accuracy_gain"] == pytest.approx({"mean": 0.5, "se": 1 / np.sqrt(3) / 2})
    assert gain["log_likelihood_gain"] == pytest.approx({"mean": 0.5, "se": 0})


def test_crops_and_images_are_compared_on_the_same_images() -> None:
    levels = [0, 60, 90, 120]  # the classes 0, 2, 3, 4
    images = np.stack([np.full((48, 48), level, np.uint8) for level in levels])
    images[2, 36:] = 150  # whose box shows only this, of class 5
    images[2, :36] = 60
    lower = WHOLE_IMAGE + np.array([0, SCALED_PX * 7 // 8, 0, -SCALED_PX // 16])

    def look(picture: np.ndarray) -> list[np.ndarray]:
        return {120: [], 150: [lower]}.get(int(picture[-1, 0, 0]), [WHOLE_IMAGE])

    # Directly right, right, wrong, right; found in all but the last.
    stub = StubDetector(look)
    figures = study.measure(Study(StubClassifier(), stub, labelled(images, [0, 2, 5, 4]), {}))
    assert figures["found"] == {"share": 0.75, "count": 3, "n": 4}
    shares = {name: (of["accuracy"], of["n"]) for name, of in figures.items() if "accuracy" in of}
    two_thirds = pytest.approx(2 / 3)
    assert shares == {
        "redetected": (1.0, 3),
        "direct": (two_thirds, 3),
        "direct_without_face": (1.0, 1),
        "direct_all": (0.75, 4),
    }
    text = study.report(figures)
    assert "75.0 % (3 of 4)" in text and "66.7 %" in text and "+33.3 ± 33.3 points" in text


def test_the_command_line_where_no_face_is_found(dataset, tmp_path, capsys) -> None:
    out = tmp_path / "new" / "redetect.json"
    study.main(["--data", str(dataset), "--device", "cpu", "--out", str(out)])
    said = capsys.readouterr().out
    assert "21 images of PublicTest" in said and "0.0 % (0 of 21)" in said
    figures = json.loads(out.read_text())
    assert (figures["split"], figures["images"]) == ("public", 21)
    assert figures["redetected"]["accuracy"] is None
    assert figures["direct_all"] == figures["direct_without_face"]


def test_a_limit_takes_some_of_the_images_and_the_same_each_time(dataset, tmp_path, capsys) -> None:
    words = ["--data", str(dataset), "--device", "cpu", "--split", "test", "--limit", "5"]
    said = []
    for _ in range(2):
        study.main(words)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and "5 images of the folder test" in said[0]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--limit", "0"], 2), (["--data", "nowhere"], 3), (["--weights", "none.safetensors"], 6)],
)
def test_what_does_not_fit_is_one_sentence_and_an_exit_code(dataset, capsys, words, code) -> None:
    with pytest.raises(SystemExit) as end:
        study.main(["--data", str(dataset), "--device", "cpu", *words])
    assert end.value.code == code
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
