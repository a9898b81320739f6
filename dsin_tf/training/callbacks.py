"""What happens between the steps of a run, as Keras callbacks.

All read the one `Clock`, which stands first in the list. A row of metrics covers the steps since the row before it;
rows are written at every `log_every`-th step, at checkpoints and at the end of an epoch. A checkpoint stands always
at a row's end, and so needs to hold no running mean.
"""

import math
import time

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dsin_tf import images

MAX_STRIPS = 3
_SHOWN = {"loss": "loss {:.4g}", "bpp": "{:.4f} bpp", "psnr": "{:.2f} dB"}  # metric -> how progress shows it


class NonFiniteError(ArithmeticError):
    """Training met a number that is not finite. `good_step` and `bad_step` say between which steps."""

    def __init__(self, message, good_step, bad_step):
        super().__init__(message)
        self.good_step, self.bad_step = good_step, bad_step


class Clock(tf.keras.callbacks.Callback):
    """Which step it is. `step` counts the finished ones, from the beginning of the run and not of the process."""

    def __init__(self, step, steps, steps_per_epoch, log_every, checkpoint_every):
        super().__init__()
        self.step, self.steps = step, steps
        self._steps_per_epoch, self._log_every, self._checkpoint_every = steps_per_epoch, log_every, checkpoint_every

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1

    @property
    def at_epoch_end(self):
        """Whether this step is the last of a whole epoch."""
        return self.step % self._steps_per_epoch == 0

    @property
    def at_stop(self):
        """Whether Keras ends what it calls an epoch here, and validates."""
        return self.at_epoch_end or self.step == self.steps

    @property
    def at_checkpoint(self):
        return self.at_stop or self.step % self._checkpoint_every == 0

    @property
    def at_row(self):
        return self.at_checkpoint or self.step % self._log_every == 0


