"""Training on one device, on all of a machine, or on several machines; every one takes the same steps.

    one_device     the first GPU, or the CPU
    mirrored       all GPUs of this machine
    multi_worker   all machines that the environment variable TF_CONFIG names

A batch is the batch of one step over all devices. Device number r of R takes the r-th R-th of it, gradients are
averaged, and so the number of devices changes how long a step takes and nothing else.

For several machines start the same command on each with its own TF_CONFIG, which lists the same addresses everywhere
and says which of them this machine is. The run directory must be one folder that all of them see; worker 0 writes it.

    export TF_CONFIG='{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'

When one machine is lost the others stop; start the command everywhere again and the run goes on.
"""

import json
import os

import tensorflow as tf

from dsin_tf import data

NAMES = ("one_device", "mirrored", "multi_worker")


class StrategyError(ValueError):
    """Devices or machines cannot be used as asked."""


class Adam(tf.keras.optimizers.Adam):
    """Adam that averages the gradients of all devices, where Keras' own adds them up.

    A model's loss is a mean over its batch. With this it need not know over how many devices the batch is spread.
    """

    def aggregate_gradients(self, grads_and_vars):
        count = tf.distribute.get_strategy().num_replicas_in_sync
        summed = super().aggregate_gradients(grads_and_vars)
        return summed if count == 1 else [(None if g is None else g / count, v) for g, v in summed]


def make(name):
    """The `tf.distribute` strategy of this name; models are created inside its `scope()`.

    Args:
      name: one of `NAMES`. "multi_worker" must be made before TensorFlow runs its first operation.

    Raises:
      StrategyError: an unknown name, or "multi_worker" without a usable TF_CONFIG.
    """
    if name == "one_device":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name != "multi_worker":
        raise StrategyError(f"There is no strategy {name!r}; the names are: {', '.join(NAMES)}.")
    _check_tf_config(os.environ.get("TF_CONFIG"))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise StrategyError(
            f"Strategy multi_worker came too late ({error}); make it before any tensor or model is made."
        ) from error


def is_chief(strategy):
    """Whether this process writes the run directory: the only one, or worker 0."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    chiefs = "chief" in resolver.cluster_spec().jobs
    return resolver.task_type == "chief" if chiefs else resolver.task_id == 0


def train_batches(strategy, source, protocol, batch_size, seed, start_step):
    """`data.pipeline.train` for every device; element k of all devices together is batch start_step + k.

    Args:
      strategy: from `make`.
      source, protocol, seed: as `data.pipeline.train` takes them.
      batch_size: items a step, over all devices.
      start_step: the first step.

    Returns:
      What `tf.keras.Model.fit` takes.

    Raises:
      StrategyError: the batch cannot be shared out evenly.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise StrategyError(
            f"A batch of {batch_size} cannot be shared out evenly over {replicas} devices. "
            f"Use a multiple of {replicas} as batch size."
        )
    share = batch_size // replicas
    batches = data.pipeline.train(source, protocol, share, seed=seed, start_step=start_step * replicas)
    if replicas == 1:
        return batches

    def of_worker(context):
        workers = context.num_input_pipelines
        if workers == 1:
            return batches
        # The stream of shares goes round the devices: the first worker's, then the second's, and so on.
        mine = batches.enumerate().filter(
            lambda k, _: k // (replicas // workers) % workers == context.input_pipeline_id
        )
        return mine.map(lambda _, item: item)

    return strategy.distribute_datasets_from_function(of_worker)


def evaluation_batches(strategy, source, protocol):
    """`data.pipeline.evaluate` for every device, one image a batch: each device sees every image.

    So the mean over all devices is exact for any number of images, and takes no longer than on one device.
    """
    batches = data.pipeline.evaluate(source, protocol)
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return batches

    def of_worker(context):
        local = replicas // context.num_input_pipelines
        return batches.flat_map(
            lambda *item: tf.data.Dataset.from_tensors(item if len(item) > 1 else item[0]).repeat(local)
        )

    return strategy.distribute_datasets_from_function(of_worker)


def _check_tf_config(text):
    """Raises StrategyError unless TF_CONFIG names machines and says which of them this is."""
    example = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text or "")
        task = config["task"]
        config["cluster"][task["type"]][task["index"]]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise StrategyError(
            f"TF_CONFIG is {text!r}; strategy multi_worker expects it to name all machines and this one's place among "
            f"them, for example {example}. Set it on every machine, or use strategy one_device or mirrored."
        ) from error
