"""Whatever metadata hold, reading a timeline gives it, or one sentence."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoscan.batch.identity import Fingerprint, Making
from emoscan.errors import UsageError
from emoscan.timeline.read import read_metadata, read_timeline
from emoscan.timeline.schema import METADATA_KEY, SCHEMA, SCHEMA_VERSION, metadata_path
from tests.json_values import JSON, NESTED

METADATA = st.binary(max_size=60) | (
    JSON | st.dictionaries(st.sampled_from(["schema_version", "media", "input", "model"]), JSON)
).map(lambda value: json.dumps(value).encode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("read")


def read_or_refused(path: Path) -> bool:
    """Whether it is read; no other error than UsageError comes."""
    try:
        metadata, frame = read_metadata(path), read_timeline(path)
    except UsageError as error:
        assert path.name in str(error) and "\n" not in str(error)
        return False
    assert isinstance(metadata, dict) and isinstance(frame, pd.DataFrame)
    # What a run that goes on asks of it.
    assert not Making("a", "b", SCHEMA_VERSION).of_metadata(metadata)
    Fingerprint.from_dict(metadata.get("input"))
    return True


def parquet_with(path: Path, metadata: bytes) -> Path:
    schema = SCHEMA.with_metadata({METADATA_KEY: metadata})
    pq.write_table(schema.empty_table(), path)
    return path


@given(METADATA)
@settings(deadline=None)
def test_the_footer_of_a_parquet_timeline(folder, metadata) -> None:
    read_or_refused(parquet_with(folder / "t.parquet", metadata))


@given(METADATA)
@settings(deadline=None)
def test_the_metadata_beside_json_lines(folder, metadata) -> None:
    path = folder / "t.jsonl"
    path.write_bytes(b"")
    metadata_path(path).write_bytes(metadata)
    read_or_refused(path)


@pytest.mark.parametrize("metadata", [NESTED, b"[1]", b"null", b"1e999", b"\xff"])
def test_metadata_that_are_none(tmp_path, metadata) -> None:
    assert not read_or_refused(parquet_with(tmp_path / "t.parquet", metadata))
    (tmp_path / "t.jsonl").touch()
    metadata_path(tmp_path / "t.jsonl").write_bytes(metadata)
    assert not read_or_refused(tmp_path / "t.jsonl")


@given(st.binary(max_size=300), st.sampled_from(["parquet", "csv", "jsonl"]))
@settings(deadline=None)
def test_bytes_that_are_no_table(folder, content, suffix) -> None:
    path = folder / f"b.{suffix}"
    path.write_bytes(content)
    read_or_refused(path)


@given(st.integers(0, 10**6), st.integers(0, 255))
@settings(deadline=None)
def test_a_parquet_timeline_with_one_byte_changed(folder, place, value) -> None:
    content = bytearray(parquet_with(folder / "whole.parquet", b'{"media": {}}').read_bytes())
    content[place % len(content)] = value
    path = folder / "changed.parquet"
    path.write_bytes(content)
    read_or_refused(path)
