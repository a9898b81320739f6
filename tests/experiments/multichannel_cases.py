"""Results of codecs of colour, made by hand."""

import csv
import io

from eval import rd_results, tables

QUARTER = (0.25, 1)  # whose middle, in log(bpp), is 0.5


def save(path, method, images, colour=True, dataset="kodak", **meta):
    """Writes a result; `images` are {name: (rates, PSNR)}, of which the other metrics follow. Returns the path."""
    points = []
    for name, (rates, psnr) in images.items():
        columns = {"bpp": list(rates), "psnr-rgb": list(psnr)}
        if colour:
            columns.update({"psnr-y": [p + 1 for p in psnr], "rgb-angle": [40 - p for p in psnr]})
            columns.update({"mse": [100 - p for p in psnr], "lab-difference-00": [50 - p for p in psnr]})
        points.append(rd_results.ImagePoints(name, 512, 768, columns))
    means = {key: [sum(of) / len(points) for of in zip(*(p.points[key] for p in points))] for key in points[0].points}
    about = {"dataset": dataset, "split": "all", "protocol": "native", "rate": "file", "data_digest": "d"}
    meta = {**about, "method": method, **meta}
    path.parent.mkdir(parents=True, exist_ok=True)
    rd_results.save(rd_results.RDResult(method.upper(), "", meta, means, points), path)
    return str(path)


def rows_of(table):
    """The rows of a table's CSV."""
    return list(csv.DictReader(io.StringIO(tables.to_csv(table))))


def row_of(rows, *labels):
    """The row of a CSV whose first cells are `labels`."""
    (found,) = (row for row in rows if tuple(row.values())[: len(labels)] == labels)
    return found
