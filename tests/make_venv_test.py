"""The script that makes `.venv`, run for real with stand-ins for Python, pip and df."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("sh", "awk", "cat", "chmod", "cksum", "cp", "dirname", "grep", "head", "mkdir", "rm", "tail")

# Plays the interpreter: `-c` always works, `-m venv DIR` makes DIR with itself as its python, and `-m pip` notes the
# call and then does what $PIP_DOES says.
PYTHON = """#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip") echo pip >> calls; {pip_does} ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """An empty checkout and a PATH that holds basic tools, a df with room to spare and nothing else."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "venv", tmp_path / ".ci" / "venv")
    (tmp_path / "requirements.txt").write_text("numpy==1.26.4\n")
    (tmp_path / "setup.py").write_text("")
    (tmp_path / "path").mkdir()
    for tool in TOOLS:
        (tmp_path / "path" / tool).symlink_to(shutil.which(tool))
    _executable(tmp_path / "path" / "df", "#!/bin/sh\necho header\necho disk 9 9 90000000 9% /\n")
    return tmp_path


def _executable(path, text):
    path.write_text(text)
    path.chmod(0o755)


def _add_python(checkout, pip_does="true"):
    _executable(checkout / "path" / "python3.11", PYTHON.format(pip_does=pip_does))


def _run(checkout):
    return subprocess.run(
        ["sh", ".ci/venv"],
        cwd=checkout,
        env={"PATH": str(checkout / "path")},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _pip_calls(checkout):
    return (checkout / "calls").read_text().count("pip")


def test_installs_once_and_then_does_nothing(checkout):
    _add_python(checkout)
    first = _run(checkout)
    assert first.returncode == 0
    assert "Making .venv with" in first.stderr
    calls = _pip_calls(checkout)

    second = _run(checkout)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert _pip_calls(checkout) == calls


def test_changed_requirements_are_installed_into_the_same_venv(checkout):
    _add_python(checkout)
    _run(checkout)
    (checkout / ".venv" / "kept").touch()
    (checkout / "requirements.txt").write_text("numpy==1.26.3\n")
    assert "Installing" in _run(checkout).stderr
    assert (checkout / ".venv" / "kept").exists()
    assert _run(checkout).stderr == ""


def test_half_made_venv_is_made_again(checkout):
    _add_python(checkout)
    _run(checkout)
    (checkout / ".venv" / "complete").unlink()
    (checkout / ".venv" / "half").touch()
    again = _run(checkout)
    assert again.returncode == 0
    assert "half-made" in again.stderr
    assert not (checkout / ".venv" / "half").exists()


def test_killed_installation_is_seen_as_half_made(checkout):
    _add_python(checkout, pip_does="kill -9 $PPID; exit 1")
    assert _run(checkout).returncode != 0
    _add_python(checkout)
    again = _run(checkout)
    assert again.returncode == 0
    assert "half-made" in again.stderr


def test_venv_whose_interpreter_is_gone_is_made_again(checkout):
    _add_python(checkout)
    _run(checkout)
    (checkout / ".venv" / "bin" / "python").unlink()
    assert "Making .venv" in _run(checkout).stderr


def test_no_python(checkout):
    result = _run(checkout)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "no Python 3.9, 3.10 or 3.11 was found" in result.stderr
    assert not (checkout / ".venv").exists()


def test_python_of_another_version_is_passed_over(checkout):
    _executable(checkout / "path" / "python3", "#!/bin/sh\nexit 1\n")
    assert "no Python 3.9, 3.10 or 3.11 was found" in _run(checkout).stderr


def test_no_disk(checkout):
    _add_python(checkout)
    _executable(checkout / "path" / "df", "#!/bin/sh\necho header\necho disk 9 9 1048576 9% /\n")
    result = _run(checkout)
    assert result.returncode == 1
    assert "error: only 1024 MB are free" in result.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("pip_says", "message"),
    [
        ("Failed to establish a new connection", "the package index cannot be reached"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("resolution impossible", "pip could not install the packages: resolution impossible"),
    ],
)
def test_failed_installation_says_why_in_one_line(checkout, pip_says, message):
    _add_python(checkout, pip_does=f"echo '{pip_says}'; exit 1")
    result = _run(checkout)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (checkout / ".venv" / "complete").exists()
