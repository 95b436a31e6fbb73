"""How well tracks keep to persons, and what the tracker costs.

    python -m benchmarks.tracking [--media DIR] [--seeds 5] [--first-seed 200] [--no-clips]

Three parts. Scenes as boxes: faces on known paths, seen as by a detector, with jitter, misses and
false faces, at several rates (a phone's varying one is marked ~). The same scenes as rendered
videos, through the whole of emoscan. And, with --media, real clips, where nobody knows the truth
but the eye: the rows of every track. IDF1 is over the faces that the detector found in the first
part, over all that are to be seen in the second; false faces count against it in both.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import emoscan
from benchmarks.tracking_clips import write_scene
from benchmarks.tracking_scenes import Scene, Sight, scenes, sights, true_boxes
from benchmarks.tracking_scores import IdentityScores, Labelled, identity_scores
from emoscan.faces.boxes import Boxes
from emoscan.faces.track import Tracker
from emoscan.faces.view import NO_VIEW
from emoscan.types import NO_TRACK, Faces

RATES: tuple[float, ...] = (30, -30, 12, 5, 2)
CLIPS = (
    "looks away",
    "a hand for 0.3 s",
    "a hand for 0.8 s",
    "leaves and comes back",
    "cuts",
    "two who cross",
    "two who meet and part",
    "crowd",
)
REAL_CLIPS = ("talking_720p.mp4", "neutral_to_happy_360p.mp4", "street_1080p.mp4")


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, help="a folder with the real clips")
    parser.add_argument("--seeds", type=int, default=5, help="how many variants of each scene")
    parser.add_argument("--first-seed", type=int, default=200)
    parser.add_argument("--no-clips", action="store_true", help="leave the rendered videos out")
    args = parser.parse_args()
    measure_scenes(range(args.first_seed, args.first_seed + args.seeds))
    measure_cost()
    if not args.no_clips:
        measure_clips()
    if args.media:
        measure_real_clips(args.media)


def measure_scenes(seeds: Sequence[int]) -> None:
    """Print a line for each scene and rate."""
    total: dict[tuple[str, bool, float], IdentityScores] = defaultdict(IdentityScores)
    for seed in seeds:
        for scene in scenes(seed):
            for rate in RATES:
                total[scene.name, scene.crosses, rate] += tracked_scene(scene, rate, seed=seed)
    print(f"Scenes as boxes, {len(seeds)} variants: IDF1, switches, mixed tracks")
    print(" " * 40 + "".join(f"{_rate_name(rate):>16}" for rate in RATES))
    for name, crosses in dict.fromkeys(key[:2] for key in total):
        _print_line(name, [total[name, crosses, rate] for rate in RATES])
    for crosses, name in ((False, "all where nobody crosses"), (True, "all where some do")):
        _print_line(
            name,
            [
                _sum(scores for key, scores in total.items() if key[1:] == (crosses, rate))
                for rate in RATES
            ],
        )


def tracked_scene(scene: Scene, rate: float, *, seed: int) -> IdentityScores:
    """One scene at one rate."""
    tracker, shot = Tracker(), 0
    truth: list[Labelled] = []
    found: list[Labelled] = []
    for sight in sights(scene, rate, seed=seed):
        shot += sight.cut
        tracked = tracker.update(as_faces(sight), time_s=sight.time_s, view=np.roll(NO_VIEW, shot))
        real = sight.owners >= 0
        truth.append(Labelled(sight.boxes[real], sight.owners[real]))
        found.append(Labelled(sight.boxes, tracked.tracks))
    return identity_scores(truth, found)


def as_faces(sight: Sight) -> Faces:
    """What the detector would hand to the tracker."""
    count = len(sight.boxes)
    return Faces(
        sight.boxes,
        sight.scores,
        np.zeros((count, 5, 2), np.float32),
        np.full(count, NO_TRACK, np.int32),
        np.zeros(count, np.bool_),
    )


def measure_cost() -> None:
    """Print what one update takes of a processor's time, in the crowd."""
    crowd = next(scene for scene in scenes() if scene.name == "crowd")
    frames = [(as_faces(sight), sight.time_s) for sight in sights(crowd, 30, seed=0)]
    took_s = []
    for _ in range(5):
        tracker, began_s = Tracker(), time.thread_time()
        for faces, time_s in frames:
            tracker.update(faces, time_s=time_s)
        took_s.append(time.thread_time() - began_s)
    faces_a_frame = sum(len(faces) for faces, _ in frames) / len(frames)
    print(f"\nCost: {1000 * min(took_s) / len(frames):.3f} ms a frame, {faces_a_frame:.1f} faces")


def measure_clips() -> None:
    """Print a line for each rendered scene, on every frame and with --fps 5."""
    print("\nScenes as rendered videos: IDF1, switches, mixed tracks, tracks (persons)")
    wanted = {scene.name: scene for scene in scenes()}
    print(" " * 40 + f"{'every frame':>16}{'':11}{'--fps 5':>16}")
    with tempfile.TemporaryDirectory() as folder:
        for name in CLIPS:
            clip = Path(folder) / f"{name}.mp4"
            write_scene(wanted[name], clip)
            scores = [scanned_scene(wanted[name], clip, fps=fps) for fps in (None, 5)]
            words = (f"{_words(one)}{f'{one.tracks} ({one.persons})':>11}" for one in scores)
            print(f"{name:<40}" + "".join(words), flush=True)


def scanned_scene(scene: Scene, clip: Path, *, fps: float | None) -> IdentityScores:
    """One rendered scene through the whole pipeline."""
    truth: list[Labelled] = []
    found: list[Labelled] = []
    rows: dict[float, list[emoscan.FaceRecord]] = defaultdict(list)
    for row in emoscan.analyze_video(clip, emoscan.ScanOptions(fps=fps)):
        rows[row.time_s or 0.0].append(row)
    for time_s, records in rows.items():
        faces = [record for record in records if record.track is not None]
        truth.append(Labelled(*true_boxes(scene, time_s)))
        found.append(
            Labelled(_boxes(faces), np.array([face.track for face in faces], np.int32).reshape(-1))
        )
    return identity_scores(truth, found)


def _boxes(faces: Sequence[emoscan.FaceRecord]) -> Boxes:
    places = [(face.x or 0, face.y or 0, face.width or 0, face.height or 0) for face in faces]
    boxes = np.array(places, np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def measure_real_clips(media: Path) -> None:
    """Print the rows of every track, the longest first."""
    print("\nReal clips: rows of each track")
    for name in REAL_CLIPS:
        for fps in (None, 5):
            rows = emoscan.analyze_video(media / name, emoscan.ScanOptions(fps=fps))
            counts: dict[int, int] = defaultdict(int)
            for row in rows:
                if row.track is not None:
                    counts[row.track] += 1
            lengths = sorted(counts.values(), reverse=True)
            short = sum(length <= 2 for length in lengths)
            how = "every frame" if fps is None else f"--fps {fps}"
            print(f"{name}, {how}: {len(lengths)} tracks, {short} of 1 or 2 rows: {lengths}")


def _print_line(name: str, scores: Sequence[IdentityScores]) -> None:
    print(f"{name:<40}" + "".join(map(_words, scores)))


def _words(scores: IdentityScores) -> str:
    return f"{scores.idf1:>8.3f}{scores.switches:>4}{scores.mixed:>4}"


def _rate_name(rate: float) -> str:
    return f"{rate:g}/s" if rate > 0 else f"~{-rate:g}/s"


def _sum(scores: Iterable[IdentityScores]) -> IdentityScores:
    return sum(scores, IdentityScores())


if __name__ == "__main__":
    main()
