"""Worker processes: the same results as without, quiet, and gone when they should be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsin_tf.sets import parallel

ROOT = Path(__file__).resolve().parents[3]


def run(function, items, pairs, workers):
    """The results, and how often progress was reported."""
    calls = []
    return parallel.over_pairs(function, items, pairs, workers, lambda: calls.append(None)), len(calls)


def evaluated(expression, workers):
    """A Python expression's value in a worker: `eval` is a function of two that every process has."""
    return run(eval, [expression, {}], [(0, 1)], workers)[0][0]


def test_results_come_in_the_order_of_the_pairs():
    items = list(range(3, 23))
    pairs = [(i, j) for i in range(20) for j in range(i)]
    expected = [divmod(items[i], items[j]) for i, j in pairs]
    for workers in (1, 2):
        assert run(divmod, items, pairs, workers) == (expected, len(pairs))
        assert run(divmod, items, [], workers) == ([], 0)


def test_workers_are_other_processes_that_keep_opencv_to_one_thread():
    assert evaluated("__import__('os').getpid()", workers=1) == os.getpid()
    pid, threads = evaluated("__import__('os').getpid(), __import__('cv2').getNumThreads()", workers=2)
    assert pid != os.getpid()
    assert threads == 1


def test_errors_in_a_worker_are_raised_here_and_a_dead_worker_is_explained():
    with pytest.raises(ZeroDivisionError):
        run(divmod, [1, 0], [(0, 1)], workers=2)
    with pytest.raises(RuntimeError, match="worker process died.*__main__.*workers=1"):
        evaluated("__import__('os')._exit(3)", workers=2)


def test_a_script_without_a_guard_is_told_so_and_does_not_hang(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from dsin_tf.sets import parallel\n"
        "parallel.over_pairs(divmod, [10**500_000, 1], [(0, 1)], 2, print)\n"  # more than a pipe holds
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "RuntimeError: A worker process died" in result.stderr


def test_workers_do_not_outlive_a_killed_parent():
    code = (
        "import multiprocessing, threading, time\n"
        "from dsin_tf.sets import parallel\n"
        "def tell():\n"
        "    while len(children := multiprocessing.active_children()) < 2: time.sleep(0.01)\n"
        "    time.sleep(3)\n"  # they have started and are busy
        "    print(*(child.pid for child in children), flush=True)\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=tell).start()\n"
        "    items = ['__import__(\"time\").sleep(100)', {}]\n"
        "    parallel.over_pairs(eval, items, [(0, 1)] * 20, 2, print)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(map(_runs, workers))
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    end = time.monotonic() + 20
    while any(map(_runs, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert len(workers) == 2
    assert not any(map(_runs, workers))


def _runs(pid):
    """Whether a process runs; one that is dead and not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
