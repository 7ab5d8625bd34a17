"""What is found at a model's path, and what is refused before anything is read."""

from __future__ import annotations

import os
import socket
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hokusai_nb.backends.mlflow.model_files import find_files
from hokusai_nb.errors import ValidationError


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    (made / "layers").mkdir(parents=True)
    (made / "weights.bin").write_bytes(b"w" * 10)
    (made / "layers" / "0.bin").write_bytes(b"0" * 5)
    return made


def names(path):
    return [f.name for f in find_files(path)[1]]


def refused(path):
    with pytest.raises(ValidationError) as caught:
        find_files(path)
    assert {p.field for p in caught.value.problems} == {"path"}
    assert caught.value.hint
    return caught.value.what


def test_a_long_path_is_told_whole(folder):
    long = folder.joinpath(*["a-folder-of-a-long-name"] * 20, "gone")
    assert refused(long) == f"There is no model at '{long}'."


def test_a_file_is_found_under_its_own_name(folder):
    root, (found,) = find_files(folder / "weights.bin")
    assert root == folder / "weights.bin"
    assert (found.name, found.size, found.path) == ("weights.bin", 10, folder / "weights.bin")


def test_a_folder_is_found_with_everything_below_it_in_the_order_of_names(folder):
    (folder / ".hidden").write_text("h")
    (folder / "empty.py").touch()
    (folder / "nothing").mkdir()
    root, _ = find_files(folder)
    assert root == folder
    assert names(folder) == [".hidden", "empty.py", "layers/0.bin", "weights.bin"]


def test_a_path_may_be_relative_to_the_working_folder_or_to_the_home(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert names("model/weights.bin") == names("~/model/weights.bin") == ["weights.bin"]
    assert names(Path("model")) == names("./model/") == ["layers/0.bin", "weights.bin"]


def test_a_link_that_the_user_names_is_followed_and_keeps_its_name(folder):
    (folder.parent / "best.bin").symlink_to(folder / "weights.bin")
    (folder.parent / "best").symlink_to(folder)
    _, (found,) = find_files(folder.parent / "best.bin")
    assert (found.name, found.path) == ("best.bin", folder / "weights.bin")
    assert names(folder.parent / "best") == ["layers/0.bin", "weights.bin"]


def test_a_link_to_another_file_of_the_folder_is_that_file(folder):
    (folder / "latest.bin").symlink_to(Path("layers", "0.bin"))
    _, found = find_files(folder)
    assert [(f.name, f.size) for f in found] == [("latest.bin", 5), ("layers/0.bin", 5), ("weights.bin", 10)]


@pytest.mark.parametrize("target", ["/etc/hosts", "../secret.txt"])
def test_a_link_that_leads_out_of_the_folder_is_refused(folder, target):
    (folder.parent / "secret.txt").write_text("s")
    (folder / "layers" / "link").symlink_to(target if target.startswith("/") else Path("..", target))
    assert refused(folder).startswith("The link 'layers/link' leads out of the folder, to ")


def test_links_that_lead_nowhere_or_in_a_circle_are_refused(folder):
    (folder / "link").symlink_to("gone")
    assert refused(folder) == "The link 'link' leads nowhere."
    (folder / "link").unlink()
    (folder / "link").symlink_to("link")
    assert refused(folder) == "The link 'link' leads nowhere."


def test_a_link_to_a_folder_is_refused_and_never_entered(folder):
    (folder / "layers" / "up").symlink_to("..")
    assert refused(folder) == "'layers/up' is no file but a link to a folder."


def test_pipes_sockets_and_devices_are_refused_without_being_opened(folder, monkeypatch):
    os.mkfifo(folder / "pipe")
    assert refused(folder) == "'pipe' is no file but a pipe."
    assert refused(folder / "pipe") == "'pipe' is no file but a pipe."
    (folder / "pipe").unlink()
    monkeypatch.chdir(folder)  # a socket's path is short
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind("socket")
        assert refused(folder) == "'socket' is no file but a socket."
    assert refused("/dev/null") == "'null' is no file but a device."


def test_nothing_and_empty_things_are_refused(folder):
    assert refused(folder / "gone") == f"There is no model at '{folder / 'gone'}'."
    (folder.parent / "empty.bin").touch()
    assert refused(folder.parent / "empty.bin").endswith("empty.bin' is empty.")
    (folder.parent / "folder").mkdir()
    (folder.parent / "folder" / "empty.bin").touch()
    assert refused(folder.parent / "folder").endswith("folder' is empty.")
    assert "cannot be read" in refused("a\0b")


@contextmanager
def somebody_else():
    """Be a user who may read nothing of ours; root may read anything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_entered_is_refused():
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        hidden = Path(place, "hidden")
        hidden.mkdir()
        (hidden / "weights.bin").write_bytes(b"w")
        hidden.chmod(0o000)
        with somebody_else():
            assert refused(place).endswith("cannot be read: Permission denied.")
        hidden.chmod(0o700)


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%20b", "a\\b", "line\nbreak", "\udcff.bin", ".artifact.uploading.x"])
def test_a_name_that_mlflow_would_not_give_back_is_refused(folder, name):
    (folder / name).write_bytes(b"x")
    assert refused(folder).startswith("MLflow cannot store a file of the name ")


def test_only_the_description_of_a_model_is_refused_with_its_folder(folder):
    (folder / "MLmodel").write_text("flavors: {}")
    with pytest.raises(ValidationError, match="only describes a model") as caught:
        find_files(folder / "MLmodel")
    assert str(folder) in caught.value.hint
