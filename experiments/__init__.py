"""One absl driver per paper, run from a checkout as `python -m experiments.NAME`."""

import dsin_tf  # noqa: F401  keeps TensorFlow quiet, whichever module is imported first
