"""Which square around the detector's box suits the weights best, and when to turn it upright.

    python -m training.crop_study --data DIR --out crop_study.json

On FER2013's images found again as `training.redetect` does it: first the side of the square, as a
share of the box's height, and the height at which it sits; then pictures turned by some angles,
cropped as they are and turned back by the line through the eyes that the detector found: wholly,
and by rules that leave heads alone whose tilt is small.

Where a square is larger than the image it shows the image's repeated edge, which no photo has: what
this study says against large squares is said in part against that edge.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from emoscan.emotion.crop import crop_faces, crop_turned, tilts_deg, upright_turns_deg
from training.redetect import (
    Boxes,
    Figures,
    Images,
    Scores,
    Study,
    chunks,
    has_face,
    mean,
    nats,
    number,
    percent,
    picture_of,
    points,
    redetect,
    run_study,
    score,
    table,
)

SIDES = tuple(round(0.80 + 0.05 * step, 2) for step in range(11))
SHIFTS = tuple(round(-0.10 + 0.05 * step, 2) for step in range(5))
TURNS_DEG = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)
BEYOND_DEG = (8.0, 10.0, 12.0, 15.0)
STEEPNESSES = (1.0, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Square:
    """`side` of the square and `shift` of its centre, downwards, as shares of the box's height."""

    side: float
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Turns back what a tilt has beyond some degrees, `steepness` times, but never past upright."""

    beyond_deg: float
    steepness: float = 1.0

    def turns_deg(self, tilts_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) angles for (N,) tilts, with their signs."""
        tilts = np.abs(tilts_deg)
        turns = np.minimum(tilts, self.steepness * np.maximum(0, tilts - self.beyond_deg))
        return np.asarray(np.copysign(turns, tilts_deg))


WHOLLY = Rule(0.0)
RULES = (WHOLLY, *(Rule(*numbers) for numbers in product(BEYOND_DEG, STEEPNESSES)))


def shifted(boxes: Boxes, shift: float) -> Boxes:
    """(N, 4) boxes moved down by a share of their own heights."""
    down = (boxes[:, 3] - boxes[:, 1]) * np.float32(shift)
    moved: Boxes = boxes + np.stack([np.zeros_like(down), down] * 2, axis=1)
    return moved


def score_squares(study: Study, boxes: Boxes, squares: Sequence[Square]) -> list[Scores]:
    """Scores of each square on the images with a face; `boxes` (N, 4) are those of `redetect`."""
    found = has_face(boxes)
    images, labels, boxes = study.images.images[found], study.images.labels[found], boxes[found]
    parts = [
        score(study.classifier, crops, np.tile(labels[rows], len(squares)))
        for rows, crops in _crops_by_squares(study, images, boxes, squares=squares)
    ]
    return [_joined(parts, index, of=len(squares)) for index in range(len(squares))]


def _crops_by_squares(
    study: Study, images: Images, boxes: Boxes, *, squares: Sequence[Square]
) -> Iterator[tuple[slice, Images]]:
    """Chunk by chunk the crops of all its images by the first square, by the second, and so on."""
    for rows in chunks(len(images)):
        pictures = [picture_of(image) for image in images[rows]]
        crops = []
        for square in squares:
            settings = replace(study.classifier.about.crop, side_per_box_height=square.side)
            places = shifted(boxes[rows], square.shift)[:, None]
            pairs = zip(pictures, places, strict=True)
            crops += [crop_faces(pic, box, settings, landmarks=None) for pic, box in pairs]
        yield rows, np.concatenate(crops)


def _joined(parts: Sequence[Scores], index: int, *, of: int) -> Scores:
    """The scores of one square out of all chunks, where they lie one square after the other."""
    right = [part.right.reshape(of, -1)[index] for part in parts]
    log_likelihood = [part.log_likelihood.reshape(of, -1)[index] for part in parts]
    return Scores(
        np.concatenate([np.zeros(0, bool), *right]), np.concatenate([np.zeros(0), *log_likelihood])
    )


def measure_squares(study: Study, boxes: Boxes) -> Figures:
    """Every side with every shift, each against what the weights' own settings give."""
    own = Square(study.classifier.about.crop.side_per_box_height)
    squares = [Square(side, shift) for side, shift in product(SIDES, SHIFTS)]
    scores = score_squares(study, boxes, [*squares, own])
    of_own = scores.pop()
    grid = [
        {"side": square.side, "shift": square.shift} | here.figures() | here.against(of_own)
        for square, here in zip(squares, scores, strict=True)
    ]
    return {"own": {"side": own.side, "shift": own.shift} | of_own.figures(), "grid": grid}


def score_turned(
    study: Study, turn_deg: float, *, boxes: Boxes, turns_deg: NDArray[np.float64]
) -> list[Scores]:
    """Scores of pictures turned by `turn_deg`, with the crops turned back by each row of angles.

    `boxes` (N, 4) are those of `redetect`, `turns_deg` (R, M) are for the M of them that are there.
    Crops of one picture by the same angle are classified once.
    """
    found, settings = has_face(boxes), study.classifier.about.crop
    crops, labels, places, count = [], [], np.empty(turns_deg.shape, np.int64), 0
    faces = zip(study.images.images[found], study.images.labels[found], boxes[found], strict=True)
    for face, (image, label, box) in enumerate(faces):
        angles, which = np.unique(turns_deg[:, face], return_inverse=True)
        picture, same_box = picture_of(image, turn_deg=turn_deg), np.tile(box, (len(angles), 1))
        crops.append(crop_turned(picture, same_box, settings, turns_deg=angles))
        labels += [label] * len(angles)
        places[:, face] = count + which.ravel()
        count += len(angles)
    none = np.empty((0, settings.side_px, settings.side_px), np.uint8)
    scores = score(study.classifier, np.concatenate([none, *crops]), np.array(labels, np.int64))
    return [Scores(scores.right[of], scores.log_likelihood[of]) for of in places]


