"""What is measured with the weights that come with the package: on rendered streets, and on KITTI where that is given.

Of each method the weights are taken that were trained on data of the kind that is measured, where there are some, and
others where there are none: a name is MODEL-DATA-PRESET-RATE, and DATA says so.
"""

import dataclasses
import re
import shlex
from pathlib import Path

from dsin_tf import data, zoo
from eval import evidence
from experiments import balle, dsc_msf, dsin, multichannel, ndic
from experiments.steps import Step

BPP = "0.04,0.06,0.08,0.1,0.15,0.2,0.3,0.4"  # of the classical codecs
PICTURE_BPP = 0.12
_NAME = re.compile(r"(?P<method>.+)-(?P<data>[a-z_]+)-(?P<preset>paper|small|tiny)-(?P<rate>\d.*)")
_PICTURES = 1  # images whose pictures are kept
_SLOW = ("dsc_msf", "dsin", "ndic_cam")


@dataclasses.dataclass(frozen=True)
class Images:
    """Images that are measured.

    Attributes:
      name: of their folder.
      title: as people read it.
      meta: what results of them say, {key: value}.
      flags: of the drivers, which choose them.
      words: DATA in the names of weights, in the order in which they are preferred.
      sets: whether they are sets of images, or else pairs.
      apart: whether x and y were taken at different times. Then what does not decode with y, nor is compared with what
        does, is not measured, and curves alone are drawn: it is all to compare with pairs of one time.
    """

    name: str
    title: str
    meta: dict
    flags: tuple
    words: tuple
    sets: bool = False
    apart: bool = False

    @property
    def data_set(self):
        """The same as claims take it."""
        return evidence.DataSet(self.name, self.meta, shlex.join(self.flags), f"{self.words[0]}-small")


