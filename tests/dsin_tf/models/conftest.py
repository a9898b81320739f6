import pytest

from tests.dsin_tf.models import lively

# DSIN is tested without side information here; what comes with it has tests of its own.
_SETTINGS = {"dsin": {"side": "none"}}


@pytest.fixture(scope="session")
def prepared():
    """{name: a small model prepared for coding}, of those that take images of any size; not to be changed."""
    made = {name: lively.make(name, **_SETTINGS.get(name, {})) for name in lively.ANY_SIZE}
    for model in made.values():
        model.prepare_for_coding()
    return {name: lively.WithSide(model) if model.uses_side else model for name, model in made.items()}


@pytest.fixture(params=lively.ANY_SIZE)
def model(request, prepared):
    """Each of them in turn."""
    return prepared[request.param]
