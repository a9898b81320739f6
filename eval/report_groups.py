"""How a report sorts results: by the images they were measured on, and beside the curves published of such images.

Data sets, protocols and papers have here the names that people read.
"""

import dataclasses
import glob
import re

from eval import curves, tables

# Columns of the rate tables; those that no codec reaches are left out.
RATES = (*tables.RATES, 0.40, 0.80, 1.60)
# What every paper reports; the other metrics of a report stand after them, folded.
MAIN_METRICS = ("psnr-rgb", "ms-ssim-rgb")
DATASETS = {
    "kitti_stereo": "KITTI Stereo",
    "kitti_stereo_clean": "KITTI Stereo, split by recording",
    "kitti_general": "KITTI General",
    "kitti_small": "KITTI, small",
    "kitti_scenes": "KITTI image sets",
    "cityscapes": "Cityscapes",
    "kodak": "Kodak",
    "street": "Street",
    "street_general": "Street, frames apart",
    "street_sets": "Street, image sets",
}
PAPERS = {
    "dsin": "DSIN (Ayzik and Avidan, 2020)",
    "ndic": "NDIC (Mital et al., 2022)",
    "ndic_preprint": "NDIC, first preprint",
    "ndic_cam": "NDIC-CAM (Mital et al., 2023)",
    "dsc_msf": "DSC and multi-scale fusion (Wang et al., 2022)",
    "multichannel": "Multi-channel, multi-loss",
    "li2018": "Baseline: Li et al., 2018",
    "lee2019": "Baseline: Lee et al., 2019",
}

_METRICS = (
    *MAIN_METRICS,
    *("ms-ssim-dsin", "ssim", "cmssim", "mse", "lab-difference", "lab-difference-00", "lab-mae", "rgb-angle"),
)
_PROTOCOLS = {
    "dsin": "protocol dsin: centre crop of 320×1224",
    "ndic": "protocol ndic: centre crop of 370×740, made 128×256",
    "native": "protocol native: images as they are",
    "unstated": "protocol not stated",
}
# Images that were prepared by a protocol before they were put into a folder: published curves of that are beside them.
_PREPARED = {("kitti_small", "native"): ("kitti_stereo", "ndic")}


@dataclasses.dataclass
class Group:
    """Results of the same images in the same form, with the folders of their pictures."""

    results: list
    folders: list

    @property
    def meta(self):
        return self.results[0].meta

    @property
    def slug(self):
        """Begins the names of the group's files."""
        parts = (self.meta["dataset"], self.meta.get("split"), self.meta["protocol"])
        return slug("_".join(filter(None, parts)))

    @property
    def title(self):
        return ", ".join(filter(None, (dataset(self.meta["dataset"]), self.meta.get("split"))))

    @property
    def heading(self):
        """The title, with the protocol where that is not the images as they are."""
        name = self.meta["protocol"]
        return self.title if name == "native" else f"{self.title}, protocol {name}"

    @property
    def keys(self):
        """The metrics that some result of the group has."""
        return [key for key in _METRICS if any(key in columns(r) for r in self.results)]

    @property
    def images(self):
        """How many images, in words."""
        counts = sorted({len(r.images) for r in self.results if r.images})
        if not counts:
            return "means only"
        if len(counts) > 1:
            return f"{counts[0]}–{counts[-1]} images"
        return f"{counts[0]} image{'s' if counts[0] > 1 else ''}"


def find(patterns):
    """The files of paths that may hold * and ?; a pattern that nothing fits stands for itself."""
    return [path for pattern in patterns for path in sorted(glob.glob(pattern)) or [pattern]]


def group(loaded):
    """Sorts results by what they were measured on.

    Args:
      loaded: (`RDResult`, path of its file) pairs.

    Returns:
      List of `Group`, in the order given.
    """
    found = {}
    for result, path in loaded:
        on = tuple(result.meta.get(k) for k in ("dataset", "split", "protocol", "data_digest"))
        each = found.setdefault(on, Group([], []))
        each.results.append(result)
        if path.parent / "pictures" not in each.folders:
            each.folders.append(path.parent / "pictures")
    return list(found.values())


def matching(known, meta, key):
    """Published curves of a metric on the same data and protocol; of a method with several, that of the first paper."""
    on = published_as(meta)
    fitting = [p for p in known if key in p.results and (p.meta["dataset"], p.meta["protocol"]) == on]
    order = list(PAPERS)
    fitting.sort(key=lambda p: order.index(p.meta["paper"]) if p.meta["paper"] in order else len(order))
    first = {}
    for p in fitting:
        first.setdefault(p.meta["method"], p)
    return list(first.values())


def published_as(meta):
    """(dataset, protocol) under which curves of such images were published."""
    on = (meta["dataset"], meta["protocol"])
    return _PREPARED.get(on, on)


def on_other_terms(results):
    """A sentence for a plot's caption if some of ours are measured as published curves are, not as in our tables."""
    named = [r.name for r in results if r.meta.get("measured_as")]
    if not named:
        return ""
    return f" PSNR of {', '.join(named)} is, as published, of unclipped images; in our tables it is of 8-bit images."


def columns(result):
    """The columns of a result: those of its images, or of its means where it has none."""
    return {k for i in result.images for k in i.points} if result.images else set(result.results)


def reached(results, key):
    """The rates of the tables that some of the results reaches."""
    return [x for x in RATES if any(curves.mean_at(r, key, x).value is not None for r in results)]


def unique(slugs):
    """The same names, those that come again with a number."""
    return [s if slugs.index(s) == i else f"{s}_{slugs[:i].count(s) + 1}" for i, s in enumerate(slugs)]


def slug(text):
    """A text as part of a file's name or of an address within the page."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower())


def dataset(name):
    """A data set as people call it."""
    return DATASETS.get(name, name)


def protocol(name):
    """A protocol with what it does."""
    return _PROTOCOLS.get(name, f"protocol {name}")


def paper(name):
    """A paper as people call it."""
    return PAPERS.get(name, name)
