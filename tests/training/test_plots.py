from dataclasses import asdict
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from emoscan.emotions import EMOTIONS
from training import plots
from training.events import EpochDone
from training.metrics import reliability
from training.plots import draw_confusion, draw_curves, draw_reliability

CHANCE = {"mean": 0.02, "p95": 0.031}


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that were saved, to look into them."""
    figures: list[Figure] = []
    save = plots._save

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "_save", keep)
    return figures


def history(epochs: int, *, sides: tuple[int, ...] = (24, 48), best: int = 2) -> list[dict]:
    return [
        asdict(
            EpochDone(
                epoch=epoch,
                side_px=sides[(epoch - 1) * len(sides) // epochs],
                learning_rate=0.1,
                train_loss=2 / epoch,
                train_accuracy=0.1 * epoch,
                select_loss=1.5,
                select_accuracy=0.625 if epoch == best else 0.5,
                best_epoch=min(epoch, best),
                best_accuracy=0.625,
                seconds=1.0,
                images_per_s=100.0,
            )
        )
        for epoch in range(1, epochs + 1)
    ]


def texts(figure: Figure) -> str:
    found = [figure.get_suptitle()]
    found += [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join(found)


def test_curves_show_both_sets_and_mark_the_best_epoch(drawn, tmp_path) -> None:
    draw_curves(history(4), tmp_path / "curves.png", selected_on="PublicTest", images=3589)
    losses, accuracies = drawn[0].axes
    lines = {str(line.get_label()): line for line in accuracies.lines}
    training = next(line for name, line in lines.items() if "training" in name)
    selection = next(line for name, line in lines.items() if "PublicTest" in name)
    assert list(training.get_ydata()) == pytest.approx([10, 20, 30, 40])
    assert list(selection.get_ydata()) == pytest.approx([50, 62.5, 50, 50])
    best = lines["best epoch"]
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (2, 62.5)
    assert list(losses.lines[0].get_ydata()) == pytest.approx([2, 1, 2 / 3, 1 / 2])
    title = drawn[0].get_suptitle()
    assert all(word in title for word in ("epoch 2 of 4", "62.5 %", "3,589", "PublicTest"))


def test_sides_of_the_input_are_named_where_they_change(drawn, tmp_path) -> None:
    draw_curves(history(4), tmp_path / "a.png", selected_on="test")
    draw_curves(history(4, sides=(48,)), tmp_path / "b.png", selected_on="test")
    assert "24 px" in texts(drawn[0]) and "48 px" in texts(drawn[0])
    assert "px" not in texts(drawn[1])


def test_a_single_epoch_can_be_seen(drawn, tmp_path) -> None:
    draw_curves(history(1, best=1), tmp_path / "one.png", selected_on="test")
    assert all(line.get_marker() == "o" for line in drawn[0].axes[0].lines[:2])


def test_the_confusion_has_shares_of_rows_and_counts(drawn, tmp_path) -> None:
    counts = np.diag([10] * 7)
    counts[0] = [3, 1, 0, 0, 0, 0, 1000]
    counts[6] = 0  # no surprise at all
    draw_confusion(counts.tolist(), tmp_path / "confusion.png", title="Sixty-four of 100")
    cells = [text.get_text() for text in drawn[0].axes[0].texts]
    assert len(cells) == 49
    assert cells[0] == "0 %\n3" and cells[6] == "100 %\n1,000"
    assert cells[8] == "100 %\n10" and cells[48] == "0 %\n0"
    names = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert names == list(EMOTIONS)
    rows = [label.get_text() for label in drawn[0].axes[0].get_yticklabels()]
    assert rows[0] == "angry\n1,004"
    assert drawn[0].get_suptitle() == "Sixty-four of 100"


def test_the_reliability_diagram_shows_bins_and_the_errors(drawn, tmp_path) -> None:
    probabilities = np.array([[0.4] + [0.1] * 6] * 4 + [[0.94] + [0.01] * 6] * 2)
    bins = reliability(probabilities, np.array([0, 1, 1, 1, 0, 0]))
    draw_reliability(
        bins, tmp_path / "r.png", title="Six images", ece=0.123, ece_if_calibrated=CHANCE
    )
    above, below = drawn[0].axes
    points = above.containers[0].lines[0]
    assert list(points.get_xdata()) == pytest.approx([40, 94])
    assert list(points.get_ydata()) == pytest.approx([25, 100])
    assert [bar.get_height() for bar in below.patches if bar.get_height()] == [4, 2]
    assert all(number in texts(drawn[0]) for number in ("12.3 %", "2.0 %", "3.1 %"))
    assert drawn[0].get_suptitle() == "Six images"


def draw_all(folder: Path) -> list[Path]:
    paths = [folder / name for name in ("curves.png", "confusion.png", "reliability.png")]
    draw_curves(history(3), paths[0], selected_on="PublicTest")
    draw_confusion(np.eye(7, dtype=int).tolist(), paths[1], title="All")
    bins = reliability(np.full((7, 7), 1 / 7), np.arange(7))
    draw_reliability(bins, paths[2], title="All", ece=0.0, ece_if_calibrated=CHANCE)
    return paths


def test_the_same_numbers_give_the_same_files(tmp_path) -> None:
    """Whatever style the user has set, and without a date or a version in them."""
    (tmp_path / "again").mkdir()
    first = draw_all(tmp_path)
    with mpl.rc_context({"font.size": 30, "axes.grid": False}):
        second = draw_all(tmp_path / "again")
        assert mpl.rcParams["font.size"] == 30
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
        with Image.open(one) as image:
            assert image.format == "PNG" and min(image.size) >= 900
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
            assert not {"Software", "Creation Time"} & set(image.info)
