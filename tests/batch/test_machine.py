"""Whatever happens between runs: in the end the tables are those of a clean run."""

import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import emoscan
from emoscan.events import FramesDone
from emoscan.timeline.writers import _FileTable
from tests.batch.analyzers import QuickAnalyzer
from tests.batch.conftest import run_options
from tests.clips import even_times, noise_picture, write_clip

NAMES = ("a.mp4", "b.mp4")


class Killed(BaseException):
    pass


class Nights(RuleBasedStateMachine):
    """Runs that are stopped or killed, and a disk on which things are broken or lost."""

    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("emoscan.pipeline.Analyzer", QuickAnalyzer)
        self.patch.setattr("emoscan.media.video.SEGMENT_S", 0.2)
        self.folder = Path(mkdtemp(prefix="emoscan-nights-"))
        videos = self.folder / "in"
        videos.mkdir()
        first = write_clip(
            videos / NAMES[0],
            even_times(20),
            options={"g": "5", "sc_threshold": "0"},
            picture=noise_picture,
        )
        shutil.copy(first, videos / NAMES[1])
        emoscan.scan(videos, self.folder / "clean", run=run_options())

    def tables(self, name: str) -> list[Path]:
        return [self.folder / name / "timelines" / f"{source}.parquet" for source in NAMES]

    @rule(blocks=st.integers(1, 12), hard=st.booleans(), workers=st.integers(1, 2))
    def run_until_killed(self, blocks: int, hard: bool, workers: int) -> None:
        left = [blocks]

        def listen(event) -> None:
            left[0] -= isinstance(event, FramesDone)
            if left[0] == 0:
                raise Killed

        with pytest.MonkeyPatch.context() as patch:
            if hard:  # as if the process were gone: nothing is tidied up
                patch.setattr(_FileTable, "keep_partial", lambda *_: None)
                patch.setattr(_FileTable, "discard", lambda *_: None)
            with suppress(Killed):
                self.scan(workers=workers, listener=listen)

    @rule()
    def run_to_the_end(self) -> None:
        self.scan()

    @rule(place=st.integers(0, 5), length=st.integers(0, 400))
    def break_a_part(self, place: int, length: int) -> None:
        parts = sorted(self.folder.glob("out/timelines/.*.parts/*.part"))
        if parts:
            part = parts[place % len(parts)]
            part.write_bytes(part.read_bytes()[:length])

    @rule(which=st.sampled_from(range(len(NAMES))))
    def lose_a_table(self, which: int) -> None:
        self.tables("out")[which].unlink(missing_ok=True)

    @rule()
    @precondition(lambda self: (self.folder / "out" / "manifest.jsonl").exists())
    def lose_the_end_of_the_manifest(self) -> None:
        manifest = self.folder / "out" / "manifest.jsonl"
        manifest.write_bytes(manifest.read_bytes()[:-20])

    def scan(self, *, listener=lambda _: None, workers: int = 1) -> None:
        run = run_options(resume=True, workers=workers)
        emoscan.scan(self.folder / "in", self.folder / "out", run=run, listener=listener)

    def teardown(self) -> None:
        self.scan()
        for clean, table in zip(self.tables("clean"), self.tables("out"), strict=True):
            pd.testing.assert_frame_equal(
                emoscan.read_timeline(table), emoscan.read_timeline(clean), rtol=0, atol=0
            )
        left = {path.name for path in (self.folder / "out").rglob("*")}
        tables = {table.name for table in self.tables("out")}
        assert left == {*tables, "timelines", "manifest.jsonl", ".emoscan.lock"}
        shutil.rmtree(self.folder)
        self.patch.undo()


TestNights = Nights.TestCase
TestNights.settings = settings(
    max_examples=12,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
