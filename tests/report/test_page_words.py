import json

import pytest

from emoscan.report import facts
from emoscan.report.words import clock, percent, shown, span
from emoscan.timeline.options import EpisodeOptions
from tests.report.page_samples import HOSTILE, METADATA


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.237, "0:03.24"), (59.999, "1:00.00"), (3723.5, "1:02:03.50"), (None, "–"), (0, "0:00.00")],
)
def test_times_are_a_players(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.423, "0.42 s"),
        (9.996, "10.0 s"),
        (59.96, "1 min 00 s"),
        (7_800, "2 h 10 min"),
    ],
)
def test_how_long(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.004, "<1 %"), (0.42, "42 %"), (0.997, ">99 %"), (1, "100 %")],
)
def test_shares_do_not_round_to_all_or_nothing(share, text):
    assert percent(share) == text


def test_what_turns_lines_around_is_shown():
    assert shown("a\u202eb\x1b[31m\n") == "a\\u202eb\\x1b[31m\\n"
    assert shown("映像 “früh”") == "映像 “früh”"


def test_options_are_told_in_words():
    told = dict(facts.option_facts(METADATA))
    assert told["Frames looked at"] == "all"
    assert told["Smallest face looked for"] == "40 px"
    assert "Frames a second looked at" not in told  # it was not set
    others = {"every": 3, "detector_stride": 5, "min_face": "5%", "start_s": 90.0, "tta": "flip"}
    told = dict(facts.option_facts({"options": others}))
    assert told["Frames looked at"] == "one of every 3"
    assert told["Smallest face looked for"] == "5% of the height"
    assert told["Looked at from"] == "1:30.00"


def test_media_are_told_with_units():
    told = dict(facts.media_facts(METADATA))
    assert told["Size"] == "640 × 360 px"
    assert told["Frame rate"] == "25.0 frames/s"
    assert "Turned by" not in told


@pytest.mark.parametrize("odd", [None, 3, "text", [1], {"width": None}, {"a": {"b": 1}}])
def test_metadata_that_somebody_edited_are_shown_or_left_out(odd):
    attrs = {"options": odd, "media": odd, "model": odd, "versions": odd, "device": odd}
    for of in (facts.media_facts, facts.option_facts, facts.program_facts):
        assert all(isinstance(value, str) for _, value in of(attrs))
    assert facts.damage(attrs) == []
    assert json.loads(facts.raw(attrs)) == attrs


def test_unknown_options_keep_their_names():
    assert facts.option_facts({"options": {"new_option": 3}}) == [("new option", "3")]
    told = facts.option_facts({"options": {"start_s": [1], "every": HOSTILE}})
    assert told[0] == ("Looked at from", "[1]")


def test_thresholds_are_told():
    told = dict(facts.episode_facts(EpisodeOptions(smoothing_s=0, emotion=("happy", "sad"))))
    assert (told["Smoothing"], told["Classes"]) == ("none", "happy, sad")
