"""Network blocks that more than one model is built from."""

from dsin_tf.layers.binarizer import binarize, chroma_mask, importance_mask, mask_of_levels, quantize_map
from dsin_tf.layers.enhancement import GRDN, GRDN_LITE, IEN
from dsin_tf.layers.fusion import MultiScaleFusion
from dsin_tf.layers.importance import ImportanceMap
from dsin_tf.layers.quantizer import CentersQuantizer
from dsin_tf.layers.reference_transform import (
    ReferenceTransform,
    homography_from_integers,
    quantize_homography,
    warp,
)
from dsin_tf.layers.residual import ResidualMaker, convolutions
from dsin_tf.layers.si_finder import SIFinder
from dsin_tf.layers.si_net import SINet
from dsin_tf.layers.strips import in_strips
from dsin_tf.layers.transforms import Maker, analysis, hyper_analysis, hyper_synthesis, pad_to_multiple, synthesis

__all__ = [
    "CentersQuantizer",
    "GRDN",
    "GRDN_LITE",
    "IEN",
    "ImportanceMap",
    "Maker",
    "MultiScaleFusion",
    "ReferenceTransform",
    "ResidualMaker",
    "SIFinder",
    "SINet",
    "analysis",
    "binarize",
    "chroma_mask",
    "convolutions",
    "homography_from_integers",
    "hyper_analysis",
    "hyper_synthesis",
    "importance_mask",
    "in_strips",
    "mask_of_levels",
    "pad_to_multiple",
    "quantize_homography",
    "quantize_map",
    "synthesis",
    "warp",
]
