"""A function of two, applied to many pairs by worker processes.

Workers are spawned, not forked: a process that has used TensorFlow has threads, and its forks may hang. They are quiet,
keep OpenCV to one thread each, and do not outlive the process that started them.
"""

import concurrent.futures
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from dsin_tf.sets import features

_CHUNK = 8  # pairs that a worker is sent at once


def over_pairs(function, items, pairs, workers, advance):
    """Applies a function to pairs of items.

    Args:
      function: of two items; defined in a module, so that workers find it.
      items: list of what the pairs are of.
      pairs: list of (i, j), positions in `items`.
      workers: processes that share the work; 1 is this process alone.
      advance: called without arguments after each pair.

    Returns:
      The list of `function(items[i], items[j])`.

    Raises:
      RuntimeError: a worker died.
    """
    if workers == 1:
        return _collected((function(items[i], items[j]) for i, j in pairs), advance)
    with tempfile.TemporaryDirectory() as folder:
        # Workers read the items from a file; what is too large for a pipe would block it for ever if a worker died.
        path = Path(folder) / "work"
        path.write_bytes(pickle.dumps((function, items)))
        return _in_processes(path, pairs, workers, advance)


def _in_processes(path, pairs, workers, advance):
    other_children = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, (path,))
    try:
        return _collected(pool.map(_apply, pairs, chunksize=_CHUNK), advance)
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - other_children:
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise RuntimeError(
                "A worker process died. Either memory ran out, or the script that was started has no "
                '`if __name__ == "__main__":` around what it does. See to that, or use workers=1.'
            ) from error
        raise
    finally:
        pool.shutdown()


def _collected(results, advance):
    found = []
    for result in results:
        found.append(result)
        advance()
    return found


_shared = None  # a worker's function and items


def _start_worker(path):
    global _shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the user started
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _shared = pickle.loads(path.read_bytes())
    features.opencv().setNumThreads(1)


def _end_with_parent():
    """Ends this worker when its parent is gone, even by kill -9; it would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _apply(pair):
    function, items = _shared
    return function(*(items[i] for i in pair))
