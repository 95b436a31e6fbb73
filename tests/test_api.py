"""The public API, and what importing it costs."""

import json
import subprocess
import sys

import emoscan

HEAVY = ["torch", "cv2", "av", "PIL", "pyarrow", "pandas", "scipy", "matplotlib"]


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_emoscan_loads_nothing_heavy() -> None:
    assert loaded_by("import emoscan").isdisjoint([*HEAVY, "numpy"])


def test_the_command_lines_help_loads_nothing_heavy() -> None:
    assert loaded_by("import emoscan.cli.app").isdisjoint([*HEAVY, "numpy"])


def test_options_need_no_torch() -> None:
    assert loaded_by("import emoscan; emoscan.ScanOptions(fps=5)").isdisjoint(HEAVY)


def test_every_public_name_is_there() -> None:
    assert set(emoscan.__all__) == set(emoscan._HOMES)
    assert all(getattr(emoscan, name) is not None for name in emoscan.__all__)
    assert set(emoscan.__all__) <= set(dir(emoscan))
