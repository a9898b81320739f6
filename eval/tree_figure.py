"""A picture of a set's tree: the images themselves, each below the one it is predicted from, the root on top.

Images of one depth share a level. Where the picture would grow too wide, leaves of one parent stand in several rows of
their level. The same input gives the same bytes.
"""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from dsin_tf import files
from eval import figures

_AREA, _WIDEST = 1.3, 1.9  # of a thumbnail, square inches and inches
_GAP = 0.24  # between columns; all lengths here are inches
_LEFT, _RIM = 0.75, 0.1  # left of the images, where their depth stands; on the other sides
_EDGE, _TURN, _CAPTION = 0.48, 0.12, 0.26  # of a row: above the thumbnail, from its top to the edge's turn, below
_COLUMNS, _ROWS = 12, 6  # where there are more columns, leaves share them, up to so many
_PIXELS = 400  # of a thumbnail's longer side; sharp on a dense screen
_LINE, _ROOT, _BACKGROUND = "#7a8794", "#D55E00", ("#ffffff", "#f1f3f5")


def save(path, images, tree, names=None, costs=None):
    """Draws a tree into a file; see `figure` for the other arguments.

    Args:
      path: where to, ending in .png or .svg.

    Raises:
      ValueError: another ending, or as `figure`.
      files.OutputError: the file could not be written.
    """
    renderers = {".png": figures.to_png, ".svg": figures.to_svg}
    ending = str(path)[-4:].lower()
    if ending not in renderers:
        raise ValueError(f"{path} ends in {ending!r}; .png or .svg was expected. Rename it.")
    files.write_bytes(path, renderers[ending](figure(images, tree, names, costs)))


def figure(images, tree, names=None, costs=None):
    """A tree as a matplotlib `Figure`.

    Args:
      images: sequence of uint8 [H, W, 3]; sizes may differ.
      tree: a `dsin_tf.sets.Tree` over them.
      names: what stands below the images; by default their positions in the set.
      costs: for each image the weight of the edge to its parent, which is written on it; the root's is passed over. Of
        a matrix of weights these are `weights[range(len(images)), tree.parents]`.

    Raises:
      ValueError: images, names or costs in another number than the tree's.
    """
    names = range(len(images)) if names is None else names
    for title, given in (("images", images), ("names", names), ("costs", images if costs is None else costs)):
        if len(given) != len(tree.parents):
            raise ValueError(f"There are {len(given)} {title} for a tree of {len(tree.parents)}. Give one for each.")

    shape = float(np.median([image.shape[0] / image.shape[1] for image in images]))
    width = min((_AREA / shape) ** 0.5, _WIDEST)
    height = width * shape
    column, row = width + _GAP, _EDGE + height + _CAPTION
    columns, rows = _layout(tree)
    depths = np.array(tree.depths)
    row_count = [1 + max(rows[depths == depth]) for depth in range(max(depths) + 1)]
    tops = _RIM - _EDGE + row * np.cumsum([0, *row_count])  # of the levels, and the end of the last
    x = _LEFT + (columns + 0.5) * column
    y = tops[depths] + rows * row + _EDGE  # of the thumbnails' upper sides
    size = (_LEFT + (max(columns) + 1) * column + _RIM, tops[-1] + _RIM)

    with matplotlib.rc_context({**figures.STYLE, "font.size": 8}):
        drawn = Figure(figsize=size)
        axes = drawn.add_axes((0, 0, 1, 1))
        for depth, (top, bottom) in enumerate(zip(tops, tops[1:])):
            axes.axhspan(top, bottom, color=_BACKGROUND[depth % 2], lw=0, zorder=0)
            axes.text(0.12, top + _EDGE + height / 2, f"depth {depth}", va="center", color="#555555")
        for image in tree.order:
            if image != tree.root:
                parent = tree.parents[image]
                start = (x[parent], y[parent] + height + _CAPTION)
                path = _edge(start, (x[image], y[image]), tops[depths[image]] + _TURN, column)
                axes.plot(*zip(*path), color=_LINE, lw=1.1, solid_joinstyle="round", zorder=1)
                if costs is not None:
                    under = {"facecolor": _BACKGROUND[depths[image] % 2], "edgecolor": "none", "pad": 1}
                    at = (x[image], y[image] - (_EDGE - _TURN) / 2)
                    axes.text(*at, f"{costs[image]:.2f}", ha="center", va="center", bbox=under, zorder=2)
            _draw_image(axes, images[image], x[image], y[image] + height / 2, width, height, image == tree.root)
            caption = _shortened(str(names[image]), int(column / 0.075))
            font = {"fontweight": "bold", "color": _ROOT} if image == tree.root else {"color": "#222222"}
            at = (x[image], y[image] + height + _CAPTION / 2)
            axes.text(*at, caption, ha="center", va="center", parse_math=False, **font)
        axes.set(xlim=(0, size[0]), ylim=(size[1], 0), aspect="auto")
        axes.axis("off")
    return drawn


def _layout(tree):
    """Columns (a parent's may be a half) and rows inside their level of all images: float [K] and int [K]."""
    for most_rows in range(1, _ROWS + 1):
        columns, rows = _placed(tree, most_rows)
        if max(columns) < _COLUMNS:
            break
    return columns, rows


def _placed(tree, most_rows):
    """As `_layout`, where leaves of one parent stand in up to `most_rows` rows."""
    children = tree.children
    columns, rows = np.zeros(len(children)), np.zeros(len(children), int)

    def place(image, first):
        """Gives all below an image columns from `first` on and the image their middle; returns the next free column."""
        free = first
        leaves = [child for child in children[image] if not children[child]]
        for child in children[image]:
            if children[child]:
                free = place(child, free)
        across = -(-len(leaves) // most_rows)
        for k, leaf in enumerate(leaves):
            columns[leaf], rows[leaf] = free + k % across, k // across
        below = columns[list(children[image])] if children[image] else [first]
        columns[image] = (min(below) + max(below)) / 2
        return free + across

    place(tree.root, 0)
    return columns, rows


def _edge(start, end, level_turn, column):
    """Corners of the line from below a parent to the top of a child: along the top of the child's level, then down."""
    turn = end[1] - _EDGE + _TURN
    path = [start, (start[0], level_turn)]
    if turn > level_turn + _TURN:  # not in the level's first row: pass those above it between the columns
        path += [(end[0] - column / 2, level_turn), (end[0] - column / 2, turn)]
    return [*path, (end[0], turn), end]


def _draw_image(axes, image, x, y, width, height, is_root):
    """An image around (x, y), as large as fits into width and height, in a frame."""
    scale = min(width / image.shape[1], height / image.shape[0])
    half_width, half_height = scale * image.shape[1] / 2, scale * image.shape[0] / 2
    small = Image.fromarray(image)
    small.thumbnail((_PIXELS, _PIXELS), Image.Resampling.LANCZOS)
    extent = (x - half_width, x + half_width, y + half_height, y - half_height)
    axes.imshow(np.asarray(small), extent=extent, zorder=2)
    frame = {"edgecolor": _ROOT, "lw": 3} if is_root else {"edgecolor": _LINE, "lw": 0.8}
    corner = (x - half_width, y - half_height)
    axes.add_patch(Rectangle(corner, 2 * half_width, 2 * half_height, fill=False, zorder=3, **frame))


def _shortened(name, most):
    """A name without its beginning where it is too long; names of one set differ at the end."""
    return name if len(name) <= most else "…" + name[len(name) - most + 1 :]
