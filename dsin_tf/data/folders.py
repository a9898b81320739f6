"""A user's own images: list files, a folder of pairs, a folder of images, a folder of sets."""

import re
from pathlib import Path

from absl import logging

from dsin_tf import images
from dsin_tf.data.sources import DataError, FileImages, FilePairs, FileSets, check_whole, read_list

_SIDES = (
    ("left", "right"),
    ("image_2", "image_3"),
    ("colored_0", "colored_1"),
    ("leftImg8bit", "rightImg8bit"),
)


def open_list(split, data_dir, partial, limit, list_file=None):
    """Pairs of a list file in DSIN's format: two lines a pair, x and then y.

    Args:
      split: stands for "{split}" in list_file.
      data_dir: is put before every line, also before one that begins with "/". None: lines that begin
        with "/" stand for themselves, others are relative to the list file's folder.
      partial, limit: see `dsin_tf.data.load`.
      list_file: the text file.

    Raises:
      DataError: no list file given, or it is empty, or its number of lines is odd.
      MissingFilesError: it names files that are not there.
    """
    if list_file is None:
        raise DataError("Data set 'list' got no list_file; name the text file with two lines a pair (--list_file).")
    list_file = Path(str(list_file).replace("{split}", split))
    pairs = read_list(list_file)
    if data_dir is None and not all(line.startswith("/") for pair in pairs for line in pair):
        folder = list_file.absolute().parent
        if any(line.startswith("/") for pair in pairs for line in pair):
            raise DataError(
                f"{list_file}: some lines begin with '/' and some do not; one kind was expected. "
                "Give data_dir to put it before all of them."
            )
        data_dir = folder
    return FilePairs("list", split, data_dir, pairs, partial, limit)


def open_pairs(split, data_dir, partial, limit, steps=(0,), both_directions=False):
    """Pairs of a folder with one folder for each camera, or with files left.* and right.*.

    The camera folders are left and right, image_2 and image_3, colored_0 and colored_1, or leftImg8bit and
    rightImg8bit; files pair up by name. They stand in data_dir/SPLIT, in data_dir itself, or in its only
    subfolder that has them.

    Args:
      split: the part; a folder without parts is used whole, whatever the split.
      data_dir: the folder.
      partial, limit: see `dsin_tf.data.load`.
      steps: how many frames x and y lie apart. (0,) is the same instant; (1, 2, 3) is KITTI General's rule
        (x before and after y, from either camera), for files whose names end in a frame number.
      both_directions: also use each pair of the same instant the other way round.

    Raises:
      DataError: no such folders or no pairs in them.
      MissingFilesError: an image has no partner.
    """
    top, pairs = _find_pairs(split, Path(data_dir))
    if tuple(steps) == (0,):
        pairs += [(y, x) for x, y in pairs] if both_directions else []
    else:
        pairs = _apart(pairs, steps)
        if not pairs:
            raise DataError(
                f"{top}: no two images are {', '.join(map(str, steps))} frames apart; names that end in a frame "
                "number, such as 000000_10.png, were expected. Use steps=(0,) for pairs of the same instant."
            )
    return FilePairs("pairs", split, top, pairs, partial, limit)


def open_images(split, data_dir, partial, limit):
    """The images directly inside data_dir/SPLIT, or data_dir where it has no such part."""
    top = _part(split, Path(data_dir))
    return FileImages("images", split, top, [(p.name,) for p in _list_images(top)], partial, limit)


def open_sets(split, data_dir, partial, limit, set_size=None):
    """One set for each folder inside data_dir/SPLIT or data_dir; a folder of images alone is one set.

    A folder with one folder for each camera (see `open_pairs`) is one set, too: the images of both cameras in order
    of their names, which in a recording is that of time, left before right.

    Args:
      split: the part; a folder without parts is used whole, whatever the split.
      data_dir: the folder.
      partial, limit: see `dsin_tf.data.load`.
      set_size: use so many images of each set, spread evenly over it; None uses all.

    Raises:
      DataError: no images, or a set_size below 1.
    """
    if set_size is not None:
        check_whole("set_size", set_size, 1)
    top = _part(split, Path(data_dir))
    cameras = _camera_lines(top)
    found = [] if cameras else [(folder.name, _set_lines(folder)) for folder in _folders(top)]
    found = [(name, lines) for name, lines in found if lines]
    if not found:
        found = [(top.name, cameras or [path.name for path in _list_images(top)])]
        top = top.parent
    sets = [tuple(f"{name}/{line}" for line in _spread(lines, set_size)) for name, lines in found]
    names = [name for name, _ in found]
    return FileSets("image_sets", split, top, sets, names, partial=partial, limit=limit)


