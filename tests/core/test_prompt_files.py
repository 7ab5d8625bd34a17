from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hokusai_nb.core import prompt_files
from hokusai_nb.core.prompt_files import MAX_BYTES, read_prompt_files

GOOD = "name: {name}\nversion: 1.0.0\ntemplate: Hi\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to write into, which is the current one: ``folder("a/b.yaml", text)``."""
    monkeypatch.chdir(tmp_path)

    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def errors(*paths, **given):
    return [(p.file, p.sentence) for p in read_prompt_files(paths, **given).errors]


def test_a_folder_is_searched_and_what_is_hidden_or_no_prompt_is_passed_over(folder):
    folder("p/b.yaml", GOOD.format(name="b"))
    folder("p/sub/a.json", '{"name": "a", "template": "x"}')
    folder("p/README.md", "# Title\n")
    folder("p/picture.png", b"\x89PNG\0")
    for hidden in (".git", "node_modules", "__pycache__"):
        folder(f"p/{hidden}/c.yaml", "name: c\ntemplate: {\n")
    folder("p/.hidden.yaml", "name: c\ntemplate: {\n")
    found = read_prompt_files(["p"])
    assert found.errors == ()
    assert [prompt.name for prompt in found.prompts] == ["b", "a"]
    assert found.files == ("p/README.md", "p/b.yaml", "p/sub/a.json")
    assert found.passed_over == ("p/README.md",)


def test_a_folder_without_any_prompt_is_an_error_unless_others_are_to_be_passed_over(folder, tmp_path):
    folder("docs/README.md", "# Title\n")
    folder("p/a.yaml", GOOD.format(name="a"))
    (tmp_path / "empty").mkdir()
    said = [("empty", "There is no prompt in this folder."), ("docs", "There is no prompt in this folder.")]
    found = read_prompt_files(["p", "empty", "docs", "./p", "docs"])
    assert [(p.file, p.what) for p in found.errors] == said
    assert errors("p", "empty", "docs", lenient=True) == []
    folder("docs/broken.yaml", "template: x\n")
    assert [p.file for p in read_prompt_files(["docs"]).errors] == ["docs/broken.yaml"]


def test_links_are_followed_once_and_loops_do_not_hang(folder, tmp_path):
    folder("p/a.yaml", GOOD.format(name="a"))
    (tmp_path / "p/again.yaml").symlink_to("a.yaml")
    (tmp_path / "p/loop").symlink_to(".")
    (tmp_path / "p/self.yaml").symlink_to("self.yaml")
    found = read_prompt_files(["p", "p/a.yaml", "./p", tmp_path / "p"])
    assert [prompt.name for prompt in found.prompts] == ["a"]
    ((file, sentence),) = [(p.file, p.sentence) for p in found.errors]
    assert file == "p/self.yaml"
    assert "cannot be read" in sentence


@pytest.mark.parametrize(
    ("path", "data", "words"),
    [
        ("a.yaml", b"name: a\0", "binary"),
        ("a.yaml", "name: a\ntemplate: größe\n".encode("latin-1"), "not UTF-8: byte 0xf6 in line 2"),
        ("a.yaml", b"#" * (MAX_BYTES + 1), "more than 1,000,000 bytes"),
        ("a.png", b"x", "The ending '.png'"),
        ("none", b"x", "The ending ''"),
    ],
)
def test_a_file_that_is_no_text_is_told_and_harms_no_other(folder, path, data, words):
    folder(path, data)
    folder("b.yaml", GOOD.format(name="b"))
    found = read_prompt_files([path, "b.yaml"])
    assert [prompt.name for prompt in found.prompts] == ["b"]
    assert words in found.errors[0].sentence


def test_a_notebook_may_be_larger_but_not_of_any_size(folder, monkeypatch):
    cells = [{"cell_type": "code", "source": "%%hokusai_prompt a 1.0.0\nHi", "outputs": ["x" * (MAX_BYTES + 1)]}]
    folder("a.ipynb", json.dumps({"nbformat": 4, "cells": cells}))
    assert [prompt.name for prompt in read_prompt_files(["a.ipynb"]).prompts] == ["a"]
    monkeypatch.setattr(prompt_files, "MAX_NOTEBOOK_BYTES", MAX_BYTES)
    (error,) = read_prompt_files(["a.ipynb"]).errors
    assert "more than 1,000,000 bytes" in error.sentence


def test_a_byte_order_mark_is_no_part_of_the_text(folder):
    folder("a.yaml", b"\xef\xbb\xbfname: a\nversion: x\ntemplate: Hi\n")
    (problem,) = read_prompt_files(["a.yaml"]).errors
    assert (problem.line, problem.column) == (2, 10)


@pytest.mark.usefixtures("folder")
def test_a_missing_file_and_a_pipe_are_told(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    said = dict(errors("pipe.yaml", "nothing.yaml"))
    assert "no regular file" in said["pipe.yaml"]
    assert "There is no file or folder 'nothing.yaml'" in said["nothing.yaml"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", ["promts", "-", "prompts/*.yaml", "a.png"])
def test_a_misspelled_path_is_said_not_to_exist(path):
    ((_, sentence),) = errors(path)
    assert f"There is no file or folder '{path}'" in sentence


def test_one_version_in_two_files_is_an_error_at_the_second(folder):
    folder("a.yaml", GOOD.format(name="x/y"))
    folder("b.yaml", f"# again\n{GOOD.format(name='x/y')}")
    (problem,) = read_prompt_files(["a.yaml", "b.yaml"]).errors
    assert (problem.file, problem.line, problem.column) == ("b.yaml", 3, 10)
    assert problem.what == "x/y 1.0.0 is in the files twice, first at a.yaml:1:1."


def test_named_files_without_a_prompt_are_passed_over_where_that_is_wanted(folder):
    folder("README.md", "# Title\n")
    assert errors("README.md", lenient=True) == []
    assert "There is no prompt" in errors("README.md")[0][1]


def test_files_are_read_without_importing_mlflow(folder):
    folder("a.yaml", GOOD.format(name="a"))
    code = (
        "import sys\nfrom hokusai_nb.core.prompt_files import read_prompt_files\n"
        "assert read_prompt_files(['a.yaml']).prompts\nprint('mlflow' in sys.modules, 'sqlalchemy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.split() == ["False", "False"]
