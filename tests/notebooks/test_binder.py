from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "binder" / "requirements.txt"
TUTORIALS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_every_requirement_is_pinned_with_a_hash_and_names_no_address():
    text = REQUIREMENTS.read_text()
    pinned = re.findall(r"^([a-z0-9][\w.\-]*)(?:\[.*\])?==[^\s;]+", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 100
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "://" not in text


def test_what_binder_installs_is_what_the_tests_run_with():
    def pins(path):
        return dict(re.findall(r"^([a-z0-9][\w.\-]*)(?:\[.*\])?==([^\s;]+)", path.read_text(), re.MULTILINE))

    locked = pins(ROOT / "requirements.lock")
    assert {name: version for name, version in pins(REQUIREMENTS).items() if locked.get(name) != version} == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_fresh_binder_runs_every_tutorial(tmp_path):
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    python = str(folder / "bin" / "python")
    line = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", REQUIREMENTS]
    subprocess.run(line, check=True)
    repository = tmp_path / "repository"
    wanted = ("hokusai_nb", "notebooks", "binder", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests")
    repository.mkdir()
    for name in wanted:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, repository / name)
    env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ""}
    subprocess.run([repository / "binder" / "postBuild"], cwd=repository, env=env, check=True)
    tutorials = [nbformat.read(repository / "notebooks" / tutorial.name, as_version=4) for tutorial in TUTORIALS]
    # One after the other in one kernel: each by itself they run beside the tests.
    together = nbformat.v4.new_notebook(metadata=tutorials[0].metadata)
    together.cells = [cell for tutorial in tutorials for cell in tutorial.cells]
    for number, cell in enumerate(together.cells):
        cell.id = str(number)
    nbformat.write(together, tmp_path / "together.ipynb")
    line = [python, "-m", "nbconvert", "--to", "notebook", "--execute", "--output=executed.ipynb", "together.ipynb"]
    subprocess.run(line, cwd=tmp_path, env=env, check=True)
    executed = iter(nbformat.read(tmp_path / "executed.ipynb", as_version=4).cells)
    for tutorial in tutorials:
        cells = [next(executed) for _ in tutorial.cells]
        assert [cell.source for cell in cells] == [cell.source for cell in tutorial.cells]
        assert all(cell.execution_count for cell in cells if cell.cell_type == "code" and cell.source)
        assert any(cell.get("outputs") for cell in cells)
