"""What the drivers of learned codecs share: their modes and flags. A driver says which models it is for, and how
they are trained; see `Family`.

    train        a run directory for each rate; finished runs are left alone, stopped ones go on
    evaluate     writes a file for each image, decodes it again, and reports what it took and what came out
    compress     one picture into a file
    decompress   and back, for models with side information by means of --side
    export       what coding takes of a run, without checkpoints and without what only training needs
    info         what a file says about itself; needs no model
    import       published weights into a run directory, for families that have some
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Optional

import numpy as np
from absl import flags

from dsin_tf import bitstream, data, files, images
from eval import rd_results, tables
from experiments import codec_evaluation, common, kept_pictures

MODES = ("train", "evaluate", "compress", "decompress", "export", "info")
_WORKDIR_MODES = ("train", "evaluate", "compress", "decompress", "export", "import")

# What sets the rate of a model, by rank where a model has several, and the flag's help.
RATE_SETTINGS = {
    "target_bpp": "Bits a pixel that training aims at. Several make a sweep.",
    "lmbda": "Weight of the distortion: larger means more bits and a better picture. Several make a sweep.",
    "rate_weight": "Weight of the rate: larger means fewer bits and a worse picture. Several make a sweep.",
    "target_share": "Share of the code that training lets pass, above 0 and at most 1. Several make a sweep.",
}

# Training to see every part at work.
TINY_TRAINING = {
    "steps": 20,
    "batch_size": 1,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "steps_per_epoch": 10,
    "log_every": 5,
    "checkpoint_every": 5,
}

_MODEL_FILES = ("config.json", "model.json")
# Settings of models that say how training goes, not what is trained: rates of a sweep may begin from one another.
_SCHEDULE = ("steps_without_map",)


@dataclasses.dataclass(frozen=True)
class Family:
    """The models that a driver is for.

    Attributes:
      models: {name of `dsin_tf.models.names()`: label in tables and plots}; the first is the default.
      training: {preset: arguments of `dsin_tf.training.Config`}; also "crop": (height, width) of the random part of an
        image that training sees, where it is not the protocol's.
      training_of: {model: the same, for a model that is trained in another way}.
      variants: {"model-variant": label}, of models that know variants; see `codec.Codec.variant`.
      rate_setting: one of `RATE_SETTINGS`, the setting that makes a sweep.
      rate_setting_of: {model: the same, for a model whose rate is set in another way}.
      distortions: what the models can count as distortion.
      import_weights: makes a model of the prefix of a published checkpoint and settings; None if there are none.
      published_rates: {(model, distortion): the values of its rate setting that were published}; the flag takes the
        word "published" for them.
      colour: whether evaluation measures brightness and colours apart where --colour is not given.
    """

    models: Mapping
    training: Mapping
    training_of: Mapping = dataclasses.field(default_factory=dict)
    variants: Mapping = dataclasses.field(default_factory=dict)
    rate_setting: str = "lmbda"
    rate_setting_of: Mapping = dataclasses.field(default_factory=dict)
    distortions: tuple = ("mse", "ms-ssim")
    import_weights: Optional[Callable] = None
    published_rates: Mapping = dataclasses.field(default_factory=dict)
    colour: bool = False

    @property
    def labels(self):
        """{method as results name it: label}."""
        return {**self.models, **self.variants}

    def training_config(self, model, preset):
        """How a model is trained."""
        return self.training_of.get(model, self.training)[preset]

    @property
    def rate_settings(self):
        """What sets the rate of any of the models."""
        return tuple(dict.fromkeys([self.rate_setting, *self.rate_setting_of.values()]))

    def rate_setting_for(self, model):
        """What sets the rate of a model."""
        return self.rate_setting_of.get(model, self.rate_setting)


def define_flags(family):
    """The flags that all these drivers have."""
    presets = list(family.training)
    with common.flag_group("Run"):
        modes = MODES if family.import_weights is None else (*MODES, "import")
        flags.DEFINE_enum("mode", None, modes, "What to do.", required=True)
        flags.DEFINE_enum("model", next(iter(family.models)), list(family.models), "Model to train.")
        flags.DEFINE_enum(
            "preset",
            "paper",
            presets,
            "Size of the model, and how it is trained: paper as published, for a GPU; small for two CPU cores and "
            "images of 128x256; tiny to try things.",
        )
        flags.DEFINE_string(
            "workdir",
            None,
            f"Run directory, or the folder of several with more than one --{' or --'.join(family.rate_settings)}. To "
            "evaluate and to code also the name of shipped weights, or several with commas between.",
        )
        flags.DEFINE_string("input", None, "Picture to compress; file to decompress or to show.")
        flags.DEFINE_string("side", None, "Picture that decompress uses as side information, if the model takes any.")
        flags.DEFINE_string(
            "output", None, "File to write; decompress writes the picture format of its ending, export a folder."
        )
        flags.DEFINE_integer(
            "max_pixels",
            bitstream.MAX_PIXELS,
            "Refuse larger pictures, and files that claim to be larger; coding takes memory in proportion.",
            lower_bound=1,
        )
    common.define_data_flags()
    with common.flag_group("Data of training"):
        flags.DEFINE_string(
            "val_split",
            None,
            "Part of the data set to validate on; by default val where there is one. 'none' validates on nothing: the "
            "last weights are then the ones used.",
        )
        flags.DEFINE(
            common.DatasetParser(), "val_dataset", None, "Data set to validate on, if not the one that is trained on."
        )
        flags.DEFINE_string("size", None, "HEIGHTxWIDTH of street's pictures in pixels; by default 128x256.")
        flags.DEFINE_string(
            "crop",
            None,
            "HEIGHTxWIDTH of the random part of a picture that training sees; by default the preset's, or else the "
            "protocol's.",
        )
    with common.flag_group("Training (what is not given comes from the preset)"):
        published = " 'published' stands for those of the paper." if family.published_rates else ""
        for name in family.rate_settings:
            flags.DEFINE_list(name, None, RATE_SETTINGS[name] + published)
        flags.DEFINE_enum("distortion", None, family.distortions, "What the loss counts as distortion.")
        flags.DEFINE_string(
            "init_from",
            None,
            "Run directory whose weights training begins with, or shipped weights; of a sweep, or of several names "
            "with commas between, those of the same rate are taken.",
        )
        flags.DEFINE_integer(
            "steps", None, "Steps in all; more than before goes on with a finished run.", lower_bound=1
        )
        flags.DEFINE_integer("batch_size", None, "Images in a step, over all devices.", lower_bound=1)
        flags.DEFINE_float("learning_rate", None, "Learning rate at the start.", lower_bound=1e-12)
        flags.DEFINE_enum(
            "schedule",
            None,
            ["plateau", "staircase", "constant"],
            "How the learning rate falls: to a tenth when validation has not improved for eleven epochs, or at every "
            "--decay_steps, or never.",
        )
        flags.DEFINE_integer("decay_steps", None, "Steps between two drops of schedule staircase.", lower_bound=1)
        flags.DEFINE_float("clip_norm", None, "Scale larger gradients down to this norm; 0 never.", lower_bound=0)
        flags.DEFINE_integer(
            "steps_per_epoch", None, "Steps between two validations; by default a pass.", lower_bound=1
        )
        flags.DEFINE_integer("log_every", None, "Steps between two rows of metrics.csv.", lower_bound=1)
        flags.DEFINE_integer("checkpoint_every", None, "Steps between two checkpoints.", lower_bound=1)
        flags.DEFINE_integer("seed", 0, "Of weights, noise, order of the data, crops.", lower_bound=0)
    with common.flag_group("Devices"):
        flags.DEFINE_enum(
            "strategy",
            "one_device",
            ["one_device", "mirrored", "multi_worker"],
            "Train on one device, on all GPUs of this machine, or on the machines of TF_CONFIG, on each of which the "
            "same command is started; --workdir is then a folder that all of them see.",
        )
        flags.DEFINE_enum(
            "precision",
            "float32",
            ["float32", "mixed_float16"],
            "mixed_float16 trains faster on GPUs that have it; entropy models stay float32, and so does coding.",
        )
    with common.flag_group("Evaluation"):
        flags.DEFINE_string(
            "out", None, "Folder for results and files, by default --workdir; needed for shipped weights."
        )
        flags.DEFINE_enum("weights", "best", ["best", "last"], "Weights to use: best in validation, or the last.")
        flags.DEFINE_bool(
            "colour",
            family.colour,
            "Also measure brightness and colours apart: SSIM, CMSSIM, colour differences, RGB angle.",
        )
        flags.DEFINE_integer("pictures", 0, "How many images, spread over the data set, to keep as PNG.", lower_bound=0)
        flags.DEFINE_float(
            "picture_bpp",
            0.10,
            "Rate of the pictures kept, in bits a pixel: of a sweep, the model closest to it.",
            lower_bound=1e-6,
        )
        flags.DEFINE_string(
            "pictures_dir",
            None,
            "Folder for them, by default pictures in --workdir. That of experiments.anchors puts its codecs beside.",
        )
    if family.import_weights is not None:
        with common.flag_group("Import"):
            flags.DEFINE_string("checkpoint", None, "Published weights: the files' common path without its endings.")


def main(family, **overrides):
    """Does what --mode says.

    Args:
      family: a `Family`.
      **overrides: settings of the model from the driver's own flags; None leaves the preset's.
    """
    values = flags.FLAGS
    if values.mode in _WORKDIR_MODES and values.workdir is None:
        raise common.UserError(f"--mode={values.mode} needs --workdir, the run directory. Name one.")
    if values.mode == "train":
        _train_by_flags(family, overrides)
    elif values.mode == "evaluate":
        evaluate(
            values.workdir,
            common.singly(common.load_data(**data_options())),
            data.protocols.get(values.protocol),
            family.labels,
            **evaluation_options(),
        )
    elif values.mode == "compress":
        source, target = input_and_output()
        print(compress(values.workdir, source, target, values.weights, values.max_pixels))
    elif values.mode == "decompress":
        source, target = input_and_output()
        print(decompress(values.workdir, source, target, values.side, values.weights, values.max_pixels))
    elif values.mode == "export":
        if values.output is None:
            raise common.UserError("--mode=export needs --output, the folder to write. Name one.")
        print(export(values.workdir, values.output, family.labels, values.weights))
    elif values.mode == "import":
        if values.checkpoint is None:
            raise common.UserError("--mode=import needs --checkpoint, the published weights. Name them.")
        settings = _settings(family, overrides)
        if len(settings) > 1:
            name = family.rate_setting_for(values.model)
            raise common.UserError(f"--{name} has several values; a checkpoint is of one. Give that.")
        print(import_weights(family, values.checkpoint, values.workdir, settings[0]))
    else:
        if values.input is None:
            raise common.UserError("--mode=info needs --input, the file to show. Name one.")
        print(info(values.input, values.max_pixels))


# ---------------------------------------------------------------------------------------------------------------------
# Training.


def train(
    name,
    preset,
    settings,
    train_source,
    val_source,
    protocol,
    config,
    workdir,
    strategy="one_device",
    precision="float32",
    weights="best",
    init_from=None,
):
    """Trains models, one for each dict of settings, and makes each ready to code.

    Args:
      name, preset: the model; see `dsin_tf.models.create`.
      settings: a list of dicts of settings that replace the preset's. One trains in `workdir` itself, several in a
        folder inside for each, named by what sets its rate, one of `RATE_SETTINGS`.
      train_source, val_source, protocol, config: as of `dsin_tf.training.fit`.
      workdir: folder of all files.
      strategy: name of a `dsin_tf.training.strategy`.
      precision: "float32" or "mixed_float16".
      weights: "best" or "last", which weights the model for coding gets.
      init_from: run directory whose weights training begins with, or the folder of a sweep with a run of each rate,
        or names of shipped weights; None for the model's own initial weights.

    Returns:
      The run directories.
    """
    import tensorflow as tf

    from dsin_tf import models, training

    devices = training.strategy.make(strategy)  # before any operation, as several machines need it
    folders = _folders_for(Path(workdir), settings)
    for folder, setting in zip(folders, settings):
        donor = None if init_from is None else _donor(init_from, setting, weights)
        tf.keras.mixed_precision.set_global_policy(precision)
        try:
            tf.keras.backend.clear_session()
            with devices.scope():
                model = models.create(name, preset, **setting)
            about = {"strategy": strategy, "precision": precision, **_initialize(model, donor, folder)}
            history = training.fit(model, train_source, val_source, protocol, config, folder, **about)
        finally:
            tf.keras.mixed_precision.set_global_policy("float32")
        if history.first_step == history.step:
            _say(f"{folder}: finished before, at step {history.step}.")
        if training.strategy.is_chief(devices):
            load(folder, weights)
    return folders


def evaluation_options():
    """Arguments of `evaluate` from the flags."""
    names = ("weights", "max_pixels", "pictures", "picture_bpp", "pictures_dir", "out", "colour")
    return {name: getattr(flags.FLAGS, name) for name in names}


def _donor(init_from, setting, weights):
    """The model whose weights training begins with: `(its run directory, model)`."""
    found = run_folders(init_from)
    if len(found) > 1:
        wanted = [f"{name}_{setting[name]:g}" for name in RATE_SETTINGS if name in setting]
        shipped = [f"-{setting[name]:g}" for name in RATE_SETTINGS if name in setting]
        found = [run for run in found if run.name in wanted or run.name.endswith(tuple(shipped))]
        if not found:
            rate = wanted[0] if wanted else "the preset's rate"
            raise common.UserError(f"{init_from}: holds several runs, but not {rate}. Train it there, or name one run.")
    return found[0], load(found[0], weights)


def _initialize(model, donor, folder):
    """Gives a new model the weights of the donor; returns what environment.json says of that.

    A run that goes on has its own weights already, but must have begun with the same.
    """
    origin = None
    if donor is not None:
        run, giver = donor
        model.start_from(giver)
        origin = {"run": str(run), "step": int(giver.step), "identity": giver.identity.hex()}
    try:
        starts = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        starts = []
    if starts and _identity(starts[0].get("init_from")) != _identity(origin):
        raise common.UserError(
            f"{folder} holds a run that began with {_origin(starts[0].get('init_from'))}, not with {_origin(origin)}. "
            "Name another --workdir, or begin with the same to go on with that run."
        )
    return {} if origin is None else {"init_from": origin}


def _identity(origin):
    return origin and (origin["step"], origin["identity"])


def _origin(origin):
    return "{run} at step {step}".format(**origin) if origin else "weights of its own"


def import_weights(family, checkpoint, workdir, settings):
    """Makes a run directory of published weights.

    Args:
      family: a `Family` with `import_weights`.
      checkpoint: path of the checkpoint, as its framework takes it.
      workdir: where to; must not hold a run.
      settings: dict of settings that replace the preset's.

    Returns:
      A line that says what became of it.
    """
    from dsin_tf import models

    held = [name for name in (*_MODEL_FILES, "checkpoints") if (Path(workdir) / name).exists()]
    if held:
        raise common.UserError(f"{workdir}: holds a model already ({held[0]}). Name another --workdir.")
    model = family.import_weights(checkpoint, **settings)
    model.prepare_for_coding()
    models.save(model, workdir)
    return f"{workdir}: {family.labels[method(model)]}, {_count_weights(model)} parameters, step {int(model.step)}"


def load(folder, weights="best"):
    """The model of a run directory, ready to code.

    The first call after training makes the coding tables and writes model.json and weights.npz; as long as the run
    stays where it is, later calls read them.

    Args:
      folder: a run directory, or one that holds a model alone.
      weights: "best" or "last".

    Returns:
      A `dsin_tf.models.codec.Codec`.

    Raises:
      ValueError: there is no model.
    """
    from dsin_tf import models, training

    run = training.Run(folder)
    newest = run.checkpoints.newest()
    if newest is None:
        if run.configuration() is not None:
            raise common.UserError(
                f"{folder}: its run has no checkpoint yet. Let --mode=train go on for a while first."
            )
        return models.load(folder)
    wanted = ((run.checkpoints.best() if weights == "best" else None) or newest)["step"]
    if (Path(folder) / "model.json").is_file():
        model = models.load(folder)
        if model.is_prepared and int(model.step) == wanted:
            return model
    described = dict(run.configuration()["model"])
    name, preset = described.pop("name"), described.pop("preset")
    model = models.create(name, preset, **described)
    training.restore(model, folder, weights)
    model.prepare_for_coding()
    models.save(model, folder)
    return model


def _train_by_flags(family, overrides):
    values = flags.FLAGS
    config, crop = _config(family.training_config(values.model, values.preset))
    protocol = data.protocols.get(values.protocol)
    if crop is not None:
        protocol = dataclasses.replace(protocol, train_crop=crop)
    train_source = common.load_data(split="train", **data_options())
    folders = train(
        values.model,
        values.preset,
        _settings(family, overrides),
        train_source,
        _validation_source(),
        protocol,
        config,
        values.workdir,
        values.strategy,
        values.precision,
        values.weights,
        values.init_from,
    )
    title = f"{family.models[values.model]}, preset {values.preset}, trained on {train_source.name}"
    common.show_table(training_table(title, folders))


def _settings(family, overrides):
    """The dicts of settings that the flags ask for, one for each rate."""
    values, name = flags.FLAGS, family.rate_setting_for(flags.FLAGS.model)
    for other in family.rate_settings:
        if other != name and values[other].value is not None:
            raise common.UserError(f"--model={values.model} has no {other}; its rate is set by --{name}. Give that.")
    given = {"distortion": values.distortion, "seed": values.seed, **overrides}
    shared = {key: value for key, value in given.items() if value is not None}
    rates = values[name].value
    if rates is None:
        return [shared]
    if rates == ["published"] and family.published_rates:
        rates = _published_rates(family, values.model, values.preset, values.distortion)
    return [{**shared, name: rate} for rate in dict.fromkeys(_positive(name, text) for text in rates)]


def _published_rates(family, model, preset, distortion):
    """The sweep of a model's paper, as texts."""
    from dsin_tf import models

    distortion = distortion or models.presets(model)[preset]["distortion"]
    rates = family.published_rates.get((model, distortion))
    if rates is None:
        raise common.UserError(
            f"--{family.rate_setting_for(model)}=published: nothing was published for {model} with distortion "
            f"{distortion}. Give numbers."
        )
    return [f"{rate:g}" for rate in rates]


