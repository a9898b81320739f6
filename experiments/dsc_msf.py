"""DSC-MSF, compression of image sets with decoded references, and Lee 2019, its codec of single images and baseline.

    python -m experiments.dsc_msf --mode=train --model=lee2019 --context=none --preset=small --lmbda=0.0002,0.0012 \\
        --dataset=kitti_scenes --data_dir=DIR --workdir=runs/codec                                      # stage 1
    python -m experiments.dsc_msf --mode=train --preset=small --lmbda=0.0002,0.0012 --init_from=runs/codec \\
        --dataset=kitti_scenes --data_dir=DIR --workdir=runs/dsc_msf                                    # stage 2
    python -m experiments.dsc_msf --mode=train --preset=small --lmbda=0.0002,0.0012 --init_from=runs/dsc_msf \\
        --stage=joint --learning_rate=1e-5 --dataset=kitti_scenes --data_dir=DIR --workdir=runs/joint   # stage 3
    python -m experiments.dsc_msf --mode=evaluate --dataset=kitti_scenes --data_dir=DIR --workdir=runs/dsc_msf

    python -m experiments.dsc_msf --mode=compress --workdir=runs/dsc_msf/lmbda_0.0012 --input=PICTURES \\
        --output=set.dset
    python -m experiments.dsc_msf --mode=info --input=set.dset
    python -m experiments.dsc_msf --mode=decompress --workdir=runs/dsc_msf/lmbda_0.0012 --input=set.dset \\
        --output=FOLDER
    python -m experiments.dsc_msf --mode=decompress --workdir=runs/dsc_msf/lmbda_0.0012 --input=set.dset --only=3 \\
        --output=FOLDER

--input=PICTURES is a folder of one set; where --output ends with / there is a file for each image and an index instead
of one file for all, and --input takes that folder back. Single pictures are compressed as with any other codec;
decompress then takes the decoded reference as --side.

A data set of sets is kitti_scenes, street_sets (--views=drive), or any folder of folders of images (image_sets). Models
that know no sets train on and are measured on each image of them.

--ablation trains, or in evaluation measures, what the model is without one of its parts:

    no_msf              one scale of the same number of parameters in place of three
    grdn, grdn_lite     GRDN in place of IEN; lite is about as large as IEN of preset small
    no_ien              nothing in place of IEN
    no_side             the same networks with the image itself in place of side information
    original_training   trained with references as they were before coding
    no_ir               images in their own order, each with the help of the one before (evaluation)
    original_reference  decoded with references as they were before coding, which no receiver has (evaluation)
"""

import functools
from pathlib import Path

from absl import flags

from dsin_tf import bitstream, data, files, images
from experiments import codec_driver, common

# What --ablation changes in the model that is trained, and in the way of measuring it.
ABLATIONS = {
    "none": {},
    "no_msf": {"multi_scale": False},
    "grdn": {"enhancement": "grdn"},
    "grdn_lite": {"enhancement": "grdn_lite"},
    "no_ien": {"enhancement": "none"},
    "no_side": {"side": False},
    "original_training": {"references": "original"},
}
EVALUATION_ABLATIONS = {"no_ir": {"order": "natural"}, "original_reference": {"originals": True}}

_NAMES = {
    "no_msf": "without MSF",
    "grdn": "with GRDN",
    "grdn_lite": "with GRDN (lite)",
    "no_ien": "without IEN",
    "no_side": "without side information",
    "original_training": "trained with originals",
    "joint": "trained jointly",
    "no_ir": "in natural order",
    "original_reference": "shown originals",
}


def _variants():
    """{method: label}: each variant of the model, alone and in each way of measuring."""
    found = {}
    for trained in ("", *(name for name in _NAMES if name not in EVALUATION_ABLATIONS)):
        for measured in ("", *EVALUATION_ABLATIONS):
            words = [word for word in (trained, measured) if word]
            if words:
                label = ", ".join(_NAMES[word] for word in words)
                found["-".join(["dsc_msf", *words])] = f"DSC-MSF {label}"
    return {**found, "lee2019-no_context": "Lee 2019 without context model"}


