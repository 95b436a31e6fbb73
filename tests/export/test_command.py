"""`emoscan export` as a user meets it."""

import json
from pathlib import Path

import pandas as pd
import pytest

import emoscan
from tests.tracks import empty, face, timeline, two_episodes, write


def test_each_format_by_default_names(run) -> None:
    table = write(Path("interview.emotions.parquet"), two_episodes())
    for kind, name in [
        ("elan", "interview.emotions.eaf"),
        ("praat", "interview.emotions.TextGrid"),
        ("wide", "interview.emotions.track-1.csv"),
        ("vtt", "interview.emotions.vtt"),
    ]:
        result = run("export", table, "--to", kind)
        assert (result.code, result.out) == (0, ""), result.err
        assert result.err.startswith(name) and Path(name).exists()
        again = run("export", table, "--to", kind)
        assert again.code == 7 and f"{name} exists already; use --overwrite" in again.err
        assert run("export", table, "--to", kind, "--overwrite").code == 0


def test_the_suffix_tells_the_format_and_says_what_was_written(run) -> None:
    table = write(Path("t.csv"), two_episodes())
    result = run("export", table, "--out", "new/folder/x.eaf")
    assert result.code == 0 and "x.eaf: 2 episodes of 1 track" in result.err
    assert "clip.mp4 was not found; ELAN will ask for the video" in result.err
    quiet = run("export", table, "--out", "y.eaf", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")


def test_json_is_one_object(run) -> None:
    table = write(Path("t.parquet"), two_episodes())
    done = json.loads(run("export", table, "-o", "x.TextGrid", "--json").out)
    assert done == {"files": ["x.TextGrid"], "tracks": 1, "episodes": 2, "notes": []}
    wide = json.loads(run("export", table, "--to", "wide", "--json").out)
    assert wide["files"] == ["t.track-1.csv"] and wide["episodes"] is None


def test_episodes_follow_the_options(run) -> None:
    table = write(Path("t.parquet"), two_episodes())
    result = run("export", table, "-o", "x.TextGrid", "--emotion", "sad")
    assert "1 episode of 1 track" in result.err
    result = run("export", table, "-o", "y.TextGrid", "--high", "0.99")
    assert "0 episodes of 1 track" in result.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Say with --to what to write: elan, praat, wide or vtt."),
        (("--to", "elan", "--out", "x.txt"), "“x.txt” should end with .eaf, for --to elan."),
        (("--to", "elan", "--track", "9"), "Track 9 is not in this timeline; there are: 1."),
        (("--to", "wide", "--source", "b.mp4"), "“b.mp4” is not in this timeline; it holds clip."),
        (("--to", "wide", "--step", "-1"), "--step is more than 0 seconds, not -1."),
        (("--to", "elan", "--video", "gone.mp4"), "--video gone.mp4 is not a file."),
        (("--to", "vtt", "--out", "-"), "An export is not streamed; name a file with --out."),
        (("--to", "excel"), "excel"),
        (("--to", "elan", "--apexes"), "--apexes is for --to praat, not elan."),
        (("--out", "x.csv", "--apexes"), "--apexes is for --to praat, not wide."),
        (("--to", "praat", "--step", "0.1"), "--step is for --to wide, or --to elan --scores, not"),
        (("--to", "elan", "--step", "0.1"), "--step is for --to wide, or --to elan --scores, not"),
        (("--to", "wide", "--scores"), "--scores is for --to elan, not wide."),
    ],
)
def test_what_does_not_fit_is_one_sentence(run, words, sentence) -> None:
    table = write(Path("t.parquet"), two_episodes())
    result = run("export", table, *words)
    assert result.code == 2 and sentence in result.err
    assert sorted(path.name for path in Path().iterdir()) == ["t.parquet"]


@pytest.mark.parametrize("kind", ["elan", "praat", "wide", "vtt"])
def test_photos_empty_timelines_and_those_without_a_face_are_refused(run, kind) -> None:
    photos = write(Path("photos.parquet"), [face(0, None, track=None)])
    result = run("export", photos, "--to", kind)
    assert result.code == 2 and "photos have no time" in result.err
    for rows in ([], [empty(0, 0.0)], [face(0, 0.0, track=None)]):
        nothing = write(Path("nothing.parquet"), rows)
        result = run("export", nothing, "--to", kind)
        assert result.code == 2 and "holds no face that was tracked" in result.err
    assert run("export", "gone.parquet", "--to", kind).code == 2


def test_of_several_videos_one_is_named(run) -> None:
    rows = [face(i, i * 0.04, source=name) for name in ("a.mp4", "b.mp4") for i in range(25)]
    table = write(Path("both.parquet"), rows)
    result = run("export", table, "--to", "praat")
    assert result.code == 2
    assert "holds 2 videos; choose one with --source: a.mp4, b.mp4" in result.err
    result = run("export", table, "--to", "praat", "--source", "b.mp4")
    assert result.code == 0 and "1 episode of 1 track" in result.err


def test_timelines_that_pandas_joined(tmp_path) -> None:
    first, second = (
        timeline(tmp_path, [face(i, i * 0.04, source=name) for i in range(25)])
        for name in ("a.mp4", "b.mp4")
    )
    joined = pd.concat([first, second])
    done = emoscan.export_timeline(joined, out=tmp_path / "b.TextGrid", source="b.mp4")
    assert (done.tracks, done.episodes) == (1, 1)
    assert emoscan.plot_timeline(joined, emoscan.PlotOptions(source="a.mp4")).axes


def test_from_python_unknown_changes_are_refused(tmp_path) -> None:
    table = write(tmp_path / "t.parquet", two_episodes())
    with pytest.raises(TypeError, match="colour"):
        emoscan.export_timeline(table, to="elan", colour="red")
