from pathlib import Path

import pytest

from emoscan import RunOptions, ScanOptions
from emoscan.errors import UsageError
from emoscan.options import MinFace, Precision, parse_min_face, parse_time_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90.5", 90.5),
        ("1:30", 90),
        ("00:01:30", 90),
        ("1:00:00.25", 3600.25),
        (".5", 0.5),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_time_s(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1:2:3:4", "1:", "nan", "1e3", "1:90", "0:60:00"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="time"):
        parse_time_s(text)


def test_least_face() -> None:
    assert parse_min_face("40").in_px(1080) == 40
    assert parse_min_face("5%").in_px(1080) == 54
    assert [str(parse_min_face(text)) for text in ("40", "5%", "2.5%")] == ["40", "5%", "2.5%"]


@pytest.mark.parametrize("text", ["", "0", "-5", "x", "0%", "101%", "nan", "inf", "9"])
def test_least_faces_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="--min-face"):
        parse_min_face(text)


def test_a_share_never_asks_for_faces_too_small_for_the_network() -> None:
    assert MinFace(share=0.01).in_px(200) == 10
    with pytest.raises(UsageError):
        MinFace()


def test_plain_values_from_python_get_their_types() -> None:
    options = ScanOptions(min_face="5%", precision="bf16", weights="w.safetensors", end_s="1:30")
    assert options.end_s == 90
    assert options.min_face == MinFace(share=0.05) and options.precision is Precision.BF16
    assert ScanOptions(min_face=60).min_face == MinFace(px=60)
    assert RunOptions(format="csv", out=Path("x")).as_dict()["out"] == "x"
    with pytest.raises(UsageError, match="--precision"):
        ScanOptions(precision="fp8")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"fps": 0}, "--fps"),
        ({"every": 0}, "--every"),
        ({"fps": 5, "every": 2}, "not both"),
        ({"start_s": 5, "end_s": 5}, "--end"),
        ({"threshold": 1}, "--threshold"),
        ({"max_faces": 0}, "--max-faces"),
        ({"max_faces": 1.5}, "--max-faces"),
        ({"every": "2.5"}, "--every"),
        ({"start_s": -1}, "at least 0"),
        ({"end_s": float("nan")}, "at least 0"),
        ({"threshold": "high"}, "--threshold"),
    ],
)
def test_scan_options_that_make_no_sense(values, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        ScanOptions(**values)


def test_batches_hold_a_frame_at_least() -> None:
    with pytest.raises(UsageError, match="--batch-size"):
        RunOptions(batch_size=0)


def test_the_hash_tells_what_changes_rows() -> None:
    assert ScanOptions().sha256() == ScanOptions(min_face=MinFace(px=40)).sha256()
    changed = [
        ScanOptions(every=2),
        ScanOptions(precision=Precision.BF16),
        ScanOptions(max_faces=1),
    ]
    assert len({options.sha256() for options in [ScanOptions(), *changed]}) == 4
