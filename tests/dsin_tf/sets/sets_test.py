"""From images to a coding order."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsin_tf import sets
from tests.dsin_tf.sets.features_test import texture

WIDE = texture(120, 340)


def test_a_pan_is_planned_as_a_chain_whatever_its_order():
    """Five views, each 40 pixels on from the one before, given in another order."""
    place = (3, 0, 4, 2, 1)
    pictures = [np.ascontiguousarray(WIDE[:, 40 * p : 40 * p + 160]) for p in place]
    tree = sets.plan(pictures)
    assert {frozenset((place[i], place[p])) for i, p in enumerate(tree.parents) if i != p} == {
        frozenset((k, k + 1)) for k in range(4)
    }
    assert place[tree.root] == 2
    assert max(sets.plan(pictures, feature="orb", max_depth=1).depths) == 1


def test_one_image_is_its_own_root():
    assert sets.plan([WIDE]) == sets.Tree((0,))


def test_no_image_is_refused():
    with pytest.raises(ValueError, match=r"shape \(0, 0\)"):
        sets.plan([])


def test_trees_are_stored_and_found_without_opencv_and_tensorflow():
    code = (
        "import sys; sys.modules['cv2'] = None\n"
        "from dsin_tf import sets\n"
        "tree = sets.span(sets.latent_weights([[0, 1], [1, 1], [1, 0]]))\n"
        "print(sets.unpack(sets.pack(tree), 3).parents, 'tensorflow' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "(1, 1, 1) False", result.stderr
