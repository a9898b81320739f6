"""What every driver does with --help, wrong flags and mistakes of the user, seen from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsin_tf import images
from eval import tables
from experiments import common

ROOT = Path(__file__).resolve().parents[2]

DRIVER = '''"""A driver for this test."""
import sys
from absl import flags, logging
from experiments import common

common.define_data_flags()
with common.flag_group("Rate"):
    RATE = flags.DEFINE_float("rate", 0.1, "Bits a pixel.", lower_bound=0)
LOAD = flags.DEFINE_bool("load", False, "Open the data set.")

def main(argv):
    if RATE.value > 1:
        raise common.UserError(f"--rate={RATE.value} is above 1; name a smaller one.")
    if RATE.value > 0.5:
        raise KeyboardInterrupt
    with common.progress("work", total=2) as advance:
        advance()
    logging.info("went well")
    if LOAD.value:
        source = common.load_data()
        print(source, source.count(0))
    print("result")

common.run(main)
'''


def _drive(*arguments):
    return subprocess.run(
        [sys.executable, "-c", DRIVER, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpshort"])
def test_help_groups_flags_with_their_defaults(flag):
    result = _drive(flag)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("A driver for this test.")
    before, after = result.stdout.split("\nRate:\n")
    assert "\nData:\n" in before
    assert before.count("kitti_stereo_clean") == 1
    assert "--dataset=<kitti_stereo | kitti_stereo_clean | " in before
    assert "(default: street)" in before
    assert "--[no]partial" in before
    assert "--rate=<float>\n        Bits a pixel. (default: 0.1)" in after


def test_only_the_result_is_on_stdout_and_notes_are_plain_lines():
    result = _drive()
    assert (result.returncode, result.stdout, result.stderr) == (0, "result\n", "note: went well\n")


@pytest.mark.parametrize("argument", ["--rate=0.1", "--help"])
def test_a_reader_that_has_read_enough_ends_it_quietly(argument):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [sys.executable, "-c", DRIVER, argument], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writing)
    assert result.returncode == 128 + signal.SIGPIPE
    assert "rror" not in result.stderr


@pytest.mark.parametrize(
    "driver", sorted(p.stem for p in (ROOT / "experiments").glob("*.py") if "common.run(main)" in p.read_text())
)
def test_every_driver_starts_by_itself(driver):
    result = subprocess.run(
        [sys.executable, "-m", f"experiments.{driver}", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "\nAlso: --helpfull" in result.stdout


@pytest.mark.parametrize(
    ("argument", "status", "message"),
    [
        ("--rate=2", 1, "error: --rate=2.0 is above 1; name a smaller one.\n"),
        ("--rate=0.7", 130, "error: Stopped. What was finished is kept; the same command goes on from there.\n"),
        ("--rate=-1", 1, "error: flag --rate=-1: -1.0 is not a non-negative number. See --help.\n"),
        ("--raet=1", 1, "error: Unknown command line flag 'raet'. Did you mean: rate ?. See --help.\n"),
        ("stray", 1, "error: Unexpected argument 'stray'; every setting is a flag (--name=value). See --help.\n"),
    ],
)
def test_mistakes_end_in_one_line(argument, status, message):
    result = _drive(argument)
    assert result.returncode == status
    assert (result.stdout, result.stderr) == ("", message)


def test_unknown_dataset_lists_the_known_ones():
    result = _drive("--dataset=street+nowhere")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "nowhere" in result.stderr
    assert "kitti_stereo" in result.stderr


def test_flags_of_sets_reach_the_data_sets_that_take_them(tmp_path):
    images.write(tmp_path / "set/a.png", np.zeros((4, 4, 3), np.uint8))
    images.write(tmp_path / "set/b.png", np.zeros((4, 4, 3), np.uint8))
    given = ("--load", f"--data_dir={tmp_path}", "--set_size=1", "--limit=2")
    result = _drive("--dataset=image_sets+street_sets", "--views=drive", *given)
    assert (result.returncode, result.stdout) == (0, "<image_sets+street_sets test: 3 sets> 1\nresult\n"), result.stderr
    result = _drive("--dataset=image_sets", "--views=drive", *given)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        1,
        "error: image_sets has no option 'views'; the options it takes: set_size.",
    )


def test_tensorflow_imported_by_a_driver_is_version_2_inside_functions():
    lines = (
        "from experiments import common",
        "def main(argv):",
        "    import tensorflow as tf",
        "    compared = tf.function(lambda x: x == 1)",
        "    print(compared(tf.constant([1, 2])).numpy())",
        "common.run(main)",
    )
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stdout) == (0, "[ True False]\n"), result.stderr


def test_a_table_that_is_no_terminals_is_printed_whole(capsys):
    columns = tuple(f"a long heading {k}" for k in range(7))
    note = "A sentence that is longer than a terminal of eighty letters is wide, of which every word is wanted, too."
    table = tables.Table("Wide", ("row",), columns, (tables.Row(("r",), [tables.Cell(k) for k in range(7)]),), note)
    common.show_table(table)
    shown = capsys.readouterr().out
    assert all(heading in shown for heading in columns)
    assert note in " ".join(shown.split())


COMMAND = """
import sys, types
from absl import flags
from experiments import common

common.define_data_flags()
with common.flag_group("Run"):
    flags.DEFINE_string("workdir", None, "A place.")
    flags.DEFINE_string("out", None, "Another.")
    flags.DEFINE_list("bpp", None, "Rates.")
    flags.DEFINE_bool("colour", False, "Switch.")
common._parse_flags(sys.argv)
print(common.command())
sys.modules["__main__"].__spec__ = types.SimpleNamespace(name="experiments.mine")
print(common.command())
print(common.command(workdir=None, bpp=3))
"""


def test_a_command_is_kept_without_places_of_this_machine():
    given = ("--colour", "--bpp=1,2", "--out=/there", "--workdir=/here/run", "--data_dir=relative", "--nopartial")
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, *given, "--verbosity=1"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    start = "python -m experiments.mine --data_dir=DIR --nopartial"
    assert result.stdout.splitlines() == [
        "None",  # no driver was started
        f"{start} --workdir=RUN --bpp=1,2 --colour",
        f"{start} --bpp=3 --colour",
    ]


def test_shipped_weights_and_relative_runs_stay_in_a_kept_command():
    for name in ("dsin-kitti-small-0.08,dsin-kitti-small-0.24", "runs/mine"):
        result = subprocess.run(
            [sys.executable, "-c", COMMAND, f"--workdir={name}"], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert result.stdout.splitlines()[1] == f"python -m experiments.mine --workdir={name}"
