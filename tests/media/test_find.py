import os
import subprocess
import sys
from pathlib import Path

import pytest

from emoscan.errors import ExitCode, NoMediaError
from emoscan.media.find import expanded, find_media
from emoscan.media_kind import MediaKind


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def sources(paths, kind=MediaKind.VIDEO, *, recursive=True) -> list[str]:
    return [file.source for file in find_media(paths, kind, recursive=recursive).files]


def test_folder_is_walked_in_order_and_counts_the_rest(tmp_path):
    touch(tmp_path, "b.MP4", "a.mkv", "sub/c.mov", "sub/deep/d.webm", "photo.jpg", "notes.txt")
    found = find_media([tmp_path], MediaKind.VIDEO, recursive=True)
    assert [file.source for file in found.files] == [
        "a.mkv",
        "b.MP4",
        "sub/c.mov",
        "sub/deep/d.webm",
    ]
    assert (found.passed_over, found.skipped) == (1, 1)
    assert found.files[2].path == tmp_path / "sub" / "c.mov"


def test_not_recursive_stays_in_the_folder(tmp_path):
    touch(tmp_path, "a.mp4", "sub/b.mp4")
    assert sources([tmp_path], recursive=False) == ["a.mp4"]


def test_hidden_files_and_folders_are_left_out_unless_named(tmp_path):
    touch(tmp_path, "a.mp4", ".b.mp4", "._c.mp4", ".d/e.mp4")
    assert sources([tmp_path]) == ["a.mp4"]
    assert sources([tmp_path / ".b.mp4"]) == [".b.mp4"]


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path, "sub/a.mp4")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert sources([tmp_path]) == ["sub/a.mp4"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_links_that_lead_nowhere_are_inputs_and_pipes_are_skipped(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "itself.mp4").symlink_to("itself.mp4")
    (tmp_path / "zeros.mp4").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = find_media([tmp_path], MediaKind.VIDEO, recursive=True)
    assert [file.source for file in found.files] == ["a.mp4", "broken.mp4", "itself.mp4"]
    assert found.skipped == 2 and found.unreadable == ()


def test_linked_folders_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/a.mp4")
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "link").symlink_to(tmp_path / "elsewhere")
    assert sources([tmp_path / "named"]) == ["link/a.mp4"]


def test_two_links_to_one_folder_are_one(tmp_path):
    touch(tmp_path, "elsewhere/a.mp4", "elsewhere/deep/b.mp4")
    (tmp_path / "named").mkdir()
    for name in ("l1", "l2"):
        (tmp_path / "named" / name).symlink_to(tmp_path / "elsewhere")
    assert sources([tmp_path / "named"]) == ["l1/a.mp4", "l1/deep/b.mp4"]


@pytest.fixture
def closed(monkeypatch):
    """Names of folders that cannot be listed: what rights forbid, root may all the same."""
    names: set[str] = set()
    real = os.scandir

    def scandir(path):
        if Path(path).name in names:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return names


def test_folders_that_cannot_be_listed_are_told(tmp_path, closed):
    touch(tmp_path, "a.mp4", "sub/deep/b.mp4", "sub/c.mp4", "other/d.mp4", ".hidden/e.mp4")
    closed |= {"deep", "other", ".hidden"}
    found = find_media([tmp_path], MediaKind.VIDEO, recursive=True)
    assert [file.source for file in found.files] == ["a.mp4", "sub/c.mp4"]
    assert found.unreadable == ("other", "sub/deep")
    assert find_media([tmp_path], MediaKind.VIDEO, recursive=False).unreadable == ()
    named = [tmp_path / "other", tmp_path / "sub"]
    assert find_media(named, MediaKind.VIDEO, recursive=True).unreadable == (
        (tmp_path / "other").as_posix(),
        "deep",
    )