def measure_turn(study: Study, turn_deg: float) -> Figures:
    """Pictures turned by an angle: what is found, and plain crops against those turned back."""
    boxes, landmarks = redetect(study.images.images, study.detector, turn_deg=turn_deg)
    found, settings = has_face(boxes), study.classifier.about.crop
    tilts = tilts_deg(landmarks[found])
    served = upright_turns_deg(boxes[found], landmarks[found], settings)
    turns = np.stack([np.zeros_like(tilts), served, *(rule.turns_deg(tilts) for rule in RULES)])
    plain, as_served, *by_rule = score_turned(study, turn_deg, boxes=boxes, turns_deg=turns)
    upright = by_rule[RULES.index(WHOLLY)]
    return {
        "turn_deg": turn_deg,
        "found": float(found.mean()),
        "eyes_deg": mean(tilts),
        "plain": plain.figures(),
        "upright": upright.figures(),
        "upright_against_plain": upright.against(plain),
        "served": {"beyond_deg": settings.upright_beyond_deg, "turned": mean(served != 0)}
        | as_served.against(plain),
        "rules": [
            {"beyond_deg": rule.beyond_deg, "steepness": rule.steepness, "turned": mean(rows != 0)}
            | scores.against(plain)
            for rule, rows, scores in zip(RULES, turns[2:], by_rule, strict=True)
        ],
    }


def measure(study: Study) -> Figures:
    """Both halves of the study."""
    boxes, _ = redetect(study.images.images, study.detector)
    print(f"{len(SIDES) * len(SHIFTS)} squares …", file=sys.stderr)
    figures: Figures = {"squares": measure_squares(study, boxes), "turns": []}
    for turn_deg in TURNS_DEG:
        print(f"pictures turned by {turn_deg:+g}° …", file=sys.stderr)
        figures["turns"].append(measure_turn(study, turn_deg))
    return figures


def report(figures: Figures) -> str:
    """What `measure` found, as Markdown."""
    grid, own = figures["squares"]["grid"], figures["squares"]["own"]
    return "\n\n".join(
        [
            "Side of the square (rows) and shift of its centre, downwards (columns), in heights of "
            f"the box. Accuracy, n = {own['n']:,}:",
            _grid_table([(at, percent(at["accuracy"])) for at in grid]),
            "Mean log-likelihood:",
            _grid_table([(at, number(at["log_likelihood"])) for at in grid]),
            *_best(figures["squares"]),
            "Pictures turned counter-clockwise, and crops turned upright by the line through the "
            "eyes (gains pair by pair, ± standard error):",
            _turns_table(figures["turns"]),
            "Turned back by rules instead: what the eyes' line has beyond some degrees, times a "
            "steepness, but never past upright. Points gained over plain crops:",
            _rules_table(figures["turns"], "accuracy_gain", points),
            "Nats gained:",
            _rules_table(figures["turns"], "log_likelihood_gain", nats),
        ]
    )


def _grid_table(cells: Sequence[tuple[Figures, str]]) -> str:
    texts = {(at["side"], at["shift"]): text for at, text in cells}
    rows = [[f"{side:.2f}", *(texts[side, shift] for shift in SHIFTS)] for side in SIDES]
    return table(["side", *(f"{shift:+.2f}" for shift in SHIFTS)], rows)


def _best(squares: Figures) -> Iterator[str]:
    own, grid = squares["own"], squares["grid"]
    if not own["n"]:
        return
    best = max(grid, key=lambda at: at["log_likelihood"])
    yield (
        f"The weights' own square, side {own['side']:g} without a shift: "
        f"{percent(own['accuracy'])}, {number(own['log_likelihood'])}. The likeliest, side "
        f"{best['side']:.2f} with a shift of {best['shift']:+.2f}: "
        f"{points(best['accuracy_gain'])} points, {nats(best['log_likelihood_gain'])} nats "
        "(± standard error)."
    )


def _turns_table(turns: Sequence[Figures]) -> str:
    header = ["turned by", "found", "eyes' line", "n", "plain", "upright", "points", "nats"]
    rows = []
    for turn in turns:
        gain, eyes_deg = turn["upright_against_plain"], turn["eyes_deg"]
        rows.append(
            [
                f"{turn['turn_deg']:+g}°",
                percent(turn["found"]),
                "–" if eyes_deg is None else f"{eyes_deg:+.1f}°",
                f"{turn['plain']['n']:,}",
                percent(turn["plain"]["accuracy"]),
                percent(turn["upright"]["accuracy"]),
                points(gain["accuracy_gain"]),
                nats(gain["log_likelihood_gain"]),
            ]
        )
    return table(header, rows)


def _rules_table(turns: Sequence[Figures], measure: str, text: Callable[[Figures], str]) -> str:
    header = ["beyond", "steepness", *(f"{turn['turn_deg']:+g}°" for turn in turns)]
    rows = [
        [f"{rule.beyond_deg:g}°", f"{rule.steepness:g}"]
        + [text(turn["rules"][index][measure]) for turn in turns]
        for index, rule in enumerate(RULES)
    ]
    served = ["as served", "", *(text(turn["served"][measure]) for turn in turns)]
    return table(header, [*rows, served])


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    run_study(__doc__, measure, report=report, words=words)


if __name__ == "__main__":
    main()
