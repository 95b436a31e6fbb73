"""The examples run as they stand, on the demo's clip, and on what a user names."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

import emoscan
from emoscan.timeline.schema import SCHEMA
from tests.tracks import empty, face, write

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK = EXAMPLES / "video_to_figure.ipynb"


def example(name: str, *words: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, words)],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's clip, two seconds of it, and its timeline: scanned once."""
    folder = tmp_path_factory.mktemp("demo")
    said = example("demo_timeline.py", "--seconds", 2, cwd=folder)
    assert said.strip() == str(Path("demo/portrait.parquet"))
    return folder


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of happy in one frame, then one of sad in ten; then nobody."""
    folder = tmp_path_factory.mktemp("uneven")
    rows = [face(0, 0.0, "happy", 0.8), *(face(i, 0.9 + i / 10, "sad", 0.6) for i in range(1, 11))]
    return write(folder / "deep" / "uneven.parquet", [*rows, empty(11, 2.0), empty(12, 2.1)])


def test_pandas_shares_are_of_time_not_of_rows(demo: Path, uneven: Path) -> None:
    assert "happy" in example("pandas_shares.py", cwd=demo)
    said = example("pandas_shares.py", uneven, cwd=demo)
    rows = [line.split() for line in said.splitlines()]
    header = next(row for row in rows if row[:1] == ["emotion"])[1:]
    shares, means = ([float(cell) for cell in row[1:]] for row in rows if row[:1] == ["1"])
    assert dict(zip(header, shares, strict=True)) == dict.fromkeys(emoscan.EMOTIONS, 0.0) | {
        "happy": 0.5, "sad": 0.5,
    }  # fmt: skip
    expected = (0.8 + 0.4 / 6) / 2
    assert means[emoscan.EMOTIONS.index("happy")] == pytest.approx(expected, abs=6e-4)


def test_duckdb_reads_a_folder_and_weights_by_time(demo: Path, uneven: Path) -> None:
    assert "portrait.mp4" in example("duckdb_folder.py", cwd=demo)
    said = example("duckdb_folder.py", uneven.parent.parent, cwd=demo)
    rows = {row[1]: row for row in map(str.split, said.splitlines()[1:])}
    assert rows["happy"] == ["clip.mp4", "happy", "1", "1.0", "0.5"]
    assert rows["sad"][3:] == ["1.0", "0.5"]


def test_rs_columns_are_in_the_schema() -> None:
    script = (EXAMPLES / "read_in_r.R").read_text(encoding="utf-8")
    (listed,) = re.findall(r"col_select = c\(([^)]*)\)", script)
    columns = re.findall(r'"(\w+)"', listed)
    assert len(columns) == 7 and set(columns) <= set(SCHEMA.names)
    used = set(re.findall(r"\b(source|frame|time_s|status|track|emotion|happy)\b", script))
    assert used == set(columns)
    pairs = {"(": ")", "[": "]", "{": "}"}
    code = re.sub(r'"[^"]*"|#.*', "", script)
    assert all(code.count(left) == code.count(right) for left, right in pairs.items())


def test_the_notebook_is_committed_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 4
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_the_notebook_goes_from_video_to_figure(demo: Path, monkeypatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(demo / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(demo / "runtime"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(demo)}})
    try:
        client.create_kernel_manager()
        client.start_new_kernel(cwd=str(demo))
        client.start_new_kernel_client()
    except Exception as error:  # no kernel installed, or no sockets here
        pytest.skip(f"no Jupyter kernel can be started: {error}")
    client.execute(reset_kc=False)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert not [output for output in shown if output.output_type in ("stream", "error")]
    folder = demo / "demo"
    assert (folder / "portrait.pdf").read_bytes().startswith(b"%PDF")
    assert b"./portrait.mp4" in (folder / "portrait.eaf").read_bytes()


def test_a_user_reads_the_wide_table_back(demo: Path) -> None:
    table = demo / "demo" / "portrait.parquet"
    done = emoscan.export_timeline(table, to="wide", out=demo / "wide")
    tables = [pd.read_csv(path) for path in done.files]
    assert len(tables) == done.tracks and all(len(table) == 50 for table in tables)
