"""What whoever makes a copy with hidden faces is told."""

import pytest

from emoscan.report.notes import visible_still
from tests.tracks import face, timeline


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ({"min_face": "40"}, "as do those smaller than 40 px, which"),
        ({"min_face": "5%"}, "as do those smaller than 5% of the frame's height, which"),
        ({"min_face": "5%", "max_faces": 2}, "5% of the frame's height or beside the 2 largest"),
    ],
)
def test_the_least_face_is_told_in_its_own_unit(tmp_path, options, limits) -> None:
    rows = timeline(tmp_path, [face(0, 0.0)])
    rows.attrs["options"] = options
    assert limits in visible_still(rows, "all of it")