def images_of_street(count, cache_dir):
    """Pairs of rendered streets, of one time and apart, and sets of drives along them.

    Args:
      count: how many pairs, and images in sets of up to eight.
      cache_dir: folder for their pictures.
    """
    cache, words = f"--cache_dir={cache_dir}", ("street", "scenes")
    pairs = [(f"--dataset={name}", f"--limit={count}", cache) for name in ("street", "street_general")]
    size, sets = min(count, 8), max(count // 8, 1)
    drives = ("--dataset=street_sets", "--views=drive", f"--set_size={size}", f"--limit={sets}", cache)
    return [
        Images("street", "Street", {"dataset": "street", "split": "test"}, pairs[0], words),
        Images("street_general", "Street", {"dataset": "street_general", "split": "test"}, pairs[1], words, apart=True),
        Images("street_sets", "Street", {"dataset": "street_sets", "split": "test"}, drives, words, sets=True),
    ]


def images_of_kitti(found, count):
    """What of KITTI is at hand, all of it at 128x256, for which the weights are.

    Args:
      found: what `trainings.find_data` found.
      count: how many pairs, and images in sets of up to eight.

    Returns:
      List of `Images`; empty where nothing is there.
    """
    images, words = [], ("kitti", "scenes")
    if "kitti_small" in found:
        flags = ("--dataset=kitti_small", f"--data_dir={found['kitti_small']}", f"--limit={count}")
        meta = {"dataset": "kitti_small", "split": "test", "protocol": "native"}
        images.append(Images("kitti_small", "KITTI, small", meta, flags, words))
    if "kitti" in found:
        shared = (f"--data_dir={found['kitti']}", "--partial", "--protocol=ndic")
        splits = {split: _count("kitti_stereo", split, found["kitti"]) for split in ("test", "train")}
        split = "test" if splits["test"] >= min(count, splits["train"]) else "train"
        if splits[split]:
            flags = ("--dataset=kitti_stereo", f"--split={split}", f"--limit={count}", *shared)
            meta = {"dataset": "kitti_stereo", "split": split, "protocol": "ndic"}
            images.append(Images("kitti_stereo", "KITTI", meta, flags, words))
        if _count("kitti_scenes", "test", found["kitti"]):
            size, sets = min(count, 8), max(count // 8, 1)
            flags = ("--dataset=kitti_scenes", f"--set_size={max(size, 2)}", f"--limit={sets}", *shared)
            meta = {"dataset": "kitti_scenes", "split": "test", "protocol": "ndic"}
            images.append(Images("kitti_scenes", "KITTI", meta, flags, words, sets=True))
    return images


def _count(name, split, folder):
    """How many items of a data set are there."""
    try:
        return len(data.load(name, split, folder, partial=True))
    except data.MissingFilesError:
        return 0


def choose(words, names=None):
    """The shipped weights of each method.

    Args:
      words: kinds of data, in the order in which they are preferred.
      names: of weights; by default those that are there.

    Returns:
      {method: (DATA, names in the order of their rates)}.
    """
    kinds = {}
    for name in zoo.names() if names is None else names:
        match = _NAME.fullmatch(name)
        if match:
            kinds.setdefault(match["method"], {}).setdefault(match["data"], []).append((float(match["rate"]), name))
    found = {}
    for method, by_data in sorted(kinds.items()):
        kind = next((word for word in words if word in by_data), min(by_data))
        found[method] = kind, tuple(name for _, name in sorted(by_data[kind]))
    return found


def weights_for(images):
    """{method: (DATA, names)} of the weights that some images are measured with; see `choose`."""
    drivers = _drivers()
    chosen = {method: names for method, names in choose(images.words).items() if _model(method) in drivers}
    return {method: names for method, names in chosen.items() if _is_for(_model(method), images)}


def _is_for(model, images):
    """Whether a model is measured with some images."""
    if images.apart and model in multichannel.FAMILY.models:
        return False
    return (model in dsc_msf.FAMILY.models) == images.sets


def steps_of(images, folder, codecs):
    """What is measured and drawn of some images.

    Args:
      images: an `Images`.
      folder: where all is written: results in the folder of the images, figures in those of the papers.
      codecs: names of classical codecs.

    Returns:
      List of `steps.Step`.
    """
    place, weights = Path(folder) / images.name, {m: names for m, (_, names) in weights_for(images).items()}
    kept = [f"--pictures={_PICTURES}", f"--picture_bpp={PICTURE_BPP}"]
    measured = []
    # Those that take longest first.
    for method in sorted(weights, key=lambda method: method not in _SLOW):
        flags = ["--mode=evaluate", f"--workdir={','.join(weights[method])}", *images.flags, f"--out={place / method}"]
        flags += [*kept, f"--pictures_dir={place / 'anchors' / 'pictures'}"]
        driver = _drivers()[_model(method)]
        measured.append(Step(f"{images.name}: {method}", driver, tuple(flags), place / method / "results.json"))
    flags = [f"--codecs={','.join(codecs)}", *images.flags, f"--bpp={BPP}", "--avif_speed=6", "--jobs=1", *kept]
    flags += ["--colour"] if "multichannel" in weights else []
    flags += [f"--workdir={place / 'anchors'}"]
    measured.append(Step(f"{images.name}: classical codecs", "anchors", tuple(flags), place / "anchors"))
    needs = tuple(step.name for step in measured)
    figures = []
    for driver, figure, flags, paper in _figures(images, place, weights):
        out = Path(folder) / f"{paper}_figures"
        flags = [*([f"--figure={figure}"] if figure else []), *flags, f"--out={out}"]
        name = f"{images.name}: {driver} {figure}".rstrip()
        figures.append(Step(name, driver, tuple(flags), out, needs, optional=True))
    return [*measured, *figures]


def _figures(images, place, weights):
    """(driver, figure, flags, paper) of the figures that can be made."""
    results = [f"--results={place}/*/results.json,{place}/anchors/*.json"]
    pictures = [f"--pictures={place}/anchors/pictures"]
    if images.apart:
        if "dsin" in weights:
            yield "dsin_figures", "5", results, "dsin"
        if "ndic_balle2017" in weights:
            yield "ndic_figures", "curves", results, "ndic"
        return
    if images.sets:
        if "dsc_msf" in weights:
            yield from (("dsc_msf_figures", name, results, "dsc_msf") for name in ("psnr", "ms_ssim", "depth"))
            yield "dsc_msf_figures", "visual", pictures, "dsc_msf"
            yield "dsc_msf_figures", "tree", images.flags, "dsc_msf"
        return
    if "dsin" in weights:
        yield "dsin_figures", "5", results, "dsin"
        yield "dsin_figures", "10", pictures, "dsin"
        yield "front", "", [f"--workdir={weights['dsin'][0]}", *images.flags], "dsin"
        if images.name == "street":
            yield "dsin_figures", "match", [f"--workdir={','.join(weights['dsin'])}", *images.flags], "dsin"
        yield "dsin_figures", "9", [f"--workdir={zoo.folder(weights['dsin'][-1])}", "--count=1", *images.flags], "dsin"
    if "ndic_balle2017" in weights:
        yield "ndic_figures", "curves", results, "ndic"
        yield "ndic_figures", "bd", results, "ndic"
        yield "ndic_figures", "visual", pictures, "ndic"
        parts_of = zoo.folder(weights["ndic_balle2017"][0])
        yield "ndic_figures", "alpha_beta", [f"--workdirs={parts_of}", "--count=1", *images.flags], "ndic"
    with_side = [name for method in ("ndic_balle2017", "ndic_balle2018", "dsin") for name in weights.get(method, ())]
    if with_side:
        yield "y_check", "", [f"--workdirs={','.join(with_side)}", "--count=1", *images.flags], "ndic"
    if "multichannel" in weights:
        yield from (("multichannel_figures", name, results, "multichannel") for name in ("table", "curves"))
        yield "multichannel_figures", "visual", pictures, "multichannel"


def _model(method):
    return method.partition("-")[0]


def _drivers():
    """{model: driver that is for it}."""
    modules = (ndic, balle, dsin, dsc_msf, multichannel)
    return {model: module.__name__.rpartition(".")[2] for module in modules for model in module.FAMILY.models}