def test_nothing_found_tells_of_closed_folders(tmp_path, closed):
    touch(tmp_path, "sub/a.mp4", "tub/b.mp4")
    closed |= {"sub"}
    with pytest.raises(NoMediaError, match=r"^No video was found\. .*sub cannot be read\.$"):
        find_media([tmp_path / "sub"], MediaKind.VIDEO, recursive=True)
    closed |= {"tub"}
    touch(tmp_path, "a.jpg")
    with pytest.raises(NoMediaError, match=r"1 photo: .* sub cannot be read, nor can 1 more\.$"):
        find_media([tmp_path], MediaKind.VIDEO, recursive=True)


def test_files_that_cannot_be_looked_at_are_told(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4", "sub/b.mp4")
    real = Path.is_file

    def is_file(path):
        if path.parent.name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    found = find_media([tmp_path], MediaKind.VIDEO, recursive=True)
    assert ([file.source for file in found.files], found.unreadable) == (["a.mp4"], ("sub/b.mp4",))


def test_named_twice_is_taken_once(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    assert sources([tmp_path / "b.mp4", tmp_path, tmp_path / "a.mp4"]) == ["b.mp4", "a.mp4"]


def test_named_file_needs_no_known_suffix(tmp_path):
    touch(tmp_path, "recording.dat", "photo.png")
    found = find_media(
        [tmp_path / "recording.dat", tmp_path / "photo.png"], MediaKind.VIDEO, recursive=True
    )
    assert [file.source for file in found.files] == ["recording.dat"]
    assert found.passed_over == 1


def test_patterns_are_expanded(tmp_path):
    touch(tmp_path, "b1.mp4", "a1.mp4", "sub/a2.mp4", "a[1].mp4")
    assert sources([tmp_path / "?1.mp4"]) == ["a1.mp4", "b1.mp4"]
    assert sources([tmp_path / "**" / "a2.mp4"]) == ["a2.mp4"]
    assert sources([tmp_path / "a[1].mp4"]) == ["a[1].mp4"]


def test_expanded_are_paths_that_exist(tmp_path):
    touch(tmp_path, "b1.mp4", "a1.mp4", "a[1].mp4")
    a, b, bracketed = (tmp_path / name for name in ("a1.mp4", "b1.mp4", "a[1].mp4"))
    assert expanded([b, tmp_path / "?1.mp4", bracketed]) == [b, a, b, bracketed]
    assert expanded([tmp_path / "missing.mp4"]) == [tmp_path / "missing.mp4"]
    with pytest.raises(NoMediaError, match="Nothing matches"):
        expanded([a, tmp_path / "*.mkv"])


def test_names_beyond_ascii(tmp_path):
    touch(tmp_path, "Gespräch – 会話/Größe 😀.mp4")
    assert sources([tmp_path]) == ["Gespräch – 会話/Größe 😀.mp4"]


@pytest.mark.parametrize(
    ("names", "named", "words"),
    [
        (["a.jpg", "b.png"], ".", "2 photos: use “emoscan folder”"),
        (["a.txt"], ".", "among 1 file"),
        ([], ".", "no files"),
        ([], "missing.mp4", "does not exist"),
        ([], "*.mp4", "Nothing matches"),
    ],
)
def test_nothing_found_says_what_was_seen(tmp_path, names, named, words):
    touch(tmp_path, *names)
    with pytest.raises(NoMediaError, match=words.replace("*", r"\*")) as raised:
        find_media([tmp_path / named], MediaKind.VIDEO, recursive=True)
    assert raised.value.exit_code == ExitCode.NO_MEDIA


def test_photos_point_to_the_video_command(tmp_path):
    touch(tmp_path, "a.mp4")
    with pytest.raises(NoMediaError, match="1 video: use “emoscan video”"):
        find_media([tmp_path], MediaKind.PHOTO, recursive=True)


def test_importing_find_is_cheap():
    code = (
        "import sys, emoscan.media.find; "
        "assert not {'av', 'PIL', 'cv2', 'numpy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
