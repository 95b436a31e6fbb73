"""A tiny dataset in the Kaggle layout, and a cache of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.data import write_dataset


@pytest.fixture(scope="session", autouse=True)
def _cache_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Packed images never go to the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks gain nothing by more threads, and torch 2.14 crashes with two: in the backward
    pass of convolutions with few channels, 35 images of 24 px (seen on an EPYC with bf16).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # for what the tests start
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each class a gray level of its own with some noise; to read, never to change."""
    return write_dataset(tmp_path_factory.mktemp("fer2013"))
