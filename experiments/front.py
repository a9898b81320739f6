"""The picture that says in a glance what side information is for: an image, the receiver's, and what comes of a file.

    python -m experiments.front --dataset=street --index=5
    python -m experiments.front --dataset=kitti_stereo --data_dir=DIR --protocol=ndic --workdir=dsin-kitti-small-0.08

Shown are x, which is sent; y, which the receiver has; x as JPEG 2000 gives it back; and x as a model decodes it with y,
from a smaller file than JPEG 2000's. Into --out go PNG and SVG with their numbers as JSON and CSV.
"""

from pathlib import Path

from absl import flags

from dsin_tf import data
from eval import anchors, metrics, tables
from experiments import codec_driver, common, dsin, figure_files, ndic

_LABELS = {**dsin.FAMILY.labels, **ndic.FAMILY.labels}


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    with common.flag_group("Front"):
        flags.DEFINE_string(
            "workdir", "dsin-street-small-0.08", "Model that decodes with y: a run directory or shipped weights."
        )
        flags.DEFINE_enum("weights", "best", ["best", "last"], "Weights to use: best in validation, or the last.")
        flags.DEFINE_integer("index", 0, "Which image of the data set, from 0.", lower_bound=0)
        flags.DEFINE_string("size", None, "HEIGHTxWIDTH of street's pictures in pixels; by default 128x256.")
        flags.DEFINE_string("out", "runs/front", "Folder for data and picture.")
    common.define_data_flags()


def main(argv):
    """Draws what the flags name."""
    del argv
    values = flags.FLAGS
    source, protocol = common.load_data(**codec_driver.data_options()), data.protocols.get(values.protocol)
    if values.index >= len(source):
        raise common.UserError(f"--index={values.index}: there are {len(source)} images. Name one below that.")
    model = codec_driver.load(codec_driver.only_run(values.workdir), values.weights)
    if not model.uses_side:
        raise common.UserError(f"--workdir={values.workdir}: decodes without side information. Name a model with.")
    figure_files.write_all([compare(model, source, protocol, values.index)], Path(values.out))


def compare(model, source, protocol, index=0):
    """x, y, JPEG 2000 and a model at equal rate.

    Args:
      model: a codec that decodes with side information, ready to code.
      source: a data set of pairs.
      protocol: which pixels of them.
      index: of the pair.

    Returns:
      A `figure_files.Made`.

    Raises:
      common.UserError: JPEG 2000 cannot be made as large as the model's file.
    """
    x, y = map(protocol.evaluate, source.read(index))
    blob = model.compress(x)
    bpp = 8 * len(blob) / x[..., 0].size
    jpeg2000 = anchors.get("jpeg2000")
    other = anchors.Sweep(jpeg2000, x).over(bpp)  # the next larger file, so that no byte is to the model's advantage
    if other is None:
        raise common.UserError(f"{source.names[index]}: {jpeg2000.label} has no file of more than {bpp:.4f} bpp.")
    label = codec_driver.label(model, _LABELS)
    coded = {
        jpeg2000.label: (other.bpp, jpeg2000.decode(other.data)),
        f"{label}, decoded with y": (bpp, model.decompress(blob, y)),
    }
    rows, panels = [], [("x, which is to be sent", x), ("y, which the receiver has", y)]
    for name, (rate, picture) in coded.items():
        quality = metrics.psnr(x, picture)
        rows.append(tables.Row((name,), (tables.Cell(rate, 4), tables.Cell(quality, 2))))
        panels.append((f"{name}: {rate:.3f} bpp, {quality:.1f} dB", picture))
    title = f"One image at equal rate: {source.name}, {source.names[index]}"
    table = tables.Table(title, ("codec",), ("bpp", "PSNR (dB)"), tuple(rows), "Rates are those of whole files.")
    content = {
        **figure_files.measured_on(source, protocol, model),
        "image": source.names[index],
        "coded": {name: {"bpp": rate, "psnr-rgb": metrics.psnr(x, picture)} for name, (rate, picture) in coded.items()},
    }
    figure = figure_files.rows_of_pictures("", [("What there is", panels[:2]), ("What comes of a file", panels[2:])])
    return figure_files.Made(f"front_{source.name}", content, table, figure)


if __name__ == "__main__":
    define_flags()
    common.run(main)
