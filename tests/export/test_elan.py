"""ELAN's files, read as XML: by ELAN's schema 2.8 as far as it concerns what emoscan writes."""

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

import emoscan
from emoscan.errors import MissingPartError, UsageError
from tests.tracks import UNUSUAL, empty, face, two_episodes, unreadable, write

CHILDREN = [
    "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT",
    "CONTROLLED_VOCABULARY",
]  # fmt: skip


def exported(folder: Path, rows, **changes) -> ET.Element:
    table = write(folder / "interview.parquet", rows)
    emoscan.export_timeline(table, to="elan", out=folder / "out.eaf", **changes)
    return ET.parse(folder / "out.eaf").getroot()


def annotations(root: ET.Element, tier: str) -> list[tuple[int, int, str]]:
    times = {
        slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"])
        for slot in root.iter("TIME_SLOT")
    }
    (found,) = (item for item in root.iter("TIER") if item.attrib["TIER_ID"] == tier)
    return [
        (
            times[item.attrib["TIME_SLOT_REF1"]],
            times[item.attrib["TIME_SLOT_REF2"]],
            item.findtext("ANNOTATION_VALUE", ""),
        )
        for item in found.iter("ALIGNABLE_ANNOTATION")
    ]


def two_tracks():
    """Two faces at once: happy then sad, and sad then happy."""
    first = two_episodes()
    second = [face(row.frame, row.time_s, "fear", track=2) for row in first[10:40]]
    return sorted([*first, *second], key=lambda row: row.frame)


def test_episodes_are_annotations_within_a_frame(tmp_path) -> None:
    found = annotations(exported(tmp_path, two_episodes()), "track 1")
    assert [value for *_, value in found] == ["happy", "sad"]
    expected = emoscan_episodes(tmp_path / "interview.parquet")
    for (start, end, value), (onset_s, offset_s, emotion) in zip(found, expected, strict=True):
        assert value == emotion
        assert abs(start / 1000 - onset_s) <= 0.001 and abs(end / 1000 - offset_s) <= 0.001
    assert found[0][0] == 0 and found[1][1] == 2000
    assert abs(found[0][1] - 1000) <= 40


def emoscan_episodes(path):
    from emoscan.timeline.episodes import find_episodes

    episodes = find_episodes(emoscan.read_timeline(path))
    return list(zip(episodes["onset_s"], episodes["offset_s"], episodes["emotion"], strict=True))


