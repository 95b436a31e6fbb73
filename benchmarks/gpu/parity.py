"""What the GPU finds and says against torch in fp32 on the CPU, on photos and frames of videos."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.backend_parity import Agreement, agreement, batches
from benchmarks.gpu.bench import Bench, Deadline
from benchmarks.speed.quality import matched_pairs
from emoscan.emotion.classifier import EmotionClassifier
from emoscan.emotion.crop import crop_faces
from emoscan.faces.mtcnn import FaceDetector
from emoscan.runtime import Runtime, choose_runtime, serving_runtime
from emoscan.types import Faces, Frame

Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The faces of some frames, and (N, 7) probabilities for those of each."""

    frames: list[Frame]
    faces: list[Faces]
    probabilities: list[NDArray[np.float32]]


class Eyes:
    """A detector and a classifier on one device."""

    def __init__(self, runtime: Runtime) -> None:
        self.detector = FaceDetector(runtime)
        self.classifier = EmotionClassifier(runtime)

    def look(self, frames: list[Frame]) -> Seen:
        """Find and classify."""
        faces = self.detector.detect_frames(frames)
        emotions = self.classifier.classify(frames, faces)
        return Seen(frames, faces, [each.probabilities for each in emotions])


def measure_parity(bench: Bench) -> None:
    """First what the CPU says, as long as the time allows, then the GPU's word on the same."""
    exact, fast = Eyes(choose_runtime("cpu")), Eyes(serving_runtime(str(bench.device)))
    wanted, is_whole = _reference(bench, exact)
    measured: dict[str, Any] = {
        "frames": sum(len(seen.frames) for seen in wanted),
        "every": bench.effort.every,
        "is_whole": is_whole,
    }
    with bench.skipping("parity: the same crops"):
        measured["same_crops"] = asdict(_on_same_crops(wanted, fast.classifier))
        bench.results.put("parity", measured)
    with bench.skipping("parity: boxes and the whole way"):
        found = [fast.look(seen.frames) for seen in wanted]
        measured["boxes"] = compare_boxes(_boxes(wanted), _boxes(found))
        measured["whole_way"] = asdict(_whole_way(wanted, found))
    bench.results.put("parity", measured)
    print(f"parity: {measured}", flush=True)


def _reference(bench: Bench, exact: Eyes) -> tuple[list[Seen], bool]:
    """Whether there was time for all of them stands beside them."""
    deadline, seen = Deadline(bench.effort.reference_s), list[Seen]()
    for batch in batches(bench.media, bench.effort.every):
        if deadline.is_over:
            return seen, False
        seen.append(exact.look(batch))
    return seen, True


def _boxes(seen: Sequence[Seen]) -> list[Boxes]:
    return [faces.boxes for each in seen for faces in each.faces]


def compare_boxes(wanted: Sequence[Boxes], found: Sequence[Boxes]) -> dict[str, float | int | None]:
    """(N, 4) and (M, 4) boxes of each picture: who is missed, who is extra, and how far off."""
    pairs = [matched_pairs(*each) for each in zip(wanted, found, strict=True)]
    counts = {
        "reference": sum(map(len, wanted)),
        "found": sum(map(len, found)),
        "matched": sum(map(len, pairs)),
    }
    away = np.concatenate(
        [
            np.zeros(0, np.float32),
            *(
                np.abs(its_wanted[row] - its_found[column])
                for its_wanted, its_found, its_pairs in zip(wanted, found, pairs, strict=True)
                for row, column in its_pairs
            ),
        ]
    )
    return counts | {
        "recall": counts["matched"] / counts["reference"] if counts["reference"] else None,
        "precision": counts["matched"] / counts["found"] if counts["found"] else None,
        "median_px": float(np.median(away)) if len(away) else None,
        "p99_px": float(np.quantile(away, 0.99)) if len(away) else None,
        "most_px": float(away.max()) if len(away) else None,
    }


def _on_same_crops(wanted: Sequence[Seen], classifier: EmotionClassifier) -> Agreement:
    """The classifier alone, on what is cut out around the reference's boxes."""
    crops = [
        crop_faces(frame.rgb(), faces.boxes, classifier.about.crop, landmarks=faces.landmarks)
        for seen in wanted
        for frame, faces in zip(seen.frames, seen.faces, strict=True)
    ]
    got = classifier.classify_crops(np.concatenate(crops)).probabilities
    return agreement(np.concatenate([part for seen in wanted for part in seen.probabilities]), got)


def _whole_way(wanted: Sequence[Seen], found: Sequence[Seen]) -> Agreement:
    """Detector, crops and classifier, for the faces that both find."""
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for exact, fast in zip(wanted, found, strict=True):
        for number, faces in enumerate(exact.faces):
            for row, column in matched_pairs(faces.boxes, fast.faces[number].boxes):
                its_wanted, its_got = exact.probabilities[number], fast.probabilities[number]
                pairs.append((its_wanted[row], its_got[column]))
    return agreement(*(np.stack(part) for part in zip(*pairs, strict=True)))
