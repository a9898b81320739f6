"""Training a model with Keras' `fit`, so that nothing but time is lost when it is killed."""

import contextlib
import dataclasses
import re
from typing import Optional

import tensorflow as tf

from dsin_tf import data, images
from dsin_tf.data import chains
from dsin_tf.training import callbacks, metrics_file, run, schedules, strategy


@dataclasses.dataclass(frozen=True)
class Config:
    """How to train.

    Attributes:
      steps: steps in all. A run that ended can be resumed with more.
      batch_size: items a step, over all devices.
      learning_rate: the first one.
      schedule: one of `schedules.NAMES`. "plateau" needs a validation set.
      decay_steps: of schedule "staircase": steps between two drops.
      clip_norm: gradients with a larger norm over all variables are scaled down to it; None for no limit.
      seed: of the order of the data, of crops and flips.
      steps_per_epoch: steps from one validation to the next, what "plateau" counts; None for one pass over the list.
      log_every: steps from one row of metrics.csv to the next, at most.
      checkpoint_every: steps from one checkpoint to the next, at most. A killed run loses what came after the last.
    """

    steps: int
    batch_size: int = 1
    learning_rate: float = 1e-4
    schedule: str = "plateau"
    decay_steps: Optional[int] = None
    clip_norm: Optional[float] = None
    seed: int = 0
    steps_per_epoch: Optional[int] = None
    log_every: int = 100
    checkpoint_every: int = 1000

    def __post_init__(self):
        if self.schedule not in schedules.NAMES:
            raise ValueError(f"There is no schedule {self.schedule!r}; the names are: {', '.join(schedules.NAMES)}.")
        if (self.schedule == "staircase") != (self.decay_steps is not None):
            raise ValueError(
                f"schedule is {self.schedule!r} and decay_steps {self.decay_steps}; decay_steps belongs to "
                "'staircase', which needs it."
            )
        for name, value in dataclasses.asdict(self).items():
            if name not in ("schedule", "seed") and value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; a number above 0 was expected.")


@dataclasses.dataclass(frozen=True)
class History:
    """What a call of `fit` did.

    Attributes:
      first_step: where it went on; 0 for a new run.
      step: where the run stands now.
      best_step: the step with the lowest validation loss, or None without validation.
      best_loss: that loss.
      seconds: time spent in training and validation since the run began, over all starts.
    """

    first_step: int
    step: int
    best_step: Optional[int]
    best_loss: Optional[float]
    seconds: float


