"""Steps are done once and in order; what was stopped goes on. Each step here is a line of Python, not a driver."""

import re

import pytest

from dsin_tf import zoo
from experiments import common, steps
from experiments.steps import Step

WRITE = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"


@pytest.fixture(autouse=True)
def lines_of_python(monkeypatch):
    monkeypatch.setattr(steps, "_words", lambda step: ["python", *step.flags])


def write(name, folder, *needs, word="x", **more):
    """A step that appends a word to its file."""
    return Step(name, "none", ("-c", WRITE, str(folder / name), word), folder / name, needs, **more)


def fail(name, folder, *needs, say="error: no such luck", **more):
    code = f"import sys; print({say!r}, file=sys.stderr); sys.exit(3)"
    return Step(name, "none", ("-c", code), folder / name, needs, **more)


def said(folder):
    """{file: what its step wrote}."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_every_step_is_done_once(tmp_path):
    chain = [write("a", tmp_path), write("b", tmp_path, "a")]
    assert steps.run(chain, tmp_path / "state") == {}
    steps.run(chain, tmp_path / "state")
    assert said(tmp_path) == {"a": "x", "b": "x"}


def test_a_failing_step_stops_with_its_command_and_the_next_run_goes_on(tmp_path):
    before, after = write("a", tmp_path), write("c", tmp_path, "b")
    bad = fail("b", tmp_path, "a")
    with pytest.raises(common.UserError, match=r"b failed: exit status 3\nIts command: python -c .*no such luck"):
        steps.run([before, bad, after], tmp_path / "state")
    assert said(tmp_path) == {"a": "x"}
    steps.run([before, write("b", tmp_path, "a"), after], tmp_path / "state")
    assert said(tmp_path) == {"a": "x", "b": "x", "c": "x"}


def test_of_steps_side_by_side_the_message_is_the_step_s_own(tmp_path):
    with pytest.raises(common.UserError, match=r"^b failed: no such luck\nIts command: "):
        steps.run([write("a", tmp_path), fail("b", tmp_path)], tmp_path / "state", jobs=2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_can_be_done_without_is_told_and_the_others_go_on(jobs, tmp_path, capfd):
    chain = [fail("a", tmp_path, optional=True), write("b", tmp_path, "a")]
    failed = steps.run(chain, tmp_path / "state", jobs)
    assert list(failed) == ["a"]
    assert "a: not made." in re.sub(r"\s+", " ", capfd.readouterr().err)
    assert said(tmp_path) == {"b": "x"}
    assert not steps.is_done(chain[0], tmp_path / "state")


def test_what_needs_a_step_that_is_done_again_is_done_again(tmp_path):
    chain = [write("a", tmp_path), write("b", tmp_path, "a"), write("c", tmp_path, "b"), write("d", tmp_path)]
    steps.run(chain, tmp_path / "state")
    (tmp_path / "a").unlink()
    steps.run(chain, tmp_path / "state")
    assert said(tmp_path) == {"a": "x", "b": "xx", "c": "xx", "d": "x"}


def test_another_command_is_done_again(tmp_path):
    steps.run([write("a", tmp_path)], tmp_path / "state")
    steps.run([write("a", tmp_path, word="y")], tmp_path / "state")
    assert said(tmp_path) == {"a": "xy"}


def test_other_weights_of_the_same_name_are_measured_again(tmp_path, monkeypatch):
    name = zoo.names()[0]
    step = write("a", tmp_path, word=f"{name},")
    steps.run([step], tmp_path / "state")
    assert steps.is_done(step, tmp_path / "state")
    monkeypatch.setattr(zoo, "card", lambda name: {"identity": "other"})
    assert not steps.is_done(step, tmp_path / "state")


def test_side_by_side_a_step_waits_for_what_it_needs(tmp_path):
    slow = f"import time; time.sleep(0.5); {WRITE}"
    first = Step("a", "none", ("-c", slow, str(tmp_path / "both"), "1"), tmp_path / "both")
    second = Step("b", "none", ("-c", WRITE, str(tmp_path / "both"), "2"), tmp_path / "both", ("a",))
    steps.run([first, second, write("c", tmp_path)], tmp_path / "state", jobs=2)
    assert said(tmp_path) == {"both": "12", "c": "x"}


def test_one_step_at_a_time_has_the_terminal(tmp_path, capfd):
    step = Step("a", "none", ("-c", "print('hello')"), tmp_path)
    steps.run([step], tmp_path / "state")
    out, err = capfd.readouterr()
    assert out == "hello\n"
    assert "a: python -c" in err


def test_a_command_is_what_one_types(monkeypatch):
    monkeypatch.undo()
    step = Step("a", "dsin", ("--mode=train", "--results=a/*.json"), "out")
    assert step.command == "python -m experiments.dsin --mode=train '--results=a/*.json'"
