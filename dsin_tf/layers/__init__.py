"""Network blocks that more than one model is built from."""

from dsin_tf.layers.strips import in_strips
from dsin_tf.layers.transforms import Maker, analysis, hyper_analysis, hyper_synthesis, pad_to_multiple, synthesis

__all__ = ["Maker", "analysis", "hyper_analysis", "hyper_synthesis", "in_strips", "pad_to_multiple", "synthesis"]
