"""Sources: lists of image files that are read on demand as pairs, single images or sets; several joined as one.

A source knows its list before any pixel is read. `names` and `digest` depend on the list alone, so
two machines that hold the same data set in different folders agree on both.
"""

import functools
import hashlib
import numbers
import os
from pathlib import Path
from typing import NamedTuple, Optional

from absl import logging

from dsin_tf import images

# The same camera has two folder names in KITTI: 2012's archive says colored_0/colored_1 where 2015's, and
# every published list, says image_2/image_3. A list that names the one is served from the other.
_SAME_CAMERA = {"image_2": "colored_0", "image_3": "colored_1", "colored_0": "image_2", "colored_1": "image_3"}


class DataError(ValueError):
    """A data set cannot be used as asked; says what was given, what was expected and what to do."""


class MissingFilesError(DataError):
    """Files of the list are not there.

    Attributes:
      expected: how many items (pairs, images or sets) the list has.
      found: how many of them are there wholly.
      files: all files the list names, each once, in order of first use.
      missing: those of them that are not there.
    """

    def __init__(self, message, expected, found, files, missing):
        super().__init__(message)
        self.expected, self.found, self.files, self.missing = expected, found, files, missing


class _Items(NamedTuple):
    """A list with its files looked up; what `_look_up` returns."""

    lines: tuple
    paths: tuple
    names: tuple
    expected: int
    missing: tuple


class _FileSource:
    """What the three kinds share: looking the list's files up, names, digest."""

    kind = ""

    def __init__(self, name, split, data_dir, items, partial=False, limit=None, expected=None):
        """Looks up every file of the list; reads none.

        Args:
          name: the data set's name, for messages and results.
          split: the part's name.
          data_dir: folder that the lines are relative to; None where they are rooted.
          items: sequence of tuples of lines, one tuple an item.
          partial: leave out items of which a file is missing, instead of raising.
          limit: keep only the first so many items.
          expected: how many items a whole copy has, where the list was made from what is there.

        Raises:
          DataError: the list is empty.
          MissingFilesError: files are missing (with `partial`: nothing at all is there).
        """
        if limit is not None and limit < 1:
            raise DataError(f"limit is {limit}, a number of at least 1 was expected (None uses the whole list).")
        self.name, self.split = name, split
        self._label = f"{name} {split}"
        found = self._look_up(data_dir, [tuple(item) for item in items], partial, limit, expected)
        self.names, self.expected, self.missing = found.names, found.expected, found.missing
        self._paths = found.paths
        self.digest = hashlib.sha256(self._list_text(found.lines).encode("utf-8")).hexdigest()

    def __len__(self):
        return len(self.names)

    def __repr__(self):
        return f"<{self._label}: {len(self)} {self.kind}>"

    def files(self, index):
        """The paths of the files that item `index` is read from, x first."""
        return self._paths[index]

    def read_x(self, index):
        """Item `index`'s image to be coded: `uint8 [H, W, 3]`."""
        return images.read(self._paths[index][0])

    @staticmethod
    def _list_text(items):
        return "".join(f"{line}\n" for item in items for line in item)

    def _look_up(self, data_dir, items, partial, limit, expected):
        if not items:
            raise DataError(f"{self._label}: the list is empty; at least one item was expected below {data_dir}.")
        names = _names(items)
        if limit is not None and not partial:
            items, names, expected = items[:limit], names[:limit], None
        locate = _Locator(data_dir)
        path_of = {line: locate(line) for item in items for line in item}  # each file once, in order of first use
        missing = {line for line, path in path_of.items() if not os.path.isfile(path)}
        kept = [k for k, item in enumerate(items) if missing.isdisjoint(item)]
        total = max(len(items), expected or 0)
        if not kept or (not partial and (missing or len(items) < total)):
            absent = tuple(path for line, path in path_of.items() if line in missing)
            message = self._missing_message(data_dir, total, len(kept), absent)
            raise MissingFilesError(message, total, len(kept), tuple(path_of.values()), absent)
        if len(kept) < total:
            logging.warning("%s: %d of %d %s are there; going on with those.", self._label, len(kept), total, self.kind)
        kept = kept[:limit]
        return _Items(
            lines=tuple(items[k] for k in kept),
            paths=tuple(tuple(path_of[line] for line in items[k]) for k in kept),
            names=tuple(names[k] for k in kept),
            expected=total,
            missing=tuple(path_of[line] for line in path_of if line in missing),
        )

    def _missing_message(self, data_dir, total, found, missing):
        shown = ", ".join(path + (" (a directory)" if os.path.isdir(path) else "") for path in missing[:3])
        if len(missing) > 3:
            shown += f" and {len(missing) - 3} more"
        place = f" below {data_dir}" if data_dir is not None else ""
        reason = f"{len(missing)} files are missing: {shown}" if missing else "the others have no file at all"
        advice = "Check data_dir" if not found else "Complete it, or go on with what is there (partial=True, --partial)"
        return (
            f"{self._label}: {found} of {total} {self.kind} are there{place}; {reason}. "
            f"{advice}; `python -m experiments.prepare` names every file."
        )


