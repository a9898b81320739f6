"""The models that a paper needs, how each is trained, and on what data.

Scale small has preset small and few rates. It takes the small KITTI images, KITTI scenes and photographs that are at
hand, and rendered streets in place of what is not. Scale paper has preset paper, and the data and rates of the paper
as far as they are known; what is not published is ours.

Hours are those of one training. Of scale small they are two cores', as the cards of shipped weights have them, and
what was not timed counts as the training of its size that was. Of scale paper they are one GPU's by the papers' own
account, of which there is one: DSIN's 300 000 steps take about 24 hours.
"""

import dataclasses
import shlex
from pathlib import Path
from typing import Optional

from dsin_tf import images
from experiments import common, ndic

SCALES = ("small", "paper")
KITTI = ("data_scene_flow_multiview", "data_stereo_flow_multiview")  # KITTI's folders as its archives have them
NDIC = ("balle2017", "balle2018", "ndic_balle2017", "ndic_balle2018", "ndic_cam")
# What scale paper cannot do without, of what `find_data` finds.
NEEDED = {"dsin": ("kitti",), "ndic": ("kitti",), "dsc_msf": ("kitti",), "multichannel": ("photographs", "kodak")}


@dataclasses.dataclass(frozen=True)
class Training:
    """A model that a paper needs, at all its rates: a run directory for each.

    Attributes:
      name: of the folder, in the folder ms-ssim/ where that is the distortion and another one is usual.
      driver: name of the module in `experiments`.
      model: name of the model.
      rates: (flag, values) of what sets the rate.
      flags: others of the driver, with spaces between.
      start: name of the training that it begins with.
      method: as claims name it; empty for a stage that is not measured.
      hours: of one run; None where nobody says.
      ways: {method: flags} of other ways to measure it.
    """

    name: str
    driver: str
    model: str
    rates: tuple
    flags: str = ""
    start: str = ""
    method: str = ""
    hours: Optional[float] = None
    ways: dict = dataclasses.field(default_factory=dict)

    @property
    def runs(self):
        """Names of the run directories in its folder; of one run it is the folder itself."""
        flag, values = self.rates
        return [f"{flag}_{value:g}" for value in values] if len(values) > 1 else [""]


@dataclasses.dataclass(frozen=True)
class Data:
    """Images of a plan.

    Attributes:
      train: flags that choose those that models are trained on.
      tests: {name: flags} of those that they are measured on.
      only: the methods, and what these begin with; all if empty.
      suffix: of the folders' names.
    """

    train: str
    tests: dict
    only: tuple = ()
    suffix: str = ""


def find_data(data_dir):
    """The data in a folder and below, by their layout.

    Args:
      data_dir: the folder, or None.

    Returns:
      {what: folder} of those that are there: kitti_small (image_2 and image_3 of 256x128), kitti (data_*_multiview),
      cityscapes (leftImg8bit), kodak (kodim01.png), photographs (the folder train in data_dir), and lists, of pairs
      that were published (KITTI_general_test.txt).
    """
    signs = {
        "kitti_small": _is_small,
        "kitti": lambda folder: any((folder / name).is_dir() for name in KITTI),
        "cityscapes": lambda folder: (folder / "leftImg8bit").is_dir(),
        "kodak": lambda folder: (folder / "kodim01.png").is_file(),
        "photographs": lambda folder: folder.name == "train" and folder.parent == Path(data_dir).resolve(),
        "lists": lambda folder: (folder / "KITTI_general_test.txt").is_file(),
    }
    found = {}
    for folder in common.folders_in(data_dir):
        for what, is_there in signs.items():
            if what not in found and is_there(folder):
                found[what] = folder
    return found


def _is_small(folder):
    """Whether a folder holds small KITTI pairs, by the first picture."""
    if not all((folder / camera).is_dir() for camera in ("image_2", "image_3")):
        return False
    first = min((folder / "image_2").glob("*.png"), default=None)
    return first is not None and images.read(first).shape[:2] == (128, 256)


# ---------------------------------------------------------------------------------------------------------------------
# Papers: what is trained, and on what.


