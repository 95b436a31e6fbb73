"""Disks that are full, files that may not grow, folders that take nothing."""

import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import emoscan
from emoscan import plan
from emoscan.errors import OutputError
from emoscan.timeline import writers
from tests.batch.conftest import long_clip, quick, run_options  # noqa: F401 - fixtures
from tests.faults.conftest import runs
from tests.faults.processes import ENVIRONMENT, ROOT, start, tables

TRIES = runs(2, 8)

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="limits of this kind are POSIX's"),
    pytest.mark.usefixtures("quick"),
]


@pytest.fixture
def videos(tmp_path, long_clip) -> Path:  # noqa: F811
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        shutil.copy(long_clip, folder / f"{number}.mp4")
    return folder


def limited_to(bytes_: int) -> Callable[[], None]:
    """For what runs in the child before Python does: no file grows beyond this."""
    resource = pytest.importorskip("resource")
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


def ended_for_its_output(videos: Path, out: Path, **settings) -> str:
    """The words of a run that ends with code 7; what it leaves under a final name is whole."""
    process = start(
        "quick_command", "video", videos, "--out", out, "--decode-in-process", **settings
    )
    words = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 7 and "Traceback" not in words, words
    for table in tables(out):
        assert len(emoscan.read_timeline(table)) > 0
    return " ".join(words.split())


@pytest.mark.parametrize("number", range(TRIES))
def test_files_that_may_not_grow(tmp_path, videos, faults, number) -> None:
    faults(
        "files that may not grow beyond 0 to 12 kB (RLIMIT_FSIZE)",
        passes_when="exit code 7, the path named, no bad final file; later --resume ends it",
    )
    limit = random.Random(number).randint(0, 12_000)
    out = tmp_path / "out"
    words = ended_for_its_output(videos, out, preexec_fn=limited_to(limit))
    assert out.name in words
    report = emoscan.scan(videos, out, run=run_options(resume=True))
    assert report.exit_code == 0 and len(tables(out)) == 6


@contextmanager
def small_disk(place: Path, kib: int) -> Iterator[Path]:
    """A file system of its own; skips where none may be mounted."""
    place.mkdir()
    mount = shutil.which("mount")
    size = f"size={kib}k"
    if (
        not mount
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", size, "tmpfs", place], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("number", range(TRIES))
def test_a_disk_that_is_full(tmp_path, videos, faults, number) -> None:
    faults(
        "a disk of 2 MB that is full after 0 to 60 kB",
        passes_when="exit code 7, path and free bytes named, no bad final file",
    )
    with small_disk(tmp_path / "disk", 2048) as disk:
        left = 4096 * random.Random(number).randint(0, 15)
        free = shutil.disk_usage(disk).free
        (disk / "full").write_bytes(bytes(free - left))
        words = ended_for_its_output(videos, disk / "out", env={"EMOSCAN_ANY_DISK": "1"})
        assert "disk" in words and "bytes are free" in words
        (disk / "full").unlink()
        report = emoscan_on_any_disk(videos, disk / "out")
        assert report.exit_code == 0 and len(tables(disk / "out")) == 6


def emoscan_on_any_disk(videos: Path, out: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "LEAST_FREE_BYTES", 0)
        return emoscan.scan(videos, out, run=run_options(resume=True))


def test_a_disk_with_too_little_room_is_refused_before_the_work(run, videos, faults) -> None:
    faults(
        "less than 16 MiB free where the output is to lie",
        passes_when="exit code 7 before any work, path and bytes named",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "free_bytes", lambda _: 12_345)
        result = run("video", videos, "--out", "night/out")
    words = " ".join(result.err.split())
    assert result.code == 7 and "night/out" in words and "12,345 bytes free" in words
    assert not Path("night").exists()


@pytest.mark.parametrize("place", ["a file instead of a folder", "a folder that takes nothing"])
def test_a_place_that_takes_nothing(run, videos, faults, place) -> None:
    faults(
        "a read-only folder, a file in place of the folder",
        passes_when="exit code 7 before any work, the path named",
    )
    if place.startswith("a file"):
        Path("out").touch()
    elif os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    else:
        Path("out").mkdir(mode=0o500)
    result = run("video", videos, "--out", "out/night")
    assert result.code == 7 and "out/night" in result.err and "Traceback" not in result.err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(tmp_path, videos, faults, closed) -> None:
    faults(
        "stdin, stdout, stderr or all of them closed",
        passes_when="the tables are there; exit code 0",
    )
    command = f'exec "$0" -m tests.faults.quick_command video "$1" --out "$2" {closed}'
    words = ["bash", "-c", command, sys.executable, videos, tmp_path / "out"]
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, check=False, timeout=60, capture_output=True)
    assert done.returncode == 0 and len(tables(tmp_path / "out")) == 6, done.stderr


def test_rows_for_a_stdout_that_is_closed_are_refused_before_the_work(run, videos) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        for words in (["--out", "-", "--format", "csv"], ["--out", "out", "--json"]):
            result = run("video", videos, *words)
            assert result.code == 7 and "There is no stdout" in result.err
        assert run("status", videos).code != 1
        assert "no stdout to write" in run("info").err
    assert not Path("out").exists()


def test_a_full_disk_is_told_in_bytes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writers, "told_free", lambda _: ": 17 bytes are free there")
    words = r"t\.csv .* --out: 17 bytes are free there\."
    with (
        pytest.raises(OutputError, match=words),
        writers.whole_file(tmp_path / "t.csv", overwrite=False),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