def _find_pairs(split, data_dir):
    """(folder, pairs of lines relative to it)."""
    for top in (data_dir / split, data_dir):
        pairs = _pairs_in(top)
        if pairs:
            if top == data_dir:
                _say_whole(split, top)
            return top, pairs
    inside = [(folder, _pairs_in(folder)) for folder in _folders(data_dir)]
    inside = [(folder, pairs) for folder, pairs in inside if pairs]
    # Several folders with one pair each, left.png and right.png, are one data set together.
    if inside and all(len(pairs) == 1 and "/" not in pairs[0][0] for _, pairs in inside):
        _say_whole(split, data_dir)
        return data_dir, [(f"{f.name}/{x}", f"{f.name}/{y}") for f, pairs in inside for x, y in pairs]
    if len(inside) == 1:
        _say_whole(split, inside[0][0])
        return inside[0]
    if inside:
        names = ", ".join(folder.name for folder, _ in inside)
        raise DataError(
            f"{data_dir}: holds several folders of pairs ({names}) and none is called {split!r}. "
            "Name one of them as data_dir, or as split."
        )
    expected = "; ".join(f"{left} and {right}" for left, right in _SIDES)
    raise DataError(f"{data_dir}: no pairs found. Two folders were expected: {expected}; or files left.* and right.*.")


def _pairs_in(top):
    """Pairs of lines from the camera folders or the two files directly inside `top`; [] where there are none."""
    sides = _sides_in(top)
    if sides:
        left, right = sides
        x, y = _by_key(top, left), _by_key(top, right)
        # An image without a partner stays in the list, with the name its partner should have.
        return [
            (x.get(key) or _other_side(y[key], right, left), y.get(key) or _other_side(x[key], left, right))
            for key in sorted(x.keys() | y.keys())
        ]
    files = {p.stem: p.name for p in _list_images(top, empty=True)}
    return [(files["left"], files["right"])] if {"left", "right"} <= files.keys() else []


def _sides_in(top):
    """The names of the two camera folders directly inside `top`, or None."""
    return next((sides for sides in _SIDES if all((top / side).is_dir() for side in sides)), None)


def _camera_lines(top):
    """The images of both camera folders inside `top`, by name, left before right; [] where there are none."""
    of_sides = [_by_key(top, side) for side in _sides_in(top) or ()]
    return [lines[key] for key in sorted(set().union(*of_sides)) for lines in of_sides if key in lines]


def _set_lines(folder):
    """The lines of a set, relative to its folder; [] where it has no images."""
    return _camera_lines(folder) or [path.name for path in _list_images(folder, empty=True)]


def _spread(lines, size):
    """`size` of the lines, the first and the last among them, in even steps; all where there are no more."""
    if size is None or size >= len(lines):
        return lines
    return [lines[k * (len(lines) - 1) // max(size - 1, 1)] for k in range(size)]


def _by_key(top, side):
    """What the two images of a pair have in common (path without camera and ending) -> line."""
    lines = [path.relative_to(top).as_posix() for path in _walk(top / side)]
    return {re.sub(rf"(_{side})?\.[^.]+$", "", line[len(side) + 1 :]): line for line in lines}


def _other_side(line, side, other):
    """The line that the partner of `line` has: left/a_left.png -> right/a_right.png."""
    return f"{other}/" + line[len(side) + 1 :].replace(f"_{side}.", f"_{other}.")


def _apart(pairs, steps):
    """Pairs (x at t, y at t + d) of opposite cameras, |d| in `steps`, x from the one side and then from the other."""
    numbered = {}
    for left, right in pairs:
        match = re.fullmatch(r"(.*?)(\d+)", Path(left).stem)
        if match:
            numbered[(Path(left).parent, match[1], int(match[2]))] = (left, right)
    found = []
    for x_side, y_side in ((0, 1), (1, 0)):
        for (folder, scene, t_x), pair in sorted(numbered.items()):
            for offset in sorted({sign * step for step in steps for sign in (-1, 1)}):
                other = numbered.get((folder, scene, t_x + offset))
                if other:
                    found.append((pair[x_side], other[y_side]))
    return found


def _part(split, data_dir):
    """data_dir/SPLIT where there is such a folder, else data_dir."""
    if (data_dir / split).is_dir():
        return data_dir / split
    _say_whole(split, data_dir)
    return data_dir


def _say_whole(split, folder):
    logging.info("%s has no part %r: all of it is used, whatever the split.", folder, split)


def _folders(folder):
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _walk(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in images.SUFFIXES and not p.name.startswith("."))


def _list_images(folder, empty=False):
    """The images directly inside a folder; an empty folder is an error unless `empty`."""
    try:
        return images.list_files(folder)
    except images.ImageError as error:
        if empty:
            return []
        raise DataError(str(error)) from error