def _folders_for(workdir, settings):
    """The run directory of each dict of settings."""
    swept = [name for name in RATE_SETTINGS if any(workdir.glob(f"{name}_*/config.json"))]
    if len(settings) == 1 and not swept:
        return [workdir]
    if (workdir / "config.json").is_file():
        raise common.UserError(f"{workdir} holds one run, a folder for several was expected. Name another --workdir.")
    given = [name for name in RATE_SETTINGS if all(name in setting for setting in settings)]
    if not given:
        raise common.UserError(f"{workdir} holds runs of several {swept[0]}. Say which one with --{swept[0]}.")
    return [workdir / f"{given[0]}_{setting[given[0]]:g}" for setting in settings]


def _rate_setting(settings):
    """(name, value) of what sets the rate of a model with these settings."""
    return next((name, settings[name]) for name in RATE_SETTINGS if name in settings)


def training_table(title, folders):
    """Where each run stands, as a `tables.Table`: its weights' figures in validation, or in training without one."""
    from dsin_tf import training
    from dsin_tf.training import metrics_file

    rows = []
    for folder in folders:
        run = training.Run(folder)
        state = run.checkpoints.best() or run.checkpoints.newest()
        prefix = "" if state["best_step"] is None else "val_"
        row = next(row for row in metrics_file.read(run.metrics_path) if row["step"] == state["step"])
        cells = [tables.Cell(row[prefix + column], digits) for column, digits in (("loss", 4), ("bpp", 4), ("psnr", 2))]
        newest = run.checkpoints.newest()
        steps = [tables.Cell(newest["step"], 0), tables.Cell(state["step"], 0)]
        setting, value = _rate_setting(run.configuration()["model"])
        rows.append(tables.Row((f"{value:g}", str(folder)), (*steps, *cells)))
    columns = ("steps", "best at", "loss", "bpp estimated", "PSNR (dB)")
    note = "Means over the validation set at the best step; without one, over the last logged steps of training."
    return tables.Table(title, (setting, "run directory"), columns, tuple(rows), note)


