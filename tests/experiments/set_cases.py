"""Results on image sets, made by hand."""

import math

import numpy as np

from eval import rd_results

# Two sets of two images. At equal lmbda all but the last have equal rates; that one needs half as much again.
IMAGES = ("s/0", "s/1", "t/0", "t/1")
LMBDAS = (0.0002, 0.0012)
RATES = ((0.05, 0.2),) * 3 + ((0.075, 0.3),)


def codec_psnr(at, low=24.0):
    """PSNR of the codec alone on image `at` at both lmbda."""
    return low + at, low + at + 4


def at_rate(pair, at, rate):
    """What lies at a rate between two values of image `at`, linearly in the rate's logarithm."""
    low, high = RATES[at]
    part = math.log(rate / low) / math.log(high / low)
    return pair[0] + part * (pair[1] - pair[0])


def save(path, method, images, name=None, **meta):
    """Writes a result of `images`, {name: {column: list}}; means are of each position. Returns the path as text."""
    about = {"dataset": "kitti_scenes", "split": "test", "protocol": "native", "rate": "file", "data_digest": "d"}
    points = [rd_results.ImagePoints(image, 320, 1224, columns) for image, columns in images.items()]
    means = {key: np.mean([columns[key] for columns in images.values()], axis=0).tolist() for key in points[0].points}
    about.update(method=method, **meta)
    path.parent.mkdir(parents=True, exist_ok=True)
    rd_results.save(rd_results.RDResult(name or method.upper(), "", about, means, points), path)
    return str(path)


def codec(path, method="lee2019-no_context", gain=0.0, **meta):
    """A codec of single images."""
    columns = {image: _columns(at, [p + gain for p in codec_psnr(at)]) for at, image in enumerate(IMAGES)}
    return save(path, method, columns, steps=100, **meta)


def sets(path, method="dsc_msf", gains=((1, 0.5), (2, 1), (1, 0.5), (2, 1)), depths=(0, 1, 0, 1), **meta):
    """A codec of sets: `gains` of each image at both lmbda above the codec alone; a file is 0.001 bpp larger."""
    images = {}
    for at, image in enumerate(IMAGES):
        alone = codec_psnr(at)
        columns = _columns(at, [p + gain for p, gain in zip(alone, gains[at])], 0.001)
        payload = [rate - 0.004 for rate in columns["bpp"]]
        images[image] = {**columns, "bpp-payload": payload, "psnr-codec": list(alone), "depth": [depths[at]] * 2}
    return save(path, method, images, **{"steps": 200, **meta})


def _columns(at, psnr, more=0.0):
    return {
        "bpp": [rate + more for rate in RATES[at]],
        "psnr-rgb": list(psnr),
        "ms-ssim-rgb": [value / 40 for value in psnr],
        "ms-ssim-dsin": [value / 80 + 0.5 for value in psnr],
        "lmbda": list(LMBDAS),
    }
