"""Results made by hand for tests of claims, and the names by which measures ask for them."""

from eval import evidence
from eval.rd_results import ImagePoints, RDResult

A, B = (evidence.Method(name, name) for name in ("a", "b"))
DATA = evidence.DataSet("made_up", {"dataset": "made_up"}, "--dataset=made_up")


def result(method, images, **meta):
    """A result from {image: {column: list}}."""
    about = {"method": method, "dataset": "made_up", "split": "test", "protocol": "native", "rate": "file"}
    points = [ImagePoints(name, 8, 8, columns) for name, columns in images.items()]
    means = {"bpp": [0.0] * len(points[0].points["bpp"])}
    return RDResult(method.upper(), "", {**about, "data_digest": "d", "steps": 10, **meta}, means, points)


def lines(method, rates, values, key="psnr-rgb", shifts=(0.0, 0.0, 0.0), **meta):
    """A result whose images have the same rates, and `values` each with a shift of its own."""
    images = {f"i{at}": {"bpp": list(rates), key: [v + s for v in values]} for at, s in enumerate(shifts)}
    return result(method, images, **meta)


def measure(kind, **parameters):
    """The parameters of a measure of method A over B."""
    return {"kind": kind, "of": A, "over": B, "metric": "psnr-rgb", **parameters}
