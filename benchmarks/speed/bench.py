"""What every section needs: how much is looked at, the clips, the workers, the results."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.speed.media import Clips
from benchmarks.speed.protocol import Answer, Worker, WorkerError
from benchmarks.speed.results import Results
from benchmarks.speed.subjects import command

# What the threads of the worker before may go on spinning.
SETTLE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is looked at: `slow_s` by the slow peers, `fast_s` by all others, None is all.

    `curve_s` is the length of the clips behind the curves; `minutes` are the lengths between
    which memory may grow.
    """

    rounds: int = 5
    warm_s: float = 0.4
    slow_s: float = 3.0
    fast_s: float | None = None
    photos: int = 200
    minutes: tuple[float, ...] = (1, 10)
    curve_s: float = 5.0
    heights_px: tuple[int, ...] = (360, 480, 720, 1080)
    faces: tuple[int, ...] = (0, 1, 4, 8, 16)
    min_faces_px: tuple[int, ...] = (20, 40, 80, 160)
    lengths_s: tuple[float, ...] = (1, 3, 10, 30)


QUICK = Effort(
    rounds=1,
    warm_s=0.1,
    slow_s=0.1,
    fast_s=0.34,
    photos=3,
    minutes=(0.01, 0.3),
    curve_s=0.34,
    heights_px=(360, 720),
    faces=(1, 16),
    min_faces_px=(40, 160),
    lengths_s=(0.34, 0.68),
)
LONG_MINUTES = (5, 50)


class Bench:
    """One run of the benchmark, a context manager; its folder goes with it."""

    def __init__(self, *, effort: Effort, media: Path, peers: Path, results: Results) -> None:
        self.effort = effort
        self.results = results
        self._peers = peers
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.clips = Clips(media, self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def skip(self, name: str, error: Exception) -> None:
        """Say and note why something is not measured."""
        print(f"skipped: {name}: {error}", flush=True)
        self.results.skip(name, str(error))

    @contextmanager
    def team(self, names: Iterable[str]) -> Iterator[dict[str, Worker]]:
        """The workers that could be started; they have loaded their networks."""
        with ExitStack() as stack:
            team: dict[str, Worker] = {}
            for name in dict.fromkeys(names):
                try:
                    team[name] = stack.enter_context(self._started(name))
                except (WorkerError, OSError) as error:
                    self.skip(name, error)
            yield team

    def _started(self, name: str) -> Worker:
        words = command(name, peers=self._peers)
        if not Path(words[0]).exists():
            raise WorkerError("the peers are not installed: `make peers` does it")
        return Worker(words, log=self.folder / f"{name}.log")


def ask(worker: Worker, do: str, **arguments: Any) -> Answer:
    """One measurement, when the one before has come to rest; paths become text."""
    time.sleep(SETTLE_S)
    plain = {key: str(x) if isinstance(x, Path) else x for key, x in arguments.items()}
    return worker.ask(do, **plain)
