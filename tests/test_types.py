import numpy as np
import pytest

from emoscan.types import Emotions, Faces


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("boxes", np.zeros((1, 5), np.float32)),
        ("boxes", np.zeros((1, 4), np.float64)),
        ("scores", np.zeros(2, np.float32)),
        ("landmarks", np.zeros((1, 10), np.float32)),
        ("tracks", np.zeros(1, np.int64)),
        ("followed", np.zeros(1, np.int32)),
    ],
)
def test_faces_check_their_shapes(field: str, value: np.ndarray) -> None:
    arrays = {
        "boxes": np.zeros((1, 4), np.float32),
        "scores": np.zeros(1, np.float32),
        "landmarks": np.zeros((1, 5, 2), np.float32),
        "tracks": np.zeros(1, np.int32),
        "followed": np.zeros(1, np.bool_),
    }
    with pytest.raises(ValueError, match=f"{field} must be"):
        Faces(**arrays | {field: value})


def test_probabilities_sum_to_one() -> None:
    Emotions(np.full((2, 7), 1 / 7, np.float32))
    with pytest.raises(ValueError, match="sum to 1"):
        Emotions(np.full((2, 7), 0.5, np.float32))
