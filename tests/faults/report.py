"""`make faults`: what was tried, as docs/faults.md. A plugin: `pytest -p tests.faults.report`.

Tests of faults that lie elsewhere, beside what they try, run with them and are counted as well.
"""

import platform
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import av

FAULT, TRIED, PASSES_WHEN, FIGURE = "fault", "tried", "passes_when", "figure"


@dataclass(frozen=True)
class Elsewhere:
    """A test outside of this folder that tries a fault."""

    test: str
    fault: str
    passes_when: str


RIGHT = "times and pixels are right"
REFUSED = "refused with its sentence"
ELSEWHERE = (
    Elsewhere(
        "tests/media/test_video.py::test_rotation",
        "videos rotated by 0, 90, 180 and 270°, mirrored or not",
        "the upright pixels are the original's",
    ),
    Elsewhere(
        "tests/media/test_images.py::test_exif_orientation",
        "photos with EXIF's orientations 1 to 8",
        "the upright pixels are the original's",
    ),
    Elsewhere(
        "tests/media/test_video.py::test_pixel_formats",
        "10 and 16 bits, alpha, gray, palettes, 4:4:4",
        RIGHT,
    ),
    Elsewhere(
        "tests/media/test_video.py::test_times_are_made_where_there_are_none",
        "no presentation times",
        "times are made, and the table says so",
    ),
    Elsewhere(
        "tests/media/test_video.py::test_video_that_starts_after_its_sound",
        "video that starts after its sound",
        RIGHT,
    ),
    Elsewhere(
        "tests/media/test_video.py::test_size_that_changes_on_the_way",
        "size that changes, times that begin anew in the middle",
        RIGHT,
    ),
    Elsewhere(
        "tests/media/test_process.py::test_frames_may_change_their_size_on_the_way",
        "size that changes, decoded in a process of its own",
        "as decoded without one",
    ),
    Elsewhere(
        "tests/media/test_video.py::test_a_size_that_grows_beyond_the_limit_is_unreadable",
        "size that grows beyond the limit in the middle",
        "those frames are unreadable, the others right",
    ),
    Elsewhere(
        "tests/media/test_process.py::test_a_process_that_ends_while_it_opens_a_file",
        "the decoder's process is killed while it opens a file",
        "that file fails, the next is read",
    ),
    Elsewhere(
        "tests/contract/test_writers.py::TestFullDisk",
        "a disk that is full at any step of writing a table",
        "no file that is not whole, every whole row kept where the format allows",
    ),
    Elsewhere(
        "tests/batch/test_machine.py::TestNights",
        "kills, lost tables and damaged parts in any order",
        "in the end the tables equal a clean run's",
    ),
    Elsewhere(
        "tests/emotion/test_checkpoint.py",
        "settings of weights that lack something or make no sense",
        REFUSED,
    ),
)


@dataclass
class Row:
    """One fault, over all of its tests."""

    passes_when: str
    runs: int = 0
    failures: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    figures: dict[str, None] = field(default_factory=dict)


class Report:
    """What has been tried so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}

    def pytest_runtest_logreport(self, report) -> None:
        """Count a test's call, and a fixture that failed before it."""
        if report.when != "call" and not (report.when == "setup" and report.outcome != "passed"):
            return
        facts = _facts(report)
        if facts is None:
            return
        row = self.rows.setdefault(facts[FAULT], Row(facts[PASSES_WHEN]))
        if report.skipped:
            row.skipped[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
            return
        row.runs += facts[TRIED]
        row.failures += report.failed
        row.figures |= {text: None for name, text in report.user_properties if name == FIGURE}

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        self.path.write_text("\n".join(self.lines()) + "\n", encoding="utf-8")

    def lines(self) -> Iterable[str]:
        """The page."""
        packages = ", ".join(f"{name} {version(name)}" for name in ("emoscan", "av", "pillow"))
        yield "# Faults that were tried"
        yield ""
        yield f"By `make faults` on {datetime.now(UTC):%Y-%m-%d}, with {packages},"
        yield f"FFmpeg {av.ffmpeg_version_info} and Python {platform.python_version()}"
        yield f"on {platform.system()} {platform.machine()}."
        yield "A test that fails counts as one failure, and ends the runs that it would have made."
        yield ""
        yield "| fault | runs | failures | passes when | figures |"
        yield "| --- | --- | --- | --- | --- |"
        for fault, row in self.rows.items():
            skipped = (f"{count} skipped: {why}" for why, count in row.skipped.items())
            cells = (
                fault,
                row.runs,
                row.failures,
                row.passes_when,
                "; ".join((*row.figures, *skipped)),
            )
            yield "| " + " | ".join(map(str, cells)) + " |"


def _facts(report) -> dict | None:
    facts = dict(report.user_properties)
    if FAULT in facts:
        return facts
    for elsewhere in ELSEWHERE:
        if report.nodeid.startswith(elsewhere.test):
            return {FAULT: elsewhere.fault, TRIED: 1, PASSES_WHEN: elsewhere.passes_when}
    return None


def pytest_addoption(parser) -> None:
    parser.addoption("--faults-report", type=Path, help="Write what was tried to this file.")


def pytest_configure(config) -> None:
    path = config.getoption("--faults-report")
    if path:
        config.args += [elsewhere.test for elsewhere in ELSEWHERE]
        config.pluginmanager.register(Report(path))
