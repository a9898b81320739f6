"""Makes shipped weights of a run directory: the model with 16 bits a weight, and a card that says what it is.

    python -m experiments.ship --workdir=runs/dsc_msf/lmbda_0.0012 --data=scenes --about=about.json
    python -m experiments.dsc_msf --mode=evaluate --workdir=dsc_msf-scenes-0.0012 --dataset=kitti_scenes \\
        --data_dir=DIR --out=runs/shipped
    python -m experiments.ship --name=dsc_msf-scenes-0.0012 --results=runs/shipped/results.json
    python -m experiments.ship --list

The second command measures what is shipped and not the run, from which it differs by the rounding; the third puts the
result into the card; the fourth shows what all cards say of training and results. about.json holds what no file of the
run knows: `trained_on`, `licence_of_the_data`, `tested_on`, `use` and `limits`, each a sentence; --about may also be
given with --name, to correct it.
"""

import json
from pathlib import Path

from absl import flags

from dsin_tf import files
from eval import rd_results, tables
from experiments import codec_driver, common

SENTENCES = ("trained_on", "licence_of_the_data", "tested_on", "use", "limits")

_MEASURED = ("bpp", "bpp-payload", "bpp-estimated", "psnr-rgb", "ms-ssim-rgb")


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    with common.flag_group("Ship"):
        flags.DEFINE_string("workdir", None, "Run directory to make shipped weights of.")
        flags.DEFINE_string("data", None, "What the data are called in the name: MODEL-DATA-RATE.")
        flags.DEFINE_string("name", None, "Shipped weights whose card is to be changed.")
        flags.DEFINE_string("about", None, f"JSON file with {', '.join(SENTENCES)}.")
        flags.DEFINE_string("results", None, "Results file of the shipped weights.")
        flags.DEFINE_enum("weights", "last", ["best", "last"], "Weights to ship: best in validation, or the last.")
        flags.DEFINE_bool("list", False, "Print a table of the weights that are shipped, and end.")


def main(argv):
    """Does what the flags ask for."""
    del argv
    values = flags.FLAGS
    if values.list:
        common.show_table(overview())
        return
    if (values.workdir is None) == (values.name is None):
        raise common.UserError("Name either --workdir, a run to ship, or --name, shipped weights whose card changes.")
    if values.workdir is not None:
        if values.data is None or values.about is None:
            raise common.UserError("--workdir needs --data, a word for the name, and --about, a file of sentences.")
        print(ship(values.workdir, values.data, _sentences(values.about), values.weights))
    else:
        about = {} if values.about is None else _sentences(values.about)
        print(amend(values.name, about, values.results))


def ship(workdir, data, about, weights="last"):
    """Writes shipped weights of a run, and their card without results.

    Args:
      workdir: a run directory.
      data: a word for the data in the name.
      about: dict of `SENTENCES`.
      weights: "best" or "last".

    Returns:
      A line that says what became of it.
    """
    from dsin_tf import models, training, zoo
    from dsin_tf.models import storage

    model = codec_driver.load(workdir, weights)
    models.round_to_half(model)
    rate_name = next(name for name in codec_driver.RATE_SETTINGS if name in model.settings)
    name = f"{codec_driver.method(model)}-{data}-{model.settings[rate_name]:g}"
    folder = zoo.PLACE / name
    models.save(model, folder, half=True)
    run = training.Run(workdir)
    starts = json.loads((Path(workdir) / "environment.json").read_text(encoding="utf-8"))
    card = {
        "model": model.name,
        "variant": model.variant,
        "identity": model.identity.hex(),
        "sha256": storage.checksums(folder),
        "preset": model.preset,
        rate_name: model.settings[rate_name],
        "trained_on": about["trained_on"],
        "licence_of_the_data": about["licence_of_the_data"],
        "steps": int(model.step),
        "began_with": _beginning(starts[0].get("init_from")),
        "seconds": round(run.checkpoints.newest()["seconds"]),
        "machine": "two CPU cores, shared with other work",
        "still_improving": improvement(run.metrics_path),
        "data_digest": run.configuration()["data"]["train"]["digest"],
        **{key: about[key] for key in ("tested_on", "use", "limits")},
    }
    _write(folder, card)
    return f"{folder}: {sum(path.stat().st_size for path in folder.iterdir())} bytes"


