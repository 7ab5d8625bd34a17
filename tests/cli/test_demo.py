from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

import hokusai_nb
from hokusai_nb.cli.demo import MODEL, TUTORIAL, demo

ROOT = Path(hokusai_nb.__file__).parents[1]


def run_demo(folder: Path, home: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `hokusai demo` from the package that is in `folder`, or else from the installed one."""
    code = "from hokusai_nb.cli.main import main; main(prog_name='hokusai')"
    env = {**os.environ, "HOME": str(home), "NO_COLOR": "1", **variables}
    line = [sys.executable, "-c", code, "demo", *options]
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the demo once, where a user has settings that must not matter."""
    folder, home = tmp_path_factory.mktemp("somewhere"), tmp_path_factory.mktemp("home")
    settings = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mine.db",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{home}/mine.db",
        "MLFLOW_EXPERIMENT_NAME": "mine",
        "HOKUSAI_API_KEY": "mine",
        "HOKUSAI_CONTRIBUTOR": "not an address",
        "IPYTHONDIR": str(home / "ipython"),
    }
    return run_demo(folder, home, **settings), folder, home


@pytest.mark.slow
def test_the_demo_ends_well_and_says_what_it_registered(ran):
    result, _, _ = ran
    assert result.returncode == 0, result.stdout + result.stderr
    table = [line.split() for line in result.stdout.splitlines()]
    assert ["Version", "Metric", "Value", "Improvement", "Contributor"] in table
    rows = {row[0]: row for row in table if len(row) == 5 and row[1] == "accuracy"}
    assert list(rows) == ["1", "2", "3", "4"]
    values = [float(row[2]) for row in rows.values()]
    assert values == sorted(set(values))
    assert rows["1"][3:] == ["–", "–"]
    assert all(row[3].startswith("+") and row[4].startswith("0x") for row in list(rows.values())[1:])
    assert "make lab" in result.stdout


@pytest.mark.slow
def test_the_demo_leaves_notebook_page_and_plots_where_it_says(ran):
    result, folder, _ = ran
    (home,) = (folder / "demo").iterdir()
    files = sorted(path.name for path in home.iterdir() if path.suffix in (".ipynb", ".html", ".png"))
    assert files == [
        TUTORIAL.replace("ipynb", "html"),
        TUTORIAL,
        "contributions.png",
        "improvement.png",
        "lineage.png",
    ]
    for name in files:
        assert str((home / name).relative_to(folder)) in result.stdout
    for plot in home.glob("*.png"):
        assert plot.read_bytes().startswith(b"\x89PNG")
    notebook = nbformat.read(home / TUTORIAL, as_version=4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source)


@pytest.mark.slow
def test_the_page_of_the_demo_needs_no_network(ran):
    _, folder, _ = ran
    (page,) = (folder / "demo").glob("*/*.html")
    text = page.read_text(encoding="utf-8")
    fetched = re.findall(r"<(?:script|img|iframe|link|source)\b[^>]*\b(?:src|href)=[\"']?(?!data:)([^\"'> ]+)", text)
    assert fetched == []
    assert re.findall(r"@import|import\s*\(|url\((?![\"']?data:)[\"']?https?:", text) == []
    pictures = re.findall(r'<img alt="([^"]*)"[^>]* src="data:image/png;base64,', text)
    assert [alt.split()[0] for alt in pictures] == ["Improvement", "Who", "Lineage"]


@pytest.mark.slow
def test_the_demo_touches_no_store_and_no_profile_of_the_user(ran):
    _, folder, home = ran
    assert not (home / "mine.db").exists()
    assert not (home / "ipython").exists()
    assert [path.name for path in folder.iterdir()] == ["demo"]
    (database,) = (folder / "demo").glob("*/registry.db")
    with sqlite3.connect(database) as connection:
        (count,) = connection.execute("select count(*) from model_versions where name = ?", [MODEL]).fetchone()
    connection.close()
    assert count == 4


@pytest.fixture
def broken(tmp_path):
    """Copy the package beside a tutorial whose second cell fails."""
    shutil.copytree(ROOT / "hokusai_nb", tmp_path / "hokusai_nb", ignore=shutil.ignore_patterns("__pycache__"))
    cells = [
        nbformat.v4.new_code_cell("folder = 'elsewhere'", metadata={"tags": ["folder"]}),
        nbformat.v4.new_code_cell("print('reached')\nraise ValueError('no such digit')"),
        nbformat.v4.new_code_cell("print('never reached')"),
    ]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / TUTORIAL)
    return tmp_path


@pytest.mark.slow
def test_a_cell_that_fails_is_shown_and_ends_the_demo_with_exit_code_1(broken):
    result = run_demo(broken, broken, "--folder", "here")
    assert result.returncode == 1
    assert "ValueError: no such digit" in result.stderr
    assert "Traceback (most recent call last):\n  File" not in result.stderr
    assert "\x1b" not in result.stderr
    cells = json.loads((broken / "here" / TUTORIAL).read_text())["cells"]
    assert cells[0]["source"][0].startswith('folder = "."')
    assert [output["output_type"] for output in cells[1]["outputs"]] == ["stream", "error"]
    assert cells[2]["outputs"] == []


def test_a_folder_with_something_in_it_is_wrong_usage_and_stays_as_it_is(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = CliRunner().invoke(demo, ["--folder", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not empty" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_two_demos_that_start_in_the_same_second_have_a_folder_each(tmp_path, monkeypatch):
    from hokusai_nb.cli.demo import _new_folder

    monkeypatch.chdir(tmp_path)
    folders = {_new_folder() for _ in range(3)}
    assert len(folders) == 3
    assert set((tmp_path / "demo").iterdir()) == folders
