"""A file is read for its digest and read again to be sent; what changes between the two is noticed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hokusai_nb.backends.mlflow.model_bytes import CHUNK, CheckedReader, digest, read
from hokusai_nb.backends.mlflow.model_files import find_files
from hokusai_nb.errors import ValidationError

CONTENT = bytes(range(256)) * 10_000


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "weights.bin"
    made.write_bytes(CONTENT)
    return made


def nobody(count):
    pass


def digested(path, tell=nobody):
    return digest(*find_files(path), tell)


def reader_of(path, tell=nobody):
    return CheckedReader(digested(path).files[0], tell)


def test_the_digest_of_a_file_is_what_sha256sum_prints(path):
    told = []
    files = digested(path, told.append)
    assert files.digest == files.files[0].sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (files.name, files.size, sum(told)) == ("weights.bin", len(CONTENT), len(CONTENT))
    assert max(told) <= CHUNK


def test_the_digest_of_a_folder_is_that_of_what_sha256sum_prints_of_its_files(path):
    (path.parent / "a b").mkdir()
    (path.parent / "a b" / "c.txt").write_text("c")
    (path.parent / "empty").touch()
    line = "find . -type f | sed 's|^./||' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    printed = subprocess.run(line, shell=True, cwd=path.parent, capture_output=True, text=True, check=True).stdout
    assert digested(path.parent).digest == printed.split()[0]


def test_two_folders_of_the_same_bytes_under_other_names_differ(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.bin").write_bytes(b"x")
    assert digested(tmp_path / "one").digest != digested(tmp_path / "two").digest


def test_a_file_that_is_being_written_has_no_digest(path):
    _, (found,) = find_files(path)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValidationError, match="was changed while it was being registered"):
        read(found, nobody)


def test_a_file_or_a_pipe_that_takes_the_place_of_what_was_found_is_not_read(path):
    _, (found,) = find_files(path)
    path.rename(path.with_suffix(".old"))
    path.write_bytes(CONTENT)
    with pytest.raises(ValidationError, match="was changed"):
        read(found, nobody)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValidationError, match="was changed"):
        read(found, nobody)
    path.unlink()
    path.symlink_to(path.with_suffix(".old"))
    with pytest.raises(ValidationError, match="cannot be read"):
        read(found, nobody)


def test_a_file_that_may_not_be_read_is_refused():
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        secret = Path(folder, "secret.bin")
        secret.write_bytes(b"s")
        secret.chmod(0o000)
        found = find_files(secret)
        user = os.geteuid()
        if not user:  # root may read anything
            os.seteuid(65534)
        try:
            with pytest.raises(ValidationError, match="cannot be read: Permission denied"):
                digest(*found, nobody)
        finally:
            os.seteuid(user)


def test_a_reader_gives_the_file_in_pieces_and_knows_its_length(path):
    told = []
    reader = reader_of(path, told.append)
    assert len(reader) == len(CONTENT)
    assert reader.read(10) == CONTENT[:10]
    assert reader.tell() == 10
    assert b"".join(reader) == CONTENT[10:]
    assert reader.read(10) == reader.read() == b""
    assert sum(told) == len(CONTENT)
    reader.close()


def test_a_reader_that_begins_again_takes_back_what_it_told(path):
    told = []
    reader = reader_of(path, told.append)
    reader.read(1000)
    assert reader.seek(0) == reader.tell() == sum(told) == 0
    assert reader.read() == CONTENT
    with pytest.raises(OSError, match="beginning"):
        reader.seek(5)
    reader.close()


@pytest.mark.parametrize("change", ["other bytes", "fewer", "more"])
def test_a_reader_refuses_the_last_piece_of_a_file_that_was_changed(path, change):
    reader = reader_of(path)
    with path.open("r+b") as file:
        if change == "other bytes":
            file.seek(-1, os.SEEK_END)
            file.write(b"!")
        elif change == "fewer":
            file.truncate(len(CONTENT) - 1)
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"!")
    pieces = []
    with pytest.raises(ValidationError, match="was changed") as caught:
        pieces.extend(iter(lambda: reader.read(CHUNK), b""))
    assert reader.trouble is caught.value
    assert sum(map(len, pieces)) < len(CONTENT)
    reader.close()
