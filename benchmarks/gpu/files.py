"""Frames a second from files to tables, by streams, beside decoding alone."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import emoscan
from benchmarks.gpu.bench import FOLLOWED_STRIDE, Bench, Deadline
from benchmarks.gpu.scanning import WARM_S, scan
from benchmarks.gpu.watch import GpuWatch
from benchmarks.speed.media import repeat
from benchmarks.speed.protocol import Answer, Worker
from benchmarks.speed.subjects import command
from emoscan.options import RunOptions, ScanOptions, Shard

FIRST_GUESS_FRAMES_PER_S = 400.0
# So many times as fast several streams are guessed to be at first, and measured again if they are
# faster still by as much.
FASTER_AT_ONCE = 4.0
ABOUT_FRAMES_PER_S = 30.0
LEAST_VIDEO_S = 2.0
# Several processes are guessed to be so much faster than one.
FASTER_IN_SHARDS = 2.0
SOURCES = {
    "talking_720p": "talking_720p.mp4",
    "talking_336p": "talking_336p.mp4",
    "street_1080p": "street_1080p.mp4",
}
FIRST = "talking_720p"
STRIDES: dict[str, int | None] = {"every frame": 1, "followed": FOLLOWED_STRIDE}
DECODERS: dict[str, int | None] = {"decode_auto": None, "decode_single": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many streams of a clip at once; `shards` processes share them where there are several."""

    clip: str
    streams: int
    how: str = "every frame"
    hwaccel: str = "none"
    shards: int = 1

    def __str__(self) -> str:
        extra = f", --hwaccel {self.hwaccel}" if self.hwaccel != "none" else ""
        extra += f", {self.shards} processes" if self.shards > 1 else ""
        return f"{self.clip} × {self.streams}, {self.how}{extra}"


def cases(bench: Bench) -> Iterator[Case]:
    """The most important first."""
    most = max(bench.effort.streams)
    for number in bench.effort.streams:
        yield Case(clip=FIRST, streams=number)
    yield Case(clip=FIRST, streams=most, shards=bench.effort.shards)
    for number in bench.effort.streams:
        yield Case(clip=FIRST, streams=number, hwaccel="cuda")
    for clip in SOURCES:
        if clip != FIRST:
            yield Case(clip=clip, streams=1)
            yield Case(clip=clip, streams=most)
    for number in bench.effort.streams:
        yield Case(clip=FIRST, streams=number, how="followed")


@dataclass(slots=True)
class Videos:
    """The clips, long enough, and copies of them under other names."""

    bench: Bench
    _made: dict[str, Path] = field(default_factory=dict)

    def long(self, clip: str) -> Path:
        """The clip again and again."""
        if clip not in self._made:
            out = self.bench.folder / f"{clip}.mp4"
            source = self.bench.media / SOURCES[clip]
            repeat(source, out, seconds=self.bench.effort.most_video_s)
            self._made[clip] = out
        return self._made[clip]

    def folder(self, clip: str, *, streams: int, shards: int = 1) -> Path:
        """A folder of so many; each shard of it has as many as the others."""
        folder = self.bench.folder / f"{clip}_{streams}_{shards}"
        if not folder.exists():
            folder.mkdir()
            for name in evenly_sharded(streams, shards=shards):
                os.link(self.long(clip), folder / name)
        return folder


