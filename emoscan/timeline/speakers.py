"""Who speaks when, from a table, from subtitles or from a diarisation: CSV, SRT, RTTM."""

import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emoscan.errors import UsageError
from emoscan.options import parse_time_s

# Who speaks where subtitles name nobody: somebody, and nobody knows who.
UNNAMED = "unnamed"

CSV_COLUMNS = ("start", "end", "speaker")


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """Somebody speaks from `start_s` to `end_s`; turns of several people may overlap."""

    start_s: float
    end_s: float
    speaker: str


def read_speakers(path: str | os.PathLike[str]) -> list[Turn]:
    """The turns in a `.csv`, `.srt` or `.rttm` file in UTF-8, at least one, by their start.

    CSV (commas, semicolons or tabs) has the columns `start`, `end` and `speaker`, times in
    seconds or HH:MM:SS. In SRT a line begins with `Name:`, `[Name]` or `[Name]:`; cues that name
    nobody are UNNAMED's. Of RTTM (NIST's Rich Transcription Time Marked) the SPEAKER lines count.
    Raises UsageError that names the file and the line.
    """
    path = Path(path)
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise UsageError(f"--speakers takes {', '.join(_PARSERS)}; “{path}” is none of them.")
    try:
        turns = sorted(parse(_text(path)))
    except _LineError as error:
        raise UsageError(f"{path}, line {error.line}: {error}") from error
    if not turns:
        raise UsageError(f"{path} says of nobody that they speak; give another file.")
    return turns


class _LineError(Exception):
    """What is wrong in one line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {reason}.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _LineError(line, "this is no UTF-8; save the file as UTF-8.") from error


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines and their numbers; unlike `splitlines`, not broken where editors break none."""
    return list(enumerate(re.split(r"\r\n|\r|\n", text), start=1))


def _turn(line: int, start_s: float, end_s: float, speaker: str) -> Turn:
    name = " ".join(speaker.split())
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        raise _LineError(line, "a time has far too many digits.")
    if not name:
        raise _LineError(line, "the speaker has no name.")
    # To the microsecond: 0:01:43.623 and 103.623 are the same time.
    start_s, end_s = round(start_s, 6), round(end_s, 6)
    if end_s < start_s:
        raise _LineError(line, f"it ends, at {end_s:g} s, before it begins, at {start_s:g} s.")
    return Turn(start_s, end_s, name)


def _time_s(line: int, text: str) -> float:
    try:
        return parse_time_s(text)
    except UsageError as error:
        raise _LineError(line, str(error)) from error


def _parse_csv(text: str) -> Iterator[Turn]:
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = _csv_rows(text, delimiter)
    line, header = next(rows, (1, []))
    places = _places(line, header)
    for line, row in rows:
        if len(row) <= max(places):
            raise _LineError(line, f"it has {len(row)} of the header's {len(header)} columns.")
        start, end, speaker = (row[place] for place in places)
        if delimiter != ",":
            start, end = start.replace(",", "."), end.replace(",", ".")
        yield _turn(line, _time_s(line, start), _time_s(line, end), speaker)


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _LineError(line, f"this is no CSV: {error}.") from error
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row


def _places(line: int, header: list[str]) -> list[int]:
    names = [name.strip().lower() for name in header]
    missing = [name for name in CSV_COLUMNS if name not in names]
    if missing:
        raise _LineError(
            line,
            f"the header lacks “{missing[0]}”; the columns are {', '.join(CSV_COLUMNS)}.",
        )
    return [names.index(name) for name in CSV_COLUMNS]


_CUE = re.compile(r"\s*([\d:]+[,.]\d+)\s*-->\s*([\d:]+[,.]\d+)(?:\s.*)?", re.ASCII)
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_IN_BRACKETS = re.compile(r"\s*(?:[-–—]\s*)?\[([^\[\]]+)\]")
_BEFORE_COLON = re.compile(r"\s*(?:[-–—]\s*)?([^\s:：\[\]][^:：\[\]]{0,39})(?::(?=\s|$)|：)")
_MOST_WORDS_OF_A_NAME = 4


def _parse_srt(text: str) -> Iterator[Turn]:
    lines = _lines(text)
    place = 0
    while place < len(lines):
        line, content = lines[place]
        place += 1
        if not content.strip() or _numbers_a_cue(content, lines[place : place + 1]):
            continue
        start_s, end_s = _cue_times(line, content)
        spoken = []
        while place < len(lines) and lines[place][1].strip():
            spoken.append(lines[place][1])
            place += 1
        for name in _cue_speakers(spoken):
            yield _turn(line, start_s, end_s, name)


def _numbers_a_cue(content: str, following: list[tuple[int, str]]) -> bool:
    return content.strip().isdigit() and any("-->" in text for _, text in following)


def _cue_times(line: int, content: str) -> tuple[float, float]:
    cue = _CUE.fullmatch(content)
    if cue is None:
        raise _LineError(
            line, f"a time such as 00:01:02,500 --> 00:01:04,000 is missing: “{content[:60]}”."
        )
    start, end = (time.replace(",", ".") for time in cue.groups())
    return _time_s(line, start), _time_s(line, end)


def _cue_speakers(spoken: list[str]) -> list[str]:
    """Everyone a cue names, each once, in order; a line without a name goes on with the last."""
    names = [name for text in spoken if (name := _speaker_of(_MARKUP.sub("", text)))]
    return list(dict.fromkeys(names)) or [UNNAMED]


def _speaker_of(text: str) -> str | None:
    in_brackets = _IN_BRACKETS.match(text)
    if in_brackets:
        return in_brackets[1].strip() or None
    before_colon = _BEFORE_COLON.match(text)
    if before_colon is None:
        return None
    # “I said this, all of you: no” begins with no name.
    words = before_colon[1].split()
    is_name = len(words) <= _MOST_WORDS_OF_A_NAME and not re.search(r"[,;!?]", before_colon[1])
    return before_colon[1].strip() if is_name else None


_RTTM_NUMBER = re.compile(r"\d+(\.\d*)?([eE][-+]?\d+)?|\.\d+", re.ASCII)
_RTTM_OTHERS = {
    *("SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER"),
    *("EDIT", "SU", "IP", "CB", "A/P", "SPKR-INFO"),
}
_NAME_FIELD = 7


def _parse_rttm(text: str) -> Iterator[Turn]:
    recordings: set[str] = set()
    for line, content in _lines(text):
        fields = content.split()
        if not fields or content.lstrip().startswith(";") or fields[0] in _RTTM_OTHERS:
            continue
        if fields[0] != "SPEAKER":
            raise _LineError(line, f"RTTM has no lines of the kind “{fields[0][:60]}”.")
        if len(fields) <= _NAME_FIELD or fields[_NAME_FIELD] == "<NA>":
            raise _LineError(line, "it names no speaker; that is the eighth field.")
        recordings.add(fields[1])
        if len(recordings) > 1:
            names = ", ".join(sorted(recordings))
            raise _LineError(line, f"the file is of several recordings ({names}); keep one.")
        start_s, lasts_s = (_rttm_s(line, number) for number in fields[3:5])
        yield _turn(line, start_s, start_s + lasts_s, fields[_NAME_FIELD])


def _rttm_s(line: int, number: str) -> float:
    value = float(number) if _RTTM_NUMBER.fullmatch(number) else math.nan
    if not value < math.inf:
        raise _LineError(line, f"“{number[:60]}” is no number of seconds.")
    return value


_PARSERS: dict[str, Callable[[str], Iterator[Turn]]] = {
    ".csv": _parse_csv,
    ".srt": _parse_srt,
    ".rttm": _parse_rttm,
}