class FilePairs(_FileSource):
    """Pairs (x, y) of image files. `digest` is the SHA-256 of the list in DSIN's format, two lines a pair."""

    kind = "pairs"

    def read(self, index):
        """Pair `index`: `(x, y)`, both `uint8 [H, W, 3]` of one size.

        Raises:
          images.ImageError: a file cannot be read, or x and y differ in size.
        """
        return tuple(read_one_size(file_parts(self._paths[index])))


class FileImages(_FileSource):
    """Single image files."""

    kind = "images"

    def read(self, index):
        """Image `index`: `uint8 [H, W, 3]`."""
        return self.read_x(index)


class FileSets(_FileSource):
    """Sets of image files, each set of any number and sizes."""

    kind = "sets"

    def __init__(self, name, split, data_dir, items, set_names, **options):
        self._set_names = {tuple(item): set_name for item, set_name in zip(items, set_names)}
        super().__init__(name, split, data_dir, items, **options)

    def read(self, index):
        """Set `index`: a list of `uint8 [H, W, 3]`."""
        return [images.read(path) for path in self._paths[index]]

    def count(self, index):
        """How many images set `index` has; none is read."""
        return len(self._paths[index])

    def read_image(self, index, k):
        """Image `k` of set `index`, `uint8 [H, W, 3]`, without the others."""
        return images.read(self._paths[index][k])

    def _look_up(self, *args):
        found = super()._look_up(*args)
        return found._replace(names=tuple(self._set_names[item] for item in found.lines))

    @staticmethod
    def _list_text(items):
        # An empty line closes a set, so that two sets never have the digest of their union.
        return "".join("".join(f"{line}\n" for line in item) + "\n" for item in items)


class Joined:
    """Several sources of one kind as one: the items of the first, then those of the second, and so on."""

    def __init__(self, sources):
        """Joins sources of one split.

        Raises:
          DataError: the sources are of different kinds, or one is there twice.
        """
        kinds = {source.name: source.kind for source in sources}
        self.name = "+".join(source.name for source in sources)
        if len(kinds) < len(sources):
            raise DataError(f"{self.name} names a data set twice; name each one once.")
        if len(set(kinds.values())) > 1:
            found = ", ".join(f"{name} of {kind}" for name, kind in kinds.items())
            raise DataError(
                f"{self.name}: sources of one kind were expected, found: {found}. Join data sets of one kind."
            )
        self.kind, self.split = sources[0].kind, sources[0].split
        self._items = [(source, k) for source in sources for k in range(len(source))]
        self.names = tuple(f"{source.name}/{source.names[k]}" for source, k in self._items)
        text = "".join(f"{source.name} {source.digest}\n" for source in sources)
        self.digest = hashlib.sha256(text.encode("utf-8")).hexdigest()

    def __len__(self):
        return len(self._items)

    def __repr__(self):
        return f"<{self.name} {self.split}: {len(self)} {self.kind}>"

    def read(self, index):
        """Item `index`, as its own source reads it."""
        source, k = self._items[index]
        return source.read(k)

    def read_x(self, index):
        """Item `index`'s image to be coded: `uint8 [H, W, 3]`."""
        source, k = self._items[index]
        return source.read_x(k)

    def count(self, index):
        """How many images set `index` has; only of joined sets."""
        source, k = self._items[index]
        return source.count(k)

    def read_image(self, index, k):
        """Image `k` of set `index`, `uint8 [H, W, 3]`, without the others; only of joined sets."""
        source, own_index = self._items[index]
        return source.read_image(own_index, k)


