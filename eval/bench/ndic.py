"""How long NDIC's training steps and evaluations take here and in PyTorch, and how much memory.

    python -m eval.bench.ndic                                   # both backbones at N = 192, 128x256, one pair a step
    python -m eval.bench.ndic --models=ndic_balle2017 --filters=64 --rounds=5
    python -m eval.bench.ndic --coding                          # real bytes as well

PyTorch takes part where it is installed (`pip install torch`, best in an environment of its own; the CPU build will
do). What runs there is the design of the authors' code, eagerly as that does, written from its formulas. Both begin
with the same weights. "loss" is that of a first evaluation, before any training: it shows that the same is computed.

A training step is forward, backward and optimiser, and its loss is read; an evaluation is both images, all likelihoods
and the loss, and x_hat is read. The two take turns in one run, each in a process of its own that does nothing while
the other works. The first steps of a turn are not counted. "median" and "best" are over the steps of all rounds, "peak"
is the most memory of the process before any coding, as Linux knows it. Leave the machine to the two: other work on the
same cores slows both, and PyTorch, whose threads wait for the slowest of them, far more.
"""

import contextlib
import importlib.util
import multiprocessing
import os
import statistics
import time

import numpy as np
from absl import app, flags

from dsin_tf import models
from dsin_tf.models import storage

# TensorFlow and PyTorch are imported where they are used: neither process is to carry the other's.

MODELS = ("ndic_balle2017", "ndic_balle2018")
LMBDA = 8e-4

_WARM_UP = 2  # steps of a turn that are not counted; the very first build the graph
_STRIDE = 64  # the design pads nothing
_HINT = "PyTorch is not installed. To compare with it: pip install torch (the CPU build will do)"


def define_flags():
    """Defined when this is run, not when it is imported: the benchmarks share names."""
    flags.DEFINE_list("models", ",".join(MODELS), "Models to time.")
    flags.DEFINE_integer("filters", 192, "Channels N.", lower_bound=1)
    flags.DEFINE_string("size", "128x256", f"HEIGHTxWIDTH of the images in pixels, multiples of {_STRIDE}.")
    flags.DEFINE_integer("rounds", 3, "How often each takes its turn.", lower_bound=1)
    flags.DEFINE_integer("steps", 10, "Steps, and evaluations, of a turn that count.", lower_bound=1)
    flags.DEFINE_bool("torch", None, "Whether PyTorch takes part; by default where it is installed.")
    flags.DEFINE_bool("coding", False, "Also times compressing and decompressing x, --steps times each.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}; every setting is a flag (--name=value).")
    options = flags.FLAGS
    unknown = [name for name in options.models if name not in MODELS]
    if unknown or not options.models:
        raise app.UsageError(f"--models={','.join(options.models)}: expected some of {','.join(MODELS)}.")
    size = tuple(int(side) for side in options.size.split("x"))
    if len(size) != 2 or any(side < 1 or side % _STRIDE for side in size):
        raise app.UsageError(f"--size={options.size}: expected HEIGHTxWIDTH, multiples of {_STRIDE}.")
    has_torch = importlib.util.find_spec("torch") is not None
    if options.torch and not has_torch:
        raise app.UsageError(f"--torch: {_HINT}.")
    print(f"one pair a step, {options.size}, N = {options.filters}, {os.cpu_count()} processors")
    if options.torch is None and not has_torch:
        print(_HINT)
    print(f"{'':35}{'training step, s':>18}{'evaluation, s':>18}")
    print(f"{'':35}" + 2 * f"{'median':>10}{'best':>8}" + f"{'peak MB':>9}{'parameters':>12}{'loss':>12}")
    with_torch = has_torch and options.torch is not False
    for name in options.models:
        found = measure(name, options.filters, size, options.rounds, options.steps, with_torch, options.coding)
        for side, row in found.items():
            print(f"{name:16}{side} {row['version']:{18 - len(side)}}{_numbers(row)}", flush=True)
        if options.coding:
            compress, decompress = (statistics.median(found["TensorFlow"][way]) for way in ("compress", "decompress"))
            print(f"{name:16}compress {compress:.3f} s, decompress {decompress:.3f} s", flush=True)


def _numbers(row):
    """The columns of a side."""
    seconds = [f"{statistics.median(row[way]):10.3f}{min(row[way]):8.3f}" for way in ("train", "evaluate")]
    return "".join(seconds) + f"{row['peak'] / 2**20:9.0f}{row['parameters']:12,}{row['loss']:12.6f}"


