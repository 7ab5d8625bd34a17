"""Gates on what no linter reads: the lock, the documents, the notebooks."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hokusai_nb.config import Settings
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.schema import prompt_verbs, registrations, verbs
from hokusai_nb.schema.arguments import arguments
from hokusai_nb.schema.events import EventType

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Imported only to log a model of theirs, so they are there already.
FLAVOURS = {"lightgbm", "sklearn", "statsmodels", "xgboost"}
PACKAGE = sorted((ROOT / "hokusai_nb").rglob("*.py"))


def declared(*, with_tests: bool) -> dict[str, Requirement]:
    """Return what pyproject.toml asks for, by canonical name."""
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    groups = PYPROJECT["dependency-groups"]
    lines += (
        [line for name in ("build", "test") for line in groups[name] if isinstance(line, str)] if with_tests else []
    )
    found = {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}
    del found[canonicalize_name(project["name"])]
    return found


def locked() -> dict[str, set[str]]:
    """Return the versions that the lock has of each package; some differ by Python version."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.\-]+)(?:\[[\w,]+\])?==([^\s;]+)", LOCK, re.MULTILINE):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


def table_column(text: str, heading: str) -> list[str]:
    """Return the code words in the first column of the first table below a heading."""
    table = re.search(r"^\|.*?(?=\n\n|\Z)", text.split(heading, 1)[1], re.MULTILINE | re.DOTALL)
    assert table, heading
    return [word for row in table[0].splitlines()[2:] for word in re.findall(r"`([^`]+)`", row.split("|")[1])]


# The lock


def test_the_lock_holds_packages_and_hashes_and_no_address():
    assert "mlflow==3.17.2 " in LOCK
    for line in LOCK.splitlines():
        pinned = re.fullmatch(r"[a-z0-9][a-z0-9.\-]*(\[[a-z,]+\])?==\S+( ; [\w .<>=!'()]+)? \\", line)
        assert pinned or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line


def test_the_lock_has_every_dependency_at_a_version_that_is_asked_for():
    versions = locked()
    for name, requirement in declared(with_tests=True).items():
        assert name in versions, name
        assert all(requirement.specifier.contains(version) for version in versions[name]), name
    assert all(canonicalize_name(Requirement(line).name) in versions for line in PYPROJECT["build-system"]["requires"])


# Dependencies


def test_contributing_names_every_dependency_and_no_other():
    section = CONTRIBUTING.split("## Dependencies", 1)[1].split("\n## ", 1)[0]
    rows = [row.rsplit("|", 2)[0] for row in section.splitlines() if row.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`([\w.\-]+)`", row)}
    wanted = set(declared(with_tests=True))
    # An extra may be called like the package that it brings.
    assert named - (set(PYPROJECT["project"]["optional-dependencies"]) - wanted) == wanted


def imported_modules(path: Path) -> set[str]:
    """Return the top-level modules that a file imports when it runs, lazily or not."""
    found = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            nodes += ast.iter_child_nodes(node)
    return found - set(sys.stdlib_module_names) - {"hokusai_nb"} - FLAVOURS


def test_the_package_imports_nothing_that_it_does_not_declare():
    distributions = importlib.metadata.packages_distributions()
    names = set(declared(with_tests=False))
    undeclared = []
    for path in PACKAGE:
        for module in imported_modules(path):
            providers = {canonicalize_name(name) for name in distributions.get(module, [module])}
            providers |= {"pydantic"} & {module.removesuffix("_core")}  # its core is pinned by it
            undeclared += [] if providers & names else [f"{path.name}: {module}"]
    assert undeclared == []


# Documents


def test_the_readme_lists_every_magic_and_no_other():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.extension_manager.load_extension('hokusai_nb')\n"
        "for kind, names in shell.magics_manager.magics.items():\n"
        "    print(*({'line': '%', 'cell': '%%'}[kind] + name for name in names if name.startswith('hokusai')))\n"
    )
    shell = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert sorted(table_column(README, "### Magics")) == sorted(shell.stdout.split())


def variable(name, field):
    """The first environment variable that sets a field."""
    return field.validation_alias.choices[0] if field.validation_alias else f"HOKUSAI_{name.upper()}"


def as_written(default):
    """A default as it stands in the table."""
    if default is None:
        return "none"
    text = json.dumps(default) if isinstance(default, (bool, tuple)) else default
    return f"`{text:g}`" if isinstance(text, float) else f"`{text}`"


def test_the_readme_lists_every_environment_variable_with_its_default():
    fields = {variable(name, field): field for name, field in Settings.model_fields.items()}
    assert table_column(README, "### Environment variables") == list(fields)
    for name, field in fields.items():
        row = re.search(rf"^\| `{name}` \| (.+?) \|", README, re.MULTILINE)
        assert row, name
        assert row[1] == as_written(field.default), name


