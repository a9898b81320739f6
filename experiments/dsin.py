"""DSIN, compression with side information at the decoder, and CPM, its autoencoder alone, first stage and baseline.

    python -m experiments.dsin --mode=train --model=cpm --preset=small --target_bpp=0.06,0.12 \\
        --dataset=kitti_small --data_dir=DIR --workdir=runs/cpm
    python -m experiments.dsin --mode=train --preset=small --target_bpp=0.06,0.12 --init_from=runs/cpm \\
        --dataset=kitti_small --data_dir=DIR --workdir=runs/dsin
    python -m experiments.dsin --mode=evaluate --dataset=kitti_small --data_dir=DIR --workdir=runs/dsin
    python -m experiments.dsin --mode=compress --workdir=runs/dsin/target_bpp_0.12 --input=x.png --output=x.dsin
    python -m experiments.dsin --mode=decompress --workdir=runs/dsin/target_bpp_0.12 --input=x.dsin --side=y.png \\
        --output=x_hat.png
    python -m experiments.dsin --mode=import --checkpoint=PREFIX --target_bpp=0.02 --workdir=runs/dsin_authors

Training has two stages: the autoencoder, then all of it from the autoencoder's weights (--init_from; without it all is
trained at once). With --preset=paper and --protocol=dsin both are the published ones. --ablation trains the paper's
variants in the same way. The rate is not driven below --target_bpp; what was reached stands in the tables of training
(an estimate) and of evaluation (whole files).
"""

from absl import flags

from dsin_tf import zoo
from experiments import codec_driver, common

# What --ablation changes in the model; "no_si" and "raw_y" are of Fig. 11, "no_mask" of Fig. 8 and 9.
ABLATIONS = {
    "none": {},
    "no_si": {"side": "none"},
    "raw_y": {"side": "raw_y"},
    "no_mask": {"mask": False},
    "l2_lab": {"distance": "l2_lab", "mask": False},
}

FAMILY = codec_driver.Family(
    models={"dsin": "DSIN", "cpm": "Autoencoder alone (CPM)"},
    variants={
        "dsin-no_si": "DSIN without side information",
        "dsin-raw_y": "DSIN with y as it is",
        "dsin-no_mask": "DSIN without mask",
        "dsin-l2_lab": "DSIN with L2 in Lab",
    },
    rate_setting="target_bpp",
    distortions=("mae", "mse", "psnr", "ms-ssim"),
    import_weights=zoo.import_dsin,
    # Stage 2.
    training={
        # As released for KITTI Stereo: a day on one GPU of 2020. A tenth of the rate every 20 epochs of 1576 pairs; for
        # KITTI General every 2. The release validates every 5000 steps towards the end, and more seldom before.
        "paper": {
            "steps": 300_000,
            "batch_size": 1,
            "learning_rate": 1e-4,
            "schedule": "staircase",
            "decay_steps": 20 * 1576,
            "steps_per_epoch": 5000,
        },
        # Ours, for two CPU cores.
        "small": {
            "steps": 2500,
            "batch_size": 1,
            "learning_rate": 3e-4,
            "schedule": "staircase",
            "decay_steps": 2000,
            "steps_per_epoch": 500,
            "checkpoint_every": 500,
        },
        "tiny": codec_driver.TINY_TRAINING,
    },
    # Stage 1.
    training_of={
        "cpm": {
            # The paper says "as CPM": 30 crops of 160x160. In the release an epoch of this stage is ImageNet's, so that
            # the rate stays. The number of steps is not published; this one is ours.
            "paper": {
                "steps": 300_000,
                "batch_size": 30,
                "crop": (160, 160),
                "learning_rate": 1e-4,
                "schedule": "constant",
                "steps_per_epoch": 5000,
            },
            # Ours, for two CPU cores.
            "small": {
                "steps": 10_000,
                "batch_size": 1,
                "learning_rate": 5e-4,
                "schedule": "staircase",
                "decay_steps": 8000,
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
            "ablation",
            "none",
            list(ABLATIONS),
            "Variant of DSIN: no_si trains SI-Net without y, raw_y with y itself in place of its rearranged patches, "
            "no_mask searches them everywhere, l2_lab by another distance.",
        )
        flags.DEFINE_enum(
            "fetch",
            None,
            ["copy", "resample"],
            "How patches are taken out of y: as they are, or stretched by 5 % as in the released code.",
        )
        flags.DEFINE_string("patch_size", None, "HEIGHTxWIDTH of the patches that are searched, in pixels.")
        flags.DEFINE_float("alpha", None, "Weight of the final image's distortion, 0 to 1; the decoder's has the rest.")
        flags.DEFINE_bool("regularize", None, "Decay of weights and centres, as designed and not as released.")


def main(argv):
    """Does what --mode says."""
    del argv
    codec_driver.main(FAMILY, **_overrides())


def _overrides():
    """Settings of the model from this driver's own flags."""
    values = flags.FLAGS
    size = values.patch_size
    of_dsin = {
        "fetch": values.fetch,
        "patch_size": None if size is None else codec_driver.size("patch_size", size),
        "alpha": values.alpha,
        **ABLATIONS[values.ablation],
    }
    of_dsin = {name: value for name, value in of_dsin.items() if value is not None}
    if values.model != "dsin" and of_dsin:
        raise common.UserError(f"--model={values.model} has no {', '.join(of_dsin)}. Leave out what is for DSIN alone.")
    return {"regularize": values.regularize, **of_dsin}


if __name__ == "__main__":
    define_flags()
    common.run(main)
