"""`python -m tests.faults.quick_scan IN OUT [--resume]`: a scan without networks, to be killed."""

import sys
import time

import emoscan
import emoscan.media.video
import emoscan.pipeline
from emoscan.events import FramesDone
from tests.batch.analyzers import QuickAnalyzer
from tests.batch.conftest import run_options


def main(source: str, out: str, *words: str) -> None:
    """Slow enough that a kill meets it at work; says when the work begins."""
    emoscan.pipeline.Analyzer = QuickAnalyzer
    emoscan.media.video.SEGMENT_S = 0.4
    print("begins", flush=True)

    def slow(event) -> None:
        if isinstance(event, FramesDone):
            time.sleep(0.01)

    run = run_options(resume="--resume" in words)
    report = emoscan.scan(source, out, run=run, listener=slow)
    print(report.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
