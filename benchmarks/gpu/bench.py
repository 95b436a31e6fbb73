"""What every section needs: how much is looked at, clocks, the results, a folder."""

import gc
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.speed.results import Results

MIN_FACE_PX = 40
# Of key frames where faces are followed between: what `auto` is on a GPU detects on each frame.
FOLLOWED_STRIDE = 10
BYTES_IN_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is looked at; each `…_s` is about how long a section may take.

    `rounds` is the most, and the deadline of a section may leave fewer: one at least. Of a clip
    `frames` are in memory at most, and `seen` a round; of the clip that is promised something
    `seen_first`, for its beginning and end, where not all are at work, to count little.
    `stream_s` is about how long one scan of files should last, and `most_video_s` how much of a
    video it looks at.
    """

    rounds: int = 7
    product_side: int = 8192
    copied_mb: int = 256
    frames: int = 360
    seen: int = 360
    seen_first: int = 1440
    plain_frames: int = 32
    frames_s: float = 80
    batches: tuple[int, ...] = (64, 256, 1024, 4096, 16384)
    batch_s: float = 0.2
    files_s: float = 170
    streams: tuple[int, ...] = (1, 16)
    shards: int = 4
    stream_s: float = 6
    most_video_s: float = 120
    every: int = 6
    reference_s: float = 10


QUICK = Effort(
    rounds=1,
    product_side=256,
    copied_mb=16,
    frames=8,
    seen=8,
    seen_first=16,
    plain_frames=2,
    frames_s=12,
    batches=(8, 32),
    batch_s=0.05,
    files_s=20,
    streams=(1, 2),
    shards=2,
    stream_s=0.2,
    most_video_s=1,
    every=60,
    reference_s=4,
)


@dataclass(frozen=True, slots=True)
class Deadline:
    """So many seconds from now on."""

    seconds: float
    _began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Whether they have passed."""
        return time.monotonic() - self._began > self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One run: `folder` is for what is made on the way, and goes with the run."""

    device: torch.device
    effort: Effort
    media: Path
    results: Results
    folder: Path

    @property
    def is_cuda(self) -> bool:
        """Whether there is a GPU; a CPU is for rehearsals."""
        return self.device.type == "cuda"

    @contextmanager
    def skipping(self, name: str) -> Iterator[None]:
        """What fails inside is said and noted, and the run goes on."""
        try:
            yield
        except Exception as error:  # whatever it is, the other figures are worth having
            traceback.print_exc()
            self.results.skip(name, f"{type(error).__name__}: {error}")
        else:
            return
        self.forget()

    def tries(self, name: str, do: Callable[[], object]) -> bool:
        """Whether `do` went well; else that is said and noted."""
        with self.skipping(name):
            do()
            return True
        return False

    def wake(self) -> None:
        """Have the device ready: torch counts memory only from its first use on."""
        torch.zeros(1, device=self.device)
        self.synchronise()

    def forget(self) -> None:
        """Free what the device holds for nobody."""
        gc.collect()
        if self.is_cuda:
            with suppress(RuntimeError):  # a device that has failed says so at every call
                torch.cuda.empty_cache()

    def synchronise(self) -> None:
        """Wait until the device has done all it was asked to do."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, do: Callable[[], object]) -> float:
        """How long `do` takes, until the device is at rest again."""
        self.synchronise()
        began = time.perf_counter()
        do()
        self.synchronise()
        return time.perf_counter() - began

    @contextmanager
    def peak_memory(self) -> Iterator[dict[str, float]]:
        """In the end, the most that tensors took on the device, and that torch kept for them."""
        peak: dict[str, float] = {}
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        yield peak
        if self.is_cuda:
            peak["allocated_mb"] = torch.cuda.max_memory_allocated(self.device) / BYTES_IN_MB
            peak["reserved_mb"] = torch.cuda.max_memory_reserved(self.device) / BYTES_IN_MB


@contextmanager
def bench(*, device: str, effort: Effort, media: Path, results: Results) -> Iterator[Bench]:
    """A bench with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(
            device=torch.device(device),
            effort=effort,
            media=media,
            results=results,
            folder=Path(folder),
        )
