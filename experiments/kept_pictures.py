"""Pictures that drivers keep of some images, in the form that `eval/strips.py` reads: a folder for each image.

    pictures/IMAGE/x.png, y.png                     as the protocol makes them
    pictures/IMAGE/CODEC.png, CODEC.json            what a codec makes of x, and at which rate; or why it makes nothing

Drivers may share a folder: the report then shows their codecs side by side.
"""

import json
import re
from pathlib import Path

import numpy as np

from dsin_tf import files, images


def folders(source, folder, count):
    """{image index: its folder} for `count` images spread evenly over the data set."""
    chosen = sorted({round(at) for at in np.linspace(0, len(source) - 1, min(count, len(source)))})
    # The number makes the name unique, the end of the image's name makes it readable.
    readable = {i: re.sub(r"[^A-Za-z0-9_-]+", "_", str(Path(source.names[i]).with_suffix("")))[-60:] for i in chosen}
    return {i: Path(folder) / f"{i:05d}-{name}" for i, name in readable.items()}


def write_originals(source, protocol, folder_of):
    """x.png and, for pairs, y.png of the images of `folder_of`, which is from `folders`."""
    for index, folder in folder_of.items():
        x, y = source.read(index) if source.kind == "pairs" else (source.read_x(index), None)
        images.write(folder / "x.png", protocol.evaluate(x))
        if y is not None:
            images.write(folder / "y.png", protocol.evaluate(y))


def write(folder, name, label, picture, about):
    """<name>.png and <name>.json, the latter last; without a picture a PNG of an earlier run goes away."""
    path = Path(folder) / f"{name}.png"
    if picture is None:
        path.unlink(missing_ok=True)
    else:
        images.write(path, picture)
    files.write_text(path.with_suffix(".json"), json.dumps({"label": label, **about}, indent=1) + "\n")
