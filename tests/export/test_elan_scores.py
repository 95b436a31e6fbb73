"""Scores as curves in ELAN: its configuration, its preferences, and what they point to."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest

import emoscan
from emoscan.emotions import EMOTIONS
from emoscan.errors import OutputError
from emoscan.palette import COLOURS
from tests.tracks import UNUSUAL, face, two_episodes, write


def rows():
    """Track 1 for two seconds, and track 2, which has a label, for one."""
    second = [face(i, i * 0.04, "fear", track=2, label="Jörg & Co") for i in range(25)]
    return sorted([*two_episodes(), *second], key=lambda row: row.frame)


def export(folder: Path, *, made=None, **changes):
    table = write(folder / "talk.parquet", made or rows())
    return emoscan.export_timeline(
        table, to="elan", out=folder / "talk.eaf", scores=True, **changes
    )


def names(done) -> list[str]:
    return [path.name for path in done.files]


def test_a_csv_each_track_a_configuration_and_preferences(tmp_path) -> None:
    done = export(tmp_path)
    assert names(done) == [
        "talk.eaf", "talk.track-1.csv", "talk.track-2-Jörg-Co.csv", "talk_tsconf.xml", "talk.pfsx",
    ]  # fmt: skip
    assert all(path.is_file() for path in done.files) and done.episodes == 3


def test_without_scores_there_is_the_eaf_alone(tmp_path) -> None:
    table = write(tmp_path / "talk.parquet", rows())
    emoscan.export_timeline(table, to="elan", out=tmp_path / "talk.eaf")
    assert {path.name for path in tmp_path.iterdir()} == {"talk.parquet", "talk.eaf"}


def test_every_source_is_linked_by_the_same_words(tmp_path) -> None:
    """ELAN draws the sources of the configuration that the document links, letter by letter."""
    folder = tmp_path / "day 1 & 2 ü"
    folder.mkdir()
    export(folder)
    links = [item.attrib for item in ET.parse(folder / "talk.eaf").iter("LINKED_FILE_DESCRIPTOR")]
    urls = [item["LINK_URL"] for item in links]
    assert urls[-1] == f"file://{folder}/talk_tsconf.xml"
    sources = [item.attrib for item in ET.parse(folder / "talk_tsconf.xml").iter("tracksource")]
    assert [item["source-url"] for item in sources] == urls[:-1]
    assert all(Path(url.removeprefix("file://")).is_file() for url in urls)
    assert [item["RELATIVE_LINK_URL"] for item in links] == [f"./{Path(url).name}" for url in urls]


def test_each_curve_is_the_column_of_its_class(tmp_path) -> None:
    done = export(tmp_path)
    sources = list(ET.parse(tmp_path / "talk_tsconf.xml").iter("tracksource"))
    assert len(sources) == 2
    for source, path in zip(sources, done.files[1:3], strict=True):
        columns = list(pd.read_csv(path).columns)
        assert columns[int(source.attrib["time-column"])] == "time_s"
        assert source.attrib["sample-type"] == "Discontinuous Rate"
        curves = list(source.iter("track"))
        found = [columns[int(item.find("sample-position/pos").attrib["col"])] for item in curves]
        assert tuple(found) == EMOTIONS
        for curve, emotion in zip(curves, EMOTIONS, strict=True):
            assert curve.attrib["name"].endswith(f" {emotion}")
            assert curve.find("range").attrib == {"min": "0.0", "max": "1.0"}
            red, green, blue = map(int, curve.findtext("color").split(","))
            assert f"#{red:02X}{green:02X}{blue:02X}" == COLOURS[emotion]


def test_panels_show_curves_that_there_are_those_longest_in_view_first(tmp_path) -> None:
    export(tmp_path)
    curves = [item.attrib["name"] for item in ET.parse(tmp_path / "talk_tsconf.xml").iter("track")]
    preferences = ET.parse(tmp_path / "talk.pfsx")
    assert preferences.findtext("pref[@key='TimeSeriesViewer.NumberOfPanels']/Int") == "2"
    shown = [
        [item.text for item in preferences.findall(f"prefList[@key='{key}']/String")]
        for key in ("TimeSeriesViewer.Panel-1", "TimeSeriesViewer.Panel-2")
    ]
    assert [name for panel in shown for name in panel] == curves
    assert shown[1][0] == "Jörg & Co angry"


def test_a_crowd_has_four_panels_and_all_its_curves(tmp_path) -> None:
    crowd = [face(i, i * 0.04, track=t) for i in range(25) for t in range(1, 7) if i < 4 * t]
    export(tmp_path, made=crowd)
    assert len(list(ET.parse(tmp_path / "talk_tsconf.xml").iter("track"))) == 6 * len(EMOTIONS)
    shown = [item.text for item in ET.parse(tmp_path / "talk.pfsx").iter("String")]
    assert [name for name in shown if name.endswith("angry")] == [
        "track 6 angry", "track 5 angry", "track 4 angry", "track 3 angry",
    ]  # fmt: skip


def test_unusual_labels_are_the_same_in_both_files(tmp_path) -> None:
    export(tmp_path, made=two_episodes(label=UNUSUAL))
    curves = {item.attrib["name"] for item in ET.parse(tmp_path / "talk_tsconf.xml").iter("track")}
    assert curves == {item.text for item in ET.parse(tmp_path / "talk.pfsx").iter("String")}
    assert f"{UNUSUAL} happy" in curves


def test_the_step_is_chosen(tmp_path) -> None:
    done = export(tmp_path, step_s=0.5)
    assert pd.read_csv(done.files[1])["time_s"].tolist() == [0.0, 0.5, 1.0, 1.5]


def test_preferences_of_the_user_stay_and_it_is_said(tmp_path) -> None:
    (tmp_path / "talk.pfsx").write_text("mine")
    done = export(tmp_path, overwrite=True)
    assert "talk.pfsx" not in names(done) and (tmp_path / "talk.pfsx").read_text() == "mine"
    assert any("talk.pfsx stays as it is" in note for note in done.notes)


def test_preferences_that_would_be_the_same_need_no_word(tmp_path) -> None:
    first = export(tmp_path)
    again = export(tmp_path, overwrite=True)
    assert names(again) == names(first)
    assert not any("talk.pfsx" in note for note in again.notes)


@pytest.mark.parametrize("name", ["talk.eaf", "talk.track-1.csv", "talk_tsconf.xml"])
def test_where_one_file_exists_none_is_written(tmp_path, name) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name} exists already; use --overwrite"):
        export(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"talk.parquet", name}
    assert len(export(tmp_path, overwrite=True).files) == 5
