"""NDIC-CAM: NDIC whose decoder looks for what it needs in the features of y.

Mital, Özyılkan, Garjani and Gündüz, "Neural distributed image compression with cross-attention feature alignment",
WACV 2023, https://arxiv.org/abs/2207.08489; in the form of the released code (github.com/ipc-lab/NDIC-CAM). What is not
said here is as in ndic.py, with a factorised prior.

Weights belong to one size of image, because those of the cross-attention do: see `layers.CrossAttention`. So the size is
a setting, and images of another are refused.
"""

import tensorflow as tf

from dsin_tf import images, layers
from dsin_tf.layers import cross_attention
from dsin_tf.models import ndic

PRESETS = {
    # As published (its authors' latest configuration); rates come from the lambdas of experiments/ndic.py.
    "paper": {"filters": 192, "size": (128, 256), "lmbda": 3e-5, "distortion": "ms-ssim"},
    # Trains in tens of minutes on two CPU cores.
    "small": {"filters": 32, "size": (128, 256), "lmbda": 8e-4, "distortion": "mse"},
    # For tests.
    "tiny": {"filters": 8, "size": (64, 64), "lmbda": 8e-4, "distortion": "mse"},
}

_STAGES = 3


class NDICCam(ndic.NDICBalle2017):
    """NDIC with three cross-attentions in the decoder of x, which ask for features of the decoder of y.

        v_x, w --> up, IGDN --> a_1 --+--> up, IGDN --> a_2 --+--> up, IGDN --> a_3 --+--> up --> x_hat
                                 |    |                  |    |                  |    |
                                CAM --+                 CAM --+                 CAM --+
                                 |                       |                       |
        v_y, w --> up, IGDN --> g_1 -----> up, IGDN --> g_2 -----> up, IGDN --> g_3 .....> up ..> y_hat

    So the receiver needs the encoder of y's private part and all of its decoder but the last layer.

    Args:
      size: (height, width) of all images, multiples of 32.
      alpha, beta: as of `ndic.NDIC`; 0 by default, as in the authors' latest configuration.
      The others: see `ndic.NDIC`.
    """

    model_name = "ndic_cam"

    def __init__(self, filters, size, lmbda, distortion="mse", alpha=0.0, beta=0.0, seed=0):
        height, width = map(int, size)
        if min(height, width) < 32 or height % 32 or width % 32:
            raise ValueError(f"size is {height}x{width}; multiples of 32 were expected.")
        super().__init__(filters, lmbda, distortion, alpha, beta, seed=seed)
        self._size = height, width
        make = layers.Maker(2**31 + seed)  # past every seed that NDIC's layers can have
        self.synthesis = _decoder(make, filters)
        self.cross_attention = [cross_attention.CrossAttention(make.next_seed, f"cam{i}") for i in (1, 2, 3)]
        self.build_networks()
        for i, cam in enumerate(self.cross_attention):
            shape = (None, height >> (3 - i), width >> (3 - i), filters)
            cam.build((shape, shape))
