import numpy as np
import pytest
import torch
from PIL import Image

from emoscan.emotion import classifier as classifier_module
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotions import EMOTIONS
from emoscan.errors import MissingPartError
from emoscan.options import Precision, Tta
from emoscan.runtime import choose_runtime
from emoscan.types import Faces, Frame
from tests.emotion.test_checkpoint import saved
from tests.pictures import ArrayPicture
from tests.real_data import FER2013


@pytest.fixture(scope="module")
def classifier() -> EmotionClassifier:
    return EmotionClassifier(choose_runtime("cpu"))


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (10, 48, 48), np.uint8)


def frame_with(count: int) -> tuple[Frame, Faces]:
    pixels = np.random.default_rng(count).integers(0, 256, (120, 160, 3), np.uint8)
    faces = Faces(
        boxes=np.array([[20 * i, 10, 20 * i + 60, 80] for i in range(count)], np.float32).reshape(
            -1, 4
        ),
        scores=np.ones(count, np.float32),
        landmarks=np.zeros((count, 5, 2), np.float32),
        tracks=np.zeros(count, np.int32),
        followed=np.zeros(count, np.bool_),
    )
    return Frame("x", 0, 0.0, 160, 120, ArrayPicture(pixels)), faces


def test_faces_are_classified_across_frames(classifier) -> None:
    frames, faces = zip(*(frame_with(count) for count in (2, 0, 3)), strict=True)
    together = classifier.classify(frames, faces)
    assert [len(emotions) for emotions in together] == [2, 0, 3]
    for frame, its_faces, emotions in zip(frames, faces, together, strict=True):
        alone = classifier.classify([frame], [its_faces])[0]
        assert np.allclose(alone.probabilities, emotions.probabilities, atol=1e-5)


def test_no_frames_and_no_faces(classifier) -> None:
    assert classifier.classify([], []) == []
    assert len(classifier.classify(*([item] for item in frame_with(0)))[0]) == 0


def test_the_temperature_is_the_checkpoints(classifier, crops) -> None:
    levels = torch.from_numpy(crops).unsqueeze(1).float() / 255
    norm = classifier.about.normalisation
    with torch.inference_mode():
        logits = classifier._logits((levels - norm.mean) / norm.std)
    expected = torch.softmax(logits / classifier.about.temperature, 1).numpy()
    assert np.allclose(classifier.classify_crops(crops).probabilities, expected, atol=1e-5)


def test_half_the_batch_when_the_device_runs_out(classifier, crops, monkeypatch) -> None:
    expected = classifier.classify_crops(crops).probabilities
    sizes = []
    real = EmotionClassifier._probabilities

    def short_of_memory(self, batch):
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("no memory left")
        return real(self, batch)

    monkeypatch.setattr(classifier_module, "BATCH_CROPS", 8)
    monkeypatch.setattr(EmotionClassifier, "_probabilities", short_of_memory)
    scarce = EmotionClassifier(choose_runtime("cpu"))
    assert np.allclose(scarce.classify_crops(crops).probabilities, expected, atol=1e-5)
    assert sizes[:2] == [8, 4]


def test_bf16_agrees_with_fp32(classifier, crops) -> None:
    rough = EmotionClassifier(choose_runtime("cpu", Precision.BF16)).classify_crops(crops)
    exact = classifier.classify_crops(crops)
    assert np.abs(rough.probabilities - exact.probabilities).max() < 0.05


def test_flipping_takes_the_mean_of_crops_and_mirrored_crops(classifier, crops) -> None:
    flipping = EmotionClassifier(choose_runtime("cpu"), tta=Tta.FLIP)
    plain, mirrored = (
        classifier.classify_crops(views).probabilities
        for views in (crops, np.ascontiguousarray(crops[:, :, ::-1]))
    )
    found = flipping.classify_crops(crops).probabilities
    assert np.allclose(found, (plain + mirrored) / 2, atol=1e-5)
    assert not np.allclose(found, plain, atol=1e-3)


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    with pytest.raises(MissingPartError, match="does not fit its network"):
        EmotionClassifier(choose_runtime("cpu"), saved(tmp_path))


@pytest.mark.skipif(not FER2013.is_dir(), reason="needs FER2013: set EMOSCAN_FER2013")
def test_the_shipped_weights_reach_their_stated_accuracy(classifier) -> None:
    paths = sorted(FER2013.glob("test/*/PrivateTest_*.jpg"))
    images = np.stack([np.asarray(Image.open(path)) for path in paths])
    labels = [EMOTIONS.index(path.parent.name) for path in paths]
    found = classifier.classify_crops(images).probabilities.argmax(1)
    stated = classifier.about.metrics["PrivateTest"]["accuracy"] * len(labels)
    assert abs((found == labels).sum() - stated) <= 3
