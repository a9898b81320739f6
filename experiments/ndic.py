"""NDIC, common and private information; its successor NDIC-CAM; and the codecs without y that it compares with.

    python -m experiments.ndic --mode=train --model=ndic_balle2017 --preset=small --lmbda=0.0008,0.0024 \\
        --dataset=kitti_small --data_dir=DIR --workdir=runs/ndic_balle2017
    python -m experiments.ndic --mode=train --protocol=ndic --lmbda=published --distortion=mse \\
        --dataset=kitti_stereo --data_dir=DIR --workdir=runs/ndic
    python -m experiments.ndic --mode=evaluate --dataset=kitti_small --data_dir=DIR --workdir=runs/ndic_balle2017
    python -m experiments.ndic --mode=compress --workdir=runs/ndic/lmbda_0.0008 --input=x.png --output=x.dsin
    python -m experiments.ndic --mode=decompress --workdir=runs/ndic/lmbda_0.0008 --input=x.dsin --side=y.png \\
        --output=x_hat.png
    python -m experiments.ndic --mode=import --checkpoint=ours+balle17_MSE_lambda0.0008.pt --lmbda=0.0008 \\
        --distortion=mse --workdir=runs/ndic_authors

Preset paper has the decoder that gave the published weights and curves, in which one layer is applied twice and another
never; the other presets have the corrected one. --decoder chooses.
"""

from absl import flags

from dsin_tf import zoo
from experiments import balle, codec_driver, common

# The authors' lists; not all of them are plotted.
LAMBDAS = {
    ("ndic_balle2017", "mse"): (
        *(2e-5, 4e-5, 2e-4, 5e-4, 8e-4, 0.0012, 0.0014, 0.0016),
        *(0.002, 0.0026, 0.0032, 0.0038, 0.0044, 0.005, 0.0056),
    ),
    ("ndic_balle2017", "ms-ssim"): (
        *(1.2e-5, 3e-5, 4.5e-5, 6e-5, 8e-5, 9e-5, 1e-4, 1.4e-4, 2e-4, 8e-4, 0.0014, 0.005),
    ),
    ("ndic_balle2018", "mse"): (2e-4, 8e-4, 0.0011, 0.0014, 0.002, 0.0026, 0.0032, 0.0038, 0.0044, 0.0048),
    ("ndic_balle2018", "ms-ssim"): (1.2e-5, 1.6e-5, 3e-5, 4.5e-5, 6e-5, 1e-4, 1.4e-4, 1.8e-4, 0.0022),
    ("balle2018", "mse"): (*(2e-4, 5e-4, 9e-4, 0.001, 0.0011, 0.0014, 0.002, 0.0026, 0.0032, 0.0038, 0.0044, 0.0048),),
    ("balle2018", "ms-ssim"): (
        *(4e-6, 8e-6, 1.2e-5, 1.6e-5, 2e-5, 3e-5, 4.5e-5, 6e-5, 7e-5, 8e-5, 9e-5),
        *(1e-4, 1.4e-4, 1.8e-4, 2.2e-4, 2.6e-4),
    ),
    # Of KITTI Stereo; nothing was published for MSE.
    ("ndic_cam", "ms-ssim"): (3e-5, 4.5e-5, 6e-5, 1.1e-4, 1.8e-4, 2.2e-4, 3e-4),
    ("balle2017", "mse"): (2e-4, 4e-4, 8e-4, 0.0014, 0.002, 0.0026, 0.0032, 0.0036, 0.0044, 0.0048),
    ("balle2017", "ms-ssim"): (4e-6, 1.2e-5, 3e-5, 3.7e-5, 4.5e-5, 6e-5, 9e-5, 1.2e-4, 1.4e-4, 1.6e-4, 1.8e-4),
}

FAMILY = codec_driver.Family(
    models={
        "ndic_balle2017": "NDIC (Ballé 2017)",
        "ndic_balle2018": "NDIC (Ballé 2018)",
        "ndic_cam": "NDIC-CAM",
        **balle.FAMILY.models,
    },
    training=balle.FAMILY.training,
    published_rates=LAMBDAS,
    import_weights=zoo.import_ndic,
)


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    codec_driver.define_flags(FAMILY)
    with common.flag_group("Model"):
        flags.DEFINE_integer("filters", None, "N, channels of every layer; by default the preset's.", lower_bound=1)
        flags.DEFINE_float("alpha", None, "Weight of y's rate and distortion in the loss; 1 by default.", lower_bound=0)
        flags.DEFINE_float("beta", None, "Weight of the common information's rate; 1 by default.", lower_bound=0)
        flags.DEFINE_enum(
            "decoder",
            None,
            ["corrected", "published"],
            "corrected applies each layer once; published is the one that gave the published curves.",
        )
        flags.DEFINE_string(
            "image_size", None, "HEIGHTxWIDTH of all images of ndic_cam, multiples of 32; by default 128x256."
        )


def main(argv):
    """Does what --mode says."""
    del argv
    values = flags.FLAGS
    names = ("alpha", "beta", "decoder", "image_size")
    given = {name: getattr(values, name) for name in names if getattr(values, name) is not None}
    known = {"ndic_balle2017": names[:3], "ndic_balle2018": names[:3], "ndic_cam": ("alpha", "beta", "image_size")}
    unknown = [name for name in given if name not in known.get(values.model, ())]
    if unknown:
        raise common.UserError(f"--model={values.model} has no {', '.join(unknown)}. Leave out what it has not.")
    if "image_size" in given:
        given["size"] = codec_driver.size("image_size", given.pop("image_size"))
    codec_driver.main(FAMILY, filters=values.filters, **given)


if __name__ == "__main__":
    define_flags()
    common.run(main)
