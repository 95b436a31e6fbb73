"""Frames a second from decoded frames in memory, by stage, beside the plain loop."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from benchmarks.frame_rate import PlainLoop
from benchmarks.gpu.bench import FOLLOWED_STRIDE, MIN_FACE_PX, Bench, Deadline
from benchmarks.gpu.pixels import CLIPS, Clip, Shots, load
from emoscan.analyzer import Analyzer
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.faces.follow import FaceFollower, LookedAt
from emoscan.faces.mtcnn import FaceDetector
from emoscan.faces.track import Tracker
from emoscan.options import MinFace, RunOptions, ScanOptions
from emoscan.runtime import serving_runtime
from emoscan.types import Faces, Frame

MIN_FACE = MinFace(px=MIN_FACE_PX)
# The clip that is promised something gets this share of the time, the others share the rest.
FIRST_SHARE = 0.45
WARM_PLAIN_FRAMES = 3

T = TypeVar("T")
# What a way does with frames; what comes back is not looked at.
Way = Callable[[list[Frame]], object]


class Stages:
    """The networks, loaded once for all clips."""

    def __init__(self, bench: Bench) -> None:
        device = str(bench.device)
        runtime = serving_runtime(device)
        self.detector = FaceDetector(runtime, min_face=MIN_FACE)
        self.classifier = EmotionClassifier(runtime)
        self._plain = PlainLoop(min_face_px=MIN_FACE_PX, device=device)
        run = RunOptions(device=device)
        every = ScanOptions(detector_stride=1, min_face=MIN_FACE)
        self._every_frame = Analyzer(every, run)
        followed = ScanOptions(min_face=MIN_FACE, detector_stride=FOLLOWED_STRIDE)
        self._followed = Analyzer(followed, run)
        self.about = {"device": runtime.device_name, "precision": runtime.precision.value}

    def block_frames(self, shots: Shots) -> int:
        """In how many frames at once the detector is asked by those who look at every frame."""
        follower = FaceFollower(self.detector, stride=1)
        return len(next(follower.find(shots.frames())))

    def ways(self, faces: Sequence[Faces], *, block: int) -> dict[str, Way]:
        """By name; `faces` are those of the frames that they will see."""
        return {
            "rows_stride_1": partial(rows, self._every_frame),
            "detector": partial(detect, self.detector),
            "classifier": lambda frames: classify(self.classifier, frames, faces, block=block),
            "rows_followed": partial(rows, self._followed),
            "plain": lambda frames: self._plain.look_at_frames(frame.rgb() for frame in frames),
        }


def detect(detector: FaceDetector, frames: list[Frame]) -> list[Faces]:
    """The whole cascade on each frame."""
    found = FaceFollower(detector, stride=1).find(passed_on(frames))
    return [looked.faces for part in found for looked in part if isinstance(looked, LookedAt)]


def classify(
    classifier: EmotionClassifier, frames: Sequence[Frame], faces: Sequence[Faces], *, block: int
) -> None:
    """Classify known faces, as many frames at once as come from the detector."""
    for part, its_faces in zip(blocks(frames, block), blocks(faces, block), strict=True):
        classifier.classify(part, its_faces)


def rows(analyzer: Analyzer, frames: list[Frame]) -> int:
    """Detection or following, tracks, classes and rows; how many rows there are."""
    return sum(len(part) for part in analyzer.video_rows(passed_on(frames), Tracker()))


def passed_on(frames: list[Frame]) -> Iterator[Frame]:
    """The frames in their order, which the list holds no more: so they come from a decoder."""
    frames.reverse()
    while frames:
        yield frames.pop()


def blocks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """As many at once as `size`, in the end those that are left."""
    return (items[start : start + size] for start in range(0, len(items), size))


def measure_frames(bench: Bench) -> None:
    """Every clip that the time allows, the one that is promised something first."""
    deadline = Deadline(bench.effort.frames_s)
    stages = Stages(bench)
    measured: dict[str, Any] = {"about": stages.about, "clips": {}}
    bench.results.put("frames", measured)
    for number, clip in enumerate(CLIPS):
        if deadline.is_over:
            bench.results.skip(f"frames: {clip.name}", "no time was left")
            continue
        share = FIRST_SHARE if not number else (1 - FIRST_SHARE) / (len(CLIPS) - 1)
        seen = bench.effort.seen if number else bench.effort.seen_first
        with bench.skipping(f"frames: {clip.name}"):
            part_deadline = Deadline(share * bench.effort.frames_s)
            measured["clips"][clip.name] = found = {"title": clip.title}
            _measure_clip(bench, stages, clip, seen=seen, found=found, deadline=part_deadline)


def _measure_clip(
    bench: Bench,
    stages: Stages,
    clip: Clip,
    *,
    seen: int,
    found: dict[str, Any],
    deadline: Deadline,
) -> None:
    shots = load(clip, bench.media, count=bench.effort.frames)
    passes = max(1, seen // len(shots))
    block = stages.block_frames(shots)
    faces = passes * detect(stages.detector, shots.frames())
    found |= {
        "width": shots.width,
        "height": shots.height,
        "frames": passes * len(shots),
        "faces": sum(map(len, faces)),
        "block_frames": block,
        "ways": {},
    }
    ways = stages.ways(faces, block=block)
    for name in [*ways]:
        count = bench.effort.plain_frames if name == "plain" else found["frames"]
        count = min(count, found["frames"])
        found["ways"][name] = {"frames": count, "rates": [], "cpu_ms": []}
        warm_up = partial(_warm_up, ways[name], name, shots, passes=passes)
        if not bench.tries(f"frames: {clip.name}: {name}", warm_up):
            del ways[name]  # what cannot be done once is not tried again
    for _ in range(bench.effort.rounds):
        for name in [*ways]:
            its = found["ways"][name]
            measure = partial(_measure_way, bench, ways[name], shots, its, passes=passes)
            if not bench.tries(f"frames: {clip.name}: {name}", measure):
                del ways[name]
        bench.results.save()
        if deadline.is_over:
            break
    _say(clip, found)


def _warm_up(way: Way, name: str, shots: Shots, *, passes: int) -> None:
    """Every shape: kernels are loaded, memory is taken and work is recorded at the first ones."""
    frames = shots.frames(passes)
    way(frames[:WARM_PLAIN_FRAMES] if name == "plain" else frames)


def _measure_way(
    bench: Bench, way: Way, shots: Shots, found: dict[str, Any], *, passes: int
) -> None:
    count = found["frames"]
    frames = shots.frames(passes)[:count]
    began_s = time.process_time()
    with bench.peak_memory() as peak:
        seconds = bench.seconds(lambda: way(frames))
    found["cpu_ms"].append(1000 * (time.process_time() - began_s) / count)
    found["rates"].append(count / seconds)
    found["memory"] = {
        name: max(mb, found.get("memory", {}).get(name, 0.0)) for name, mb in peak.items()
    }


def _say(clip: Clip, found: dict[str, Any]) -> None:
    for name, way in found["ways"].items():
        if way["rates"]:
            rate = statistics.median(way["rates"])
            print(f"frames: {clip.title}: {name}: {rate:.1f} frames/s", flush=True)
