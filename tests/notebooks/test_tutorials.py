from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SANITIZERS = ROOT / "tests" / "notebooks" / "sanitize.cfg"
PATTERNS = re.findall(r"^regex: (.*)\nreplace: (.*)$", SANITIZERS.read_text(), re.MULTILINE)
OUTPUTS = [
    json.dumps(cell["outputs"], ensure_ascii=False)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    for cell in json.loads(path.read_text())["cells"]
    if cell["cell_type"] == "code"
]

CHART = """
from IPython.display import display
chart = {{"title": "{title}", "value": {value}}}
display({{"application/vnd.vegalite.v5+json": chart, "text/plain": "chart"}}, raw=True)
"""


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in PATTERNS])
def test_a_sanitizer_is_there_because_a_tutorial_needs_it(pattern):
    assert any(re.search(pattern, text) for text in OUTPUTS)


@pytest.mark.parametrize(
    "kept",
    [
        "0.9611",
        "+0.0178",
        "0xa11cea11cea11cea11cea11cea11cea11cea11ce",
        "DIGIT-001",
        "digit-reader version 4",
        "719ace9c",
        "2026-11-20",
        "previous_version=2",
        "CELLS-001",
        "model_registered delivered",
    ],
)
def test_no_sanitizer_reaches_what_a_tutorial_claims(kept):
    assert all(re.search(pattern, f"a {kept} b") is None for pattern, _ in PATTERNS)


def cell(source: str, *outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source.strip(), outputs=list(outputs), execution_count=1)


def printed(text: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def shown(title: str, value: float) -> nbformat.NotebookNode:
    data = {"application/vnd.vegalite.v5+json": {"title": title, "value": value}, "text/plain": "chart"}
    return nbformat.v4.new_output("display_data", data=data)


@pytest.mark.slow
def test_a_changed_number_in_text_or_in_a_chart_fails_and_a_changed_time_does_not(tmp_path):
    now = f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d %H:%M} UTC"
    cells = [
        cell(f"print('at {now}')", printed("at 2020-01-01 00:00 UTC\n")),
        cell("print(0.99)", printed("0.98\n")),
        cell(CHART.format(title=now, value=0.99), shown("2020-01-01 00:00 UTC", 0.99)),
        cell(CHART.format(title=now, value=0.99), shown("2020-01-01 00:00 UTC", 0.98)),
        cell("print('silent')"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "some.ipynb")
    plugins = ["-p", "timeout", "-p", "nbval.plugin", "-p", "tests.isolation", "-o", f"cache_dir={tmp_path / 'cache'}"]
    line = [sys.executable, "-m", "pytest", "-v", "--color=no", *plugins, "--nbval", "--nbval-current-env"]
    line += [f"--nbval-sanitize-with={SANITIZERS}", str(tmp_path)]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    result = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    outcomes = re.findall(r"::Cell \d (PASSED|FAILED)", result.stdout)
    assert outcomes == ["PASSED", "FAILED", "PASSED", "FAILED", "FAILED"], result.stdout