FAMILY = codec_driver.Family(
    models={"dsc_msf": "DSC-MSF", "lee2019": "Lee 2019"},
    variants=_variants(),
    distortions=("mse",),
    # Stage 2, fusion and enhancement.
    training={
        # Ours but for optimiser, rate and batch size; DSIN's number of steps.
        "paper": {
            "steps": 300_000,
            "batch_size": 1,
            "crop": (320, 960),
            "learning_rate": 1e-4,
            "schedule": "staircase",
            "decay_steps": 240_000,
            "steps_per_epoch": 5000,
        },
        # For two CPU cores.
        "small": {
            "steps": 2000,
            "batch_size": 1,
            "crop": (128, 256),
            "learning_rate": 3e-4,
            "schedule": "staircase",
            "decay_steps": 1600,
            "clip_norm": 1.0,
            "steps_per_epoch": 500,
            "checkpoint_every": 500,
        },
        "tiny": codec_driver.TINY_TRAINING,
    },
    # Stage 1, the codec.
    training_of={
        "lee2019": {
            "paper": {
                "steps": 300_000,
                "batch_size": 8,
                "crop": (256, 256),
                "learning_rate": 1e-4,
                "schedule": "staircase",
                "decay_steps": 240_000,
                "steps_per_epoch": 5000,
            },
            "small": {
                "steps": 20_000,
                "batch_size": 1,
                "crop": (128, 256),
                "learning_rate": 5e-4,
                "schedule": "staircase",
                "decay_steps": 16_000,
                "clip_norm": 1.0,
                "steps_per_epoch": 1000,
                "checkpoint_every": 500,
            },
            "tiny": codec_driver.TINY_TRAINING,
        }
    },
)


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    codec_driver.define_flags(FAMILY)
    with common.flag_group("Model"):
        flags.DEFINE_enum(
            "ablation", "none", [*ABLATIONS, *EVALUATION_ABLATIONS], "What the model is to be without; see above."
        )
        flags.DEFINE_enum(
            "context",
            None,
            ["ar", "none"],
            "Context model of the codec: ar is Lee's, none a faster codec and the one that DSC-MSF stands on.",
        )
        flags.DEFINE_enum("stage", None, ["fusion", "joint"], "What is trained: all but the codec, or all.")
        flags.DEFINE_string("patch_size", None, "HEIGHTxWIDTH of the patches that are searched, in pixels.")
    with common.flag_group("Sets"):
        flags.DEFINE_enum(
            "feature",
            "sift",
            ["sift", "orb", "latent"],
            "What images are compared by: key points, quicker ones, or the codec's latents, which need no OpenCV.",
        )
        flags.DEFINE_integer("max_depth", 4, "At most so many images are decoded before one; 0 is no limit.", 0)
        flags.DEFINE_bool("geometry", False, "Also send by which homography each reference is warped, 16 bytes each.")
        flags.DEFINE_integer("only", None, "Decompress this image of the set alone, counted from 0.", lower_bound=0)


def main(argv):
    """Does what --mode says."""
    del argv
    values = flags.FLAGS
    evaluates = values.mode == "evaluate" and values.workdir is not None
    if values.ablation in EVALUATION_ABLATIONS and values.mode != "evaluate":
        raise common.UserError(f"--ablation={values.ablation} is one of evaluation. Give it with --mode=evaluate.")
    if evaluates and codec_driver.load(codec_driver.run_folders(values.workdir)[0], values.weights).name == "dsc_msf":
        _evaluate_by_flags()
    elif values.mode in ("compress", "decompress", "info") and _is_set(values.input):
        _code_by_flags()
    else:
        codec_driver.main(FAMILY, **_overrides())


def _overrides():
    """Settings of the model from this driver's own flags."""
    values = flags.FLAGS
    size = values.patch_size
    of_sets = {
        "stage": values.stage,
        "patch_size": None if size is None else codec_driver.size("patch_size", size),
        **ABLATIONS.get(values.ablation, {}),
    }
    of_sets = {name: value for name, value in of_sets.items() if value is not None}
    if values.model != "dsc_msf" and of_sets:
        raise common.UserError(f"--model={values.model} has no {', '.join(of_sets)}. Leave out what is DSC-MSF's.")
    return {"context": values.context, **of_sets}


