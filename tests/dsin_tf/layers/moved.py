"""Pictures of which one shows the other moved, and the numbers that the search normalises colours with."""

import numpy as np

MEAN = np.array([93.70454143384742, 98.28243432206516, 94.84678088809876])
STD = np.array([73.56493292844912, 75.88547006820752, 76.74838442810665])


def pictures(height, width, seed=0, count=1, noise=6.0, contrast=1.0, brightness=0.0):
    """x_dec, y_dec, y, `float32 [count, height, width, 3]`: smooth shapes, and some noise.

    y has them moved by (2, -3), times `contrast`, plus `brightness`.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: height + 4, : width + 6]
    found = []
    for _ in range(count):
        waves = [np.cos(a * rows + b * columns + c) for a, b, c in rng.uniform(0.1, 0.9, (5, 3))]
        scene = 115 + 25 * np.einsum("khw,kc->hwc", waves, rng.uniform(-0.5, 1.5, (5, 3)))
        x, y = scene[2 : height + 2, :width], contrast * scene[:height, 3 : width + 3] + brightness
        found.append([np.clip(view + noise * rng.standard_normal(view.shape), 0, 255) for view in (x, y, y)])
    return [np.stack(images).astype(np.float32) for images in zip(*found)]
