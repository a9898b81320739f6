"""Training: a run directory, schedules, devices, and a `fit` that survives being killed.

    strategy = dsin_tf.training.strategy.make("one_device")
    with strategy.scope():
        model = dsin_tf.models.create("balle2017", preset="small")
    config = dsin_tf.training.Config(steps=27_000, schedule="staircase", decay_steps=21_600)
    dsin_tf.training.fit(model, train_source, val_source, protocol, config, "runs/mine")
    dsin_tf.training.restore(model, "runs/mine", "best")

It knows of a model what `dsin_tf.models.codec.Codec` promises, and nothing else.
"""

from dsin_tf.training import strategy
from dsin_tf.training.callbacks import NonFiniteError
from dsin_tf.training.checkpoints import CheckpointError
from dsin_tf.training.fitting import Config, History, fit, restore
from dsin_tf.training.run import Run, RunError
from dsin_tf.training.strategy import StrategyError

__all__ = [
    "CheckpointError",
    "Config",
    "History",
    "NonFiniteError",
    "Run",
    "RunError",
    "StrategyError",
    "fit",
    "restore",
    "strategy",
]
