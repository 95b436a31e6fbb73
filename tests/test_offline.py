"""Nothing leaves the machine: whole runs in which Python may open no socket."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from skimage import data, io

ROOT = Path(__file__).parent.parent

# Python runs this at the start of every process that has its folder on its path: the decoder's too.
BLOCK = """
import os, sys

def watch(event, arguments):
    if event == "import" and arguments[0] == "emoscan.media.decoder":
        note("decoder")
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        note(f"{event} {arguments[-1]!r}")
        raise PermissionError(f"no network: {event}")

def note(word):
    with open(os.environ["EMOSCAN_TEST_LOG"], "a") as log:
        print(word, file=log)

sys.addaudithook(watch)
"""


@pytest.fixture
def offline(tmp_path):
    """Runs Python without a network; gives its exit code and what was noted."""
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(BLOCK)
    log = tmp_path / "log"
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    env = os.environ | proxies
    env |= {"PYTHONPATH": f"{tmp_path / 'block'}:{ROOT}", "EMOSCAN_TEST_LOG": str(log)}

    def call(*words: object) -> tuple[int, set[str]]:
        log.unlink(missing_ok=True)
        process = subprocess.run(
            [sys.executable, *map(str, words)], env=env, cwd=tmp_path, check=False
        )
        return process.returncode, set(log.read_text().splitlines()) if log.exists() else set()

    return call


def test_a_scan_of_a_video_opens_no_connection(offline, portrait_clip) -> None:
    words = ("video", portrait_clip, "--out", "t.parquet", "--fps", "2", "--quiet")
    assert offline("-m", "emoscan", *words) == (0, {"decoder"})


def test_a_scan_of_photos_opens_no_connection(offline, tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    io.imsave(tmp_path / "photos" / "a.png", data.astronaut())
    shutil.copy(tmp_path / "photos" / "a.png", tmp_path / "photos" / "b.png")
    assert offline("-m", "emoscan", "folder", "photos", "--out", "t.csv", "-q") == (0, set())


def test_the_block_works(offline) -> None:
    """Else the tests above would tell nothing."""
    code, noted = offline("-c", "import socket; socket.create_connection(('127.0.0.1', 9))")
    assert code == 1 and any(word.startswith("socket.") for word in noted)