def test_annotations_that_touch_share_their_time_and_never_overlap(tmp_path) -> None:
    rows = [face(i, i / 29.97, "happy" if i // 20 % 2 else "sad") for i in range(200)]
    found = annotations(exported(tmp_path, rows), "track 1")
    assert len(found) == 10
    assert all(before[1] == after[0] for before, after in pairwise(found))


def test_the_schemas_order_ids_and_references(tmp_path) -> None:
    root = exported(tmp_path, two_tracks())
    tags = [child.tag for child in root]
    assert list(dict.fromkeys(tags)) == CHILDREN and tags == sorted(tags, key=CHILDREN.index)
    assert [child.tag for child in root.find("HEADER")] == ["MEDIA_DESCRIPTOR", "PROPERTY"]
    slots = [slot.attrib["TIME_SLOT_ID"] for slot in root.iter("TIME_SLOT")]
    notes = [item.attrib["ANNOTATION_ID"] for item in root.iter("ALIGNABLE_ANNOTATION")]
    entries = [item.attrib["CVE_ID"] for item in root.iter("CV_ENTRY_ML")]
    ids = [*slots, *notes, *entries]
    assert len(ids) == len(set(ids)) and len(notes) == 3 and len(slots) == 6
    used = [
        item.attrib[f"TIME_SLOT_REF{side}"]
        for item in root.iter("ALIGNABLE_ANNOTATION")
        for side in (1, 2)
    ]
    assert sorted(used) == sorted(slots)
    types = {item.attrib["LINGUISTIC_TYPE_ID"]: item for item in root.iter("LINGUISTIC_TYPE")}
    for tier in root.iter("TIER"):
        kind = types[tier.attrib["LINGUISTIC_TYPE_REF"]]
        assert kind.attrib["TIME_ALIGNABLE"] == "true"
        (vocabulary,) = root.iter("CONTROLLED_VOCABULARY")
        assert kind.attrib["CONTROLLED_VOCABULARY_REF"] == vocabulary.attrib["CV_ID"]
    values = [item.text for item in root.iter("CVE_VALUE")]
    assert tuple(values) == emoscan.EMOTIONS


def test_time_slots_are_in_the_order_of_time_across_tiers(tmp_path) -> None:
    root = exported(tmp_path, two_tracks())
    times = [int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")]
    assert times == sorted(times) and len(set(times)) > 3
    assert [value for *_, value in annotations(root, "track 2")] == ["fear"]


def test_the_same_timeline_gives_the_same_file(tmp_path) -> None:
    exported(tmp_path, two_tracks())
    first = (tmp_path / "out.eaf").read_bytes()
    exported(tmp_path, two_tracks(), overwrite=True)
    assert (tmp_path / "out.eaf").read_bytes() == first
    assert not list(tmp_path.glob("*.bak")) and not list(tmp_path.glob(".emoscan*"))


def test_unusual_labels_survive(tmp_path) -> None:
    root = exported(tmp_path, two_episodes(label=UNUSUAL))
    (tier,) = root.iter("TIER")
    assert tier.attrib["TIER_ID"] == UNUSUAL and tier.attrib["PARTICIPANT"] == UNUSUAL


def test_labels_that_xml_cannot_hold_or_that_two_tracks_share(tmp_path) -> None:
    rows = [
        *(face(i, i * 0.04, track=1, label="A\x00B") for i in range(25)),
        *(face(i, i * 0.04, track=2, label="Anna") for i in range(25, 50)),
        *(face(i, i * 0.04, track=3, label="Anna") for i in range(50, 75)),
        *(face(i, i * 0.04, track=4, label="track 5") for i in range(75, 99)),
        *(face(i, i * 0.04, track=5, label="  ") for i in range(99, 120)),
    ]
    names = [tier.attrib["TIER_ID"] for tier in exported(tmp_path, rows).iter("TIER")]
    assert names == [
        "A�B", "Anna (track 2)", "Anna (track 3)", "track 5 (track 4)", "track 5",
    ]  # fmt: skip


def descriptor(root: ET.Element) -> dict[str, str]:
    (found,) = root.iter("MEDIA_DESCRIPTOR")
    return dict(found.attrib)


def test_the_video_beside_the_timeline_is_linked(tmp_path) -> None:
    (tmp_path / "clip.mp4").touch()
    assert descriptor(exported(tmp_path, two_episodes())) == {
        "MEDIA_URL": f"file://{tmp_path}/clip.mp4",
        "RELATIVE_MEDIA_URL": "./clip.mp4",
        "MIME_TYPE": "video/mp4",
    }


def test_a_named_video_elsewhere_is_linked_as_elan_reads_paths(tmp_path) -> None:
    """ELAN takes the URL's path character by character: %20 would be part of a name."""
    video = tmp_path / "day 1 & 2" / "Jörg – 100 % 映像.film"
    video.parent.mkdir()
    video.touch()
    (tmp_path / "eaf").mkdir()
    root = exported(tmp_path, two_episodes(), video=video)
    assert descriptor(root) == {
        "MEDIA_URL": f"file://{video}",
        "RELATIVE_MEDIA_URL": "./day 1 & 2/Jörg – 100 % 映像.film",
        "MIME_TYPE": "video/*",
    }
    table = tmp_path / "interview.parquet"
    emoscan.export_timeline(table, to="elan", out=tmp_path / "eaf" / "a.eaf", video=str(video))
    elsewhere = descriptor(ET.parse(tmp_path / "eaf" / "a.eaf").getroot())
    assert elsewhere["RELATIVE_MEDIA_URL"].startswith("../day 1 & 2/")


def test_a_video_that_is_not_found_is_said_and_expected_beside_the_eaf(tmp_path) -> None:
    table = write(tmp_path / "t.parquet", two_episodes())
    done = emoscan.export_timeline(table, to="elan", out=tmp_path / "a.eaf")
    (note,) = done.notes
    assert "clip.mp4 was not found" in note and "--video" in note
    root = ET.parse(tmp_path / "a.eaf").getroot()
    assert descriptor(root)["RELATIVE_MEDIA_URL"] == "./clip.mp4"
    with pytest.raises(UsageError, match=r"nowhere\.mp4 is not a file"):
        emoscan.export_timeline(table, to="elan", out=tmp_path / "b.eaf", video="nowhere.mp4")


def test_a_track_without_an_episode_is_an_empty_tier(tmp_path) -> None:
    rows = [face(i, i * 0.04, score=0.3) for i in range(20)] + [
        empty(20, 0.8),
        unreadable(21, None),
    ]
    assert annotations(exported(tmp_path, rows), "track 1") == []


def test_a_single_frame_and_episodes_shorter_than_a_millisecond(tmp_path) -> None:
    short = emoscan.EpisodeOptions(least_s=0, smoothing_s=0)
    assert annotations(exported(tmp_path, [face(0, 0.0)], episodes=short), "track 1") == [
        (0, 1, "happy")
    ]
    rows = [face(i, i * 1e-4, "happy" if i % 2 else "sad") for i in range(20)]
    found = annotations(exported(tmp_path, rows, episodes=short, overwrite=True), "track 1")
    assert len(found) == 20
    assert all(start < end for start, end, _ in found)
    assert all(before[1] <= after[0] for before, after in pairwise(found))


def test_pympi_reads_it(tmp_path) -> None:
    from pympi import Eaf

    exported(tmp_path, two_tracks())
    eaf = Eaf(str(tmp_path / "out.eaf"))
    assert list(eaf.get_tier_names()) == ["track 1", "track 2"]
    assert [item[2] for item in eaf.get_annotation_data_for_tier("track 1")] == ["happy", "sad"]


@pytest.mark.parametrize("kind", ["elan", "praat"])
def test_without_pympi_a_sentence_says_what_to_install(tmp_path, monkeypatch, kind) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pympi", None)
    table = write(tmp_path / "t.parquet", two_episodes())
    with pytest.raises(MissingPartError, match=r'pip install "emoscan\[report\]"'):
        emoscan.export_timeline(
            table, to=kind, out=tmp_path / f"a.{'eaf' if kind == 'elan' else 'TextGrid'}"
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.parquet"]
