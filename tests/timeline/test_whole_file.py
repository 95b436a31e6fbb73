"""Files that are no tables: there as a whole, or not at all."""

import errno

import pytest

from emoscan.errors import OutputError
from emoscan.timeline.writers import whole_file


def test_has_its_name_once_it_is_whole(tmp_path) -> None:
    out = tmp_path / "new" / "a.mp4"
    with whole_file(out, overwrite=False) as hidden:
        hidden.write_bytes(b"whole")
        assert hidden.parent == out.parent and not out.exists()
    assert out.read_bytes() == b"whole" and list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_breaks_off_leaves_nothing(tmp_path, error) -> None:
    out = tmp_path / "a.mp4"
    out.write_bytes(b"before")
    with pytest.raises(error), whole_file(out, overwrite=True) as hidden:
        hidden.write_bytes(b"half")
        raise error
    assert out.read_bytes() == b"before" and list(tmp_path.iterdir()) == [out]


def test_a_full_disk_is_said_in_words(tmp_path) -> None:
    with (
        pytest.raises(OutputError, match="disk is full"),
        whole_file(tmp_path / "a.mp4", overwrite=False) as hidden,
    ):
        hidden.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_replaced_only_on_demand(tmp_path) -> None:
    out = tmp_path / "a.mp4"
    out.write_bytes(b"before")
    with pytest.raises(OutputError, match="--overwrite"), whole_file(out, overwrite=False):
        pass
    with whole_file(out, overwrite=True) as hidden:
        hidden.write_bytes(b"after")
    assert out.read_bytes() == b"after"


def test_what_has_come_into_being_meanwhile_is_kept(tmp_path) -> None:
    out = tmp_path / "a.mp4"
    with (
        pytest.raises(OutputError, match="exists already"),
        whole_file(out, overwrite=False) as hidden,
    ):
        hidden.write_bytes(b"ours")
        out.write_bytes(b"theirs")
    assert out.read_bytes() == b"theirs" and list(tmp_path.iterdir()) == [out]
