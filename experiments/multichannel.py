"""Multi-channel compression of brightness and colours, and the content-weighted codec (Li et al.) that it is beside.

    python -m experiments.multichannel --mode=train --model=content_weighted --target_share=0.2,0.33,0.45 \\
        --preset=small --dataset=images --data_dir=DIR --workdir=runs/li
    python -m experiments.multichannel --mode=train --fuse_at=none --chroma_channels=16 --rate_weight=2,5,10,20 \\
        --preset=small --dataset=images --data_dir=DIR --workdir=runs/no_fusion_16
    python -m experiments.multichannel --mode=train --fuse_at=none --rate_weight=2,5,10,20 \\
        --preset=small --dataset=images --data_dir=DIR --workdir=runs/no_fusion_8
    python -m experiments.multichannel --mode=train --rate_weight=2,5,10,20 \\
        --preset=small --dataset=images --data_dir=DIR --workdir=runs/fusion
    python -m experiments.multichannel --mode=evaluate --dataset=images --data_dir=KODAK --workdir=runs/fusion

These four are the comparison: Li et al., the poster's rows without fusion and with it, and between them the one that
tells what fusion does from what fewer channels do. Each is trained at several rates and evaluated as the last one is.

    python -m experiments.multichannel --mode=compress --workdir=runs/fusion/rate_weight_5 --input=x.png --output=x.dsin
    python -m experiments.multichannel --mode=decompress --workdir=runs/fusion/rate_weight_5 --input=x.dsin \\
        --output=x_hat.png
    python -m experiments.multichannel --mode=decompress --luma --workdir=runs/fusion/rate_weight_5 --input=x.dsin \\
        --output=grey.png

Codes are coded by counts. Contexts for them can be learned afterwards, of a finished training and with its settings,
while the codec stays as it is:

    python -m experiments.multichannel --mode=train --context=learned --rate_weight=2,5,10,20 --init_from=runs/fusion \\
        --steps=2000 --preset=small --dataset=images --data_dir=DIR --workdir=runs/fusion_learned

With --with_side the decoders of colour see y, for data sets of pairs; --mode=decompress then needs it as --side.
"""

import numpy as np
from absl import flags

from dsin_tf import bitstream, images
from experiments import codec_driver, common

_MOST_CHROMA_CHANNELS = 64  # a bit a pixel for each colour

# Settings of the models that flags of the same name set; a model refuses those that it has not.
_SETTINGS = (
    *("channels", "levels", "filters", "map_gradient", "context", "steps_without_map"),
    *("fuse_at", "chroma_channels", "chroma_mask", "batch_norm", "nu", "gamma"),
)


def _variants():
    """{method: label} of every model that flags can make; see `multichannel.MultiChannel.variant`."""
    kinds = {"fusion": "with fusion", "feature_fusion": "with fusion of features", "no_fusion": "without fusion"}
    fusions = {f"{kind}_{n}": f"{kinds[kind]}, {n}" for kind in kinds for n in range(1, _MOST_CHROMA_CHANNELS + 1)}
    found = {"": [], **{word: [label] for word, label in fusions.items() if word != "fusion_8"}}
    for word, label in (
        ("chroma_mask", "with colours under the map"),
        ("side", "with side information"),
        ("learned_context", "with learned contexts"),
    ):
        found.update({f"{words}-{word}".lstrip("-"): [*labels, label] for words, labels in found.items()})
    del found[""]
    return {
        **{f"multichannel-{words}": f"Multi-channel {', '.join(labels)}" for words, labels in found.items()},
        "content_weighted-learned_context": "Li et al. 2018 with learned contexts",
    }


# Ours, for two CPU cores.
_SMALL = {
    "steps": 10_000,
    "batch_size": 4,
    "crop": (128, 128),
    "learning_rate": 5e-4,
    "schedule": "staircase",
    "decay_steps": 7000,
    "steps_per_epoch": 1000,
    "checkpoint_every": 500,
}