def measure(name, filters, size, rounds, steps, with_torch, coding=False):
    """Times a model here and in PyTorch, in turns, on a pair of noise.

    Args:
      name: one of `MODELS`.
      filters: N.
      size: (height, width) of the images, multiples of 64.
      rounds: turns of each.
      steps: how many training steps, and evaluations, of a turn count.
      with_torch: whether PyTorch takes part.
      coding: whether real bytes are timed as well.

    Returns:
      A dict for "TensorFlow" and, if it takes part, "PyTorch": `version`; `parameters`; `loss` before training; `peak`,
      bytes; seconds of each step, lists `train` and `evaluate`, for TensorFlow with `coding` also `compress` and
      `decompress`.
    """
    pair = np.random.default_rng(0).integers(0, 256, (2, 1, *size, 3), dtype=np.uint8)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Worker(Ours, name, filters, *pair))
        workers = {"TensorFlow": ours}
        if with_torch:
            workers["PyTorch"] = stack.enter_context(Worker(Theirs, ours.call("weights"), *pair))
        found = {
            side: {"loss": worker.call("evaluate"), "train": [], "evaluate": []} for side, worker in workers.items()
        }
        for _ in range(rounds):
            for action in ("train", "evaluate"):
                for side, worker in workers.items():
                    found[side][action] += worker.seconds(action, steps)
        for side, worker in workers.items():
            found[side].update(worker.call("about"), peak=worker.peak())
        if coding:
            found["TensorFlow"].update({way: ours.seconds(way, steps) for way in ("compress", "decompress")})
    return found


class Worker:
    """An object in a process of its own, which works only while it is asked to; to be used in a `with`.

    Args:
      make: what makes the object, a class or function of a module.
      *arguments: of that.
    """

    def __init__(self, make, *arguments):
        context = multiprocessing.get_context("spawn")
        self._pipe, far_end = context.Pipe()
        self._process = context.Process(target=_work, args=(far_end, make, arguments), daemon=True)
        self._process.start()
        far_end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pipe.close()
        self._process.join()

    def call(self, method):
        """What the object's method returns."""
        return self._ask(method, None)

    def seconds(self, method, repeats):
        """A list: what each of so many calls of the method took, after some that are not counted."""
        return self._ask(method, repeats)

    def peak(self):
        """The most memory that the process took so far, in bytes."""
        with open(f"/proc/{self._process.pid}/status") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def _ask(self, *request):
        try:
            self._pipe.send(request)
            return self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise RuntimeError(f"The process that was asked for {request[0]!r} ended; why is said above.") from error


def _work(pipe, make, arguments):
    """What a worker's process does until the other end of the pipe is closed."""
    subject = make(*arguments)
    with contextlib.suppress(EOFError):
        while True:
            method, repeats = pipe.recv()
            function = getattr(subject, method)
            pipe.send(function() if repeats is None else _timed(function, repeats))


def _timed(function, repeats):
    for _ in range(_WARM_UP):
        function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


class Ours:
    """This package's model.

    Args:
      name: one of `MODELS`.
      filters: N.
      x, y: the batch, uint8 `[B, H, W, 3]`.
    """

    def __init__(self, name, filters, x, y):
        import tensorflow as tf

        from dsin_tf.training import fitting

        settings = {"lmbda": LMBDA, "distortion": "mse", "decoder": "corrected"}
        self.model = models.create(name, "paper", filters=filters, **settings)
        fitting.compile_model(self.model, fitting.Config(steps=1))
        self._version, self._blob = tf.__version__, None
        self._pair = tf.constant(x), tf.constant(y)
        self._batches = iter(tf.data.Dataset.from_tensors(self._pair).repeat())
        self._step = self.model.make_train_function()

        @tf.function
        def forward(x, y):
            out = self.model((x, y), training=False)
            return tf.reduce_mean(self.model.rate_distortion(x, out)["loss"]), out["x_hat"]

        self._forward = forward

    def train(self):
        """One step; the mean loss of all steps so far."""
        return float(self._step(self._batches)["loss"])

    def evaluate(self):
        """The loss in evaluation mode."""
        loss, x_hat = self._forward(*self._pair)
        x_hat.numpy()
        return float(loss)

    def compress(self):
        """The file of x, bytes."""
        if not self.model.is_prepared:
            self.model.prepare_for_coding()
        self._blob = self.model.compress(self._pair[0][0].numpy())
        return self._blob

    def decompress(self):
        """What comes of the file that `compress` made, uint8 `[H, W, 3]`."""
        return self.model.decompress(self._blob, self._pair[1][0].numpy())

    def about(self):
        """A dict: `version` of the framework; `parameters`, how many."""
        count = sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)
        return {"version": self._version, "parameters": count}

    def weights(self):
        """`{name: array}`, kernels with the axes as PyTorch has them."""
        weights = {}
        for name, variable in storage.named_variables(self.model.layers).items():
            array = variable.numpy()
            if name.endswith("/kernel"):
                # [k, k, in, out] -> [out, in, k, k], for transposed convolutions [in, out, k, k]
                array = array.transpose((3, 2, 0, 1) if "analysis" in name else (2, 3, 0, 1))
            weights[name] = array.copy()
        return weights


