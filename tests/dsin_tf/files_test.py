"""Files appear whole or not at all."""

import os
import resource
import subprocess
import sys

import pytest

from dsin_tf import files


def test_written_text_is_read_back_in_a_fresh_process(tmp_path):
    files.write_text(tmp_path / "new" / "folder" / "a.txt", "grün\n")
    code = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    out = subprocess.run([sys.executable, "-c", code, tmp_path / "new/folder/a.txt"], capture_output=True, check=True)
    assert out.stdout == "grün\n".encode()


def test_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "a.bin"
    files.write_bytes(target, b"old")
    with pytest.raises(RuntimeError, match="stop"), files.replacing(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert target.read_bytes() == b"old"


def test_a_write_that_fails_half_way_leaves_no_file(tmp_path):
    """A limit on file size stands in for a full disk: the system takes some bytes and refuses the rest."""
    code = (
        "import resource, sys\n"
        "from dsin_tf import files\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {resource.RLIM_INFINITY}))\n"
        "try:\n"
        "    files.write_bytes(sys.argv[1], bytes(100_000))\n"
        "except files.OutputError as error:\n"
        "    print(error)\n"
    )
    target = tmp_path / "big.bin"
    out = subprocess.run([sys.executable, "-c", code, target], capture_output=True, text=True, check=True)
    assert f"Cannot write {target}: File too large" in out.stdout
    assert list(tmp_path.iterdir()) == []


def test_full_disk_that_shows_only_at_sync_leaves_no_file(tmp_path, monkeypatch):
    def no_space(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(files.OutputError, match="No space left on device"):
        files.write_bytes(tmp_path / "a.bin", b"data")
    assert list(tmp_path.iterdir()) == []


def test_directory_where_a_file_is_expected(tmp_path):
    with pytest.raises(files.OutputError, match="is a directory"):
        files.write_bytes(tmp_path, b"data")


def test_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(files.OutputError, match="Cannot write .*file/a.bin"):
        files.write_bytes(tmp_path / "file" / "a.bin", b"data")


def test_folder_that_is_not_writable():
    with pytest.raises(files.OutputError, match="Cannot write /proc/dsin_tf"):
        files.write_bytes("/proc/dsin_tf/a.bin", b"data")


def test_mode_is_that_of_an_ordinary_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    files.write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
