"""SECURITY.md says what the code does."""

import re
from pathlib import Path

import pytest

from emoscan import plan
from emoscan.media import container, decoder, images, process
from emoscan.media.picture import MAX_PIXELS

PAGE = " ".join((Path(__file__).parent.parent / "SECURITY.md").read_text("utf-8").split())


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text)) - {"and"}


def between(start: str, end: str) -> str:
    return PAGE[PAGE.index(start) + len(start) : PAGE.index(end)]


def test_the_containers() -> None:
    assert words(between("these and no others:", ". Playlists")) == words(container.CONTAINERS)
    assert container.OPEN_OPTIONS["protocol_whitelist"] == "file"


def test_the_formats_of_photos() -> None:
    assert words(between("**Photos.** Only", "; Pillow's readers")) == set(images.FORMATS)


@pytest.mark.parametrize(
    "figure",
    [
        f"{MAX_PIXELS:,} pixels",
        f"{decoder.ADDRESS_BYTES // 2**30} GiB of address space",
        f"progress for {process.SILENCE_S:.0f} s",
        f"wants {plan.LEAST_FREE_BYTES // 2**20} MiB free",
    ],
)
def test_the_limits(figure) -> None:
    assert figure in PAGE
