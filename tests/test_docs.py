"""README says what is true: its commands, columns, codes and examples."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import emoscan
from emoscan.errors import ExitCode
from emoscan.timeline.schema import DESCRIPTIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


ANALYSIS = (ROOT / "docs" / "analysis.md").read_text(encoding="utf-8")


def blocks(language: str, document: str = README) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def table_rows(text: str) -> list[list[str]]:
    lines = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def test_the_table_of_columns_is_the_schema() -> None:
    rows = table_rows(README[README.index("## The table") : README.index("## Exit codes")])[2:]
    assert {name.strip("`"): meaning for name, _, meaning in rows} == DESCRIPTIONS


def test_the_exit_codes_are_the_programs() -> None:
    rows = table_rows(README[README.index("## Exit codes") : README.index("## Accuracy")])[2:]
    assert [int(code) for code, _ in rows] == [int(code) for code in ExitCode]


def test_every_option_in_readme_exists(run) -> None:
    documents = blocks("") + blocks("", ANALYSIS)
    lines = [line for block in documents for line in block.splitlines()]
    commands = [words for line in lines if (words := re.match(r"emoscan (\w+) [^#]*", line))]
    helps = {name: run(name, "--help").out for name in {words[1] for words in commands}}
    named = {(words[1], word) for words in commands for word in re.findall(r"--[a-z-]+", words[0])}
    assert len(named) >= 15
    assert all(option in helps[name] for name, option in named)


def test_every_command_in_readme_runs(run, portrait_clip) -> None:
    """As a dry run, so that only what is written there is checked, not the networks again."""
    for name in ("interview.mp4", "street.mp4", "day1/a.mp4", "day2/b.mp4", "recordings/c.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy(portrait_clip, name)
    Path("photos").mkdir()
    Path("photos/a.jpg").touch()
    lines = [line for block in blocks("") for line in block.splitlines()]
    commands = [line for line in lines if re.match(r"emoscan (video|folder) ", line)]
    assert len(commands) >= 6
    for line in commands:
        words = shlex.split(line.split("#")[0].split("|")[0])[1:]
        result = run(*words, "--dry-run")
        assert result.code == 0, (line, result.err)


def test_readmes_python_runs(portrait_clip, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(portrait_clip, "interview.mp4")
    emoscan.scan("interview.mp4", "timeline.parquet", options=emoscan.ScanOptions(every=5))
    examples = blocks("python") + blocks("python", ANALYSIS)
    assert len(examples) == 5
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "happy" in said and "emoscan-resnet18" in said
    assert Path("sampled.csv").exists()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/analysis.md"])
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert all((document.parent / link).exists() for link in links), links


def test_the_commands_about_a_table_run(run, portrait_clip) -> None:
    """Those of README's section, one after the other, as a new user would."""
    shutil.copy(portrait_clip, "interview.mp4")
    emoscan.scan("interview.mp4", "timeline.parquet")
    Path("talk.srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nAnna: Hello.\n", encoding="utf-8"
    )
    section = README[README.index("## From a table") : README.index("## Overnight")]
    commands = [line for line in section.splitlines() if line.startswith("emoscan ")]
    assert len(commands) >= 9
    for line in commands:
        result = run(*shlex.split(line.split("#")[0])[1:])
        assert result.code == 0, (line, result.err)
    for name in ("annotated.mp4", "shown.mp4", "windows.csv", "report.html", "figure.pdf"):
        assert Path(name).stat().st_size > 100
    assert list(Path().glob("*.eaf"))


def test_the_example_draws_a_track(portrait_clip, tmp_path) -> None:
    video = tmp_path / "interview.mp4"
    shutil.copy(portrait_clip, video)
    figure = tmp_path / "figure.png"
    example = ROOT / "examples" / "first_timeline.py"
    done = subprocess.run(
        [sys.executable, str(example), str(video), str(figure)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert figure.read_bytes().startswith(b"\x89PNG") and "track" in done.stdout
