import pytest

from tests.dsin_tf.models import lively

# Both are tested without side information here; what comes with it has tests of its own.
_SETTINGS = {"dsin": {"side": "none"}, "dsc_msf": {"side": False}}


@pytest.fixture(scope="session")
def prepared():
    """{name: a small model prepared for coding}, of those that take images of any size; not to be changed."""
    made = {name: lively.make(name, **_SETTINGS.get(name, {})) for name in lively.ANY_SIZE}
    for model in made.values():
        if lively.has_means(model):
            lively.settle_means(model)  # so that latents are those of `call` bit by bit
        model.prepare_for_coding()
    return {name: lively.WithSide(model) if model.uses_side else model for name, model in made.items()}


@pytest.fixture(params=lively.ANY_SIZE)
def model(request, prepared):
    """Each of them in turn."""
    return prepared[request.param]
