"""`python -m tests.faults.quick_command ARGUMENTS`: emoscan's command line without networks.

Slow enough that a signal meets it at work; `begins` on stdout says when that begins.
EMOSCAN_ANY_DISK lets it begin on a disk that is almost full.
"""

import os
import time

import emoscan.media.video
import emoscan.pipeline
import emoscan.plan
from emoscan.cli.app import main
from tests.batch.analyzers import QuickAnalyzer


class SlowAnalyzer(QuickAnalyzer):
    def video_rows(self, items, tracker, *, borders=()):
        for rows in super().video_rows(items, tracker, borders=borders):
            time.sleep(0.01)
            yield rows


if __name__ == "__main__":
    emoscan.pipeline.Analyzer = SlowAnalyzer
    emoscan.media.video.SEGMENT_S = 0.4
    if "EMOSCAN_ANY_DISK" in os.environ:
        emoscan.plan.LEAST_FREE_BYTES = 0
    print("begins", flush=True)
    main()