def _config(preset):
    """The preset's way to train, with what the flags replace: a `training.Config` and the crop, or None."""
    from dsin_tf import training

    values = flags.FLAGS
    names = ("steps", "batch_size", "learning_rate", "schedule", "decay_steps", "clip_norm")
    names += ("steps_per_epoch", "log_every", "checkpoint_every", "seed")
    given = {name: getattr(values, name) for name in names if getattr(values, name) is not None}
    merged = {**preset, **given}
    crop = merged.pop("crop", None)
    if values.crop is not None:
        crop = size("crop", values.crop)
    if merged.get("schedule") != "staircase":
        merged["decay_steps"] = given.get("decay_steps")
    elif "steps" in given and "decay_steps" not in given and preset.get("decay_steps"):
        # A shorter or longer run drops its rate at the same part of the way.
        merged["decay_steps"] = max(round(preset["decay_steps"] * given["steps"] / preset["steps"]), 1)
    merged["clip_norm"] = merged.get("clip_norm") or None
    return training.Config(**merged), crop


def _validation_source():
    values = flags.FLAGS
    split, dataset = values.val_split, values.val_dataset or values.dataset
    if split is None:
        split = "val" if "val" in (data.splits(dataset) or ()) else "none"
    return None if split == "none" else common.load_data(split, dataset, **data_options())