def evenly_sharded(number: int, *, shards: int) -> list[str]:
    """Names of so many videos, of which every shard holds as many."""
    names: list[str] = []
    candidates = (f"video_{index:03}.mp4" for index in count())
    room = dict.fromkeys(range(1, shards + 1), number // shards)
    while any(room.values()):
        name = next(candidates)
        its = next(each for each in room if Shard(each, shards).holds(name))
        if room[its]:
            room[its] -= 1
            names.append(name)
    return names


def measure_files(bench: Bench) -> None:
    """Every case that the time allows."""
    deadline, videos = Deadline(bench.effort.files_s), Videos(bench)
    measured: list[dict[str, Any]] = []
    _scan(bench, [videos.long(FIRST)], Case(clip=FIRST, streams=1), video_s=WARM_S)
    with _decoders(bench) as decoders:
        for case in cases(bench):
            if deadline.is_over:
                bench.results.skip(f"files: {case}", "no time was left")
                continue
            with bench.skipping(f"files: {case}"):
                measured.append(_measured(bench, case, videos, decoders, before=measured))
                _say(case, measured[-1])
            bench.results.put("files", measured)


def _measured(
    bench: Bench,
    case: Case,
    videos: Videos,
    decoders: list[Worker],
    *,
    before: list[dict[str, Any]],
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": str(case),
        "clip": case.clip,
        "streams": case.streams,
        "how": case.how,
        "hwaccel": case.hwaccel,
        "processes": case.shards,
    }
    if case.shards > 1:
        found |= _in_shards(bench, case, videos, before=before)
    else:
        found |= _in_one_process(bench, case, videos, before=before)
    return found | _decoding(found, case, videos, decoders, before=before)


def _in_one_process(
    bench: Bench, case: Case, videos: Videos, *, before: list[dict[str, Any]]
) -> dict[str, Any]:
    """Once more with more of the videos, where it was over far too soon."""
    paths = [*videos.folder(case.clip, streams=case.streams).iterdir()]
    video_s = _first_video_s(bench, case, before)
    found = _scan(bench, paths, case, video_s=video_s)
    longer_s = min(bench.effort.most_video_s, video_s * bench.effort.stream_s / found["seconds"])
    again = longer_s > FASTER_AT_ONCE * video_s
    return _scan(bench, paths, case, video_s=longer_s) if again else found


def _first_video_s(bench: Bench, case: Case, before: list[dict[str, Any]]) -> float:
    """As much of each video as the speed of the cases before would look at in the time."""
    of_clip = [found for found in before if found["clip"] == case.clip]
    alike = [found["rate"] for found in of_clip if found["streams"] == case.streams]
    fewer = [found["rate"] for found in of_clip if found["streams"] < case.streams]
    guess: float = min(case.streams, FASTER_AT_ONCE) * (fewer or [FIRST_GUESS_FRAMES_PER_S])[-1]
    rate: float = alike[-1] if alike else guess
    if case.shards > 1:
        rate *= FASTER_IN_SHARDS
    video_s = rate * bench.effort.stream_s / case.streams / ABOUT_FRAMES_PER_S
    return min(bench.effort.most_video_s, max(LEAST_VIDEO_S, video_s))


def _scan(bench: Bench, paths: list[Path], case: Case, *, video_s: float) -> dict[str, Any]:
    options = ScanOptions(detector_stride=STRIDES[case.how], end_s=video_s)
    run = RunOptions(device=str(bench.device), workers=case.streams, hwaccel=case.hwaccel)
    single = len(paths) == 1
    out = bench.folder / ("timeline.parquet" if single else "timelines")
    bench.forget()
    with bench.peak_memory() as peak, GpuWatch(index=bench.device.index or 0) as watch:
        answer = scan(paths, out, options=options, run=run)
    found = _figures([answer]) | {"video_s": video_s, "memory": peak, "gpu": watch.summary}
    if single:
        found["decoded_by"] = emoscan.read_timeline(out).attrs["media"]["decoded_by"]
    return found


def _figures(answers: list[Answer]) -> dict[str, Any]:
    """From the first beginning to the last end."""
    frames = sum(answer["frames"] for answer in answers)
    began_s = min(answer["began_s"] for answer in answers)
    seconds = max(answer["ended_s"] for answer in answers) - began_s
    return {
        "frames": frames,
        "faces": sum(answer["faces"] for answer in answers),
        "seconds": seconds,
        "rate": frames / seconds,
        "cpu_ms": 1000 * sum(answer["cpu_s"] for answer in answers) / frames,
        "notes": sorted({note for answer in answers for note in answer["notes"]}),
    }


def _in_shards(
    bench: Bench, case: Case, videos: Videos, *, before: list[dict[str, Any]]
) -> dict[str, Any]:
    """As `emoscan video FOLDER --shard I/N` in N processes, whose libraries are loaded."""
    folder = videos.folder(case.clip, streams=case.streams, shards=case.shards)
    out, device = str(bench.folder / "sharded"), str(bench.device)
    video_s = _first_video_s(bench, case, before)
    words = [sys.executable, "-m", "benchmarks.gpu.scanning"]
    with ExitStack() as stack, ThreadPoolExecutor(case.shards) as pool:
        log = bench.folder / "shards.log"
        start = [pool.submit(Worker, words, log=log, hides_gpu=False) for _ in range(case.shards)]
        workers = [stack.enter_context(each.result()) for each in start]

        def warm(number: int) -> Answer:
            alone = str(bench.folder / f"warm_{number}.parquet")
            path = str(videos.long(case.clip))
            return workers[number - 1].ask("warm", path=path, out=alone, device=device)

        def shard(number: int) -> Answer:
            return workers[number - 1].ask(
                "shard",
                folder=str(folder),
                out=out,
                number=number,
                of=case.shards,
                workers=case.streams // case.shards,
                end_s=video_s,
                device=device,
            )

        numbers = range(1, case.shards + 1)
        list(pool.map(warm, numbers))
        with GpuWatch(index=bench.device.index or 0) as watch:
            answers = list(pool.map(shard, numbers))
    return _figures(answers) | {"video_s": video_s, "memory": {}, "gpu": watch.summary}


@contextmanager
def _decoders(bench: Bench) -> Iterator[list[Worker]]:
    """As many processes as there are streams at most, which wait to decode."""
    number = max(bench.effort.streams)
    words = command("decode", peers=Path())
    with ExitStack() as stack, ThreadPoolExecutor(number) as pool:
        log = bench.folder / "decoders.log"
        start = [pool.submit(Worker, words, log=log) for _ in range(number)]
        yield [stack.enter_context(each.result()) for each in start]


def _decoding(
    found: dict[str, Any],
    case: Case,
    videos: Videos,
    decoders: list[Worker],
    *,
    before: list[dict[str, Any]],
) -> dict[str, float]:
    """Frames a second of decoding the same alone; what is known already is not measured again."""
    for other in before:
        if (other["clip"], other["streams"]) == (case.clip, case.streams):
            return {name: other[name] for name in DECODERS}
    path = str(videos.long(case.clip))
    return {
        name: _decode_rate(
            decoders[: case.streams], path=path, seconds=found["video_s"], threads=threads
        )
        for name, threads in DECODERS.items()
    }


def _decode_rate(
    decoders: list[Worker], *, path: str, seconds: float, threads: int | None
) -> float:
    def decode(worker: Worker) -> Answer:
        return worker.ask("video", path=path, seconds=seconds, threads=threads)

    with ThreadPoolExecutor(len(decoders)) as pool:
        began_s = monotonic()
        frames = sum(answer["frames"] for answer in pool.map(decode, decoders))
        seconds = monotonic() - began_s
    rate: float = frames / seconds
    return rate


def _say(case: Case, found: dict[str, Any]) -> None:
    beside = max(found[name] for name in DECODERS)
    print(f"files: {case}: {found['rate']:.1f} frames/s; decoding {beside:.1f}", flush=True)