class _OnClock(tf.keras.callbacks.Callback):
    """A callback for rows: `on_row(logs)` comes once a row, with the validation's figures where there are any."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def on_train_batch_end(self, batch, logs=None):
        if self.clock.at_row and not self.clock.at_stop:
            self.on_row(logs)

    def on_epoch_end(self, epoch, logs=None):
        self.on_row(logs)

    def on_row(self, logs):
        """Takes the means since the last row."""


class FiniteGuard(_OnClock):
    """Stops the run at the first loss, and at the first row at which a weight, is not finite.

    It looks at every loss, which makes the processor wait for the device at each step: a few tenths of a millisecond.
    """

    def __init__(self, clock, kept):
        """`kept()` gives the step of the last checkpoint, or None."""
        super().__init__(clock)
        self._kept = kept
        self._good_weights = clock.step

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            self._stop(f"The loss became {logs['loss']}", self.clock.step - 1)
        super().on_train_batch_end(batch, logs)

    def on_row(self, logs):
        # The loss is that of the weights before the step; those after it may be broken already. Keras counts the sums
        # of its metrics among the weights.
        sums = {variable.ref() for metric in self.model.metrics for variable in metric.variables}
        weights = [v for v in self.model.weights if v.dtype.is_floating and v.ref() not in sums]
        bad = [v.name for v in weights if not np.isfinite(v.numpy()).all()]
        if bad:
            self._stop(f"Weights became NaN or infinite ({bad[0]}, {len(bad)} in all)", self._good_weights)
        loss = logs.get("val_loss", 0.0)
        if not math.isfinite(loss):
            self._stop(f"The validation loss became {loss}", self._good_weights)
        self._good_weights = self.clock.step

    def _stop(self, what, good_step):
        kept = self._kept()
        kept = "there is no checkpoint yet" if kept is None else f"the checkpoint of step {kept} is kept as it was"
        raise NonFiniteError(
            f"{what} between step {good_step} and step {self.clock.step}; {kept}. "
            "Try a lower learning rate or clip the gradients (in a new run directory).",
            good_step,
            self.clock.step,
        )


class LearningRate(_OnClock):
    """Sets the optimiser's learning rate to what the schedule says, and shows the schedule each epoch's loss."""

    def __init__(self, clock, schedule):
        super().__init__(clock)
        self.schedule = schedule
        self._set = None

    def on_train_batch_begin(self, batch, logs=None):
        rate = self.schedule.rate(self.clock.step)
        if rate != self._set:
            self.model.optimizer.learning_rate = rate
            self._set = rate

    def on_epoch_end(self, epoch, logs=None):
        if self.clock.at_epoch_end and "val_loss" in logs:
            self.schedule.observe(float(logs["val_loss"]))


class NewMeans(_OnClock):
    """Starts the next row's means, after all who read this one's."""

    def on_row(self, logs):
        self.model.reset_metrics()


class Rows(_OnClock):
    """Appends rows to metrics.csv."""

    def __init__(self, clock, file, schedule, validated):
        super().__init__(clock)
        self._file, self._schedule, self._validated = file, schedule, validated

    def on_row(self, logs):
        row = {"step": self.clock.step, "learning_rate": self._schedule.rate(self.clock.step - 1)}
        metrics = [name for name in logs if not name.startswith("val_")]
        columns = [*metrics, *(f"val_{name}" for name in metrics if self._validated)]
        self._file.append({**row, **{name: None if name not in logs else float(logs[name]) for name in columns}})


class Saver(_OnClock):
    """Writes checkpoints, and knows which was the best."""

    def __init__(self, clock, checkpoints, schedule, state, keep):
        """`state` is that of the checkpoint that the run goes on from, or None. `keep` as of `Checkpoints.save`."""
        super().__init__(clock)
        self._checkpoints, self._schedule, self._keep = checkpoints, schedule, keep
        self._before = {"step": None, "best_loss": None, "best_step": None, "seconds": 0.0, **(state or {})}
        self._start = time.monotonic()
        self.state = dict(self._before)

    def on_train_batch_end(self, batch, logs=None):
        if self.clock.at_checkpoint and not self.clock.at_stop:
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        loss = logs.get("val_loss")
        best = self.state["best_loss"]
        if loss is not None and (best is None or loss < best):
            self.state.update(best_loss=float(loss), best_step=self.clock.step)
        self._save()

    def _save(self):
        seconds = self._before["seconds"] + time.monotonic() - self._start
        self.state.update(step=self.clock.step, schedule=self._schedule.state(), seconds=seconds)
        self._checkpoints.save(self.model, self.state, self._keep)


class TensorBoard(_OnClock):
    """Writes scalars at each row, and at each validation strips of x, x_hat and y."""

    def __init__(self, clock, folder, schedule, pictures):
        """`pictures` are a few batches of one image: x, (x, y) or (x, references ...), `uint8 [1, H, W, 3]`."""
        super().__init__(clock)
        _forget_later_events(folder, clock.step)
        self._writer = tf.summary.create_file_writer(str(folder))
        self._schedule, self._pictures = schedule, pictures

    def on_row(self, logs):
        with self._writer.as_default(step=self.clock.step):
            tf.summary.scalar("learning_rate", self._schedule.rate(self.clock.step - 1))
            for name, value in logs.items():
                tag = f"validation/{name[4:]}" if name.startswith("val_") else f"training/{name}"
                tf.summary.scalar(tag, value)

    def on_epoch_end(self, epoch, logs=None):
        self.on_row(logs)
        with self._writer.as_default(step=self.clock.step):
            for k, item in enumerate(self._pictures):
                others = len(item) - 1 if isinstance(item, tuple) else 0
                shown = ("x, x_hat", "x, x_hat, y", "x, x_hat, references")[min(others, 2)]
                tf.summary.image(f"{shown}/{k}", strip(self.model, item))
        self._writer.flush()

    def close(self):
        self._writer.close()


class ProgressBar(_OnClock):
    """A progress bar on a terminal; elsewhere a line now and then."""

    def __init__(self, clock, console=None, seconds_between_lines=60.0):
        super().__init__(clock)
        self._console = console or Console(stderr=True)
        self._between = seconds_between_lines
        self._first, self._start = clock.step, time.monotonic()
        self._last_line = self._start
        self._bar = None

    def __enter__(self):
        if self._console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("starting", total=self.clock.steps, completed=self.clock.step)
            self._bar.start()
        return self

    def __exit__(self, *error):
        if self._bar:
            self._bar.stop()

    def on_train_batch_end(self, batch, logs=None):
        if self._bar:
            self._bar.update(self._task, completed=self.clock.step, description=_shown(logs))
        elif time.monotonic() - self._last_line >= self._between:
            self._line(logs)

    def on_epoch_end(self, epoch, logs=None):
        if self._bar or self.clock.step < self.clock.steps:
            return
        self._line(logs)

    def _line(self, logs):
        now = time.monotonic()
        self._last_line = now
        pace = (now - self._start) / (self.clock.step - self._first)
        left = _duration(pace * (self.clock.steps - self.clock.step))
        text = f"step {self.clock.step} of {self.clock.steps}: {_shown(logs)}, {left} left"
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)


def strip(model, item):
    """x, x_hat and what else the item has in one picture: one above the other if they are wide, else side by side.

    Args:
      model: gives a dict with `x_hat`.
      item: x, (x, y) or (x, references ...), `uint8 [1, H, W, 3]`.

    Returns:
      `uint8 [1, H', W', 3]`.
    """
    x_hat = images.to_uint8(model(item, training=False)["x_hat"].numpy())
    x, *y = item if isinstance(item, tuple) else (item,)
    parts = [np.asarray(part) for part in (x, x_hat, *y)]
    return np.concatenate(parts, axis=1 if x.shape[2] > x.shape[1] else 2)


def _forget_later_events(folder, step):
    """Tells TensorBoard that the run starts anew at `step`, so that it shows nothing twice."""
    with tf.Graph().as_default():
        writer = tf.compat.v1.summary.FileWriter(str(folder))
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        writer.add_session_log(start, global_step=step + 1)
        writer.close()


def _shown(logs):
    return ", ".join(form.format(logs[name]) for name, form in _SHOWN.items() if name in logs)


def _duration(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
