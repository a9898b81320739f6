"""A model with the interface that training relies on, whose steps take milliseconds, and data for it.

Noise enters its training as it does that of the real models: by seed, step and place in the batch. Dropping any part
of its state (an optimiser's slot, the step, the learning rate) changes its weights.
"""

import hashlib

import numpy as np
import tensorflow as tf

from dsin_tf import images


class TinyModel(tf.keras.Model):
    preset = "tiny"

    def __init__(self, lmbda=0.01, seed=0, trains_on="images", broken_at=None, broken="loss"):
        super().__init__(name="tiny", autocast=False)
        self.settings = {"lmbda": lmbda, "seed": seed}
        self.trains_on, self.uses_side = trains_on, trains_on != "images"
        self._lmbda, self._seed, self._broken_at, self._broken = lmbda, seed, broken_at, broken
        first, second = (tf.keras.initializers.GlorotUniform(seed=seed + k) for k in (1, 2))
        self.analysis = tf.keras.layers.Conv2D(4, 4, 4, kernel_initializer=first)
        self.synthesis = tf.keras.layers.Conv2DTranspose(3, 4, 4, kernel_initializer=second)
        self.analysis.build((None, None, None, {"images": 3, "pairs": 6, "chains": 9}[trains_on]))
        self.synthesis.build((None, None, None, 4))
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        self._means = {name: tf.keras.metrics.Mean(name=name) for name in ("loss", "bpp", "psnr")}

    def call(self, inputs, training=False):
        x = tf.concat(inputs, axis=-1) if self.uses_side else inputs
        latent = tf.cast(self.analysis(tf.cast(x, tf.float32) / 255), tf.float32)
        latent = latent + self._noise(tf.shape(latent)) if training else tf.round(latent)
        bpp = tf.reduce_mean(tf.math.log1p(tf.abs(latent)), axis=[1, 2, 3])
        return {"x_hat": 255 * tf.cast(self.synthesis(latent), tf.float32), "bpp_estimated": bpp}

    @property
    def metrics(self):
        return list(self._means.values())

    def train_step(self, data):
        with tf.GradientTape() as tape:
            terms = self._terms(data, training=True)
            loss = tf.reduce_mean(terms["loss"])
        if self._broken == "weights":
            self.synthesis.bias.assign_add(self._bad() * tf.ones_like(self.synthesis.bias))
        elif self._broken == "loss":
            terms["loss"] += self._bad()
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self.step.assign_add(1)
        return self._update(terms)

    def test_step(self, data):
        terms = self._terms(data, training=False)
        if self._broken == "validation":
            terms["loss"] += self._bad()
        return self._update(terms)

    def _bad(self):
        """NaN at the step at which it breaks, else 0."""
        return tf.where(tf.equal(self.step, -1 if self._broken_at is None else self._broken_at), np.float32("nan"), 0.0)

    def _terms(self, data, training):
        x = data[0] if isinstance(data, tuple) else data
        out = self(data if self.uses_side else x, training=training)
        mse = tf.reduce_mean(tf.math.squared_difference(tf.cast(x, tf.float32), out["x_hat"]), axis=[1, 2, 3])
        psnr = 10 * tf.math.log(255**2 / mse) / np.log(10)
        return {"loss": out["bpp_estimated"] + self._lmbda * mse, "bpp": out["bpp_estimated"], "psnr": psnr}

    def _update(self, terms):
        for name, mean in self._means.items():
            mean.update_state(terms[name])
        return {name: mean.result() for name, mean in self._means.items()}

    def _noise(self, shape):
        context = tf.distribute.get_replica_context()
        count, index = context.num_replicas_in_sync, context.replica_id_in_sync_group
        whole = tf.concat([shape[:1] * count, shape[1:]], axis=0)
        seed = tf.stack([tf.constant(self._seed, tf.int64), self.step])
        noise = tf.random.stateless_uniform(whole, seed, -0.5, 0.5)
        return noise[index * shape[0] : (index + 1) * shape[0]]


class Noise:
    """Random images of 16x24, or pairs of them, in which y is x a little changed."""

    digest = "0123"

    def __init__(self, count=7, kind="images", split="train", broken=None):
        self.name, self.split, self.kind, self._broken = "noise", split, kind, broken
        self.names = tuple(f"{split}/{k}" for k in range(count))

    def __len__(self):
        return len(self.names)

    def read_x(self, index):
        if index == self._broken:
            raise images.ImageError(f"{self.names[index]}.png: cannot be decoded (cut off). Get a whole copy.")
        seed = [len(self.split), index]
        return np.random.default_rng(seed).integers(0, 256, (16, 24, 3), dtype=np.uint8)

    def read(self, index):
        x = self.read_x(index)
        return (x, 255 - x) if self.kind == "pairs" else x


class NoiseSets:
    """The same images, three in a set."""

    name, kind, digest = "noise_sets", "sets", "4567"

    def __init__(self, count=2, split="train"):
        self.split, self._images = split, Noise(3 * count, split=split)
        self.names = tuple(f"{split}/set{k}" for k in range(count))

    def __len__(self):
        return len(self.names)

    def count(self, index):
        del index
        return 3

    def read_image(self, index, k):
        return self._images.read(3 * index + k)


def digest(model):
    """Of every number that training goes on from: the model's variables and the optimiser's."""
    total = hashlib.sha256()
    for variable in (*model.variables, *model.optimizer.variables):
        total.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return total.hexdigest()
