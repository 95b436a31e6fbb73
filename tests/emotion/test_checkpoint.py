import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from emoscan.emotion import checkpoint
from emoscan.emotion.checkpoint import (
    HEADER_KEY,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    shipped_weights,
)
from emoscan.emotion.crop import CropSettings, Normalisation
from emoscan.emotion.network import POOLED
from emoscan.emotions import EMOTIONS
from emoscan.errors import MissingPartError
from tests.json_values import HUGE, JSON, NESTED

ABOUT = Checkpoint(
    model_id="test",
    architecture=POOLED,
    labels=EMOTIONS,
    crop=CropSettings(),
    normalisation=Normalisation(0.5, 0.25),
    temperature=1.5,
    metrics={"PrivateTest": {"accuracy": 0.5}},
    training_data={"name": "none"},
)
CROP = asdict(ABOUT.crop)
STATE = {"weight": torch.arange(4.0)}


def saved(folder: Path, **changes: object) -> Path:
    """A checkpoint with some settings of its header changed; None removes one."""
    path = folder / "weights.safetensors"
    save_checkpoint(path, STATE, ABOUT)
    header = json.loads(_header(path)) | changes
    kept = {name: value for name, value in header.items() if value is not None}
    save_file(load_file(path), path, {HEADER_KEY: json.dumps(kept)})
    return path


def _header(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, "pt") as opened:
        return opened.metadata()[HEADER_KEY]


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path) -> None:
    loaded = load_checkpoint(saved(tmp_path))
    assert loaded.about == ABOUT
    assert torch.equal(loaded.state["weight"], STATE["weight"])
    assert loaded.sha256 == hashlib.sha256(loaded.path.read_bytes()).hexdigest()


def test_what_is_written_today_says_when_squares_are_turned(tmp_path) -> None:
    saved(tmp_path)
    header = json.loads(_header(tmp_path / "weights.safetensors"))
    assert header["crop"]["upright_beyond_deg"] == CropSettings().upright_beyond_deg
    other = saved(tmp_path, crop=CROP | {"upright_beyond_deg": 20.0})
    assert load_checkpoint(other).about.crop.upright_beyond_deg == 20


def test_older_weights_do_not_follow_todays_default(tmp_path, monkeypatch) -> None:
    older = {name: CROP[name] for name in ("side_px", "side_per_box_height")}
    monkeypatch.setitem(checkpoint.OLDER_CROP, "upright_beyond_deg", 33.0)
    assert load_checkpoint(saved(tmp_path, crop=older)).about.crop.upright_beyond_deg == 33
    assert load_checkpoint(saved(tmp_path)).about.crop == CropSettings()


@pytest.mark.parametrize(
    "setting",
    [field.name for field in fields(Checkpoint)],
)
def test_a_file_that_lacks_a_setting_is_refused(tmp_path, setting: str) -> None:
    with pytest.raises(MissingPartError, match=f"{setting} missing"):
        load_checkpoint(saved(tmp_path, **{setting: None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"crop": {"side_px": 48}},
        {"crop": CROP | {"upright_beyond_deg": -1}},
        {"crop": CROP | {"upright_beyond_deg": float("nan")}},
        {"crop": CROP | {"upright_beyond_deg": "12"}},
        {"crop": CROP | {"upright_beyond_deg": None}},
        {"normalisation": {"mean": 0.5}},
        {"normalisation": {"mean": 0.5, "std": 0}},
        {"temperature": 0},
        {"temperature": float("nan")},
    ],
)
def test_incomplete_or_senseless_settings_are_refused(tmp_path, changes) -> None:
    with pytest.raises(MissingPartError, match="incomplete emoscan settings"):
        load_checkpoint(saved(tmp_path, **changes))


def test_other_labels_or_networks_are_refused(tmp_path) -> None:
    with pytest.raises(MissingPartError, match="this emoscan runs"):
        load_checkpoint(saved(tmp_path, labels=list(EMOTIONS[::-1])))
    with pytest.raises(MissingPartError, match="vgg"):
        load_checkpoint(saved(tmp_path, architecture="vgg"))


def test_what_is_no_checkpoint_is_refused(tmp_path) -> None:
    with pytest.raises(MissingPartError, match="cannot be read"):
        load_checkpoint(tmp_path / "absent.safetensors")
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(MissingPartError, match="not a safetensors file"):
        load_checkpoint(tmp_path / "text")
    save_file(STATE, tmp_path / "bare")
    with pytest.raises(MissingPartError, match="no emoscan settings"):
        load_checkpoint(tmp_path / "bare")


def test_the_shipped_weights_say_what_they_are() -> None:
    loaded = load_checkpoint(shipped_weights())
    assert loaded.about.model_id == loaded.path.stem
    assert loaded.about.training_data["selected_on"] == "PublicTest"
    assert loaded.about.metrics["PrivateTest"]["accuracy"] >= 0.60
    assert all(tensor.dtype != torch.float32 for tensor in loaded.state.values())


def test_shipped_weights_that_were_exchanged_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "shipped_weights", lambda: saved(tmp_path))
    with pytest.raises(MissingPartError, match="install emoscan again"):
        checkpoint.load_weights(None)
    assert checkpoint.load_weights(saved(tmp_path)).about == ABOUT


def with_header(path: Path, header: str) -> Path:
    save_file(STATE, path, {HEADER_KEY: header})
    return path


def loaded_or_refused(path: Path) -> None:
    """Settings that can be worked with, or one sentence."""
    try:
        about = load_checkpoint(path).about
    except MissingPartError as error:
        assert path.name in str(error)
    else:
        assert isinstance(about.crop.side_px, int) and about.labels == EMOTIONS


WHOLE = json.loads(json.dumps(asdict(ABOUT)))


@given(st.dictionaries(st.sampled_from(sorted(WHOLE)), JSON), st.sampled_from([{}, WHOLE]))
@settings(deadline=None)
def test_whatever_the_header_holds(tmp_path_factory, changes, whole) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    loaded_or_refused(with_header(path, json.dumps(whole | changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": [1, 2]},
        {"temperature": HUGE},
        {"crop": {"side_px": 48.5, "side_per_box_height": 1}},
        {"crop": {"side_px": 10**9, "side_per_box_height": 1}},
        {"crop": CROP | {"upright_beyond_deg": HUGE}},
        {"metrics": 3},
    ],
)
def test_settings_that_nothing_can_be_done_with(tmp_path, changes) -> None:
    with pytest.raises(MissingPartError):
        load_checkpoint(with_header(tmp_path / "a", json.dumps(WHOLE | changes)))


@pytest.mark.parametrize("header", ["", "[]", "3", NESTED.decode(), '{"labels": '])
def test_headers_that_are_no_settings(tmp_path, header) -> None:
    with pytest.raises(MissingPartError):
        load_checkpoint(with_header(tmp_path / "a", header))
