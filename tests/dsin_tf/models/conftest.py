import pytest

from dsin_tf import models
from tests.dsin_tf.models import lively

# What all models promise is tested without side information; what comes with it has tests of its own.
_ALONE = {"dsin": {"side": "none"}}


@pytest.fixture(scope="session")
def prepared():
    """{name: a small model prepared for coding}; not to be changed."""
    made = {name: lively.make(name, **_ALONE.get(name, {})) for name in models.names()}
    for model in made.values():
        model.prepare_for_coding()
    return made


@pytest.fixture(params=models.names())
def model(request, prepared):
    """Each model in turn, prepared for coding; not to be changed."""
    return prepared[request.param]