class Theirs:
    """The authors' design in PyTorch. Tensors are `[B, C, H, W]`, images in [0, 1]; layers are called as ours.

    Args:
      weights: of `Ours.weights`, which tell the backbone. The dict is emptied, so that nothing is in memory twice.
      x, y: the batch, uint8 `[B, H, W, 3]`.

    Attributes:
      weights: `{name: parameter}`.
    """

    def __init__(self, weights, x, y):
        import torch

        self._torch, self._functional, self._at_least = torch, torch.nn.functional, _lower_bound()
        self.weights = {name: torch.nn.Parameter(torch.tensor(weights.pop(name))) for name in list(weights)}
        self._has_hyperprior = "hyper_analysis/conv1/kernel" in self.weights
        self._optimizer = torch.optim.Adam(self.weights.values(), lr=1e-4, amsgrad=True)
        self._pair = [torch.tensor(image.transpose(0, 3, 1, 2).astype(np.float32) / 255) for image in (x, y)]

    def train(self):
        """One step; its loss."""
        self._optimizer.zero_grad()
        loss, _ = self._forward(training=True)
        loss.backward()
        self._optimizer.step()
        return loss.item()

    def evaluate(self):
        """The loss in evaluation mode."""
        with self._torch.no_grad():
            loss, x_hat = self._forward(training=False)
        x_hat.numpy()
        return loss.item()

    def about(self):
        """As of `Ours`; of the parameters those count that training has reached."""
        count = sum(weight.numel() for weight in self.weights.values() if weight.grad is not None)
        return {"version": str(self._torch.__version__), "parameters": count}

    def noise(self, like, normal=False):
        """Uniform in +-1/2, or standard normal."""
        drawn = self._torch.empty_like(like)
        return drawn.normal_() if normal else drawn.uniform_(-0.5, 0.5)

    def _forward(self, training):
        """`(loss, x_hat)`, with alpha = beta = 1."""
        x, y = self._pair
        v_x, v_y, w = (self._analysis(*what) for what in ((x, "analysis"), (y, "analysis_y"), (y, "analysis_w")))
        if training:
            w = w + 0.001**0.5 * self.noise(w, normal=True)
        v_x, bits_x = self._private(v_x, "", (lambda v: v + self.noise(v)) if training else self._torch.round)
        v_y, bits_y = self._private(v_y, "_y", lambda v: v)
        x_hat = self._synthesis(self._torch.cat([v_x, w], dim=1), "synthesis")
        y_hat = self._synthesis(self._torch.cat([v_y, w], dim=1), "synthesis_y")
        rate = (bits_x + bits_y + self._bits(self._by_prior(w, "prior_w"))) / x[:, 0].numel()
        distortion = (x - x_hat).square().mean() + (y - y_hat).square().mean()
        return rate + LMBDA * 255**2 * distortion, x_hat

    def _private(self, v, suffix, sent):
        """Latents as the decoder gets them, by `sent`, and their bits, with those of hyper latents if there are."""
        if not self._has_hyperprior:
            v = sent(v)
            return v, self._bits(self._by_prior(v, f"prior{suffix}"))
        hyper = f"hyper_analysis{suffix}"
        z = self._conv(self._conv(v.abs(), f"{hyper}/conv1", 1), f"{hyper}/conv2", 2).relu()
        z = sent(self._conv(z, f"{hyper}/conv3", 2))
        hyper = f"hyper_synthesis{suffix}"
        sigma = self._up_conv(self._up_conv(z, f"{hyper}/conv1", 2).relu(), f"{hyper}/conv2", 2).relu()
        sigma = self._up_conv(sigma, f"{hyper}/conv3", 1)
        v = sent(v)
        return v, self._bits(self._by_scale(v, sigma)) + self._bits(self._by_prior(z, f"prior{suffix}"))

    # Transforms.

    def _analysis(self, image, network):
        for i in (1, 2, 3):
            image = self._conv(image, f"{network}/conv{i}", 2)
            image = image / self._norm(image, f"{network}/gdn{i}")
        return self._conv(image, f"{network}/conv4", 2)

    def _synthesis(self, latents, network):
        for i in (1, 2, 3):
            latents = self._up_conv(latents, f"{network}/conv{i}", 2)
            latents = latents * self._norm(latents, f"{network}/igdn{i}")
        return self._up_conv(latents, f"{network}/conv4", 2)

    def _conv(self, x, layer, stride):
        """C(k, stride): (k - 1) / 2 zeros on either side."""
        kernel, bias = self.weights[f"{layer}/kernel"], self.weights.get(f"{layer}/bias")
        return self._functional.conv2d(x, kernel, bias, stride, padding=kernel.shape[-1] // 2)

    def _up_conv(self, x, layer, stride):
        """T(k, stride): sides grow exactly `stride` times."""
        kernel, bias = self.weights[f"{layer}/kernel"], self.weights[f"{layer}/bias"]
        padding = {"padding": kernel.shape[-1] // 2, "output_padding": stride - 1}
        return self._functional.conv_transpose2d(x, kernel, bias, stride, **padding)

    def _norm(self, x, layer):
        """sqrt(beta_i + sum_j gamma_ji x_j^2); stored are sqrt(beta + 2^-36) and sqrt(gamma + 2^-36)."""
        pedestal = 2**-36
        beta = self._at_least(self.weights[f"{layer}/reparam_beta"], (1e-6 + pedestal) ** 0.5).square() - pedestal
        gamma = self._at_least(self.weights[f"{layer}/reparam_gamma"], pedestal**0.5).square() - pedestal
        return self._functional.conv2d(x.square(), gamma.t()[:, :, None, None], beta).sqrt()

    # Entropy models.

    def _bits(self, likelihood):
        return -self._at_least(likelihood, 1e-9).log2().sum()

    def _by_prior(self, v, prior):
        """Likelihoods `[C, 1, B h w]` by a factorised prior."""
        v = v.transpose(0, 1).flatten(1)[:, None]
        lower, upper = self._logits(v - 0.5, prior), self._logits(v + 0.5, prior)
        # As the authors' code has it. The opposite sign would keep the digits of likelihoods below 1e-6, as ours do.
        sign = (lower + upper).sign().detach()
        return ((sign * upper).sigmoid() - (sign * lower).sigmoid()).abs()

    def _logits(self, v, prior):
        """The cumulative of each channel before its sigmoid: a network 1-3-3-3-1 that only grows."""
        matrix, bias, factor = (f"{prior}/DeepFactorized/{leaf}_" for leaf in ("matrix", "bias", "factor"))
        for k in range(4):
            v = self._functional.softplus(self.weights[f"{matrix}{k}"]) @ v + self.weights[f"{bias}{k}"]
            if k < 3:
                v = v + self.weights[f"{factor}{k}"].tanh() * v.tanh()
        return v

    def _by_scale(self, v, sigma):
        """Likelihoods by Gaussians around 0."""
        v, sigma = v.abs(), self._at_least(sigma, 0.11)
        lower, upper = (((v - half) / (2**0.5 * sigma)).erfc() / 2 for half in (-0.5, 0.5))
        return upper - lower


def _lower_bound():
    """A function of PyTorch: max(values, bound), whose gradient also passes below the bound if it leads up."""
    import torch

    class LowerBound(torch.autograd.Function):
        @staticmethod
        def forward(context, values, bound):
            context.save_for_backward(values)
            context.bound = bound
            return values.clamp(min=bound)

        @staticmethod
        def backward(context, gradient):
            (values,) = context.saved_tensors
            return gradient * ((values >= context.bound) | (gradient < 0)), None

    return LowerBound.apply


if __name__ == "__main__":
    define_flags()
    app.run(main)
