"""The parts of the benchmark, each of which fills one part of the results."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed.bench import Bench, ask
from benchmarks.speed.memory import MemoryWatch
from benchmarks.speed.protocol import Answer, Worker, WorkerError
from benchmarks.speed.quality import Quality, compare_tables
from benchmarks.speed.subjects import REFERENCE, SUBJECTS, VARIANTS, Subject

PHOTO_SUBJECTS = ("plain", "default", "torch")
CURVE_SUBJECTS = ("default", "stride_1")
PROFILED = ("default", "torch")
# Classes of smaller faces in the crowd are told by a few pixels.
CROWD_CLASS_MIN_PX = 40.0


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement of a round: `place` is where its rate belongs in the results."""

    place: tuple[str, ...]
    worker: str
    do: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " · ".join(self.place)


def speed(bench: Bench) -> None:
    """Frames a second of everyone, one after the other in each round."""
    cases = [case for name in SUBJECTS for case in _speed_cases(bench, SUBJECTS[name])]
    # All subjects on one clip, then on the next.
    in_rounds(bench, "speed", sorted(cases, key=lambda case: case.place[0], reverse=True))


def _speed_cases(bench: Bench, subject: Subject) -> Iterator[Case]:
    effort, clips = bench.effort, bench.clips
    seconds = effort.slow_s if subject.is_slow else effort.fast_s
    for clip, path in (("talking", clips.talking_720p), ("street", clips.street_720p)):
        arguments = {"path": path, "seconds": seconds, **subject.arguments}
        yield Case((clip, subject.name), subject.worker, "video", arguments)
    if subject.name in PHOTO_SUBJECTS:
        arguments = {"path": clips.photos(effort.photos)}
        yield Case(("photos", subject.name), subject.worker, "photos", arguments)


def curves(bench: Bench) -> None:
    """Frames a second against one property of the video or of what is looked for."""
    in_rounds(bench, "curves", [case for name in CURVE_SUBJECTS for case in _points(bench, name)])


def _points(bench: Bench, name: str) -> Iterator[Case]:
    effort, clips = bench.effort, bench.clips

    def case(axis: str, x: float, path: Path, **arguments: Any) -> Case:
        arguments = {"path": path, "seconds": effort.curve_s, **arguments}
        return Case((axis, name, f"{x:g}"), name, "video", arguments)

    for height in effort.heights_px:
        yield case("height_px", height, clips.talking(height=height, seconds=effort.curve_s))
    for faces in effort.faces:
        yield case("faces", faces, clips.tiled(faces=faces, seconds=effort.curve_s))
    for min_face_px in effort.min_faces_px:
        yield case("min_face_px", min_face_px, clips.talking_720p, min_face_px=min_face_px)
    for length_s in effort.lengths_s:
        path = clips.repeated(seconds=max(effort.lengths_s))
        yield case("length_s", length_s, path, seconds=length_s)


def in_rounds(bench: Bench, part: str, cases: list[Case]) -> None:
    """Every case once a round; the results are whole after each round."""
    measured: dict[str, Any] = {}
    with bench.team(case.worker for case in cases) as team:
        if "fer" in team:
            bench.results.put("peer_versions", team["fer"].ask("versions"))
        cases = [case for case in cases if case.worker in team]
        cases = [case for case in cases if _is_warm(bench, team[case.worker], case)]
        for number in range(1, bench.effort.rounds + 1):
            for case in cases:
                try:
                    answer = ask(team[case.worker], case.do, **case.arguments)
                except WorkerError as error:
                    bench.skip(str(case), error)
                    continue
                _note(measured, case.place, answer)
                print(f"round {number}: {case}: {_rate(answer):.1f} frames/s", flush=True)
            bench.results.put(part, measured)


def _is_warm(bench: Bench, worker: Worker, case: Case) -> bool:
    """Look at a few frames; False, with a word, for what cannot be measured."""
    if case.do != "video":
        return True
    try:
        ask(worker, "video", **case.arguments | {"seconds": bench.effort.warm_s})
    except WorkerError as error:
        bench.skip(str(case), error)
        return False
    return True


