"""Ballé 2017 and Ballé 2018: the two codecs without side information that the papers build on and compare with.

    python -m experiments.balle --mode=train --model=balle2018 --preset=small --lmbda=0.0002,0.0008,0.002 \\
        --dataset=kitti_small --data_dir=DIR --workdir=runs/balle2018
    python -m experiments.balle --mode=evaluate --dataset=kitti_small --data_dir=DIR --workdir=runs/balle2018
    python -m experiments.balle --mode=compress --workdir=runs/balle2018/lmbda_0.0008 --input=x.png --output=x.dsin
    python -m experiments.balle --mode=decompress --workdir=runs/balle2018/lmbda_0.0008 --input=x.dsin --output=y.png
    python -m experiments.balle --mode=info --input=x.dsin

A training that was stopped, in whatever way, goes on with the same command. Evaluation writes results.json, which the
report shows beside the classical codecs:

    python -m eval.report --results='runs/anchors/*.json,runs/balle2018/results.json' --out=runs/report.html
"""

from absl import flags

from experiments import codec_driver, common

FAMILY = codec_driver.Family(
    models={"balle2017": "Ballé 2017", "balle2018": "Ballé 2018"},
    training={
        # As NDIC trains them. 50 000 epochs of KITTI Stereo are what its code would run for at most: it has no end of
        # its own, and the rate is down at 1e-7 long before. The best weights are those of the best validation.
        "paper": {
            "steps": 50_000 * 1576,
            "batch_size": 1,
            "learning_rate": 1e-4,
            "schedule": "plateau",
        },
        # Ours, for two CPU cores: about a quarter of an hour on kitti_small, one model a core.
        "small": {
            "steps": 27_000,
            "batch_size": 1,
            "learning_rate": 5e-4,
            "schedule": "staircase",
            "decay_steps": 21_600,
            "clip_norm": 1.0,
            "steps_per_epoch": 1000,
            "checkpoint_every": 500,
        },
        "tiny": codec_driver.TINY_TRAINING,
    },
)


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    codec_driver.define_flags(FAMILY)
    with common.flag_group("Model"):
        flags.DEFINE_integer("filters", None, "N, channels of every layer; by default the preset's.", lower_bound=1)


def main(argv):
    """Does what --mode says."""
    del argv
    codec_driver.main(FAMILY, filters=flags.FLAGS.filters)


if __name__ == "__main__":
    define_flags()
    common.run(main)
