"""Writing files so that nothing half-written is ever left behind, and naming what went wrong."""

import contextlib
import os
import tempfile
from pathlib import Path


class OutputError(OSError):
    """A file could not be written; says which, why, and that nothing of it was left behind."""


@contextlib.contextmanager
def replacing(path):
    """Yields the path of a temporary file beside `path`, which takes its place when the block ends well.

    If the block raises, the temporary file is removed and whatever stood at `path` stays as it was.
    The temporary name keeps the ending of `path`, because many writers choose their format by it.

    Args:
      path: where the file is to appear. Missing parent folders are made.

    Raises:
      OutputError: the path is a folder, or the system refused to write (permission, full disk, ...).
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"Cannot write {path}: it is a directory, a file name was expected. Name a file inside it.")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes files that only their owner reads; the result gets what a plain open() would give.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(
            f"Cannot write {path}: {reason}. Nothing was left there; choose another place or make room, and run again."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_bytes(path, data):
    """Writes `data` to `path`, wholly or not at all (see `replacing`)."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # a full disk may show only here


def write_text(path, text):
    """Writes `text` as UTF-8 to `path`, wholly or not at all (see `replacing`)."""
    write_bytes(path, text.encode("utf-8"))


def _umask():
    """The process's file mode mask; the system offers no way to read it but to set it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