def _evaluate_by_flags():
    from experiments import set_evaluation

    values = flags.FLAGS
    source = common.load_data(**codec_driver.data_options())
    if source.kind != "sets":
        raise common.UserError(
            f"{source.name} is a source of {source.kind}; DSC-MSF codes sets. Choose a data set of sets, such as "
            "kitti_scenes, street_sets or image_sets."
        )
    variant = values.ablation if values.ablation in EVALUATION_ABLATIONS else ""
    measure = functools.partial(
        set_evaluation.measure,
        feature=values.feature,
        max_depth=values.max_depth or None,
        geometry=values.geometry,
        **EVALUATION_ABLATIONS.get(variant, {}),
    )
    codec_driver.evaluate(
        values.workdir,
        common.singly(source),
        data.protocols.get(values.protocol),
        FAMILY.labels,
        **codec_driver.evaluation_options(),
        measure=measure,
        variant=variant,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Files of sets.


def _is_set(path):
    """Whether --input is a set: a folder, or a file that begins as one of a set does."""
    if path is None or not Path(path).exists():
        return False
    if Path(path).is_dir():
        return True
    with Path(path).open("rb") as file:
        return bitstream.image_sets.is_set(file.read(8))


def _code_by_flags():
    values = flags.FLAGS
    if values.mode == "info":
        from experiments import set_evaluation

        print(set_evaluation.describe(_read_set(values.input)))
        return
    source, target = codec_driver.input_and_output()
    model = codec_driver.load(codec_driver.only_run(values.workdir), values.weights)
    if model.name != "dsc_msf":
        raise common.UserError(f"{values.workdir}: {model.name} codes no sets. Name a run of DSC-MSF, or one picture.")
    if values.mode == "compress":
        print(compress(model, source, target, values.feature, values.max_depth or None, values.geometry))
    else:
        print(decompress(model, source, target, values.only, values.max_pixels))


def compress(model, source, target, feature="sift", max_depth=4, geometry=False):
    """Compresses the pictures of a folder as one set.

    Args:
      model: a `dsin_tf.models` DSC-MSF, ready to code.
      source: the folder.
      target: the file to write; a folder, where it ends with /: a file for each picture and an index.
      feature, max_depth, geometry: of the set; see `dsin_tf.models.set_codec`.

    Returns:
      A line that says what became of it.
    """
    from dsin_tf.models import set_codec

    pictures = [images.read(path) for path in images.list_files(source)]
    tree = set_codec.plan(model, pictures, feature, max_depth, progress=True)
    if str(target).endswith("/"):
        size = set_codec.write_folder(model, pictures, target, tree, geometry)
    else:
        blob = set_codec.compress(model, pictures, tree, geometry)
        files.write_bytes(target, blob)
        size = len(blob)
    pixels = sum(picture.shape[0] * picture.shape[1] for picture in pictures)
    return f"{target}: {len(pictures)} pictures, {size} bytes, {8 * size / pixels:.4f} bpp"


def decompress(model, source, target, only=None, max_pixels=bitstream.MAX_PIXELS):
    """Writes the pictures of a set, 00000.png and so on; those that are damaged are named, the others written.

    Args:
      model: a `dsin_tf.models` DSC-MSF, ready to code.
      source: the file of a set, or the folder of one.
      target: folder of the pictures.
      only: number of the one picture that is wanted; None for all.
      max_pixels: larger pictures are refused.

    Returns:
      A line that says what became of it.

    Raises:
      common.UserError: some pictures are damaged.
    """
    from dsin_tf.models import set_codec

    tree, blobs, warps = set_codec.read(_read_set(source))
    if only is not None and only >= len(blobs):
        raise common.UserError(f"--only={only}: the set holds {len(blobs)} pictures, counted from 0.")
    wanted = range(len(blobs)) if only is None else (*tree.ancestors(only), only)
    written, errors = 0, []
    for index, picture, error in set_codec.iterate(model, tree, blobs, warps, max_pixels, wanted):
        if error is not None:
            errors.append(f"picture {index}: {error}")
        elif only in (None, index):
            images.write(Path(target) / f"{index:05d}.png", picture)
            written += 1
    line = f"{target}: {written} pictures"
    if errors:
        raise common.UserError(f"{line}; {len(errors)} could not be decoded. " + " ".join(errors))
    return line


def _read_set(path):
    """The file of a set, bytes, from a file or a folder."""
    from dsin_tf.models import set_codec

    return set_codec.read_folder(path) if Path(path).is_dir() else Path(path).read_bytes()


if __name__ == "__main__":
    define_flags()
    common.run(main)
