"""The page of `make faults`."""

import subprocess
import sys

import pytest

from tests.faults.processes import ROOT
from tests.faults.report import ELSEWHERE

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_one(faults, figure, number):
    faults("rain", tried=10, passes_when="it is dry")
    figure(f"{number} mm")
    assert number < 2

def test_two(faults):
    faults("snow", passes_when="it melts")
    pytest.skip("it is summer")

def test_no_fault():
    pass
"""


def test_faults_are_counted(tmp_path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.faults.conftest import faults, figure")
    (tmp_path / "test_weather.py").write_text(TESTS)
    page = tmp_path / "faults.md"
    script = (
        "import sys, pytest, tests.faults.report as report; report.ELSEWHERE = ();"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    words = ["-p", "tests.faults.report", "--faults-report", page, "-p", "no:cacheprovider"]
    command = [sys.executable, "-c", script, *map(str, words), "--rootdir", str(tmp_path)]
    ended = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stdout
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")][2:]
    assert rows == [
        "| rain | 30 | 1 | it is dry | 0 mm; 1 mm; 2 mm |",
        "| snow | 0 | 0 | it melts | 1 skipped: it is summer |",
    ]


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=lambda elsewhere: elsewhere.test)
def test_the_tests_elsewhere_are_there(elsewhere) -> None:
    path, _, name = elsewhere.test.partition("::")
    text = (ROOT / path).read_text()
    assert not name or f"def {name}(" in text or f"class {name}" in text or f"{name} = " in text
