"""Figures: what is drawn is read back from matplotlib's own objects, and from the files."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.transforms import Bbox

import emoscan
from emoscan.emotions import EMOTIONS
from emoscan.palette import COLOURS
from emoscan.report.curves import score_curve
from emoscan.report.plot_style import DASHES, HATCHES, ORDER
from emoscan.report.time_axis import clock, time_ticks
from emoscan.timeline.durations import face_rows
from tests.tracks import UNUSUAL, empty, face, timeline, two_episodes, unreadable, write

LINES = emoscan.PlotOptions(style="lines")


def with_a_gap():
    rows = [face(i, i * 0.04) for i in range(25)]
    rows += [empty(i, i * 0.04) for i in range(25, 30)]
    return rows + [face(i, i * 0.04) for i in range(30, 50)]


def words(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_lines_are_the_smoothed_scores_and_break_at_gaps(tmp_path) -> None:
    (axes,) = emoscan.plot_timeline(timeline(tmp_path, with_a_gap()), LINES).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 7
    happy = next(line for line in curves if line.get_color() == COLOURS["happy"])
    times_s, scores = np.asarray(happy.get_xdata()), np.asarray(happy.get_ydata())
    (gap,) = np.flatnonzero(np.isnan(times_s))
    assert np.isnan(scores[gap])
    assert times_s[[0, gap - 1, gap + 1, -1]] == pytest.approx([0, 1.0, 1.2, 2.0])
    assert np.nanmin(scores) == pytest.approx(0.94)


def test_lines_are_named_where_they_run_above_the_others(tmp_path) -> None:
    """Seven lines alike in grayscale: whoever prints the figure reads which is which."""
    (axes,) = emoscan.plot_timeline(timeline(tmp_path, two_episodes()), LINES).axes
    in_panel = [text for text in axes.texts if text.get_position()[1] > 0]
    places = {text.get_text(): text.get_position() for text in in_panel}
    assert sorted(places) == ["happy", "sad"] and len(in_panel) == 2
    happy, sad = places["happy"], places["sad"]
    assert 0 < happy[0] < 1 < sad[0] < 2 and happy[1] < 0.94  # below: over it the panel ends


def test_no_name_lies_on_a_line_or_on_another_name(tmp_path) -> None:
    rng = np.random.default_rng(5)
    classes = rng.choice(["happy", "sad", "fear", "angry", "neutral"], 30)
    rows = [
        face(i, i * 0.04, str(classes[i // 25]), float(rng.uniform(0.3, 0.75)))
        if i % 200 < 190 else empty(i, i * 0.04)
        for i in range(750)
    ]  # fmt: skip
    figure = emoscan.plot_timeline(timeline(tmp_path, rows), LINES)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts if text.get_position()[1] > 0]
    assert len(boxes) >= 3
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    for box in boxes:
        assert sum(box.overlaps(other) for other in boxes) == 1
        for line in curves:
            xy = axes.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
            assert not (
                (xy[:, 0] > box.x0)
                & (xy[:, 0] < box.x1)
                & (xy[:, 1] > box.y0)
                & (xy[:, 1] < box.y1)
            ).any()


def test_lines_that_are_too_close_have_no_name(tmp_path) -> None:
    rows = [face(i, i * 0.04, score=1 / 7) for i in range(50)]
    (axes,) = emoscan.plot_timeline(timeline(tmp_path, rows), LINES).axes
    assert words(axes) == []


def test_even_a_single_missing_frame_is_a_gap(tmp_path) -> None:
    rows = [empty(i, i * 0.04) if i == 12 else face(i, i * 0.04) for i in range(25)]
    (axes,) = emoscan.plot_timeline(timeline(tmp_path, rows), LINES).axes
    times_s = np.asarray(max(axes.lines, key=lambda line: len(line.get_xdata())).get_xdata())
    assert np.isnan(times_s).sum() == 1


def test_frames_that_were_not_looked_at_are_no_gap(tmp_path) -> None:
    rows = [face(i * 25, i * 1.0) for i in range(10)]
    (axes,) = emoscan.plot_timeline(timeline(tmp_path, rows), LINES).axes
    times_s = np.asarray(max(axes.lines, key=lambda line: len(line.get_xdata())).get_xdata())
    assert not np.isnan(times_s).any()


def test_stacked_areas_add_up_to_one_and_leave_gaps_blank(tmp_path) -> None:
    (axes,) = emoscan.plot_timeline(timeline(tmp_path, with_a_gap())).axes
    areas = [item for item in axes.collections if isinstance(item, FillBetweenPolyCollection)]
    assert len(areas) == 7
    for item in areas:
        spans = [np.ptp(path.vertices[:, 0]) for path in item.get_paths()]
        assert len(spans) == 2 and max(spans) < 1.01
    tops = max(path.vertices[:, 1].max() for item in areas for path in item.get_paths())
    assert tops == pytest.approx(1.0)


def blocks_of(axes: Axes) -> list[Bbox]:
    """The episodes in the strip."""
    strips = [item for item in axes.collections if not isinstance(item, FillBetweenPolyCollection)]
    return [path.get_extents() for strip in strips for path in strip.get_paths()]


def test_episodes_are_blocks_below_with_their_class_written_in(tmp_path) -> None:
    rows = timeline(tmp_path, two_episodes())
    (axes,) = emoscan.plot_timeline(rows).axes
    blocks = sorted(blocks_of(axes), key=lambda block: block.x0)
    assert [(block.x0, block.width) for block in blocks] == [
        pytest.approx((0, 1.0), abs=0.05), pytest.approx((1.0, 1.0), abs=0.05),
    ]  # fmt: skip
    assert all(block.y1 < 0 for block in blocks)
    assert sorted(words(axes)) == ["happy", "happy", "sad", "sad"]  # in the areas, in the strip
    shown = emoscan.EpisodeOptions(emotion=("sad",))
    (axes,) = emoscan.plot_timeline(rows, episodes=shown).axes
    assert len(blocks_of(axes)) == 1


def test_where_no_word_fits_none_is_written(tmp_path) -> None:
    rows = [face(i, i * 0.04, "happy" if i % 2 else "sad", 0.99) for i in range(50)]
    raw = emoscan.EpisodeOptions(smoothing_s=0)
    (axes,) = emoscan.plot_timeline(timeline(tmp_path, rows), episodes=raw).axes
    assert words(axes) == []


def test_unreadable_stretches_are_marked_and_in_the_legend(tmp_path) -> None:
    rows = [face(i, i * 0.04) for i in range(25)]
    rows += [unreadable(i, i * 0.04) for i in range(25, 30)]
    rows += [face(i, i * 0.04, track=2) for i in range(30, 50)]
    figure = emoscan.plot_timeline(timeline(tmp_path, rows))
    for axes in figure.axes:
        (mark,) = (patch for patch in axes.patches if patch.get_hatch() == "xxxxxx")
        assert mark.get_x() == pytest.approx(1.0) and mark.get_width() == pytest.approx(0.2)
    assert figure.legends[0].get_texts()[-1].get_text() == "unreadable"
    whole = emoscan.plot_timeline(timeline(tmp_path, two_episodes()))
    assert [text.get_text() for text in whole.legends[0].get_texts()] == list(ORDER)
    assert "apparent expression" in whole.legends[0].get_title().get_text()


def test_classes_differ_without_colour() -> None:
    """Hatches and dashes, but where the eye has lightness: plain areas, lines of other widths."""
    assert len({str(dash) for dash in DASHES.values()}) == 6
    plain = [emotion for emotion, hatch in HATCHES.items() if not hatch]
    assert plain == ["neutral", "happy", "sad"]
    assert len(set(HATCHES.values())) == 5
    assert set(ORDER) == set(EMOTIONS)


def test_the_longest_tracks_are_drawn_and_the_others_named(run) -> None:
    rows = [face(i, i * 0.04, track=1 + i // 20) for i in range(130)]  # the last has 10 frames
    table = write(Path("t.parquet"), rows)
    result = run("plot", table, "--most", "2", "--json")
    done = json.loads(result.out)
    assert done["tracks"] == [1, 2] and done["left_out"] == [3, 4, 5, 6, 7]
    assert "2 of 7 tracks are drawn, those longest in view" in done["notes"][0]
    result = run("plot", table, "--overwrite", "--dpi", "50")
    assert "4 of 7 tracks" in result.err and "draws others: 5, 6, 7." in result.err
    named = run("plot", table, "--track", "7", "--track", "3", "--overwrite", "--json")
    assert json.loads(named.out)["tracks"] == [7, 3] and json.loads(named.out)["notes"] == []


def test_a_part_of_the_video(tmp_path) -> None:
    rows = [face(i, i * 0.04, track=1 + i // 50) for i in range(150)]
    part = emoscan.PlotOptions(start_s="0:02.5", end_s=3.5)
    figure = emoscan.plot_timeline(timeline(tmp_path, rows), part)
    assert [axes.get_title("left") for axes in figure.axes] == ["track 2"]
    assert figure.axes[0].get_xlim() == pytest.approx((2.5, 3.5))
    with pytest.raises(emoscan.EmoscanError, match="no face is in view"):
        emoscan.plot_timeline(timeline(tmp_path, rows), emoscan.PlotOptions(start_s=50))


def test_unusual_labels_are_one_line_and_no_formula(tmp_path) -> None:
    rows = timeline(tmp_path, two_episodes(label=UNUSUAL))
    options = emoscan.PlotOptions(out=tmp_path / "figure.svg")
    (axes,) = emoscan.plot_timeline(rows, options).axes
    title = axes.get_title("left")
    assert title.endswith("$1^2$ second line") and "\n" not in title
    assert "$1^2$" in (tmp_path / "figure.svg").read_text("utf-8")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_timeline_gives_the_same_file(tmp_path, suffix) -> None:
    rows = timeline(tmp_path, two_episodes())
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        emoscan.plot_timeline(rows, emoscan.PlotOptions(out=file, dpi=60))
    content = files[0].read_bytes()
    assert content == files[1].read_bytes()
    assert b"CreationDate" not in content and b"<dc:date>" not in content


def test_fonts_are_embedded_and_letters_stay_letters(tmp_path) -> None:
    rows = timeline(tmp_path, two_episodes(label="Anna"))
    for suffix in ("svg", "pdf"):
        emoscan.plot_timeline(rows, emoscan.PlotOptions(out=tmp_path / f"f.{suffix}"))
    assert ">Anna</text>" in (tmp_path / "f.svg").read_text("utf-8")
    pdf = (tmp_path / "f.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def test_the_size_is_what_was_asked_for(tmp_path) -> None:
    rows = timeline(tmp_path, two_episodes())
    figure = emoscan.plot_timeline(rows, emoscan.PlotOptions(width_cm=8.5, height_cm=6))
    assert figure.get_size_inches() * 2.54 == pytest.approx([8.5, 6])
    with pytest.raises(emoscan.EmoscanError, match="--height-cm 4 is too little for 4 tracks"):
        many = [face(i, i * 0.04, track=1 + i // 20) for i in range(130)]
        emoscan.plot_timeline(timeline(tmp_path, many), emoscan.PlotOptions(height_cm=4))


def test_a_long_track_is_thinned_and_its_peaks_stay(tmp_path) -> None:
    scores = [0.97 if i == 777 else 0.5 for i in range(2000)]
    rows = timeline(tmp_path, [face(i, i * 0.04, score=s) for i, s in enumerate(scores)])
    faces = face_rows(rows)
    place = EMOTIONS.index("happy")
    curve = score_curve(faces, apex_frames=[777], column_s=2.0)
    assert len(curve.times_s) == 40 + 2 and curve.is_thinned
    assert curve.scores[:, place].max() == pytest.approx(0.97)
    assert curve.times_s[[0, -1]] == pytest.approx([0, 80])
    flat = score_curve(faces, apex_frames=[], column_s=2.0)
    assert flat.scores[:, place].max() == pytest.approx(0.5 + 0.47 / 50)
    every = score_curve(faces, apex_frames=[], column_s=0.01)
    assert len(every.times_s) == 2002 and not every.is_thinned
    inside = every.at(np.array([-1.0, 31.1, 90.0]))[:, place]
    assert np.isnan(inside[[0, 2]]).all() and inside[1] == pytest.approx(0.97, abs=0.01)


def test_means_of_a_column_are_weighted_by_time(tmp_path) -> None:
    rows = [face(0, 0.0, score=0.2), face(1, 0.1, score=0.6), face(2, 0.4, score=0.9)]
    rows += [face(3, 0.8, score=0.9), empty(4, 1.2)]
    faces = face_rows(timeline(tmp_path, rows))
    curve = score_curve(faces, apex_frames=[], column_s=0.4)
    expected = (0.2 * 0.1 + 0.6 * 0.3) / 0.4
    assert curve.scores[1, EMOTIONS.index("happy")] == pytest.approx(expected, abs=1e-6)


def test_times_are_written_as_players_do() -> None:
    assert [clock(t, hours=False) for t in (0, 5, 65, 600)] == ["0:00", "0:05", "1:05", "10:00"]
    assert [clock(t, hours=True) for t in (65, 3600, 36610)] == ["0:01:05", "1:00:00", "10:10:10"]
    assert clock(59.96, hours=False, tenths=True) == "1:00.0"
    assert time_ticks(0, 15.4, most=10) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert time_ticks(3599, 7201, most=4) == [3600, 5400, 7200]
    assert time_ticks(0.04, 0.7, most=10) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])


def test_the_time_axis_has_hours_where_it_is_long(tmp_path) -> None:
    rows = timeline(tmp_path, [face(i, i * 30.0) for i in range(200)])
    (axes,) = emoscan.plot_timeline(rows).axes
    assert axes.get_xlabel() == "time (h:mm:ss)"
    assert "1:00:00" in [label.get_text() for label in axes.get_xticklabels()]


def test_photos_are_bars_of_shares(run) -> None:
    rows = [face(0, None, name, track=None, source=f"{i}.jpg")
            for i, name in enumerate(["happy", "happy", "sad", "angry"])]  # fmt: skip
    rows += [empty(0, None, source="x.jpg"), unreadable(0, None, source="y.jpg")]
    photos = write(Path("photos.csv"), rows)
    (axes,) = emoscan.plot_timeline(photos).axes
    shares = dict(zip(ORDER, [bar.get_width() for bar in axes.patches], strict=True))
    assert shares == dict.fromkeys(EMOTIONS, 0.0) | {"happy": 0.5, "sad": 0.25, "angry": 0.25}
    assert "50 % (2)" in " ".join(words(axes))
    assert axes.get_xlabel() == "share of 4 faces in 4 photos"
    assert run("plot", photos, "-o", "bars.pdf").code == 0
    for option in (("--track", "1"), ("--end", "5")):
        refused = run("plot", photos, "-o", "b.pdf", *option)
        assert refused.code == 2 and "Photos have no tracks and no time" in refused.err


def test_photos_without_a_face_are_refused_as_photos(run) -> None:
    nobody = write(Path("photos.csv"), [empty(0, None, source=f"{i}.jpg") for i in range(3)])
    result = run("plot", nobody, "-o", "bars.pdf")
    assert result.code == 2 and "No face was found in these photos" in result.err
    result = run("export", nobody, "--to", "praat")
    assert result.code == 2 and "photos have no time" in result.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--out", "f.jpg"), "“f.jpg” should end with .pdf, .svg or .png."),
        (("--track", "9"), "Track 9 is not in this timeline; there are: 1."),
        (("--most", "0"), "--most is at least 1, not 0."),
        (("--width-cm", "1"), "--width-cm lies between 4 and 120, not 1."),
        (("--dpi", "1"), "--dpi lies between 20 and 2400, not 1."),
        (("--start", "9", "--end", "0:05"), "--end must lie after --start."),
        (("--style", "pie"), "pie"),
    ],
)
def test_what_does_not_fit_is_one_sentence(run, words, sentence) -> None:
    table = write(Path("t.parquet"), two_episodes())
    result = run("plot", table, *words)
    assert result.code == 2 and sentence in result.err
    assert sorted(path.name for path in Path().iterdir()) == ["t.parquet"]


def test_empty_timelines_and_those_without_a_face_are_refused(run) -> None:
    for rows in ([], [empty(0, 0.0), empty(1, 0.04)], [unreadable(0, None)]):
        result = run("plot", write(Path("t.parquet"), rows))
        assert result.code == 2 and "holds no face that was tracked" in result.err


def test_a_single_frame_and_a_row_without_a_time(tmp_path) -> None:
    rows = timeline(tmp_path, [face(0, 0.0), unreadable(1, None)])
    (axes,) = emoscan.plot_timeline(rows).axes
    assert axes.get_xlim() == (0, 1)


def test_a_figure_is_replaced_only_when_asked(run) -> None:
    table = write(Path("t.parquet"), two_episodes())
    assert run("plot", table, "--dpi", "50").err == "t.png\n"
    result = run("plot", table)
    assert result.code == 7 and "t.png exists already; use --overwrite" in result.err
    assert run("plot", table, "--overwrite", "--quiet").err == ""
    assert sorted(path.name for path in Path().iterdir()) == ["t.parquet", "t.png"]


def test_drawing_leaves_matplotlibs_settings_alone(tmp_path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    emoscan.plot_timeline(timeline(tmp_path, two_episodes()))
    assert dict(mpl.rcParams) == before