def _of_dsin(scale):
    is_small = scale == "small"
    rates = ("target_bpp", (0.08, 0.24) if is_small else (0.02, 0.04, 0.08, 0.16))
    first, second = (22 / 60, 12 / 60) if is_small else (None, 24)
    # Small models are compared with an autoencoder that was trained as long as they were.
    yield Training("base", "dsin", "cpm", rates, "--model=cpm", method="" if is_small else "cpm", hours=first)
    if is_small:
        longer = "--model=cpm --steps=2500 --learning_rate=3e-4"
        yield Training("cpm", "dsin", "cpm", rates, longer, "base", "cpm", 4 / 60)
    yield Training("dsin", "dsin", "dsin", rates, "", "base", "dsin", second)
    for part in ("no_mask", "no_si", "raw_y"):
        yield Training(part, "dsin", "dsin", rates, f"--ablation={part}", "base", f"dsin-{part}", second)
    loss = "--distortion=ms-ssim"
    yield Training("ms-ssim/base", "dsin", "cpm", rates, f"--model=cpm {loss}", hours=first)
    yield Training("ms-ssim/dsin", "dsin", "dsin", rates, loss, "ms-ssim/base", "dsin (MS-SSIM)", second)


def _of_ndic(scale):
    is_small = scale == "small"
    hours = {
        "balle2017": 10,
        "balle2018": 16,
        "ndic_balle2017": 40,
        "ndic_balle2018": 55,
        "ndic_cam": 65,
        "weights": 13,
    }
    hours = {name: minutes / 60 if is_small else None for name, minutes in hours.items()}
    for distortion in ("mse", "ms-ssim"):
        for model in NDIC:
            lmbdas = ndic.LAMBDAS.get((model, distortion))
            if is_small:
                lmbdas = (0.0008, 0.0024) if distortion == "mse" else None
            if lmbdas:
                name = model if distortion == "mse" else f"ms-ssim/{model}"
                flags = f"--model={model} --distortion={distortion}"
                yield Training(name, "ndic", model, ("lmbda", lmbdas), flags, method=model, hours=hours[model])
    for each in _of_dsin(scale):
        if each.name in ("base", "dsin"):  # the published hours are of larger pictures
            yield dataclasses.replace(each, hours=each.hours if is_small else None)
    for alpha, beta in ((1, 1), (1, 0.001), (0, 0), (0, 1)):
        flags = f"--model=ndic_balle2017 --alpha={alpha} --beta={beta}{' --steps=9000' if is_small else ''}"
        name = f"weights_{alpha}_{beta}"
        yield Training(name, "ndic", "ndic_balle2017", ("lmbda", (0.0008,)), flags, hours=hours["weights"])


def _of_dsc_msf(scale):
    rates = ("lmbda", (0.0002, 0.0012) if scale == "small" else (0.0002, 0.0006, 0.0012, 0.0024))  # ours
    first, second = (25 / 60, 20 / 60) if scale == "small" else (None, None)
    codec = "--model=lee2019 --context=none"
    yield Training("codec", "dsc_msf", "lee2019", rates, codec, "", "lee2019-no_context", first)
    context = f"--model=lee2019 --context=ar{' --steps=5000' if scale == 'small' else ''}"
    yield Training("lee2019", "dsc_msf", "lee2019", rates, context, "codec", "lee2019")
    ways = {f"dsc_msf-{way}": f"--ablation={way}" for way in ("no_ir", "original_reference")}
    yield Training("dsc_msf", "dsc_msf", "dsc_msf", rates, "", "codec", "dsc_msf", second, ways)
    for part in ("no_msf", "no_ien", "no_side", "grdn_lite", *(("grdn",) if scale == "paper" else ())):
        ways = {"dsc_msf-no_ien-no_ir": "--ablation=no_ir"} if part == "no_ien" else {}
        flags = f"--ablation={part}"
        yield Training(part, "dsc_msf", "dsc_msf", rates, flags, "codec", f"dsc_msf-{part}", second, ways)


def _of_multichannel(scale):
    del scale  # nothing is published: both have the rates that are ours
    shares, weights = ("target_share", (0.2, 0.33, 0.45)), ("rate_weight", (2, 5, 10, 20))
    li = "content_weighted"
    yield Training(li, "multichannel", li, shares, f"--model={li}", method=li)
    for name, flags in (
        ("multichannel", ""),
        ("no_fusion_16", "--fuse_at=none --chroma_channels=16"),
        ("no_fusion_8", "--fuse_at=none --chroma_channels=8"),
    ):
        method = name if name == "multichannel" else f"multichannel-{name}"
        yield Training(name, "multichannel", "multichannel", weights, flags, method=method)


