"""Where a registration was made: the notebook, its kernel, what was run in it, and the commit."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hokusai_nb.config import session_notebook, settings
from hokusai_nb.log import logger
from hokusai_nb.schema.tags import NOTEBOOK_PREFIX

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["git_facts", "history_digest", "notebook_path", "notebook_tags"]

GIT_SECONDS = 2.0
REMEMBERED_SECONDS = 10.0
# Variables in which VS Code and papermill (--inject-paths) leave the notebook's path.
_PATH_VARIABLES = ("__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")
_seen: dict[Path, tuple[float, dict[str, str]]] = {}


def notebook_tags(shell: InteractiveShell) -> dict[str, str]:
    """Return the tags ``hokusai.notebook.*``; none where the user switched them off.

    They say where a version comes from and are no part of what makes two registrations the same.
    """
    if not settings().notebook_provenance:
        return {}
    path = notebook_path(shell)
    root = work_tree(path)
    facts = {"kernel": kernel_text(shell), "history_digest": history_digest(shell)}
    if path:
        inside = root is not None and path.is_relative_to(root)
        shown = path.relative_to(root).as_posix() if root and inside else str(path)
        facts["path"] = shown.encode(errors="replace").decode()  # a file name may be no text
    if root:
        facts |= git_facts(root)
    return {f"{NOTEBOOK_PREFIX}{key}": value for key, value in facts.items()}


def notebook_path(shell: InteractiveShell) -> Path | None:
    """Return the notebook's path, or None where nothing tells it, as under nbclient."""
    stated = [shell.user_ns.get(name) for name in _PATH_VARIABLES] + [session_notebook()]
    found = next((p for p in stated if isinstance(p, str) and p.endswith(".ipynb") and "\0" not in p), None)
    return Path(found).absolute() if found else None


def kernel_text(shell: InteractiveShell) -> str:
    """Return the language and the kernel, such as ``CPython 3.11.7, ipykernel 7.4.0``."""
    kernel = getattr(shell, "kernel", None)
    name = type(kernel).__module__.partition(".")[0] if kernel else "ipython"
    version = getattr(sys.modules.get(name), "__version__", "")
    return f"{platform.python_implementation()} {platform.python_version()}, {name} {version}".strip()


def history_digest(shell: InteractiveShell) -> str:
    """Return the SHA-256 of the inputs that were run, in order, as they were typed."""
    history = shell.history_manager
    inputs = json.dumps(list(history.input_hist_raw) if history else [])
    return hashlib.sha256(inputs.encode()).hexdigest()


def work_tree(notebook: Path | None) -> Path | None:
    """Return the root of the git work tree around the notebook, else around the working folder.

    Found without starting git; None where there is none, or where the folder is gone.
    """
    try:
        folder = notebook.parent if notebook and notebook.parent.is_dir() else Path.cwd()
    except OSError:
        return None
    # os.path.exists says no where a folder may not be entered; Path.exists would raise.
    return next((p for p in (folder, *folder.parents) if os.path.exists(p / ".git")), None)  # noqa: PTH110


def git_facts(root: Path) -> dict[str, str]:
    """Return commit and dirty flag of a work tree; what git does not say in time is left out."""
    moment = time.monotonic()
    when, facts = _seen.get(root, (-REMEMBERED_SECONDS, {}))
    if moment - when >= REMEMBERED_SECONDS:
        facts = _ask_git(root)
        _seen[root] = (moment, facts)
    return dict(facts)


def _ask_git(root: Path) -> dict[str, str]:
    status = _git(root, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is not None:
        lines = status.splitlines()
        commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
        dirty = any(not line.startswith("#") for line in lines)
    else:  # a work tree too large to compare in time still has a commit
        commit, dirty = (_git(root, "rev-parse", "--verify", "HEAD") or "").strip(), None
    if not commit or commit.startswith("("):
        return {}
    return {"git_commit": commit} if dirty is None else {"git_commit": commit, "git_dirty": str(dirty).lower()}


def _git(root: Path, *command: str) -> str | None:
    """Return git's output, or None if it is not installed, fails or takes too long."""
    git = shutil.which("git")
    if git is None:
        return None
    # A repository's own settings must not start programs, and reading it must not lock it.
    line = [git, "-c", "core.fsmonitor=false", "--no-optional-locks", "-C", str(root), *command]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            line,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        logger.debug("git %s gave no answer.", command[0], exc_info=True)
        return None
    return done.stdout
