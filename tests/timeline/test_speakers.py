import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emoscan.errors import UsageError
from emoscan.timeline.speakers import UNNAMED, Turn, read_speakers

ANNA, BEN = Turn(1.5, 4.0, "Anna"), Turn(62.25, 65.0, "Ben")

CSV = "start,end,speaker\n1.5,4,Anna\n00:01:02.25,1:05,Ben\n"
SRT = """1
00:00:01,500 --> 00:00:04,000
Anna: So: what do you think?

2
00:01:02,250 --> 00:01:05,000
[Ben] Not much.
"""
RTTM = """;; made by hand
SPEAKER talk 1 1.5 2.5 <NA> <NA> Anna <NA> <NA>
LEXEME talk 1 1.5 0.2 so lex Anna 0.9
SPEAKER talk 1 62.25 2.75 <NA> <NA> Ben <NA>
"""


def read(tmp_path, name: str, text: str | bytes) -> list[Turn]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_speakers(path)


@pytest.mark.parametrize(
    ("name", "text"), [("t.csv", CSV), ("t.srt", SRT), ("t.rttm", RTTM), ("T.SRT", SRT)]
)
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_three_formats_say_the_same(tmp_path, name, text, line_break, mark) -> None:
    assert read(tmp_path, name, mark + text.replace("\n", line_break)) == [ANNA, BEN]


@pytest.mark.parametrize(
    "text",
    [
        "\n\nstart;end;speaker\n1,5;4,0;Anna\n\n62.25;65;Ben\n",
        "Speaker\tStart\tEnd\tnote\nBen\t62.25\t65\t\nAnna\t1.5\t4\ta, b\n",
        'id,speaker,start,end\n1," Anna ",1.5,4\n2,Ben,62.25,65',
    ],
)
def test_spreadsheets_write_csv_in_many_ways(tmp_path, text) -> None:
    assert read(tmp_path, "t.csv", text) == [ANNA, BEN]


@pytest.mark.parametrize(
    ("spoken", "speakers"),
    [
        ("Anna: hello", ["Anna"]),
        ("ANNA:", ["ANNA"]),
        ("[Anna]: hello", ["Anna"]),
        ("[SPEAKER_00] hello", ["SPEAKER_00"]),
        ("<i><b>Dr. Anna Maria Ü:</b> hello</i>", ["Dr. Anna Maria Ü"]),
        ("{\\an8}Anna: hello", ["Anna"]),
        ("- Anna: yes\n- Ben: no\n- Anna: yes", ["Anna", "Ben"]),
        ("Anna: a long text\nthat goes on", ["Anna"]),
        ("小林：はい", ["小林"]),
        ("hello", [UNNAMED]),
        ("at 10:30 we go", [UNNAMED]),
        ("I said this, all of you: no", [UNNAMED]),
        ("these are far too many words: no", [UNNAMED]),
        ("", [UNNAMED]),
    ],
)
def test_names_in_subtitles(tmp_path, spoken, speakers) -> None:
    turns = read(tmp_path, "t.srt", f"1\n00:00:01,000 --> 00:00:02,000\n{spoken}\n")
    assert [turn.speaker for turn in turns] == sorted(speakers)


