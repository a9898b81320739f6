"""Models in directories: `model.json` says what it is, `weights.npz` holds all its numbers.

Each file is replaced whole or not at all. The coding tables are in the same file as the weights, so that the two can
never be separated. Beside weights that come with the package lies `card.json` with the checksums of both files and the
identity that the model has in this version of the package; what does not match is refused.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from dsin_tf import files

_SETTINGS_FILE = "model.json"
_WEIGHTS_FILE = "weights.npz"
_CARD_FILE = "card.json"


class ModelFilesError(ValueError):
    """A directory does not hold a model that can be loaded; the message says which file and why."""


def save(model, directory, half=False):
    """Writes a model, with its coding tables if it was prepared for coding.

    Args:
      model: a `codec.Codec`.
      directory: where to; made if it is missing. What else is in it stays.
      half: stores 16 bits a weight, and all of it packed; for models that went through `round_to_half`.

    Raises:
      files.OutputError: a file could not be written.
      ValueError: `half`, and a weight needs more than 16 bits.
    """
    arrays = {name: variable.numpy() for name, variable in named_variables(model.layers).items()}
    if half:
        arrays = {name: _as_half(name, array) for name, array in arrays.items()}
    arrays = {f"weights/{name}": array for name, array in arrays.items()}
    if model.is_prepared:
        arrays.update({f"coding/{name}": array for name, array in model.coding_state().items()})
    buffer = io.BytesIO()
    (np.savez_compressed if half else np.savez)(buffer, step=model.step.numpy(), **arrays)
    settings = {"name": model.name, "preset": model.preset, "settings": model.settings, "stripped": model.is_stripped}
    files.write_bytes(Path(directory) / _WEIGHTS_FILE, buffer.getvalue())
    files.write_text(Path(directory) / _SETTINGS_FILE, json.dumps(settings, indent=2) + "\n")


def checksums(directory):
    """`{file: its SHA-256 as hexadecimal digits}` of those of a model's files that are there."""
    paths = [path for path in (Path(directory) / name for name in (_SETTINGS_FILE, _WEIGHTS_FILE)) if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def check_files(directory):
    """Compares a model's files with the checksums on the card beside them, if there is one.

    Raises:
      ModelFilesError: a file is not the one that the card is of.
    """
    expected = _card(directory).get("sha256", {})
    for name, found in checksums(directory).items() if expected else ():
        if found != expected.get(name):
            raise ModelFilesError(
                f"{Path(directory) / name}: has the SHA-256 {found}, {_CARD_FILE} beside it says {expected.get(name)}. "
                "Get a whole copy; for weights that come with the package, install it again."
            )


def check_identity(model, directory):
    """Compares a model, as this code makes it of its files, with the identity on the card beside them.

    Raises:
      ModelFilesError: another version of the code made the card: files of that would not be decoded.
    """
    expected = _card(directory).get("identity")
    if model.is_prepared and expected not in (None, model.identity.hex()):
        raise ModelFilesError(
            f"{directory}: is model {model.identity.hex()} in this version of the package, {_CARD_FILE} says "
            f"{expected}. Install the version that these weights came with."
        )


def _card(directory):
    try:
        return json.loads((Path(directory) / _CARD_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelFilesError(f"{Path(directory) / _CARD_FILE}: cannot be read ({error}). Get a whole copy.") from error


def round_to_half(model):
    """Rounds every weight to what 16 bits hold, and makes the coding tables anew.

    Raises:
      ValueError: a weight is larger than 65504, or not finite.
    """
    for name, variable in named_variables(model.layers).items():
        with np.errstate(over="ignore"):
            rounded = variable.numpy().astype(np.float16)
        if not np.isfinite(rounded).all():
            raise ValueError(f"{name} holds {np.abs(variable.numpy()).max():g}; at most 65504 was expected.")
        variable.assign(rounded.astype(variable.dtype.as_numpy_dtype))
    model.prepare_for_coding()


def read_settings(directory):
    """What model is in a directory: `(name, preset, settings, whether it is stripped)`.

    Raises:
      ModelFilesError: none, or `model.json` is damaged.
    """
    path = Path(directory) / _SETTINGS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["name"], content["preset"], dict(content["settings"]), content.get("stripped", False)
    except OSError as error:
        raise ModelFilesError(
            f"{directory}: holds no model ({_SETTINGS_FILE}: {error.strerror}). Name one that models.save wrote."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFilesError(f"{path}: is not what models.save writes ({error!r}). Get a whole copy.") from error


def load_weights(model, directory):
    """Puts the numbers of `weights.npz` into a model made with the settings beside it.

    Raises:
      ModelFilesError: the file is missing or damaged, or belongs to another model.
    """
    path = Path(directory) / _WEIGHTS_FILE
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        step = int(arrays["step"])
    except FileNotFoundError as error:
        raise ModelFilesError(f"{path}: does not exist. Copy it from where {_SETTINGS_FILE} came from.") from error
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelFilesError(f"{path}: cannot be read ({error}). Get a whole copy.") from error
    variables, weights = named_variables(model.layers), _part(arrays, "weights/")
    for name in sorted({*variables, *weights}):
        expected = list(variables[name].shape) if name in variables else "nothing"
        found = list(weights[name].shape) if name in weights else "nothing"
        if expected != found:
            raise ModelFilesError(
                f"{path}: has {found} as {name}, {model.name} with the settings beside it expects {expected}. The "
                "files do not belong together; copy both from one place."
            )
    for name, variable in variables.items():
        variable.assign(weights[name].astype(variable.dtype.as_numpy_dtype))
    model.step.assign(step)
    coding = _part(arrays, "coding/")
    if coding:
        try:
            model.load_coding_state(coding)
        except (ValueError, KeyError) as error:
            raise ModelFilesError(f"{path}: its coding tables cannot be used ({error}). Get a whole copy.") from error


def named_variables(networks):
    """The variables of layers by name: `{"analysis/conv1/kernel": variable, ...}`."""
    named = {}
    for network in networks:
        for variable in network.weights:
            name = f"{network.name}/{variable.name.split(':')[0]}"
            if name in named:
                raise ValueError(f"Two weights are called {name}; give the layers that own them names of their own.")
            named[name] = variable
    return named


def _as_half(name, array):
    half = array.astype(np.float16)
    if not np.array_equal(half.astype(array.dtype), array):
        raise ValueError(f"{name} has weights of more than 16 bits. Call round_to_half before saving with half=True.")
    return half


def _part(arrays, prefix):
    """The entries whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
