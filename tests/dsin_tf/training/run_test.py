import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsin_tf.training import run

ROOT = Path(__file__).resolve().parents[3]
CONFIGURATION = {
    "model": {"name": "tiny", "lmbda": 0.01},
    "data": {"train": {"name": "street", "digest": "ab"}, "validation": None},
    "training": {"steps": 10, "learning_rate": 1e-4, "log_every": 5},
}


def changed(**training):
    return {**CONFIGURATION, "training": {**CONFIGURATION["training"], **training}}


def test_the_configuration_is_written_once(tmp_path):
    directory = run.Run(tmp_path / "run")
    assert directory.configuration() is None
    directory.begin(CONFIGURATION)
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == CONFIGURATION
    directory.begin(CONFIGURATION)
    assert directory.configuration() == CONFIGURATION


def test_another_configuration_is_refused_with_the_values_that_differ(tmp_path):
    directory = run.Run(tmp_path)
    directory.begin(CONFIGURATION)
    other = changed(learning_rate=5e-4)
    other["data"] = {"train": {"name": "street", "digest": "cd"}, "validation": {"name": "street"}}
    with pytest.raises(run.RunError) as caught:
        directory.begin(other)
    message = str(caught.value)
    assert 'data.train.digest is "ab" there, "cd" was asked for' in message
    assert 'data.validation is null there, {"name": "street"} was asked for' in message
    assert "training.learning_rate is 0.0001 there, 0.0005 was asked for" in message
    assert "steps" not in message
    assert "Name another workdir" in message
    assert directory.configuration() == CONFIGURATION


def test_more_steps_and_other_intervals_go_on_with_the_run(tmp_path):
    directory = run.Run(tmp_path)
    directory.begin(CONFIGURATION)
    directory.begin(changed(steps=20, log_every=1))
    assert directory.configuration() == changed(steps=20, log_every=1)


def test_a_broken_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(run.RunError, match=r"config\.json: cannot be read"):
        run.Run(tmp_path).begin(CONFIGURATION)


def test_each_start_is_recorded(tmp_path):
    directory = run.Run(tmp_path)
    directory.record_start(0, strategy="one_device")
    directory.record_start(700, strategy="mirrored")
    starts = json.loads((tmp_path / "environment.json").read_text())
    assert [(start["step"], start["strategy"]) for start in starts] == [(0, "one_device"), (700, "mirrored")]
    assert starts[0]["versions"]["tensorflow"].startswith("2.14")
    assert starts[0]["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert starts[0]["devices"][0] == "CPU"
    assert {"started", "command", "git_revision", "platform"} <= set(starts[0])


def test_the_git_revision_is_that_of_the_checkout(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    tracked = subprocess.run(["git", "ls-files", run.__file__], cwd=ROOT, capture_output=True, text=True).stdout
    if not tracked:
        pytest.skip("the package is not in the repository yet")
    assert run.environment()["git_revision"] in (head, f"{head}-dirty")


def test_a_second_process_is_kept_out_until_the_first_is_gone(tmp_path):
    code = f"""if True:
        import sys, time
        from dsin_tf.training import run
        with run.Run({str(tmp_path)!r}).locked():
            print("in", flush=True)
            time.sleep(60)
    """
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(run.RunError, match="another process is training there"), run.Run(tmp_path).locked():
            pass
    finally:
        other.kill()
        other.wait()
    with run.Run(tmp_path).locked():
        pass