FAMILY = codec_driver.Family(
    models={"multichannel": "Multi-channel", "content_weighted": "Li et al. 2018"},
    variants=_variants(),
    rate_setting="rate_weight",
    rate_setting_of={"content_weighted": "target_share"},
    distortions=("mae", "mse"),
    colour=True,
    training={
        # Ours, for nothing of it is published. The learning rate falls once, after 70 % of the steps.
        "paper": {
            "steps": 300_000,
            "batch_size": 32,
            "crop": (128, 128),
            "learning_rate": 1e-4,
            "schedule": "staircase",
            "decay_steps": 210_000,
            "steps_per_epoch": 5000,
        },
        "small": _SMALL,
        "tiny": codec_driver.TINY_TRAINING,
    },
    training_of={
        "content_weighted": {
            # The released solver's; the size of crops is ours.
            "paper": {
                "steps": 160_000,
                "batch_size": 32,
                "crop": (128, 128),
                "learning_rate": 1e-5,
                "schedule": "constant",
                "steps_per_epoch": 5000,
            },
            "small": _SMALL,
            "tiny": codec_driver.TINY_TRAINING,
        }
    },
)


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    codec_driver.define_flags(FAMILY)
    with common.flag_group("Model (what is not given comes from the preset)"):
        flags.DEFINE_integer("channels", None, "Of the code, or that of brightness; a multiple of --levels.", 1)
        flags.DEFINE_integer("levels", None, "L, of the importance map; a power of two.", 2)
        flags.DEFINE_integer("filters", None, "Channels in the middle of the networks; see the models.", 1)
        flags.DEFINE_enum(
            "map_gradient",
            None,
            ["local", "global"],
            "What stands for the derivative of the map's steps: local as in Li's paper (the default), or global as in "
            "its release.",
        )
        flags.DEFINE_enum(
            "context",
            None,
            ["counts", "learned"],
            "How bits are coded: by counts (the default), or by networks, which alone are then trained; learned needs "
            "--init_from and the settings of that run.",
        )
        flags.DEFINE_integer(
            "steps_without_map",
            None,
            "Steps at the beginning in which all of the code passes and no rate counts; by default the preset's, or "
            "a fifth of --steps where that is given.",
            0,
        )
    with common.flag_group("Model multichannel"):
        flags.DEFINE_enum(
            "fuse_at",
            None,
            ["code", "feature", "none"],
            "Where the decoders of colour meet brightness: at its code (the default), after its decoder's blocks, or "
            "nowhere.",
        )
        flags.DEFINE_integer(
            "chroma_channels", None, "Of the code of each colour; 64 of them are 1 bpp.", 1, _MOST_CHROMA_CHANNELS
        )
        flags.DEFINE_bool("chroma_mask", None, "Send colours under the map, too, for rates below those of all of it.")
        flags.DEFINE_bool("with_side", None, "Show y, the other image of a pair, to the decoders of colour.")
        flags.DEFINE_bool("batch_norm", None, "Batch normalisation, for batches of 8 and more.")
        flags.DEFINE_float("nu", None, "Weight of the colours' losses; 1 by default.", 0)
        flags.DEFINE_bool("luma", False, "Decompress brightness alone, as a grey picture; colours are not looked at.")
    with common.flag_group("Model content_weighted"):
        flags.DEFINE_float("gamma", None, "Weight of the rate above --target_share; 9.6 by default.", 0)


def main(argv):
    """Does what --mode says."""
    del argv
    values = flags.FLAGS
    if values.luma:
        _decompress_luma_by_flags()
        return
    if values.mode == "train" and values.context == "learned" and values.init_from is None:
        raise common.UserError(
            "--context=learned trains contexts alone, for the codes of a model that is trained already. Name its run "
            "with --init_from."
        )
    codec_driver.main(FAMILY, **_overrides())


def _overrides():
    """Settings of the model from this driver's own flags."""
    values = flags.FLAGS
    found = {**{name: getattr(values, name) for name in _SETTINGS}, "side": values.with_side}
    if values.steps is not None and values.steps_without_map is None:
        found["steps_without_map"] = values.steps // 5
    return found


def _decompress_luma_by_flags():
    values = flags.FLAGS
    if values.mode != "decompress":
        raise common.UserError(f"--luma is for --mode=decompress, not for {values.mode}. Leave it out.")
    if values.side is not None:
        raise common.UserError(f"--luma takes no side information. Leave --side={values.side} out.")
    if values.workdir is None:
        raise common.UserError("--mode=decompress needs --workdir, the run directory. Name one.")
    source, target = codec_driver.input_and_output()
    print(decompress_luma(values.workdir, source, target, values.weights, values.max_pixels))


def decompress_luma(workdir, source, target, weights="best", max_pixels=bitstream.MAX_PIXELS):
    """Writes the brightness of the picture that a file of multichannel holds.

    Args:
      workdir, source, weights, max_pixels: as of `codec_driver.decompress`.
      target: the picture to write, whose three channels are the same.

    Returns:
      A line that says what became of it.
    """
    blob = codec_driver.read_file(source)
    bitstream.unpack(blob, max_pixels=max_pixels)  # a file that is none is refused before a model is loaded
    model = codec_driver.load(codec_driver.only_run(workdir), weights)
    if model.name != "multichannel":
        raise common.UserError(f"{workdir}: {model.name} does not code brightness by itself. Leave --luma out.")
    luma = model.decode_luma(blob, max_pixels)
    images.write(target, np.repeat(luma[..., None], 3, axis=-1))
    return f"{target}: {luma.shape[0]}x{luma.shape[1]}, brightness alone"


if __name__ == "__main__":
    define_flags()
    common.run(main)
