"""The page through the command line and from Python; what a browser makes of it is elsewhere."""

import base64
import hashlib
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import emoscan
from emoscan.errors import OutputError, UsageError
from emoscan.report.html import write_report
from tests.clips import even_times, write_clip
from tests.report.page_samples import HOSTILE, METADATA, face, interview, nobody, photos, write


class Parsed(HTMLParser):
    """Elements with their attributes, scripts' texts, and all text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def parsed(path: Path) -> Parsed:
    return Parsed(path.read_text("utf-8"))


def sentence(result) -> str:
    assert result.err.count("\n") == 1, result.err
    return result.err


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "interview.parquet", interview(label="Anna"))


def test_a_timeline_becomes_one_page(run, table):
    result = run("report", table, "--out", "page.html")
    assert result.code == 0 and result.out == ""
    assert "page.html: 1 timeline, 2 tracks, 4 episodes, " in sentence(result)
    page = parsed(Path("page.html"))
    assert page.attributes("html") == [{"lang": "en"}]
    for words in ("interview.mp4", "Anna", "Track 2", "12.0 s", "apparent expression",
                  "Every frame is stored", "640 × 360 px", "emoscan-resnet18-3"):  # fmt: skip
        assert words in page.text, words
    headings = [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1" and headings.count("h1") == 1


def test_json_is_one_object_on_stdout(run, table):
    result = run("report", table, "--json")
    report = json.loads(result.out)
    assert report["out"] == "report.html" and (report["tracks"], report["episodes"]) == (2, 4)
    assert report["size_bytes"] == Path("report.html").stat().st_size


def test_quiet_says_nothing(run, table):
    result = run("report", table, "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_page_that_exists_is_replaced_only_if_asked(run, table):
    Path("report.html").write_text("mine")
    result = run("report", table)
    assert result.code == 7 and "report.html exists already; use --overwrite" in sentence(result)
    assert Path("report.html").read_text() == "mine"
    assert run("report", table, "--overwrite").code == 0
    assert not list(Path().glob(".emoscan-*"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["t.parquet", "--out", "page.pdf"], 2, "A page's name ends in .html"),
        (["t.parquet", "--out", "-"], 2, "A page is not streamed"),
        (["t.parquet", "--high", "0.1"], 2, "0 < low ≤ high ≤ 1"),
        (["no.parquet"], 2, "no.parquet cannot be read: No such file"),
        (["v.mp4"], 2, "v.mp4 is a video, not a timeline: scan it first with emoscan video"),
        (["empty"], 2, "empty holds no timelines"),
        (["t.parquet", "--out", "t.parquet/page.html"], 7, "cannot be written"),
        (["t.parquet", "photos.csv", "--video", "none.mp4"], 5, "none.mp4"),
        (["photos.csv", "--video", "v.mp4"], 2, "--video goes with timelines of videos"),
        (["t.parquet", "--video", "none.mp4"], 5, "none.mp4"),
    ],
)
def test_what_does_not_fit_is_one_sentence(run, table, words, code, said):
    shutil.copy(table, "t.parquet")
    write(Path("photos.csv"), photos(), {})
    Path("empty").mkdir()
    result = run("report", *words)
    assert result.code == code, result.err
    assert said in sentence(result)
    assert not list(Path().rglob("*.html"))


def test_without_plotly_a_sentence_says_what_to_install(run, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    result = run("report", table)
    assert result.code == 6
    assert 'pip install "emoscan[report]"' in sentence(result)


def test_nothing_is_loaded_and_only_our_scripts_may_run(table, tmp_path):
    write_report(table, tmp_path / "page.html")
    page = parsed(tmp_path / "page.html")
    [policy] = [
        attributes["content"]
        for attributes in page.attributes("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert (
        policy.startswith("default-src 'none'; ")
        and "unsafe-inline" not in policy.split("style-src")[0]
    )
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in page.scripts
    ]
    # Plotly and ours; the data between them are no script.
    assert len(hashes) == 3 and re.findall(r"'sha256-(.*?)'", policy) == hashes[1:]
    assert page.attributes("script")[0]["type"] == "application/json"
    for _, attributes in page.elements:
        links = (attributes.get(name) for name in ("href", "src", "action", "data", "srcset"))
        assert all(link.startswith(("#", "data:image/jpeg")) for link in links if link)
        assert not any(name.startswith("on") for name in attributes)


def test_hostile_words_stay_words(tmp_path):
    media = {"codec": HOSTILE, HOSTILE: HOSTILE, "damage": [HOSTILE], "packets": HOSTILE}
    metadata = {"media": media, "options": {HOSTILE: HOSTILE}, "device": HOSTILE,
                "model": {"id": HOSTILE}, "versions": {HOSTILE: HOSTILE}, HOSTILE: 1}  # fmt: skip
    rows = interview(label=HOSTILE, source=HOSTILE)
    hostile = write(tmp_path / "t.parquet", rows, metadata)
    pictures = write(
        tmp_path / "p.parquet",
        [face(0, "happy", track=None, time_s=None, source=f"{HOSTILE}/{HOSTILE}.jpg")],
        metadata,
    )
    options = emoscan.ReportOptions(title=HOSTILE)
    write_report([hostile, pictures], tmp_path / "page.html", options=options)
    page = parsed(tmp_path / "page.html")
    plain = write(tmp_path / "plain.parquet", interview())
    write_report(plain, tmp_path / "plain.html")
    assert len(page.scripts) == len(parsed(tmp_path / "plain.html").scripts) == 3
    assert not page.attributes("img")
    assert "<img src=x onerror=window.stolen=2>" in page.text  # as text
    assert "{{7*7}}" in page.text and "\u202e" not in page.text and "\x00" not in page.text
    json.loads(page.scripts[0])


def test_each_histogram_has_its_own_heading(table, tmp_path):
    write_report(table, tmp_path / "a.html")
    page = parsed(tmp_path / "a.html")
    for heading in ("Height of the face", "Detection score", "Score of the likeliest class"):
        assert heading in page.text, heading


def test_several_timelines_have_an_index(run, table, tmp_path):
    folder = tmp_path / "tables"
    (folder / "day1").mkdir(parents=True)
    for name in ("day1/a.mp4", "b.mp4"):
        write(folder / f"{name}.parquet", interview(source=name))
    write(folder / "photos.csv", photos(), {"media": {"photos_read": 4}})
    result = run("report", folder)
    assert "3 timelines, 4 tracks" in sentence(result)
    page = parsed(Path("report.html"))
    cards = [each["href"] for each in page.attributes("a") if each.get("class") == "card"]
    ids = [each["id"] for each in page.attributes("details") if each.get("class") == "part"]
    assert cards == [f"#{name}" for name in ids] and len(cards) == 3
    for words in ("day1/a.mp4.parquet", "photos.csv", "5 photos, 4 faces"):
        assert words in page.text


def test_many_tracks_are_folded_and_said_to_be(tmp_path):
    rows = [face(i, "happy", track=track) for i in range(60) for track in range(1, 51)
            if i < 10 + track]  # fmt: skip
    write_report(write(tmp_path / "t.parquet", rows), tmp_path / "page.html")
    page = parsed(tmp_path / "page.html")
    assert "First come those that were seen longest; 4 are shown, the 36 after them folded" in (
        page.text
    )
    assert "10 more are a table" in page.text
    assert len([each for each in page.attributes("article") if each["class"] == "track"]) == 40


def test_long_lists_are_folded(tmp_path):
    rows = [face(i, "happy" if i // 10 % 2 else "sad") for i in range(2_500)]
    options = emoscan.EpisodeOptions(smoothing_s=0)
    write_report(write(tmp_path / "t.parquet", rows), tmp_path / "page.html", episodes=options)
    page = parsed(tmp_path / "page.html")
    assert "Show all 250 episodes" in page.text
    links = [each for each in page.attributes("a") if each.get("class") == "episode"]
    assert len(links) == 250
    assert [each for each in page.attributes("tbody") if "hidden" in each]


def test_of_very_many_episodes_the_highest_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("emoscan.report.parts.MOST_EPISODES", 3)
    rows = [face(i, "happy" if i // 10 % 2 else "sad", 0.7 + i / 1_000) for i in range(100)]
    options = emoscan.EpisodeOptions(smoothing_s=0)
    write_report(write(tmp_path / "t.parquet", rows), tmp_path / "page.html", episodes=options)
    page = parsed(tmp_path / "page.html")
    assert "10 episodes" in page.text and "Listed are the 3 with the highest peaks." in page.text
    links = [each for each in page.attributes("a") if each.get("class") == "episode"]
    assert [float(each["data-from"] or 0) for each in links] == [2.8, 3.2, 3.6]
    bars = [each["class"] for each in page.attributes("rect") if "data-from" in each]
    assert bars == ["happy", "sad", "happy"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_table_without_metadata(tmp_path, suffix):
    table = write(tmp_path / f"t.{suffix}", interview(), None)
    write_report(table, tmp_path / "page.html")
    text = parsed(tmp_path / "page.html").text
    assert f"no metadata are with t.{suffix}" in text and "12.0 s" in text


def test_photos_have_folders_and_no_time(tmp_path):
    write_report(write(tmp_path / "photos.parquet", photos(), {}), tmp_path / "page.html")
    page = parsed(tmp_path / "page.html")
    for words in ("By folder", "beach", "town/e.jpg", "unreadable", "75 %"):
        assert words in page.text
    assert len(page.scripts) == 1  # no curves, so no Plotly
    assert (tmp_path / "page.html").stat().st_size < 100_000


def test_nobody_in_the_video(tmp_path):
    rows = [nobody(index) for index in range(20)]
    damaged = METADATA | {"media": {"damage": ["It ends at 0.8 s, though it declares 9.0 s."]}}
    write_report(write(tmp_path / "t.parquet", rows, damaged), tmp_path / "page.html")
    text = parsed(tmp_path / "page.html").text
    assert "No face was found." in text
    assert "The video is damaged. It ends at 0.8 s" in text


def test_a_table_without_rows(tmp_path):
    write_report(write(tmp_path / "empty.csv", [], None), tmp_path / "page.html")
    assert "There are no rows in empty.csv." in parsed(tmp_path / "page.html").text
    full = write(tmp_path / "t.parquet", interview())
    write_report([full, tmp_path / "empty.csv"], tmp_path / "both.html")
    text = parsed(tmp_path / "both.html").text
    assert "There are no rows in empty.csv." in text and "Track 2" in text


def test_frames_in_memory_may_be_shown(tmp_path, table):
    timeline = emoscan.read_timeline(table)
    written = emoscan.write_report(timeline, tmp_path / "page.html")
    assert (written.timelines, written.tracks, written.faces_pictured) == (1, 2, 0)
    late = timeline[timeline["time_s"] > 9]
    assert emoscan.write_report([timeline, late], tmp_path / "two.html").timelines == 2
    with pytest.raises(OutputError, match="exists already"):
        emoscan.write_report(timeline, tmp_path / "two.html")
    with pytest.raises(UsageError, match=r"ends in \.html"):
        emoscan.write_report(timeline, tmp_path / "page")


def test_faces_are_stored_only_with_a_video(run, tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4", even_times(300), size=(640, 360))
    table = write(tmp_path / "t.parquet", interview(), {})
    assert run("report", table, "--out", "without.html").code == 0
    assert not parsed(Path("without.html")).attributes("img")
    result = run("report", table, "--out", "with.html", "--video", clip)
    assert result.code == 0 and "4 face pictures" in result.err, result.err
    page = parsed(Path("with.html"))
    sources = [each["src"] or "" for each in page.attributes("img")]
    assert len(sources) == 4 and all(each.startswith("data:image/jpeg") for each in sources)
    assert all(each["alt"] for each in page.attributes("img"))
    assert "This page stores pictures of faces." in page.text
    monkeypatch.setattr("emoscan.report.render.MOST_PICTURES", 2)
    result = run("report", table, "--out", "two.html", "--video", clip, "--json")
    assert json.loads(result.out)["faces_pictured"] == 2
    assert "the 2 with the highest peaks have one" in parsed(Path("two.html")).text
    other = write_clip(tmp_path / "other.mp4", even_times(30), size=(640, 360))
    result = run("report", table, "--out", "other.html", "--video", other)
    assert result.code == 2 and "was made from another video than" in result.err
    assert not Path("other.html").exists()


def test_more_points_than_a_page_holds_are_averaged_and_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr("emoscan.report.thin.fitting.__kwdefaults__", {"most": 100})
    write_report(write(tmp_path / "t.parquet", interview()), tmp_path / "page.html")
    assert "This page stores means over 0." in parsed(tmp_path / "page.html").text


def test_the_same_table_gives_the_same_page(table, tmp_path):
    write_report(table, tmp_path / "a.html")
    write_report(table, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
