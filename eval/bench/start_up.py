"""How long `import dsin_tf` takes beside importing TensorFlow and tensorflow-compression.

    python -m eval.bench.start_up

Each import runs in fresh processes, in turns, so that a slow moment of the machine strikes all alike; the
medians are printed. `import dsin_tf` alone loads its parts on first use, so the line to compare is the one
that uses them.
"""

import statistics
import subprocess
import sys
import time

from absl import app, flags

_REPEATS = flags.DEFINE_integer("repeats", 7, "Fresh processes per import.", lower_bound=1)

IMPORTS = {
    "tensorflow, tensorflow_compression": "import tensorflow, tensorflow_compression",
    "dsin_tf": "import dsin_tf",
    "dsin_tf and every part of it": "import dsin_tf; [getattr(dsin_tf, name) for name in dsin_tf.__all__]",
}


def main(argv):
    del argv
    seconds = {name: [] for name in IMPORTS}
    for _ in range(_REPEATS.value):
        for name, code in IMPORTS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    reference = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"import {name:<36} {median:6.2f} s   {median / reference:5.2f} x")


if __name__ == "__main__":
    app.run(main)