def data_options():
    """Options of the data set from this driver's flags."""
    text = flags.FLAGS.size
    return {} if text is None else {"size": size("size", text)}


def size(name, text):
    """(height, width) of a flag's text."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) for part in parts):
        raise common.UserError(f"--{name}={text}: HEIGHTxWIDTH in pixels was expected, for example --{name}=128x256.")
    return tuple(map(int, parts))


# ---------------------------------------------------------------------------------------------------------------------
# Evaluation.


def evaluate(
    workdir,
    source,
    protocol,
    labels,
    weights="best",
    max_pixels=bitstream.MAX_PIXELS,
    pictures=0,
    picture_bpp=0.10,
    pictures_dir=None,
    measure=codec_evaluation.measure,
    variant="",
    out=None,
    colour=False,
):
    """Measures the models of a run directory, or of all those of a sweep, and prints a table to stdout.

    Args:
      workdir: a run directory, the folder of a sweep, or names of shipped weights; see `run_folders`.
      source: a data set of `dsin_tf.data`, of pairs if the models use side information.
      protocol: a protocol of `dsin_tf.data.protocols`.
      labels: {method: label}, of a `Family`.
      weights: "best" or "last".
      max_pixels: larger images are refused.
      pictures: how many images, spread over the data set, are kept as PNG with what the model makes of them.
      picture_bpp: their rate; of a sweep the model closest to it.
      pictures_dir: where they go; None for pictures in `workdir`.
      measure: what measures one model; see `codec_evaluation.measure`.
      variant: what is different about the way of measuring, a word that goes into the method's name.
      out: where results and files go, by default into `workdir`; needed for shipped weights.
      colour: whether brightness and colours are also measured apart, which `codec_evaluation.measure` alone can.

    Returns:
      The path of the results file: results.json in `out`, results-VARIANT.json of a variant. Of a sweep each model has
      its own besides.
    """
    from dsin_tf import training, zoo

    if colour:
        if measure is not codec_evaluation.measure:
            raise common.UserError("--colour is for images that are coded one by one, not in sets. Leave it out.")
        measure = functools.partial(measure, colour=True)
    folders = run_folders(workdir)
    shipped = [folder for folder in folders if folder.name in zoo.names()]
    if shipped and out is None:
        raise common.UserError(f"{workdir}: shipped weights are not written to. Name a folder for results with --out.")
    if out is None:
        out, places = Path(workdir), folders
    else:
        out = Path(out)
        places = [out / folder.name for folder in folders] if len(folders) > 1 else [out]
    picture_folders = kept_pictures.folders(source, pictures_dir or out / "pictures", pictures)
    measured, described = [], None
    for folder, place in zip(folders, places):
        model = load(folder, weights)
        setting, value = _rate_setting(model.settings)
        about = {setting: value, "step": int(model.step)}
        swept = (setting, *_SCHEDULE)
        unswept = {"preset": model.preset, **{key: v for key, v in model.settings.items() if key not in swept}}
        configuration = training.Run(folder).configuration()
        if configuration:
            unswept["trained on"] = "{name} {split}".format(**configuration["data"]["train"])
        elif folder in shipped:
            unswept["trained on"] = zoo.card(folder.name)["trained_on"]
        names = method(model, variant), label(model, labels, variant)
        found = _Described(*names, setting, unswept, _count_parameters(model))
        if described not in (None, found):
            raise common.UserError(
                f"{folder} holds {found.label} with {unswept}, the runs before it {described.label} with "
                f"{described.unswept}; one model at several {setting} was expected. Evaluate them one by one."
            )
        described = described or found
        points = measure(
            lambda folder=folder: load(folder, weights),
            source,
            protocol,
            place / "files",
            about,
            max_pixels,
            keep=picture_folders,
        )
        measured.append(points)
        if place != out:
            _save_result(place, found, source, protocol, [points], variant)
    path = _save_result(out, described, source, protocol, measured, variant)
    kept_pictures.write_originals(source, protocol, picture_folders)
    for index, folder in picture_folders.items():
        _keep_picture(folder, described, measured, index, picture_bpp)
    common.show_table(evaluation_table(rd_results.load(path)))
    print(f"Results: {path}")
    return path


def _keep_picture(folder, described, measured, index, target):
    """Writes what the model whose rate is closest to the target makes of an image."""
    closest = min(measured, key=lambda m: abs(np.log(m.points[index]["bpp"] / target)))
    point = closest.points[index]
    about = {key: point[key] for key in ("bpp", "psnr-rgb", "ms-ssim-rgb") if key in point}
    kept_pictures.write(
        folder, described.method, described.label, closest.pictures[index], {**about, "target_bpp": target}
    )


def run_folders(workdir):
    """The directories of models: a folder itself, or those of the sweep in it by what sets their rate.

    Args:
      workdir: the folder; or names of shipped weights with commas between, whose folders are returned.

    Raises:
      common.UserError: there is none.
    """
    from dsin_tf import zoo

    if not Path(workdir).is_dir() and set(str(workdir).split(",")) <= set(zoo.names()):
        return [zoo.folder(name) for name in str(workdir).split(",")]
    workdir = Path(workdir)
    if any((workdir / name).is_file() for name in _MODEL_FILES):
        return [workdir]
    found = {p.parent for name in _MODEL_FILES for rate in RATE_SETTINGS for p in workdir.glob(f"{rate}_*/{name}")}
    if not found:
        raise common.UserError(f"{workdir}: holds no trained model. Train there first (--mode=train).")
    return sorted(found, key=lambda folder: float(folder.name.rpartition("_")[2]))


def evaluation_table(result):
    """A results file of `evaluate` as a `tables.Table`: the means of each operating point."""
    columns = {
        "bpp": ("bpp", 4),
        "bpp-payload": ("payload", 4),
        "bpp-estimated": ("estimated", 4),
        "bpp-raw": ("raw", 4),
        "map-share": ("mean p", 3),
        "psnr-rgb": ("PSNR (dB)", 2),
        "psnr-unclipped": ("unclipped", 2),
        "ms-ssim-rgb": ("MS-SSIM", 4),
        "ssim": ("SSIM", 4),
        "cmssim": ("CMSSIM (ours)", 4),
        "lab-difference": ("ΔE76", 3),
        "rgb-angle": ("angle (°)", 3),
        "psnr-codec": ("codec alone", 2),
        "encode-s": ("encode (s)", 3),
        "decode-s": ("decode (s)", 3),
    }
    shown = {key: form for key, form in columns.items() if key in result.results}
    setting = next(name for name in RATE_SETTINGS if name in result.results)
    rows = []
    for at, value in enumerate(result.results[setting]):
        cells = [tables.Cell(result.results[key][at], digits) for key, (_, digits) in shown.items()]
        rows.append(tables.Row((f"{value:g}", str(result.results["step"][at])), cells))
    meta = result.meta
    title = f"{result.name}: {meta['dataset']} {meta['split']}, protocol {meta['protocol']}, {meta['images']} images"
    window = meta["ms_ssim_window"]
    notes = ["bpp is the whole file, payload its range-coded bytes; every file was decoded again."]
    if "bpp-raw" in shown:
        notes.append("Raw is the rate before entropy coding, mean p about the share of the masked bits that is sent.")
    if "psnr-unclipped" in shown:
        notes.append("PSNR is of 8-bit images; unclipped is PSNR of what the decoder computes before that.")
    notes.append(f"MS-SSIM with window {window}." if window else "The images are too small for MS-SSIM.")
    return tables.Table(
        title, (setting, "steps"), tuple(title for title, _ in shown.values()), tuple(rows), " ".join(notes)
    )


@dataclasses.dataclass(frozen=True)
class _Described:
    """A model as results name it; `unswept` are the settings that a sweep has in common."""

    method: str
    label: str
    setting: str
    unswept: dict
    parameters: int


def method(model, variant=""):
    """What results call a model: its name, which variant of it, and a variant of the way of measuring."""
    return "-".join(filter(None, (model.name, model.variant, variant)))


def label(model, labels, variant=""):
    """What tables and plots call a model: its label of {method: label}, what is not the paper's preset, and MS-SSIM.

    Trained for MS-SSIM a model is another one, whatever its paper calls them.
    """
    named = method(model, variant)
    preset = "" if model.preset == "paper" else f" ({model.preset})"
    distortion = ", for MS-SSIM" if model.settings.get("distortion") == "ms-ssim" else ""
    return f"{labels.get(named, named)}{preset}{distortion}"


def _save_result(folder, described, source, protocol, measured, variant):
    """Writes results.json and returns its path."""
    from dsin_tf.training import run

    settings = {**described.unswept, described.setting: [m.about[described.setting] for m in measured]}
    settings["steps"] = [m.about["step"] for m in measured]
    environment = run.environment()
    steps = sorted({m.about["step"] for m in measured})
    meta = {
        "method": described.method,
        "preset": described.unswept["preset"],
        "steps": steps[0] if len(steps) == 1 else f"{steps[0]} to {steps[-1]}",
        "dataset": source.name,
        "split": source.split,
        "protocol": protocol.name,
        "data_digest": source.digest,
        "command": common.command(),
        "settings": settings,
        "parameters": described.parameters,
        "versions": environment["versions"],
        "git_revision": environment["git_revision"],
    }
    description = ", ".join(f"{key} {value}" for key, value in described.unswept.items() if value is not None)
    path = Path(folder) / (f"results-{variant}.json" if variant else "results.json")
    rd_results.save(codec_evaluation.result(described.label, description, meta, measured), path)
    return path


# ---------------------------------------------------------------------------------------------------------------------
# Single files.


def compress(workdir, source, target, weights="best", max_pixels=bitstream.MAX_PIXELS):
    """Compresses a picture file.

    Args:
      workdir: a run directory.
      source: the picture.
      target: the file to write.
      weights: "best" or "last".
      max_pixels: larger pictures are refused.

    Returns:
      A line that says what became of it.
    """
    x = images.read(source, max_pixels)
    blob = load(only_run(workdir), weights).compress(x)
    files.write_bytes(target, blob)
    height, width = x.shape[:2]
    return f"{target}: {len(blob)} bytes, {8 * len(blob) / (height * width):.4f} bpp, {height}x{width}"


def decompress(workdir, source, target, side=None, weights="best", max_pixels=bitstream.MAX_PIXELS):
    """Writes the picture that a file holds.

    Args:
      workdir: a run directory.
      source: the file.
      target: the picture to write.
      side: picture that the model takes as side information, for models that use any.
      weights: "best" or "last".
      max_pixels: larger pictures are refused.

    Returns:
      A line that says what became of it.
    """
    blob = read_file(source)
    bitstream.unpack(blob, max_pixels=max_pixels)  # a file that is none is refused before a model is loaded
    model = load(only_run(workdir), weights)
    if model.uses_side and side is None and not model.side_is_optional:
        raise common.UserError(
            f"{workdir}: {model.name} decodes with side information and there is no --side. Name the picture that was "
            "taken beside this one."
        )
    if side is not None and not model.uses_side:
        raise common.UserError(f"{workdir}: {method(model)} takes no side information. Leave --side={side} out.")
    pictures = () if side is None else (images.read(side, max_pixels),)
    x_hat = model.decompress(blob, *pictures, max_pixels=max_pixels)
    images.write(target, x_hat)
    return f"{target}: {x_hat.shape[0]}x{x_hat.shape[1]}"


def export(workdir, target, labels, weights="best"):
    """Writes the part of a run that coding takes, which `load` and all modes that code take as a run directory.

    Args:
      workdir: a run directory.
      target: the folder to write; must not hold anything.
      labels: {method: label}, of a `Family`.
      weights: "best" or "last".

    Returns:
      A line that says what became of it.
    """
    from dsin_tf import models

    target = Path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise common.UserError(f"{target}: is there already. Name an --output that is not.")
    model = load(only_run(workdir), weights)
    whole, parts = _count_weights(model), ", ".join(model.training_parts)
    model.strip()
    models.save(model, target)
    kept = _count_weights(model)
    left_out = f"{100 * (1 - kept / whole):.1f} % smaller, without {parts}" if kept < whole else "nothing left out"
    return f"{target}: {labels[method(model)]}, {kept} of {whole} weights ({left_out})"


def _count_weights(model):
    return sum(_sizes(model.trainable_variables))


def _count_parameters(model):
    """What the networks hold, trained in this run or not; neither the step nor what metrics count in."""
    counters = {id(model.step), *(id(variable) for metric in model.metrics for variable in metric.variables)}
    return sum(_sizes(variable for variable in model.weights if id(variable) not in counters))


def _sizes(variables):
    """How many numbers each variable holds."""
    return [int(np.prod(variable.shape)) for variable in variables]


def info(source, max_pixels=bitstream.MAX_PIXELS):
    """What a file's header says, as text; needs no model."""
    blob = read_file(source)
    header, _ = bitstream.unpack(blob, max_pixels=max_pixels)
    pixels = header.height * header.width
    payload = sum(header.lengths)
    return "\n".join(
        (
            f"file        {source}",
            f"version     {header.version}",
            f"model       {header.identity.hex()}",
            f"size        {header.height}x{header.width} (height x width)",
            f"strings     {', '.join(str(length) for length in header.lengths) or 'none'} bytes",
            f"payload     {payload} bytes, {8 * payload / pixels:.4f} bpp",
            f"whole file  {len(blob)} bytes, {8 * len(blob) / pixels:.4f} bpp",
        )
    )


def only_run(workdir):
    """The run directory, which must not be the folder of several."""
    folders = run_folders(workdir)
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise common.UserError(f"{workdir}: holds several models ({names}); one was expected. Name its folder.")
    return folders[0]


def input_and_output():
    """--input and --output, both of which the mode needs."""
    values = flags.FLAGS
    for name in ("input", "output"):
        if getattr(values, name) is None:
            raise common.UserError(f"--mode={values.mode} needs --{name}. Name a file.")
    return values.input, values.output


def read_file(path):
    """The bytes of a compressed file."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise common.UserError(f"{path}: cannot be read ({error.strerror}). Name a compressed file.") from error


def _positive(name, text):
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not value > 0:
        raise common.UserError(f"--{name}={text}: a number above 0 was expected.")
    return value


def _say(text):
    common.console.print(text, soft_wrap=True, highlight=False, markup=False)