def test_overlapping_speech_is_legal_and_turns_are_in_order(tmp_path) -> None:
    turns = read(tmp_path, "t.csv", "start,end,speaker\n5,9,Ben\n0,7,Anna\n6,6,Carl\n")
    assert [turn.speaker for turn in turns] == ["Anna", "Ben", "Carl"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("t.csv", "", "line 1: the header lacks “start”"),
        ("t.csv", "start,end\n1,2\n", "line 1: the header lacks “speaker”"),
        ("t.csv", CSV + "5,six,Anna\n", "line 4: A time is .*not “six”"),
        ("t.csv", CSV + "5,4,Anna\n", "line 4: it ends, at 4 s, before it begins, at 5 s"),
        ("t.csv", CSV + "\n\n5,6\n", "line 6: it has 2 of the header's 3 columns"),
        ("t.csv", CSV + "5,6, \n", "line 4: the speaker has no name"),
        ("t.csv", CSV + "-5,6,Anna\n", "line 4: A time is"),
        ("t.csv", CSV + "0:75,6,Anna\n", "line 4: .*end at 59"),
        ("t.csv", CSV + "1" * 400 + ",6,Anna\n", "line 4: a time has far too many digits"),
        ("t.csv", CSV + '5,6,"two\nlines"\n7,x,Anna\n', "line 6: A time is"),
        ("t.csv", CSV.encode() + b"5,6,J\xf6rg\n", "line 4: this is no UTF-8"),
        ("t.csv", "start,end,speaker\n", "says of nobody that they speak"),
        ("t.srt", SRT + "\n3\nhello\n", "line 9: a time such as .* is missing: “3”"),
        ("t.srt", SRT + "\n3\n00:00:xx,000 --> 00:00:02,000\nA: b\n", "line 10: a time such as"),
        ("t.srt", SRT + "\n3\n00:00:02,000 --> 00:00:01,000\nA: b\n", "line 10: it ends"),
        ("t.srt", SRT + "\n3\n00:61:02,000 --> 00:62:01,000\nA: b\n", "line 10: .*end at 59"),
        ("t.srt", "\n", "says of nobody"),
        ("t.rttm", RTTM + "SPEAKER talk 1 1.5 2.5\n", "line 5: it names no speaker"),
        ("t.rttm", RTTM + "SPEAKER talk 1 x 1 <NA> <NA> Anna\n", "line 5: “x” is no number"),
        ("t.rttm", RTTM + "SPEAKER talk 1 1 -1 <NA> <NA> Anna\n", "line 5: “-1” is no number"),
        ("t.rttm", RTTM + "SPEAKER talk 1 1 1 <NA> <NA> <NA>\n", "line 5: it names no speaker"),
        ("t.rttm", RTTM + "SPEAKER b 1 1 1 <NA> <NA> C\n", "line 5: .*recordings .b, talk."),
        ("t.rttm", RTTM + "SPEAKER talk 1 1e308 1e308 x x A\n", "line 5: a time has far too many"),
        ("t.rttm", RTTM + "hello\n", "line 5: RTTM has no lines of the kind “hello”"),
        ("t.rttm", ";; nothing\n", "says of nobody"),
        ("t.txt", CSV, "takes .csv, .srt, .rttm"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, name, text, sentence) -> None:
    with pytest.raises(UsageError, match=sentence) as told:
        read(tmp_path, name, text)
    assert name in str(told.value)


def test_a_time_may_be_written_in_two_ways(tmp_path) -> None:
    (turn,) = read(tmp_path, "t.csv", "start,end,speaker\n103.623,00:01:43.623,Anna\n")
    assert turn.start_s == turn.end_s == 103.623


def test_a_file_that_is_not_there_and_a_folder(tmp_path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("gone.srt", "folder.csv", "a\0b.csv"):
        with pytest.raises(UsageError, match="cannot be read"):
            read_speakers(tmp_path / name)


PIECES = st.sampled_from(
    ["start,end,speaker", "00:00:01,000 --> 00:00:02,000", "SPEAKER a 1 1 2 <NA> <NA> A", "-->",
     "1", "1,2,Anna", "0:1", "[", "]", ":", '"', ";", "\n", "\n\n", "\r", "\0", "\x1c", "\u2028",
     "٣", "²", " ", "1e999", "<", "{\\", "Anna: hi", "SPEAKER"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=15).map("".join)


@settings(deadline=None, max_examples=150)
@given(suffix=st.sampled_from([".csv", ".srt", ".rttm"]), content=st.binary(max_size=80))
@example(suffix=".csv", content=b'start,end,speaker\n1,2,"' + b"a" * 200_000)
def test_any_bytes_give_turns_or_a_sentence(tmp_path_factory, suffix, content) -> None:
    check(tmp_path_factory, suffix, content)


@settings(deadline=None, max_examples=300)
@given(suffix=st.sampled_from([".csv", ".srt", ".rttm"]), text=TEXTS)
def test_any_text_gives_turns_or_a_sentence(tmp_path_factory, suffix, text) -> None:
    check(tmp_path_factory, suffix, text.encode("utf-8", "surrogatepass"))


def check(tmp_path_factory, suffix: str, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    path.write_bytes(content)
    try:
        turns = read_speakers(path)
    except UsageError as error:
        assert str(path) in str(error)
        return
    assert turns == sorted(turns)
    for turn in turns:
        assert 0 <= turn.start_s <= turn.end_s < float("inf")
        assert turn.speaker.strip() == turn.speaker != ""


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10_000_000),
            st.integers(0, 10_000_000),
            st.text(string.ascii_letters + "äß_-", min_size=1, max_size=12),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_what_is_read(tmp_path_factory, spoken) -> None:
    spoken = [(start, lasts, name) for start, lasts, name in spoken if not name.startswith("-")]
    spoken = spoken or [(0, 1, "A")]
    folder = tmp_path_factory.getbasetemp()
    texts = {".csv": ["start,end,speaker"], ".srt": [], ".rttm": []}
    for start, lasts, name in spoken:
        end = start + lasts
        texts[".csv"].append(f"{start / 1000},{clock(end).replace(',', '.')},{name}")
        texts[".srt"].append(f"7\n{clock(start)} --> {clock(end)}\n{name}: words\n")
        texts[".rttm"].append(f"SPEAKER t 1 {start / 1000} {lasts / 1000} x x {name} 1")
    for suffix, lines in texts.items():
        (folder / f"again{suffix}").write_text("\n".join(lines), "utf-8")
        turns = read_speakers(folder / f"again{suffix}")
        wanted = sorted((start / 1000, (start + lasts) / 1000, name)
                        for start, lasts, name in spoken)  # fmt: skip
        found = [(turn.start_s, turn.end_s, turn.speaker) for turn in turns]
        assert sorted(name for *_, name in found) == sorted(name for *_, name in wanted)
        for column in (0, 1):
            assert sorted(turn[column] for turn in found) == pytest.approx(
                sorted(turn[column] for turn in wanted)
            )


def clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{ms:03}"
