"""Manifests: what is written is read, and nothing else is believed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoscan.batch.identity import Fingerprint
from emoscan.batch.manifest import Entry, Manifest, State, latest, planned_inputs, read_manifests
from emoscan.batch.status import read_status
from emoscan.errors import UsageError
from tests.json_values import JSON


def entry(source: str, state: State, **fields) -> Entry:
    return Entry(source=source, state=state, ended="2026-01-01T00:00:00.000+00:00", **fields)


def test_what_is_written_is_read(tmp_path) -> None:
    manifest = Manifest(tmp_path / "manifest.jsonl")
    written = [
        entry("a\udcff.mp4", State.DONE, rows=3, damage=("one.", "two.")),
        entry("b\n.mp4", State.FAILED, error="it is “bad”", error_class="MediaError"),
    ]
    manifest.begin(["a", "b"])
    for one in written:
        manifest.add(one)
    assert read_manifests(tmp_path) == written and planned_inputs(tmp_path) == ("a", "b")


def test_a_torn_line_costs_itself_alone(tmp_path) -> None:
    path = tmp_path / "manifest.jsonl"
    Manifest(path).add(entry("a.mp4", State.DONE))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    Manifest(path).add(entry("b.mp4", State.DONE))
    assert [one.source for one in read_manifests(tmp_path)] == ["a.mp4", "b.mp4"]


def test_a_skipped_attempt_hides_no_other() -> None:
    entries = [
        entry("a", State.FAILED),
        entry("a", State.SKIPPED),
        entry("b", State.FAILED),
        entry("b", State.DONE),
        entry("c", State.SKIPPED),
    ]
    states = {source: one.state for source, one in latest(entries).items()}
    assert states == {"a": State.FAILED, "b": State.DONE, "c": State.SKIPPED}


def test_a_clock_that_is_put_back_changes_no_order_within_a_file(tmp_path) -> None:
    def at(hour: int, source: str, state: State) -> Entry:
        return Entry(source=source, state=state, ended=f"2026-01-01T{hour:02}:00:00.000+00:00")

    one, other = (Manifest(tmp_path / f"manifest.{number}-of-2.jsonl") for number in (1, 2))
    one.add(at(1, "a", State.FAILED))
    one.add(at(9, "a", State.FAILED))
    one.add(at(3, "a", State.DONE))  # the clock had been six hours fast
    other.add(at(2, "b", State.FAILED))
    other.add(at(11, "b", State.DONE))
    assert latest(read_manifests(tmp_path))["a"].state is State.DONE
    order = [(entry.source, entry.state) for entry in read_manifests(tmp_path)]
    assert order[:2] == [("a", State.FAILED), ("b", State.FAILED)]


@given(st.lists(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode())))
def test_whatever_a_manifest_holds_is_entries_or_nothing(tmp_path_factory, lines) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    (folder / "manifest.jsonl").write_bytes(b"\n".join(lines))
    assert read_manifests(folder) == []
    assert all(isinstance(source, str) for source in planned_inputs(folder))


@given(st.dictionaries(st.sampled_from(Entry.__slots__), JSON), st.sampled_from(list(State)))
def test_an_entry_of_the_wrong_kind_is_none(tmp_path_factory, fields, state) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    whole = {"source": "a", "state": state.value, **fields}
    (folder / "manifest.jsonl").write_text(json.dumps(whole))
    for one in read_manifests(folder):
        assert isinstance(one.source, str) and isinstance(one.rows, int)
        read_status(folder).as_dict()


@given(JSON | st.dictionaries(st.sampled_from(Fingerprint.__slots__), JSON))
def test_a_fingerprint_of_anything_fits_nothing(fields) -> None:
    mine = Fingerprint(1, 2, "a" * 64)
    read = Fingerprint.from_dict(fields)
    assert not mine.fits(read) or read == mine


def test_without_a_manifest_there_is_no_status(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"manifest\.jsonl"):
        read_status(tmp_path)
