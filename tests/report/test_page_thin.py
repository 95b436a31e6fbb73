import base64

import numpy as np
import pandas as pd
import pytest

from emoscan.emotions import EMOTIONS
from emoscan.report.render import FULL_SCORE, TICKS_PER_S, encode
from emoscan.report.thin import Curve, curve_of, fitting, levels, thinned
from emoscan.timeline.durations import face_rows
from emoscan.timeline.read import read_timeline
from tests.report.page_samples import face, interview, nobody, write

FRAMES = 6_000


def long_curve(frames: int = FRAMES, kept: tuple[int, ...] = (), gaps: tuple[int, ...] = ()):
    """Random scores at 25 frames a second; a stretch ends before each frame in `gaps`."""
    random = np.random.default_rng(3)
    odds = random.random((frames, len(EMOTIONS)))
    index = np.arange(frames)
    rows = pd.DataFrame(odds / odds.sum(axis=1, keepdims=True), columns=list(EMOTIONS)).assign(
        source=pd.Categorical(["a.mp4"] * frames),
        track=pd.array([1] * frames, "Int32"),
        frame=index,
        time_s=index / 25 + sum((index >= gap) * 2.0 for gap in gaps),
        duration_s=0.04,
    )
    return curve_of(rows, kept_frames=kept, gap_s=0.3)


def mean(curve: Curve):
    return np.average(curve.scores, axis=0, weights=np.maximum(curve.duration_s, 1e-9))


@pytest.mark.parametrize("width_s", [0.1, 1.0, 7.3, 1e6])
def test_thinning_keeps_means_and_time(width_s):
    curve = long_curve(gaps=(1000, 1003))
    thin = thinned(curve, width_s)
    assert len(thin) < len(curve)
    np.testing.assert_allclose(mean(thin), mean(curve), atol=1e-8)
    assert thin.duration_s.sum() == pytest.approx(FRAMES * 0.04)
    np.testing.assert_allclose(thin.scores.sum(axis=1), 1)


def test_what_is_kept_is_never_averaged():
    curve = long_curve(kept=(0, 777, 5999))
    for level in levels(curve)[1:]:
        for frame in (0, 777, 5999):
            at = np.flatnonzero(np.isclose(level.time_s, frame / 25))
            assert len(at) == 1
            np.testing.assert_array_equal(level.scores[at[0]], curve.scores[frame])


def test_no_mean_reaches_over_a_gap():
    curve = long_curve(gaps=(1000,))
    thin = thinned(curve, 1e6)
    ends = np.flatnonzero(thin.ends)
    # Two stretches, each one mean and the point that closes it.
    assert ends.tolist() == [1, 3]
    np.testing.assert_allclose(thin.scores[0], curve.scores[:1000].mean(axis=0))


def test_a_single_frame_is_a_stretch_with_a_length(tmp_path):
    rows = [face(0, "happy"), *map(nobody, range(1, 50)), face(50, "sad"), face(51, "sad")]
    faces = face_rows(read_timeline(write(tmp_path / "t.parquet", rows)))
    curve = curve_of(faces, kept_frames=(), gap_s=0.3)
    assert curve.time_s.tolist() == pytest.approx([0, 0.04, 2, 2.04, 2.08])
    assert curve.ends.tolist() == [False, True, False, False, True]
    np.testing.assert_array_equal(curve.scores[0], curve.scores[1])


def test_a_face_that_is_away_breaks_the_curve(tmp_path):
    faces = face_rows(read_timeline(write(tmp_path / "t.parquet", interview())))
    first = faces[faces["track"] == 1].reset_index(drop=True)
    curve = curve_of(first, kept_frames=(), gap_s=0.3)
    # Away from 8 to 9 s; the five unreadable frames at 10 s are shorter than a gap.
    assert curve.time_s[curve.ends].tolist() == pytest.approx([8.0, 12.0])
    assert curve_of(first, kept_frames=(), gap_s=2.0).ends.sum() == 1
    assert curve_of(first, kept_frames=(), gap_s=0.0).ends.sum() == 3


def test_levels_become_few():
    found = levels(long_curve())
    assert [len(level) for level in found] == sorted((len(level) for level in found), reverse=True)
    assert len(found[0]) == FRAMES + 1 and len(found[-1]) <= 1_500
    assert len(levels(long_curve(frames=100))) == 1


def test_a_page_holds_only_so_many_points():
    curves = [long_curve(), long_curve(frames=3_000)]
    assert fitting(curves, most=10_000) == (curves, 0.0)
    fitted, width_s = fitting(curves, most=2_000)
    assert sum(map(len, fitted)) <= 2_000 and width_s > 0.04
    np.testing.assert_allclose(mean(fitted[0]), mean(curves[0]), atol=1e-8)


def test_what_must_be_kept_may_be_more_than_fits():
    curve = long_curve(frames=500, kept=tuple(range(500)))
    fitted, _ = fitting([curve], most=100)
    assert len(fitted[0]) == len(curve)


def test_stored_numbers_are_close_to_the_real_ones():
    curve = long_curve(frames=300, gaps=(100,))
    packed = encode(curve, start_s=0.0)
    ticks = np.frombuffer(base64.b64decode(packed["t"]), "<u4")
    scores = np.frombuffer(base64.b64decode(packed["p"]), "<u2").reshape(-1, len(EMOTIONS))
    np.testing.assert_allclose(ticks / TICKS_PER_S, curve.time_s, atol=1e-4)
    np.testing.assert_allclose(scores / FULL_SCORE, curve.scores, atol=1e-5)
    assert np.frombuffer(base64.b64decode(packed["ends"]), "<u4").tolist() == [100, 301]
