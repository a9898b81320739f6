"""Turns files into numbers: metrics, classical codecs, curves, tables, figures, the report."""

import dsin_tf  # noqa: F401  keeps TensorFlow quiet, whichever module is imported first