def test_every_relative_link_in_a_document_leads_somewhere():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("notebooks/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_make_target_is_described_in_contributing():
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(table_column(CONTRIBUTING, "## Set up and check")) == {f"make {name}" for name in targets - {"help"}}


def test_commit_hooks_are_local_and_need_no_network():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    assert {hook["language"] for repo in hooks["repos"] for hook in repo["hooks"]} == {"system"}


def blocks_of_prompts():
    """The YAML that the README shows of prompts: a file with one, the hook, the workflow."""
    section = README.split("\n## Prompts\n", 1)[1].split("\n### ", 1)[0]
    prompt, hook, workflow = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    (path,) = re.findall(r"files such as `(prompts/[\w./-]+)`", section)
    return path, prompt, yaml.safe_load(hook), yaml.safe_load(workflow)


def test_the_hook_that_the_readme_shows_is_the_one_that_the_repository_offers():
    (offered,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    path, _, shown, _ = blocks_of_prompts()
    (local,) = shown["repos"]
    (hook,) = local["hooks"]
    assert hook.pop("entry") == " ".join([offered["entry"], *offered["args"]])
    assert local["repo"] == "local"
    assert hook.pop("language") == "system"
    assert hook == {key: offered[key] for key in hook}
    assert re.search(hook["files"], path)


@pytest.mark.slow
def test_the_workflow_that_the_readme_shows_registers_and_promotes_the_prompt_that_it_shows(store, tmp_path):
    path, prompt, _, workflow = blocks_of_prompts()
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text(prompt, encoding="utf-8")
    known = {"vars.MLFLOW_TRACKING_URI": store, "secrets.HOKUSAI_API_KEY": ""}
    here = {"CI": "true", "GITHUB_SHA": "0123abcd", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = []
    for job in workflow["jobs"].values():
        given = {key: known[value.strip("${ }")] for key, value in job.get("env", {}).items()}
        for line in (step["run"] for step in job["steps"] if step.get("run", "").startswith("hokusai ")):
            env = {**os.environ, "MLFLOW_TRACKING_URI": "", **here, **given}
            command = ["bash", "-ec", line]
            done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=env)
            assert done.returncode == 0, done.stderr
            ran.append(line.split()[2])
    assert ran == ["validate", "register", "promote"]
    found = PromptModel.load_from_registry("persona/founder/hook", stage="production")
    assert found.render(name="Ada", count=3) == "Hi Ada, 3 people read this."
    assert [entry.why for entry in found.get_history()] == ["registered for staging", "0123abcd"]


def test_no_tracked_file_holds_a_path_of_a_machine():
    line = ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"]
    files = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert "pyproject.toml" in files
    machine = re.compile(rf"{re.escape(str(ROOT))}|(?<![\w.$}}/])/(?:root|tmp|work)/\w")
    for name in files:
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".lock"):
            assert not machine.search(path.read_text(encoding="utf-8")), name


def test_no_module_is_longer_than_one_can_hold_in_the_head():
    assert [path.name for path in PACKAGE if len(path.read_text().splitlines()) > 400] == []


VERBS = [v for module in (verbs, prompt_verbs, registrations) for v in vars(module).values() if isinstance(v, type)]
OPTIONS = {a.flag for v in VERBS if issubclass(v, verbs.Verb) for a in arguments(v) if a.flag} | {"--db-config"}


@pytest.mark.parametrize("room", ["backends", "core", "site"])
def test_no_room_below_the_faces_speaks_of_the_options_of_a_line(room):
    said = [
        (path.name, node.lineno)
        for path in PACKAGE
        if path.is_relative_to(ROOT / "hokusai_nb" / room)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and OPTIONS & set(re.findall(r"--[a-z-]+", node.value))
    ]
    assert said == []


# Notebooks


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_as_it_ran_from_top_to_bottom(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert any(cell["outputs"] for cell in code)


CONSOLE_LINE = re.compile(rf"\S+Z ({'|'.join(EventType)}) ")
"""An event that the console is told of."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_errors_only_where_it_means_to(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        failed = any(output["output_type"] == "error" for output in cell["outputs"])
        assert failed == ("raises-exception" in cell["metadata"].get("tags", [])), "".join(cell["source"])
        lines = [line for output in cell["outputs"] if output.get("name") == "stderr" for line in output["text"]]
        warned = [line for line in lines if not CONSOLE_LINE.match(line)]
        assert not warned, "".join(cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_can_be_read_where_nothing_runs(path):
    for cell in json.loads(path.read_text())["cells"]:
        for data in (output["data"] for output in cell.get("outputs", []) if "data" in output):
            assert "text/plain" in data
            assert "application/vnd.jupyter.widget-view+json" not in data or "text/html" in data
            if "application/vnd.vegalite.v5+json" in data:
                assert "image/png" in data


def test_the_index_lists_every_notebook_in_order():
    index = (ROOT / "notebooks" / "index.md").read_text()
    assert re.findall(r"\(([\w.]+\.ipynb)\)", index) == [path.name for path in NOTEBOOKS]
