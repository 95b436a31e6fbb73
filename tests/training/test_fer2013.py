import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emoscan.emotions import EMOTIONS
from emoscan.errors import MediaError, NoMediaError
from emoscan.options import Select
from tests.training.data import GRAY_LEVELS_A_CLASS, SPLITS, VOTES_COLUMNS, WITHOUT_VOTES
from training import fer2013
from training.fer2013 import (
    Dataset,
    LabelledImages,
    Split,
    find_data,
    load_dataset,
    stratified_tenth,
)
from training.network import VOTE_CLASSES
from training.protocol import choose_protocol

A_TRAIN_IMAGE = "train/fear/Training_3.jpg"
TRAIN_COUNT, TEST_COUNT = 7 * 20, 7 * 6


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """The dataset, to be spoiled."""
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The folder of packed images of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "emoscan"


@pytest.fixture
def no_reading(monkeypatch) -> None:
    def refuse(paths: object) -> None:
        raise AssertionError("the images were read again")

    monkeypatch.setattr(fer2013, "_read_all", refuse)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """An empty working folder, on a machine that names no dataset."""
    monkeypatch.delenv("EMOSCAN_FER2013", raising=False)
    monkeypatch.setattr(fer2013, "USUAL_PLACES", ("fer2013", str(tmp_path / "kaggle")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same(one: Dataset, two: Dataset) -> bool:
    return all(
        np.array_equal(getattr(one, part).images, getattr(two, part).images)
        and np.array_equal(getattr(one, part).labels, getattr(two, part).labels)
        for part in ("train", "test")
    )


def strip_prefixes(folder: Path) -> None:
    """Names as in copies of FER2013 that number their images."""
    for number, path in enumerate(sorted(folder.glob("*/*/*.jpg"))):
        path.rename(path.with_name(f"im{number}.jpg"))


def write_votes(folder: Path, *rows: str) -> None:
    header = ",".join(VOTES_COLUMNS)
    (folder / "ferplus.csv").write_text("\n".join((header, *rows)), encoding="utf-8")


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """A bit of the pixels changed: the archive's checksum does not fit."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def noise(content: bytes) -> bytes:
    return np.random.default_rng(0).bytes(len(content))


def other_archive(content: bytes) -> bytes:
    return b"PK\x05\x06" + bytes(18)  # an empty zip


def empty(content: bytes) -> bytes:
    return b""


def test_the_folder_that_was_given_comes_first(dataset, elsewhere, monkeypatch) -> None:
    monkeypatch.setenv("EMOSCAN_FER2013", str(elsewhere))
    assert find_data(dataset) == dataset


def test_the_environment_comes_before_the_usual_places(dataset, elsewhere, monkeypatch) -> None:
    (elsewhere / "fer2013").symlink_to(dataset)
    monkeypatch.setenv("EMOSCAN_FER2013", str(dataset))
    assert find_data(None) == dataset


@pytest.mark.parametrize("place", ["fer2013", "kaggle"])
def test_the_usual_places_are_looked_at(dataset, elsewhere, place: str) -> None:
    (elsewhere / place).symlink_to(dataset)
    assert find_data(None).samefile(dataset)


def test_without_a_dataset_one_sentence_says_what_is_wanted(elsewhere) -> None:
    with pytest.raises(NoMediaError, match="train/<class>") as caught:
        find_data(None)
    said = str(caught.value)
    assert "fer2013" in said and "--data" in said and all(name in said for name in EMOTIONS)
    assert said.endswith(".") and "\n" not in said and ". " not in said


@pytest.mark.parametrize("present", [(), ("train",), ("test",)])
def test_a_folder_without_train_and_test_is_named(dataset, elsewhere, present) -> None:
    """What was named is not replaced by a usual place."""
    (elsewhere / "fer2013").symlink_to(dataset)
    for name in present:
        (elsewhere / "wrong" / name).mkdir(parents=True)
    with pytest.raises(NoMediaError, match=r"wrong does not hold FER2013.*train/<class>"):
        find_data(elsewhere / "wrong")


def test_each_image_has_its_folders_class(dataset) -> None:
    data = load_dataset(dataset)
    for part, count in ((data.train, 20), (data.test, 6)):
        assert part.images.shape == (7 * count, 48, 48) and part.images.dtype == np.uint8
        assert np.bincount(part.labels).tolist() == [count] * 7
        levels = part.images.mean(axis=(1, 2)) - 10  # the noise's mean
        assert np.abs(levels - GRAY_LEVELS_A_CLASS * part.labels).max() < 2
        assert [path.split("/")[1] for path in part.paths] == [EMOTIONS[i] for i in part.labels]


def test_png_and_jpeg_are_images_and_other_files_are_not(copy) -> None:
    folder = copy / "train" / "fear"
    shutil.copy(copy / A_TRAIN_IMAGE, folder / "Training_a.JPEG")
    Image.new("RGB", (48, 48), "white").save(folder / "Training_b.png")
    (folder / "Thumbs.db").write_bytes(b"none")
    train = load_dataset(copy).train
    assert len(train) == TRAIN_COUNT + 2
    assert (train.images[train.paths.index("train/fear/Training_b.png")] == 255).all()


def test_an_unknown_class_is_named(copy) -> None:
    (copy / "test" / "contempt").mkdir()
    with pytest.raises(NoMediaError, match=r"test holds the unknown class contempt.*angry"):
        load_dataset(copy)


@pytest.mark.parametrize("keep_folder", [True, False])
def test_a_class_without_images_is_named(copy, keep_folder: bool) -> None:
    shutil.rmtree(copy / "train" / "disgust")
    if keep_folder:
        (copy / "train" / "disgust").mkdir()
    with pytest.raises(NoMediaError, match=r"train.disgust holds no image"):
        load_dataset(copy)


def test_a_missing_folder_is_named(copy) -> None:
    shutil.rmtree(copy / "test")
    with pytest.raises(NoMediaError, match=r"test.angry holds no image"):
        load_dataset(copy)


def test_a_link_to_nowhere_is_named(copy) -> None:
    (copy / "train" / "happy" / "gone.jpg").symlink_to(copy / "absent.jpg")
    with pytest.raises(MediaError, match=r"gone\.jpg"):
        load_dataset(copy)


@pytest.mark.parametrize("spoil", [half, noise, empty])
def test_an_unreadable_image_is_named(copy, spoil) -> None:
    path = copy / A_TRAIN_IMAGE
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(MediaError, match=r"Training_3.jpg cannot be read.*Repair or remove"):
        load_dataset(copy)


@pytest.mark.parametrize("size", [(64, 32), (1, 1), (48, 49)])
def test_an_image_of_another_size_is_named(copy, size: tuple[int, int]) -> None:
    Image.new("L", size).save(copy / A_TRAIN_IMAGE)
    with pytest.raises(MediaError, match=rf"Training_3.jpg is {size[0]}×{size[1]}, not 48×48"):
        load_dataset(copy)


def test_of_many_bad_images_the_first_are_named_and_the_rest_counted(copy) -> None:
    for number in range(5):
        (copy / "train" / "angry" / f"Training_{number}.jpg").write_bytes(b"")
    with pytest.raises(MediaError, match="and 2 more") as caught:
        load_dataset(copy)
    assert str(caught.value).count("cannot be read") == 3


def test_splits_are_told_by_the_names_prefix(dataset) -> None:
    data = load_dataset(dataset)
    assert data.has_official_splits
    for split, (folder, count) in SPLITS.items():
        images = data.split(Split(split))
        assert np.bincount(images.labels).tolist() == [count] * 7
        assert all(path.startswith(f"{folder}/") for path in images.paths)
        assert all(path.split("/")[2].startswith(f"{split}_") for path in images.paths)


def test_take_keeps_images_labels_votes_and_paths_together(dataset) -> None:
    train = load_dataset(dataset).train
    rows = np.array([130, 7, 64])
    some = train.take(rows)
    assert some.paths == tuple(train.paths[row] for row in rows)
    for name in ("images", "labels", "votes"):
        assert np.array_equal(getattr(some, name), getattr(train, name)[rows])
    mask = np.zeros(len(train), bool)
    mask[rows] = True
    assert train.take(mask).paths == train.take(np.sort(rows)).paths


def test_names_without_a_prefix_tell_no_official_splits(copy) -> None:
    strip_prefixes(copy)
    data = load_dataset(copy)
    assert not data.has_official_splits
    for split in Split:
        with pytest.raises(NoMediaError, match=rf"no {split}_\*.jpg.*--select test"):
            data.split(split)


def test_the_official_protocol_keeps_private_test_apart(dataset) -> None:
    protocol = choose_protocol(load_dataset(dataset), Select.PUBLIC, seed=0)
    for part, split in (
        (protocol.train, Split.TRAINING),
        (protocol.select, Split.PUBLIC),
        (protocol.final, Split.PRIVATE),
    ):
        assert {Path(path).name.split("_")[0] for path in part.paths} == {split}
    assert (protocol.selected_on, protocol.final_name) == ("PublicTest", "PrivateTest")


def test_the_documented_protocol_chooses_and_reports_on_test(dataset) -> None:
    data = load_dataset(dataset)
    protocol = choose_protocol(data, Select.TEST, seed=0)
    assert protocol.train is data.train
    assert protocol.select is data.test and protocol.final is data.test
    assert protocol.selected_on == protocol.final_name == "test"


def test_without_official_splits_a_stratified_tenth_of_train_chooses(copy) -> None:
    strip_prefixes(copy)
    data = load_dataset(copy)
    protocol = choose_protocol(data, Select.PUBLIC, seed=1)
    assert np.bincount(protocol.select.labels).tolist() == [2] * 7
    assert np.bincount(protocol.train.labels).tolist() == [18] * 7
    assert {*protocol.train.paths, *protocol.select.paths} == {*data.train.paths}
    assert protocol.final is data.test
    assert (protocol.selected_on, protocol.final_name) == ("a tenth of train", "test")


def test_the_tenth_is_drawn_by_the_seed() -> None:
    labels = np.repeat(np.arange(7), 100)
    tenth = stratified_tenth(labels, 0)
    assert np.bincount(labels[tenth]).tolist() == [10] * 7
    assert np.array_equal(tenth, stratified_tenth(labels, 0))
    assert not np.array_equal(tenth, stratified_tenth(labels, 1))


def test_a_tenth_has_an_image_of_each_class() -> None:
    labels = np.array([0] * 50 + [1, 1, 1])
    assert np.bincount(labels[stratified_tenth(labels, 0)]).tolist() == [5, 1]


def test_votes_stand_beside_their_image(dataset) -> None:
    for part in (load_dataset(dataset).train, load_dataset(dataset).test):
        expected = np.zeros((len(part), len(VOTE_CLASSES)), np.uint8)
        expected[np.arange(len(part)), part.labels] = 7
        expected[:, VOTE_CLASSES.index("contempt")] = 2
        expected[[path.endswith(f"/{WITHOUT_VOTES}") for path in part.paths]] = 0
        assert np.array_equal(part.votes, expected)
    assert (part.votes.sum(1) > 0).all()  # the test images have votes, all of them


def test_without_a_file_of_votes_a_note_says_so(copy) -> None:
    (copy / "ferplus.csv").unlink()
    data = load_dataset(copy)
    assert not data.train.votes.any() and not data.test.votes.any()
    assert any("ferplus.csv" in note for note in data.notes)


@pytest.mark.parametrize(
    "rows",
    [
        (f"{A_TRAIN_IMAGE},many,0,0,0,0,0,0,0,0,0",),
        (f"{A_TRAIN_IMAGE},1,2",),  # cut off
        (f"{A_TRAIN_IMAGE},1,300,0,0,0,0,0,0,0,0",),
        (f"{A_TRAIN_IMAGE},1,-1,0,0,0,0,0,0,0,0",),
    ],
)
def test_a_file_that_is_no_table_of_votes_is_refused(copy, rows) -> None:
    write_votes(copy, *rows)
    with pytest.raises(MediaError, match=r"ferplus.csv is no table of FER\+'s votes"):
        load_dataset(copy)


def test_a_table_with_other_columns_is_refused(copy) -> None:
    (copy / "ferplus.csv").write_text(f"path,happy\n{A_TRAIN_IMAGE},1\n", encoding="utf-8")
    with pytest.raises(MediaError, match=r"ferplus.csv is no table of FER\+'s votes"):
        load_dataset(copy)


def test_splits_of_another_size_than_fer2013s_are_noted(dataset, copy) -> None:
    assert any(f"Training has {TRAIN_COUNT} images here, 28,709" in note
               for note in load_dataset(dataset).notes)  # fmt: skip
    strip_prefixes(copy)
    assert not any("images here" in note for note in load_dataset(copy).notes)


def test_the_second_time_the_cache_is_used(dataset, cache, request) -> None:
    first = load_dataset(dataset)
    assert len(list(cache.iterdir())) == 1
    request.getfixturevalue("no_reading")
    assert same(first, load_dataset(dataset))


def test_an_exchanged_image_is_read_again(copy, cache) -> None:
    before = load_dataset(copy).train
    Image.new("L", (48, 48), 255).save(copy / A_TRAIN_IMAGE, quality=95)
    after = load_dataset(copy).train
    row = before.paths.index(A_TRAIN_IMAGE)
    assert before.images[row].mean() < 200 and (after.images[row] == 255).all()


def test_an_image_that_is_gone_is_gone_from_the_cache_too(copy, cache) -> None:
    load_dataset(copy)
    (copy / A_TRAIN_IMAGE).unlink()
    train = load_dataset(copy).train
    assert len(train) == TRAIN_COUNT - 1 and A_TRAIN_IMAGE not in train.paths


def test_votes_are_not_cached(copy, cache) -> None:
    load_dataset(copy)
    write_votes(copy, f"{A_TRAIN_IMAGE},1,2,3,4,5,6,7,8,9,10")
    train = load_dataset(copy).train
    votes = dict(zip(VOTE_CLASSES, train.votes[train.paths.index(A_TRAIN_IMAGE)], strict=True))
    assert votes == {
        "neutral": 1, "happy": 2, "surprise": 3, "sad": 4, "angry": 5, "disgust": 6, "fear": 7,
        "contempt": 8,
    }  # fmt: skip
    assert train.votes.any(axis=1).sum() == 1


def test_a_cache_that_cannot_be_written_does_no_harm(dataset, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_dataset(dataset).test) == TEST_COUNT


def test_a_full_disk_does_no_harm_and_leaves_nothing(dataset, cache, monkeypatch) -> None:
    def fill(path: Path, **arrays: object) -> None:
        path.write_bytes(b"the beginning")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fer2013.np, "savez", fill)
    assert len(load_dataset(dataset).test) == TEST_COUNT
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("spoil", [half, flipped, noise, empty, other_archive])
def test_a_corrupt_cache_is_read_anew(dataset, cache, request, spoil) -> None:
    whole = load_dataset(dataset)
    (file,) = cache.iterdir()
    file.write_bytes(spoil(file.read_bytes()))
    assert same(whole, load_dataset(dataset))
    request.getfixturevalue("no_reading")  # and the cache is mended
    assert same(whole, load_dataset(dataset))


def test_images_are_in_the_same_order_on_every_machine(dataset) -> None:
    train = load_dataset(dataset).train
    assert isinstance(train, LabelledImages) and len(train) == TRAIN_COUNT
    keys = [(EMOTIONS.index(path.split("/")[1]), path) for path in train.paths]
    assert keys == sorted(keys)