def amend(name, about, results):
    """Puts sentences and results into the card of shipped weights; returns the card as text."""
    from dsin_tf import zoo

    card = {**zoo.card(name), **about}
    if results is not None:
        measured = rd_results.load(results)
        rate_name = next(setting for setting in codec_driver.RATE_SETTINGS if setting in card)
        if card[rate_name] not in measured.results.get(rate_name, []):
            raise common.UserError(f"{results}: holds no {rate_name} of {card[rate_name]}. Evaluate {name} first.")
        at = measured.results[rate_name].index(card[rate_name])
        found = {key: round(measured.results[key][at], 4) for key in _MEASURED if key in measured.results}
        card["results"] = {
            **found,
            "ms_ssim_window": measured.meta["ms_ssim_window"],
            "images": measured.meta["images"],
        }
    _write(zoo.folder(name), card)
    return json.dumps(card, indent=1)


def overview():
    """What the cards of all shipped weights say of training and results, as a `tables.Table`."""
    from dsin_tf import zoo

    rows = []
    for name in zoo.names():
        card = zoo.card(name)
        minutes = card["seconds"] / 60 if "seconds" in card else None
        results = card.get("results", {})
        numbers = ((results.get("bpp"), 4), (results.get("psnr-rgb"), 2), (results.get("ms-ssim-rgb"), 4))
        cells = (
            tables.Cell(card["steps"], 0),
            tables.Cell(minutes, 0),
            tables.Cell(card["still_improving"].partition(":")[0]),
            *(tables.Cell(value, digits, results.get("images")) for value, digits in numbers),
        )
        rows.append(tables.Row((name,), cells))
    columns = ("steps", "minutes", "still improving", "bpp", "PSNR (dB)", "MS-SSIM")
    note = "Steps and minutes are those of the last stage of training. dsin_tf.zoo.card(NAME) has all that a card says."
    return tables.Table("Shipped weights", ("name",), columns, tuple(rows), note)


def improvement(metrics_path):
    """Whether training still improved the model when it ended.

    Says so by the loss on the validation set: the last one has to be the lowest. Without a validation set by training's
    own, its mean over the last tenth of the steps against the tenth before.
    """
    from dsin_tf.training import metrics_file

    rows = metrics_file.read(metrics_path)
    validated = [row for row in rows if row.get("val_loss") is not None]
    if len(validated) > 1:
        *before, last = validated
        best = min(before, key=lambda row: row["val_loss"])
        change = last["val_loss"] / best["val_loss"] - 1
        what = f"validation loss {100 * change:+.1f} % from step {best['step']:.0f} to {last['step']:.0f}"
    else:
        losses = [row["loss"] for row in rows if row.get("loss") is not None]
        tenth = max(len(losses) // 10, 1)
        last, before = losses[-tenth:], losses[-2 * tenth : -tenth] or losses[:1]
        change = sum(last) / len(last) / (sum(before) / len(before)) - 1
        what = f"training loss {100 * change:+.1f} % over the last tenth of the steps"
    return f"{'yes' if change < 0 else 'no'}: {what}"


def _beginning(origin):
    """Whose weights training began with, of what environment.json says of it."""
    from dsin_tf import zoo

    if origin is None:
        return "weights of its own"
    name = Path(origin["run"]).name
    return f"{name if name in zoo.names() else 'weights'} of {origin['step']} steps"


def _sentences(path):
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    missing = [key for key in SENTENCES if key not in found]
    if missing:
        raise common.UserError(f"{path}: lacks {', '.join(missing)}. Add a sentence for each.")
    return found


def _write(folder, card):
    files.write_text(folder / "card.json", json.dumps(card, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    define_flags()
    common.run(main)
