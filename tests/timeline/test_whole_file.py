"""Files that get their name once they are whole."""

import pytest

from emoscan.errors import OutputError
from emoscan.timeline.writers import whole_file


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_gets_its_name_at_the_end_in_a_folder_that_is_made(tmp_path) -> None:
    out = tmp_path / "new" / "a.txt"
    with whole_file(out, overwrite=False) as path:
        path.write_text("whole")
        assert not out.exists()
    assert out.read_text() == "whole" and names(out.parent) == ["a.txt"]


def test_what_fails_or_is_interrupted_leaves_nothing_and_keeps_the_old(tmp_path) -> None:
    out = tmp_path / "a.txt"
    out.write_text("old")
    for reason in (ValueError, KeyboardInterrupt):
        with pytest.raises(reason), whole_file(out, overwrite=True) as path:
            path.write_text("half")
            raise reason
    assert out.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_what_exists_is_refused_before_and_after(tmp_path) -> None:
    out = tmp_path / "a.txt"
    out.write_text("old")
    with pytest.raises(OutputError, match="exists already"), whole_file(out, overwrite=False):
        pytest.fail("the block must not be entered")
    late = tmp_path / "b.txt"
    with pytest.raises(OutputError, match="exists already"):  # noqa: SIM117
        with whole_file(late, overwrite=False) as path:
            path.write_text("mine")
            late.write_text("another run's")
    assert late.read_text() == "another run's" and names(tmp_path) == ["a.txt", "b.txt"]


def test_folders_and_what_cannot_be_written_are_sentences(tmp_path) -> None:
    with pytest.raises(OutputError, match="is a folder"), whole_file(tmp_path, overwrite=True):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):  # noqa: SIM117
        with whole_file(tmp_path / "file" / "a.txt", overwrite=True):
            pass
