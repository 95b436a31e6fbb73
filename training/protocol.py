"""Which images train, which choose, and which are only looked at once, at the end."""

from collections.abc import Iterable
from typing import NamedTuple

from emoscan.emotion.checkpoint import Checkpoint
from emoscan.options import Select
from training.fer2013 import Dataset, LabelledImages, Split, stratified_tenth

SELECTED_ON_TEST = (
    "The folder `test` chooses the epoch and is reported as well, as documented: its figure "
    "flatters, and such weights do not ship."
)

NO_OFFICIAL_SPLITS = (
    "The file names do not tell FER2013's official splits: a stratified tenth of `train` chooses "
    "the epoch, and the whole folder `test` is reported."
)


UNKNOWN = "unknown"


class Protocol(NamedTuple):
    """The three sets, and the names under which they are reported; `warning` is for people."""

    train: LabelledImages
    select: LabelledImages
    final: LabelledImages
    trained_on: str
    selected_on: str
    final_name: str
    warning: str | None = None


def choose_protocol(data: Dataset, select: Select, *, seed: int) -> Protocol:
    """`public`: train on Training, choose on PublicTest, report on PrivateTest.

    Where the names do not tell those splits, a stratified tenth of `train`, drawn by `seed`,
    chooses, and the folder `test` is reported. `test` is the documented protocol: the folder
    `test` both chooses and is reported, which flatters the figure.
    """
    if select is Select.TEST:
        return Protocol(
            data.train, data.test, data.test, "folder train", "test", "test", SELECTED_ON_TEST
        )
    if data.has_official_splits:
        public, private = data.split(Split.PUBLIC), data.split(Split.PRIVATE)
        names = "Training images", str(Split.PUBLIC), str(Split.PRIVATE)
        return Protocol(data.split(Split.TRAINING), public, private, *names)
    tenth = stratified_tenth(data.train.labels, seed)
    train, chosen = data.train.take(~tenth), data.train.take(tenth)
    names = "nine tenths of train", "a tenth of train", "test"
    return Protocol(train, chosen, data.test, *names, NO_OFFICIAL_SPLITS)


def chosen_on(about: Checkpoint) -> tuple[str, ...]:
    """The images that chose weights, and that chose those they started or learnt from."""
    data = about.training_data
    return (str(data.get("selected_on", UNKNOWN)), *data.get("init_selected_on", ()))


def flattered_by(names: Iterable[str], split: str) -> list[str]:
    """Those of the sets that share images with the split: an official one, or `test`."""
    return sorted(
        name
        for name in set(names)
        if name in (split, "test") or (split == "test" and name in tuple(Split))
    )


def flattery(name: str) -> str:
    """The sentence beside a figure whose images chose the weights."""
    return (
        "This figure flatters: its epoch, temperature and share of the second head were chosen on "
        f"the same images ({name})."
    )
