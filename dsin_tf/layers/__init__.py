"""Network blocks that more than one model is built from."""

from dsin_tf.layers.importance import ImportanceMap
from dsin_tf.layers.quantizer import CentersQuantizer
from dsin_tf.layers.residual import ResidualMaker, convolutions
from dsin_tf.layers.si_finder import SIFinder
from dsin_tf.layers.si_net import SINet
from dsin_tf.layers.strips import in_strips
from dsin_tf.layers.transforms import Maker, analysis, hyper_analysis, hyper_synthesis, pad_to_multiple, synthesis

__all__ = [
    "CentersQuantizer",
    "ImportanceMap",
    "Maker",
    "ResidualMaker",
    "SIFinder",
    "SINet",
    "analysis",
    "convolutions",
    "hyper_analysis",
    "hyper_synthesis",
    "in_strips",
    "pad_to_multiple",
    "synthesis",
]
