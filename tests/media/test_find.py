import subprocess
import sys
from pathlib import Path

import pytest

from emoscan.errors import ExitCode, NoMediaError
from emoscan.media.find import MediaKind, find_media


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
    (tmp_path / "sub" / "broken.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert sources([tmp_path]) == ["sub/a.mp4"]


def test_linked_folders_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/a.mp4")
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "link").symlink_to(tmp_path / "elsewhere")
    assert sources([tmp_path / "named"]) == ["link/a.mp4"]


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
