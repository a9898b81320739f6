"""Results made by hand, and the files of figures read back."""

import csv
import io
import json

import numpy as np
from PIL import Image

from eval import rd_results


def written(made, folder):
    """What a figure writes: the JSON's contents, the rows of the CSV, the picture."""
    made.write(folder)
    paths = {path.suffix: path for path in folder.glob(f"{made.stem}.*")}
    assert sorted(paths) == [".csv", ".json", ".png", ".svg"]
    rows = list(csv.DictReader(io.StringIO(paths[".csv"].read_text())))
    return json.loads(paths[".json"].read_text()), rows, np.asarray(Image.open(paths[".png"]).convert("RGB"))


def result(path, method, rates=(0.1, 0.2), gain=0.0, dataset="kitti_small"):
    meta = {"method": method, "dataset": dataset, "split": "test", "protocol": "native", "rate": "file"}
    images = []
    for k, name in enumerate("ab"):
        points = {"bpp": list(rates), "ms-ssim-rgb": [0.8 + 0.5 * rate + gain + k / 50 for rate in rates]}
        images.append(rd_results.ImagePoints(name, 128, 256, points))
    means = {key: np.mean([i.points[key] for i in images], axis=0).tolist() for key in images[0].points}
    rd_results.save(rd_results.RDResult(method.upper(), "", meta, means, images), path)
    return str(path)