def file_parts(paths):
    """(path, function that reads it) of each path; what `read_one_size` takes."""
    return tuple((path, functools.partial(images.read, path)) for path in paths)


def read_one_size(parts, load=lambda name, read: read()):
    """The images of an item, in order; one that is there twice is read once.

    Args:
      parts: sequence of (name, function without arguments that reads the image).
      load: called as load(name, read); gives the image, `uint8 [H, W, 3]`.

    Raises:
      images.ImageError: an image cannot be read, or two differ in height or width.
    """
    loaded, first = {}, parts[0][0]
    for name, read in parts:
        if name not in loaded:
            loaded[name] = load(name, read)
            _check_same_size(loaded[first].shape, loaded[name].shape, first, name)
    return [loaded[name] for name, _ in parts]


def _check_same_size(one, other, name, other_name):
    if one[:2] != other[:2]:
        raise images.ImageError(
            f"{name} is {one[0]}x{one[1]} (height x width) and {other_name} is {other[0]}x{other[1]}; the images of a "
            "pair, and those of a set that are used together, must have one size. Get whole copies, or leave them out."
        )


def is_whole(value, low, high=None):
    """Whether `value` is a whole number of `low` to `high` (None: without end); True and False are not numbers."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and value >= low and (high is None or value <= high)


def check_whole(name, value, low, high=None):
    """Raises DataError unless `value` is a whole number of `low` to `high` (None: without end)."""
    if not is_whole(value, low, high):
        expected = f"at least {low}" if high is None else f"{low} to {high}"
        raise DataError(f"{name} is {value!r}, a whole number of {expected} was expected.")


def there(data_dir, lines):
    """Those of the lines, as a set, whose files are there."""
    locate = _Locator(data_dir)
    return {line for line in lines if os.path.isfile(locate(line))}


def list_text(pairs):
    """Pairs of lines in the format of DSIN's list files: x on one line, y on the next."""
    return FilePairs._list_text(pairs)


def read_list(path):
    """Reads a list file in DSIN's format, two lines a pair.

    Args:
      path: the text file; empty lines at its end and white space around a line do not count.

    Returns:
      A list of tuples (x, y) of lines.

    Raises:
      DataError: the file is missing, a folder, not text, empty, or has an odd number of lines.
    """
    if os.path.isdir(path):
        raise DataError(f"{path}: is a directory, a list file was expected. Name the text file inside it.")
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").rstrip().splitlines()]
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist; a list file was expected. Check the spelling.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not text ({error.reason}); a list of paths, two lines a pair, was expected."
        ) from error
    if not lines:
        raise DataError(f"{path}: is empty; two lines a pair (x, then y) were expected.")
    if "" in lines:
        raise DataError(f"{path}: line {lines.index('') + 1} is empty; two lines a pair (x, then y) were expected.")
    if len(lines) % 2:
        raise DataError(
            f"{path}: has {len(lines)} lines, an even number was expected: two lines a pair, x and then y. "
            f"The last line, {lines[-1]!r}, has no partner; complete or remove it."
        )
    return list(zip(lines[::2], lines[1::2]))


def _names(items):
    """A unique id for each item: its first line, and all of them where the first lines repeat.

    A list that says the same item twice gets "#2" and so on after the repeated ids.
    """
    first = [item[0].lstrip("/") for item in items]
    if len(set(first)) < len(first):
        first = ["+".join(line.lstrip("/") for line in item) for item in items]
    if len(set(first)) < len(first):
        seen = {}
        for k, name in enumerate(first):
            seen[name] = seen.get(name, 0) + 1
            first[k] = name if seen[name] == 1 else f"{name}#{seen[name]}"
    return first


class _Locator:
    """Turns a line of a list into a path, minding that one camera may have two folder names."""

    def __init__(self, data_dir: Optional[str]):
        self._data_dir = None if data_dir is None else os.fspath(data_dir)
        self._folders = {}

    def __call__(self, line):
        folder, _, file = line.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._find(folder)
        return os.path.join(self._folders[folder], file)

    def _find(self, folder):
        path = folder if self._data_dir is None else os.path.join(self._data_dir, folder.lstrip("/"))
        parent, last = os.path.split(path)
        other = os.path.join(parent, _SAME_CAMERA.get(last, last))
        return other if not os.path.isdir(path) and os.path.isdir(other) else path