def _note(measured: dict[str, Any], place: tuple[str, ...], answer: Answer) -> None:
    for name in place:
        measured = measured.setdefault(name, {})
    measured |= {name: answer[name] for name in ("frames", "faces") if name in answer}
    measured.setdefault("rates", []).append(_rate(answer))


def _rate(answer: Answer) -> float:
    rate: float = answer["frames"] / answer["seconds"]
    return rate


def quality(bench: Bench) -> None:
    """Faces and classes of each variant against those of the reference."""
    clips = {
        "talking": (bench.clips.talking_720p, 0.0),
        "street": (bench.clips.street_720p, CROWD_CLASS_MIN_PX),
        "street_1080p": (bench.clips.street_1080p, CROWD_CLASS_MIN_PX),
    }
    with bench.team((REFERENCE, *VARIANTS)) as team:
        if REFERENCE not in team:
            return
        measured = {
            clip: _qualities(bench, team, path, class_min_px=class_min_px)
            for clip, (path, class_min_px) in clips.items()
        }
    bench.results.put("quality", measured)


def _qualities(
    bench: Bench, team: dict[str, Worker], path: Path, *, class_min_px: float
) -> dict[str, Any]:
    from emoscan import read_timeline

    tables = {name: bench.folder / f"{name}.parquet" for name in team}
    for name, worker in team.items():
        print(f"quality: {path.stem}: {name}", flush=True)
        ask(worker, "video", path=path, seconds=bench.effort.fast_s, out=tables[name])
    reference = read_timeline(tables.pop(REFERENCE))
    return {
        name: _as_json(compare_tables(reference, read_timeline(out), class_min_px=class_min_px))
        for name, out in tables.items()
    }


def _as_json(quality: Quality) -> dict[str, Any]:
    shares = {name: getattr(quality, name) for name in ("recall", "precision", "agreement")}
    return asdict(quality) | shares


def memory(bench: Bench) -> None:
    """Peaks of fresh processes: of each variant on the clip, of the default on long videos."""
    clip, part = bench.clips.talking_720p, bench.effort.fast_s
    variants = {name: peak for name in VARIANTS if (peak := _peak(bench, name, clip, part))}
    measured: dict[str, Any] = {"variants": variants, "lengths": []}
    bench.results.put("memory", measured)
    for minutes in bench.effort.minutes:
        video = bench.clips.repeated(seconds=60 * minutes)
        peak = _peak(bench, "default", video, None)
        video.unlink()
        measured["lengths"].append({"minutes": minutes, "peak": peak})
        bench.results.put("memory", measured)


def _peak(bench: Bench, name: str, path: Path, seconds: float | None) -> Answer | None:
    with bench.team([name]) as team:
        if name not in team:
            return None
        with MemoryWatch(team[name].pid) as watch:
            answer = ask(team[name], "video", path=path, seconds=seconds)
    print(f"memory: {path.stem}: {name}: {watch.peak_mb:.0f} MB", flush=True)
    return answer | {"peak_mb": watch.peak_mb}


def steps(bench: Bench) -> None:
    """Where the time goes, and how far that is from what the machine could do."""
    clips = {"talking": bench.clips.talking_720p, "street": bench.clips.street_720p}
    measured: dict[str, Any] = {}
    with bench.team(("decode", *PROFILED)) as team:
        if "decode" in team:
            measured["matrix_gflops"] = ask(team["decode"], "matrix")
        measured["clips"] = {
            clip: {name: _profile(bench, team[name], name, path) for name in team}
            for clip, path in clips.items()
        }
    bench.results.put("steps", measured)


def _profile(bench: Bench, worker: Worker, name: str, path: Path) -> Answer:
    """Of as many scans as there are rounds, the one of median speed."""
    do = "video" if name == "decode" else "profile"
    answers = []
    for number in range(bench.effort.rounds + 1):
        answer = ask(worker, do, path=path, seconds=bench.effort.fast_s)
        answers += [answer] if number else []  # the first one warms up
    answers.sort(key=_rate)
    middle = answers[len(answers) // 2]
    print(f"steps: {path.stem}: {name}: {_rate(middle):.1f} frames/s", flush=True)
    return middle


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "speed": speed,
    "quality": quality,
    "steps": steps,
    "memory": memory,
    "curves": curves,
}