def _data_of_dsin(scale, found, street):
    if scale == "small":
        return _small_pairs(found, street)
    stereo = f"--dataset=kitti_stereo {_in(found['kitti'])} --protocol=dsin"
    data = [Data(stereo, {"kitti_stereo": stereo})]
    if "lists" in found:
        general = f"--dataset=kitti_general {_in(found['kitti'])} --protocol=dsin"
        # What is trained on is made by rule, for the published lists are of validation and test. The rate falls every
        # two epochs of 175 332 pairs, as released.
        train = f"{general} --val_split=none --decay_steps=350664"
        test = {"kitti_general": f"{general} {_lists(found)}"}
        data.append(Data(train, test, ("cpm", "dsin", "dsin-no_mask"), "_general"))
    return data


def _data_of_ndic(scale, found, street):
    if scale == "small":
        return _small_pairs(found, street)
    stereo = f"--dataset=kitti_stereo {_in(found['kitti'])} --protocol=ndic"
    tests = {"kitti_stereo": stereo}
    if "lists" in found:
        tests["kitti_general"] = f"--dataset=kitti_general {_in(found['kitti'])} --protocol=ndic {_lists(found)}"
    data = [Data(stereo, tests)]
    if "cityscapes" in found:
        frames = f"--dataset=cityscapes {_in(found['cityscapes'])} --protocol=ndic"
        data.append(Data(frames, {"cityscapes": frames}, (*NDIC, "dsin"), "_cityscapes"))
    return data


def _small_pairs(found, street):
    train, tests = f"--dataset=street --val_split=none {street}", {"street": f"--dataset=street --limit=34 {street}"}
    if "kitti_small" in found:
        train = f"--dataset=kitti_small {_in(found['kitti_small'])}"
        tests = {"kitti_small": train}
    return [Data(train, {**tests, "street_general": f"--dataset=street_general --limit=34 {street}"})]


def _lists(found):
    return "--list_file=" + shlex.quote(f"{found['lists']}/KITTI_general_{{split}}.txt")


def _data_of_dsc_msf(scale, found, street):
    if scale == "paper":
        sets = f"--dataset=kitti_scenes {_in(found['kitti'])} --protocol=dsin"
        return [Data(sets, {"kitti_scenes": sets})]
    drives = f"--views=drive --size=320x1224 {street}"
    if "kitti" not in found:
        train = f"--dataset=street_sets {drives}"
        tests = {"street_sets": f"--dataset=street_sets --limit=4 --views=drive {street}"}
    else:
        kitti = f"{_in(found['kitti'])} --partial"
        train = f"--dataset=kitti_scenes+street_sets {kitti} {drives}"
        scene = "--scenes=training/000105 --set_size=16 --protocol=dsin"
        tests = {"kitti_scenes": f"--dataset=kitti_scenes {kitti} {scene}"}
    return [Data(f"{train} --limit=40 --val_split=none", tests)]


def _data_of_multichannel(scale, found, street):
    del scale  # nothing is published of the training
    train, tests = f"--dataset=street --val_split=none {street}", {"street": f"--dataset=street --limit=34 {street}"}
    if "photographs" in found:
        train = f"--dataset=images {_in(found['photographs'])} --val_split=none"
    if "kodak" in found:
        tests = {"images": f"--dataset=images {_in(found['kodak'])}"}
    return [Data(train, tests)]


def _in(folder):
    return f"--data_dir={shlex.quote(str(folder))}"


_PAPERS = {
    "dsin": (_of_dsin, _data_of_dsin),
    "ndic": (_of_ndic, _data_of_ndic),
    "dsc_msf": (_of_dsc_msf, _data_of_dsc_msf),
    "multichannel": (_of_multichannel, _data_of_multichannel),
}


def of_paper(paper, scale, only=()):
    """The trainings of a paper.

    Args:
      paper: one of `eval.claims.PAPERS`.
      scale: one of `SCALES`.
      only: see `Data`.

    Returns:
      List of `Training`, each after the one that it begins with.
    """
    found = list(_PAPERS[paper][0](scale))
    wanted = [each for each in found if not only or each.method in only]
    begun = {each.start for each in wanted}
    return [each for each in found if each in wanted or each.name in begun]


def data_of_paper(paper, scale, found, cache_dir):
    """The images of a paper.

    Args:
      paper, scale: as of `of_paper`.
      found: what `find_data` found; of scale paper it holds what is `NEEDED`.
      cache_dir: folder for pictures of rendered streets.

    Returns:
      List of `Data`.
    """
    return _PAPERS[paper][1](scale, found, f"--cache_dir={shlex.quote(str(cache_dir))}")
