"""How the learning rate changes while a model trains.

    Plateau    NDIC: a tenth, when the validation loss has not improved for eleven epochs
    Staircase  DSIN: a tenth, every so many steps
    Constant

Each has `rate(step)`, `observe(loss)` for the validation loss of a whole epoch, and `state()` / `restore(state)`, a
dict that JSON holds exactly, so that a resumed run goes on with the same rates.
"""

import math

NAMES = ("plateau", "staircase", "constant")


class Constant:
    """One rate for ever."""

    def __init__(self, learning_rate):
        self._rate = learning_rate

    def rate(self, step):
        """The learning rate of this step, counted from 0."""
        del step
        return self._rate

    def observe(self, loss):
        """Takes the validation loss at the end of an epoch."""

    def state(self):
        """What `restore` needs to go on from here."""
        return {}

    def restore(self, state):
        """Goes on from where `state` was taken."""


class Staircase(Constant):
    """learning_rate * factor ** (step // every)."""

    def __init__(self, learning_rate, every, factor=0.1):
        super().__init__(learning_rate)
        self._every, self._factor = every, factor

    def rate(self, step):
        return self._rate * self._factor ** (step // self._every)


class Plateau(Constant):
    """Multiplies the rate by `factor` when more than `patience` epochs in a row brought no improvement.

    An epoch improves when its loss is below best * (1 - threshold), so with patience 10 the rate drops at the 11th
    epoch without improvement, and the count begins anew. This is NDIC's rule (PyTorch's `ReduceLROnPlateau` at its
    defaults). Keras' callback of that name differs: it drops at the 10th, and its threshold is absolute.
    """

    def __init__(self, learning_rate, factor=0.1, patience=10, threshold=1e-4, minimum=1e-7):
        super().__init__(learning_rate)
        self._factor, self._patience, self._threshold, self._minimum = factor, patience, threshold, minimum
        self._best, self._waited = math.inf, 0

    def observe(self, loss):
        # For a negative best the bound lies above it, so that a constant negative loss always counts as better.
        if loss < self._best * (1 - self._threshold):
            self._best, self._waited = loss, 0
        else:
            self._waited += 1
        if self._waited > self._patience:
            self._rate, self._waited = max(self._rate * self._factor, self._minimum), 0

    def state(self):
        best = None if math.isinf(self._best) else self._best  # JSON has no infinity
        return {"rate": self._rate, "best": best, "waited": self._waited}

    def restore(self, state):
        self._rate, self._waited = state["rate"], state["waited"]
        self._best = math.inf if state["best"] is None else state["best"]


def make(name, learning_rate, decay_steps=None):
    """The schedule of this name, one of `NAMES`, at its start; `decay_steps` is for "staircase"."""
    if name == "plateau":
        return Plateau(learning_rate)
    if name == "staircase":
        return Staircase(learning_rate, decay_steps)
    return Constant(learning_rate)
