import signal
import sys
from dataclasses import dataclass

import pytest

from emoscan.cli.app import main


@dataclass(frozen=True)
class Result:
    """What a command line gave: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capfd, tmp_path_factory):
    """Run a command line in an empty folder of its own."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    term = signal.getsignal(signal.SIGTERM)

    def call(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["emoscan", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *capfd.readouterr())

    yield call
    signal.signal(signal.SIGTERM, term)