def fit(model, train_source, val_source, protocol, config, workdir, console=None, **about):
    """Trains a model, or goes on where an earlier call with the same arguments was stopped.

    A run that is killed at any moment and started again ends, on the CPU, with the same weights bit for bit as one
    that was left alone: the order of the data, the noise, the optimiser and the schedule go on where they were.

    Args:
      model: a built model with the interface of `dsin_tf.models.codec.Codec`, made inside the scope of its strategy.
      train_source: a data set of `dsin_tf.data`, of the kind that the model trains on (`trains_on`) or one that such
        items can be made of.
      val_source: the same for validation, or None.
      protocol: a protocol of `dsin_tf.data.protocols`.
      config: a `Config`.
      workdir: the run directory; see run.py for what is written there.
      console: where progress is shown, a `rich.console.Console`; None for stderr.
      **about: what else environment.json should say of this start.

    Returns:
      A `History`. The model has the weights of the last step; `restore` gives it the best ones.

    Raises:
      run.RunError: the directory holds another run, or another process is at work there.
      strategy.StrategyError: the batch cannot be shared out evenly.
      callbacks.NonFiniteError: the loss or a weight is not finite any more.
      data.DataError, images.ImageError: an image cannot be read, or does not fit the protocol.
      files.OutputError: something could not be written.
    """
    train_source = _fitting(model, train_source)
    val_source = None if val_source is None else _fitting(model, val_source)
    if config.schedule == "plateau" and val_source is None:
        raise ValueError(
            "schedule is 'plateau' and there is no validation set to watch. Give one, or use another schedule."
        )
    if config.steps_per_epoch is None:
        config = dataclasses.replace(config, steps_per_epoch=max(len(train_source) // config.batch_size, 1))
    devices = model.distribute_strategy
    chief = strategy.is_chief(devices)
    directory = run.Run(workdir)
    with directory.locked() if chief else contextlib.nullcontext():
        # A worker that is not the chief compares, too, unless it comes before the chief has written anything.
        configuration = _configuration(model, train_source, val_source, protocol, config)
        if chief or directory.configuration() is not None:
            directory.begin(configuration)
        return _Fit(model, train_source, val_source, protocol, config, directory, chief, console, about).go()


def compile_model(model, config):
    """Compiles a model and makes its optimiser's variables.

    The optimiser is NDIC's, Adam with amsgrad, unless the model has others: then `model.make_optimizer(adam)` makes
    them of `adam(**settings)`, builds them and returns the one whose learning rate the schedule sets. What else it
    makes has to be an attribute of the model, so that checkpoints hold it, and has to follow that learning rate.
    """

    def adam(**settings):
        """Adam with the configuration's learning rate and limit of the gradients, but for `settings`."""
        settings = {"learning_rate": config.learning_rate, "global_clipnorm": config.clip_norm, **settings}
        return strategy.Adam(beta_1=0.9, beta_2=0.999, epsilon=1e-8, **settings)

    with model.distribute_strategy.scope():
        if hasattr(model, "make_optimizer"):
            model.compile(optimizer=model.make_optimizer(adam))
        else:
            model.compile(optimizer=adam(amsgrad=True))
            model.optimizer.build(model.trainable_variables)
    # Metrics are means over all devices already; for several machines Keras would add them up.
    model.distribute_reduction_method = "first"


def restore(model, workdir, which="best"):
    """Gives a model the weights of a checkpoint of its run.

    Args:
      model: built, of the run's configuration.
      workdir: the run directory.
      which: "best" by validation loss (the last where nothing was validated) or "last".

    Returns:
      The checkpoint's step.

    Raises:
      run.RunError: the run has no checkpoint.
      checkpoints.CheckpointError: the checkpoint is damaged, or another model's.
    """
    store = run.Run(workdir).checkpoints
    state = (store.best() if which == "best" else None) or store.newest()
    if state is None:
        raise run.RunError(f"{workdir}: holds no checkpoint. Train there first (--mode=train).")
    store.restore(model, state)
    return state["step"]


class _Fit:
    """One call of `fit`: what its parts share."""

    def __init__(self, model, train_source, val_source, protocol, config, directory, chief, console, about):
        self._model, self._config, self._protocol = model, config, protocol
        self._train_source, self._val_source = train_source, val_source
        self._directory, self._chief, self._console, self._about = directory, chief, console, about

    def go(self):
        model, config, store = self._model, self._config, self._directory.checkpoints
        compile_model(model, config)
        schedule = schedules.make(config.schedule, config.learning_rate, config.decay_steps)
        if self._chief:
            store.remove_leftovers()
        state = store.newest()
        if state:
            store.restore(model, state)
            schedule.restore(state["schedule"])
        first_step = state["step"] if state else 0
        if first_step >= config.steps:
            return _history(first_step, state)
        if self._chief:
            self._directory.record_start(first_step, **self._about)
        clock = callbacks.Clock(
            first_step, config.steps, config.steps_per_epoch, config.log_every, config.checkpoint_every
        )
        saver = callbacks.Saver(clock, store, schedule, state, keep=self._chief)
        with contextlib.ExitStack() as stack:
            # In this order: first what may stop the run, last what makes a row's end final.
            watching = [clock, callbacks.FiniteGuard(clock, lambda: saver.state["step"])]
            watching.append(callbacks.LearningRate(clock, schedule))
            watching += self._reports(clock, schedule, stack) if self._chief else []
            watching += [callbacks.NewMeans(clock), saver]
            stack.enter_context(_our_errors())
            for first, epochs, count in epochs_from(first_step, config.steps, config.steps_per_epoch):
                self._fit(first, epochs, count, watching)
        return _history(first_step, saver.state)

    def _fit(self, first, epochs, count, watching):
        """`epochs` times `count` steps from step `first` on."""
        devices, config = self._model.distribute_strategy, self._config
        validation = {}
        if self._val_source is not None:
            validation["validation_data"] = strategy.evaluation_batches(devices, self._val_source, self._protocol)
            validation["validation_steps"] = len(self._val_source)
        epoch = first // config.steps_per_epoch
        self._model.fit(
            strategy.train_batches(
                devices, self._train_source, self._protocol, config.batch_size, config.seed, start_step=first
            ),
            initial_epoch=epoch,
            epochs=epoch + epochs,
            steps_per_epoch=count,
            callbacks=watching,
            verbose=0,
            **validation,
        )

    def _reports(self, clock, schedule, stack):
        """What the user sees of the run."""
        directory = self._directory
        file = metrics_file.MetricsFile(directory.metrics_path, after_step=clock.step)
        progress = stack.enter_context(callbacks.ProgressBar(clock, self._console))
        board = callbacks.TensorBoard(clock, directory.events_path, schedule, self._pictures())
        stack.callback(board.close)
        return [progress, callbacks.Rows(clock, file, schedule, self._val_source is not None), board]

    def _pictures(self):
        """The first images of the validation set, or of the training set where there is none."""
        source = self._val_source or self._train_source
        batches = data.pipeline.evaluate(source, self._protocol).take(callbacks.MAX_STRIPS)
        with _our_errors():
            return list(batches)


def epochs_from(step, steps, steps_per_epoch):
    """The calls of Keras' `fit` that lead from `step` to `steps`, which may both lie within an epoch.

    Yields:
      (first step, epochs, steps in each).
    """
    if step % steps_per_epoch:
        count = min(steps_per_epoch - step % steps_per_epoch, steps - step)
        yield step, 1, count
        step += count
    epochs = (steps - step) // steps_per_epoch
    if epochs:
        yield step, epochs, steps_per_epoch
        step += epochs * steps_per_epoch
    if step < steps:
        yield step, 1, steps - step


class _Images:
    """A source of pairs as one of images: the x of each pair."""

    kind = "images"

    def __init__(self, source):
        self._source = source
        self.name, self.split, self.names, self.digest = source.name, source.split, source.names, source.digest
        if hasattr(source, "files"):
            self.files = lambda index: source.files(index)[:1]

    def __len__(self):
        return len(self._source)

    def read_x(self, index):
        return self._source.read_x(index)

    read = read_x


# What makes the items that a model trains on of those that a data set has.
_MADE_OF = {
    ("pairs", "images"): _Images,
    ("sets", "images"): chains.Flat,
    ("sets", "chains"): chains.Chains,
}


def _fitting(model, source):
    """The source in the form that the model trains on."""
    if not len(source):
        raise data.DataError(f"{source.name} {source.split} holds no image; at least one was expected.")
    if source.kind == model.trains_on:
        return source
    if (source.kind, model.trains_on) in _MADE_OF:
        return _MADE_OF[source.kind, model.trains_on](source)
    suitable = [model.trains_on, *(kind for kind, items in _MADE_OF if items == model.trains_on)]
    raise data.DataError(
        f"{source.name} is a source of {source.kind}; {model.name} trains on {model.trains_on}. "
        f"Choose a data set of {' or '.join(suitable)}."
    )


def _configuration(model, train_source, val_source, protocol, config):
    def described(source):
        return source and {"name": source.name, "split": source.split, "count": len(source), "digest": source.digest}

    return {
        "model": {"name": model.name, "preset": model.preset, **model.settings},
        "data": {
            "train": described(train_source),
            "validation": described(val_source),
            "protocol": dataclasses.asdict(protocol),
        },
        "training": dataclasses.asdict(config),
        "precision": tf.keras.mixed_precision.global_policy().name,
    }


def _history(first_step, state):
    return History(first_step, state["step"], state["best_step"], state["best_loss"], state["seconds"])


@contextlib.contextmanager
def _our_errors():
    """What a data set raises in a tf.data thread comes as a TensorFlow error with two tracebacks; gives it back."""
    try:
        yield
    except tf.errors.OpError as error:
        kinds = {"ImageError": images.ImageError, "DataError": data.DataError, "OSError": OSError}
        found = re.search(r"(?:^|\s)(\w+): (.+)\nTraceback \(most recent call last\):", str(error))
        if found is None or found[1] not in kinds:
            raise
        raise kinds[found[1]](found[2]) from error
