"""Sets of images as files: against decoding image by image, and against damage. The model is untrained."""

import hashlib
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from dsin_tf import bitstream, files, layers, models, sets
from dsin_tf.bitstream import image_sets
from dsin_tf.models import codec, set_codec
from tests.dsin_tf.models import lively

ROOT = Path(__file__).resolve().parents[3]

TREE = sets.Tree((0, 3, 3, 0))  # 0 -> 3 -> 1, 2
BELOW = {0: {1, 2, 3}, 1: set(), 2: set(), 3: {1, 2}}


@pytest.fixture(scope="module")
def model():
    model = lively.make("dsc_msf")
    lively.settle_means(model)
    model.prepare_for_coding()
    return model


@pytest.fixture(scope="module")
def views():
    """Four views of one scene."""
    scene = lively.picture(60, 90)
    return [scene[2 * k : 2 * k + 40, 5 * k : 5 * k + 56] for k in range(4)]


@pytest.fixture(scope="module")
def blob(model, views):
    return set_codec.compress(model, views, TREE)


@pytest.fixture(scope="module")
def decoded(model, blob):
    return set_codec.decompress(model, blob)


class Counting:
    """A model that lists the files that it decodes."""

    def __init__(self, model):
        self._model, self.files = model, []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def decode(self, blob, max_pixels):
        self.files.append(blob)
        return self._model.decode(blob, max_pixels)


def files_of(blob):
    return image_sets.unpack(blob)[1]


def one_by_one(model, blobs, tree):
    """The images of files, by the model's own `decompress`."""
    found = {tree.root: model.decompress(blobs[tree.root])}
    for index in tree.order[1:]:
        parent = tree.parents[index]
        found[index] = model.decompress(blobs[index], found[parent], blobs[parent])
    return [found[index] for index in range(len(blobs))]


def check_equal(images, others):
    assert len(images) == len(others)
    for image, other in zip(images, others):
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, other)


def digest(images):
    return hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()


def with_head(blob, head):
    """A set's file with another header, and the checksum that fits it."""
    payload = b"".join(files_of(blob))
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def head_of(blob):
    return blob[: len(blob) - sum(map(len, files_of(blob))) - 4]


def test_the_file_is_the_tree_and_what_the_model_writes_of_each_image(model, views, blob):
    parts = [model.compress(view) for view in views]
    lengths = b"".join(bitstream.to_varint(len(part)) for part in parts)
    # Four parents of two bits: 0, 3, 3, 0.
    assert head_of(blob) == b"\xd5SS\x10" + bytes([4, 1, 0]) + lengths + bytes([0b00111100])
    assert files_of(blob) == parts
    assert len(blob) == 3 + 1 + 3 + len(lengths) + 1 + 4 + sum(map(len, parts))


def test_images_are_those_of_decoding_one_by_one(model, blob, decoded):
    check_equal(decoded, one_by_one(model, files_of(blob), TREE))
    assert len({digest([image]) for image in decoded}) == 4


def test_images_are_those_that_the_encoder_reconstructs(model, views, decoded):
    """Without any bytes: what `call` rounds to goes through the same networks."""
    x_dec = [model(view[None])["x_dec"].numpy() for view in views]
    found = {}
    for index in TREE.order:
        parent = TREE.parents[index]
        reference = () if parent == index else (found[parent], x_dec[parent])
        found[index] = model.finish(x_dec[index], *reference)
    check_equal(decoded, [found[index] for index in range(4)])


def test_the_model_has_both_as_methods(model, views, blob, decoded):
    assert model.compress_set(views, TREE) == blob
    check_equal(model.decompress_set(blob), decoded)


def test_an_images_bytes_do_not_depend_on_its_reference_but_its_decoding_does(model, views, blob, decoded):
    others = [255 - views[0], *views[1:]]
    changed = set_codec.compress(model, others, TREE)
    assert [one == other for one, other in zip(files_of(changed), files_of(blob))] == [False, True, True, True]
    images = set_codec.decompress(model, changed)
    assert all((image != other).any() for image, other in zip(images, decoded))


@pytest.mark.parametrize("index", range(4))
def test_one_image_costs_its_ancestors_and_itself(model, blob, decoded, index):
    counting, parts = Counting(model), files_of(blob)
    np.testing.assert_array_equal(set_codec.decompress_one(counting, blob, index), decoded[index])
    assert counting.files == [parts[k] for k in (*TREE.ancestors(index), index)]


def test_all_images_cost_one_decoding_each(model, blob):
    counting, parts = Counting(model), files_of(blob)
    set_codec.decompress(counting, blob)
    assert counting.files == [parts[k] for k in TREE.order]


def test_a_set_of_one(model, views):
    blob = set_codec.compress(model, views[:1], geometry=True)
    assert len(blob) == len(model.compress(views[0])) + 3 + 1 + 4 + 4 + (len(model.compress(views[0])) > 127)
    (image,) = set_codec.decompress(model, blob)
    np.testing.assert_array_equal(image, model.decompress(model.compress(views[0])))
    np.testing.assert_array_equal(image, set_codec.decompress_one(model, blob, 0))


def test_images_of_a_set_may_have_different_sizes(model):
    sizes = [(40, 56), (64, 64), (33, 70), (5, 7)]
    images = [lively.picture(*size) for size in sizes]
    blob = set_codec.compress(model, images, TREE)
    decoded = set_codec.decompress(model, blob)
    assert [image.shape for image in decoded] == [(*size, 3) for size in sizes]
    check_equal(decoded, one_by_one(model, files_of(blob), TREE))


def test_without_side_information_the_tree_does_not_matter(model, blob, monkeypatch):
    monkeypatch.setattr(type(model), "uses_side", False)
    check_equal(set_codec.decompress(model, blob), [model.decompress(part) for part in files_of(blob)])


def test_originals_take_the_references_places(model, views, blob):
    parts = files_of(blob)
    found = dict(enumerate(parts))
    for index, image, error in set_codec.iterate(model, TREE, parts, originals=views):
        assert error is None
        found[index] = image
    x_dec, y_dec = (model.decode(parts[k]) for k in (3, 0))
    np.testing.assert_array_equal(found[3], model.finish(x_dec, views[0], y_dec))
    assert (found[3] != model.finish(x_dec, found[0], y_dec)).any()


def test_another_process_decodes_the_same(model, blob, decoded, tmp_path):
    models.save(model, tmp_path)
    (tmp_path / "set").write_bytes(blob)
    program = f"""
import hashlib
from pathlib import Path
from dsin_tf import models
from dsin_tf.models import set_codec
model = models.load({str(tmp_path)!r})
images = set_codec.decompress(model, Path({str(tmp_path / "set")!r}).read_bytes())
print(hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest())
"""
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True)
    assert printed.stdout.strip() == digest(decoded)


# Damage.


def check_loss(model, blob, decoded, lost, culprit, kind):
    """Decodes a damaged file that costs the images `lost`; their errors are of a kind for `culprit`, or name it."""
    with pytest.raises(set_codec.DamagedSetError, match=f"^{len(lost)} of 4 images could not be decoded") as caught:
        set_codec.decompress(model, blob)
    errors = caught.value.errors
    assert set(errors) == lost
    for index, error in errors.items():
        assert f"image {index}: {error}" in str(caught.value)
        if index == culprit:
            assert type(error) is kind
        else:
            assert type(error) is set_codec.AncestorError
            assert (error.index, error.ancestor) == (index, culprit)
            assert f"the help of image {culprit}, which" in str(error)
    for index, image in enumerate(caught.value.images):
        if index in lost:
            assert image is None
        else:
            np.testing.assert_array_equal(image, decoded[index])


@pytest.mark.parametrize("index", range(4))
def test_a_damaged_image_costs_itself_and_those_that_need_it(model, blob, decoded, index):
    parts = files_of(blob)
    damaged = bytearray(blob)
    damaged[len(blob) - sum(map(len, parts[index:])) + len(parts[index]) // 2] ^= 1
    damaged, lost = bytes(damaged), {index} | BELOW[index]
    check_loss(model, damaged, decoded, lost, index, bitstream.ChecksumError)
    for each in lost:
        with pytest.raises(bitstream.ChecksumError if each == index else set_codec.AncestorError):
            set_codec.decompress_one(model, damaged, each)


def test_a_file_that_was_cut_off_gives_what_is_left(model, views):
    blob = set_codec.compress(model, views, sets.natural(4))
    parts, whole = files_of(blob), set_codec.decompress(model, blob)
    kept = len(blob) - len(parts[3])
    check_loss(model, blob[:-1], whole, {3}, 3, bitstream.LengthError)
    check_loss(model, blob[: kept - 1], whole, {2, 3}, 2, bitstream.LengthError)
    with pytest.raises(set_codec.DamagedSetError, match=r"image 3: Its file is missing: .* Get a whole copy\.$"):
        set_codec.decompress(model, blob[:kept])
    with pytest.raises(bitstream.LengthError):
        set_codec.decompress(model, blob[: len(head_of(blob))])


def test_two_damaged_images_are_both_named(model, blob):
    damaged = bytearray(blob)
    for part in files_of(blob)[1:3]:
        damaged[blob.index(part)] ^= 1
    with pytest.raises(set_codec.DamagedSetError, match=r"^2 of 4 .*image 1: .*; image 2: ") as caught:
        set_codec.decompress(model, bytes(damaged))
    assert {type(error) for error in caught.value.errors.values()} == {bitstream.NotAFileOfOursError}


def test_every_flipped_bit_before_the_images_is_a_named_error(blob):
    for bit in range(8 * (len(head_of(blob)) + 4)):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(bitstream.BitstreamError) as caught:
            set_codec.read(bytes(damaged))
        assert type(caught.value) is not bitstream.BitstreamError


def test_another_tree_with_a_good_checksum_is_a_tree_or_a_named_error(blob):
    trees = 0
    for byte in range(256):
        changed = with_head(blob, head_of(blob)[:-1] + bytes([byte]))
        parents = tuple(byte >> shift & 3 for shift in (6, 4, 2, 0))
        try:
            tree = sets.Tree(parents)
        except ValueError:
            with pytest.raises(bitstream.PayloadError, match="The set's tree is damaged"):
                set_codec.read(changed)
        else:
            assert set_codec.read(changed)[0] == tree
            trees += 1
    assert trees == 64  # 4^3 rooted trees of four images
    longer = image_sets.pack(b"\x3c\x00", files_of(blob))
    with pytest.raises(bitstream.PayloadError, match="takes 1 bytes, here are 2"):
        set_codec.read(longer)


def test_images_above_the_limit_are_refused(model, views, blob):
    with pytest.raises(set_codec.DamagedSetError) as caught:
        set_codec.decompress(model, blob, max_pixels=views[0].size // 3 - 1)
    assert type(caught.value.errors[0]) is bitstream.SizeError


def test_mistakes_are_named(model, views, blob, monkeypatch):
    with pytest.raises(ValueError, match="tree is of 4 images, 3 were given"):
        set_codec.compress(model, views[:3], TREE)
    for index in (-1, 4):
        with pytest.raises(IndexError, match=f"no image {index}; the set holds 4"):
            set_codec.decompress_one(model, blob, index)
    with pytest.raises(ValueError, match="feature is 'surf'"):
        set_codec.plan(model, views, feature="surf")
    monkeypatch.setattr(model, "_prepared_at", None)
    for call in (lambda: set_codec.compress(model, views, TREE), lambda: set_codec.decompress(model, blob)):
        with pytest.raises(codec.NotPreparedError):
            call()


# Folders.


def test_a_folder_holds_the_same_bytes(model, views, blob, tmp_path):
    assert set_codec.write_folder(model, views, tmp_path / "set", TREE) == len(blob)
    names = {path.name: path.stat().st_size for path in (tmp_path / "set").iterdir()}
    assert set(names) == {"set.index", *(f"{k:05d}.dsin" for k in range(4))}
    assert sum(names.values()) == len(blob)
    assert set_codec.read_folder(tmp_path / "set") == blob
    for k, part in enumerate(files_of(blob)):
        assert set_codec.image_path(tmp_path / "set", k).read_bytes() == part
    with pytest.raises(bitstream.LengthError, match="index of a set .* Name the folder"):
        set_codec.decompress(model, (tmp_path / "set" / set_codec.INDEX_NAME).read_bytes())


def test_a_missing_file_costs_its_image_and_those_that_need_it(model, views, decoded, tmp_path):
    set_codec.write_folder(model, views, tmp_path, TREE)
    set_codec.image_path(tmp_path, 3).unlink()
    check_loss(model, set_codec.read_folder(tmp_path), decoded, {1, 2, 3}, 3, bitstream.LengthError)
    (tmp_path / set_codec.INDEX_NAME).unlink()
    with pytest.raises(FileNotFoundError):
        set_codec.read_folder(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(model, views, tmp_path):
    (tmp_path / "00002.dsin").mkdir()
    with pytest.raises(files.OutputError, match=r"00002\.dsin: it is a directory"):
        set_codec.write_folder(model, views, tmp_path, TREE)


# Geometry.

MATRIX = np.array([[1.06, 0.05, -6], [-0.04, 1.03, 5], [3e-4, -2e-4, 1]])  # x's pixels to y's


@pytest.fixture(scope="module")
def turned():
    """(x, y): blobs of many sizes, and the same seen from elsewhere; x shows at p what y shows at MATRIX p."""
    noise = np.random.default_rng(0).standard_normal((200, 260))
    grey = sum(s * ndimage.gaussian_filter(noise, s) for s in (1, 2, 4, 8))
    scene = np.clip(128 + 50 * grey / grey.std(), 0, 255)
    rows, columns = np.mgrid[:96, :128]
    s, t, divisor = np.moveaxis(np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ MATRIX.T, -1, 0)
    x = ndimage.map_coordinates(scene, [40 + t / divisor, 50 + s / divisor], order=1)
    y = scene[40 : 40 + 96, 50 : 50 + 128]
    return tuple(np.repeat(np.round(image)[..., None], 3, axis=-1).astype(np.uint8) for image in (x, y))


class Looking:
    """A model that remembers the references that images are finished with."""

    def __init__(self, model):
        self._model, self.seen = model, []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def finish(self, x_dec, y=None, y_dec=None):
        self.seen.append((y, y_dec))
        return self._model.finish(x_dec, y, y_dec)


def test_warped_references_look_like_the_image(model, turned):
    x, y = turned
    plain, warped = (set_codec.compress(model, [y, x], sets.natural(2), geometry) for geometry in (False, True))
    errors = {}
    for name, blob in (("plain", plain), ("warped", warped)):
        looking = Looking(model)
        list(set_codec.iterate(looking, *set_codec.read(blob), originals=[y, x]))
        (_, _), (seen, seen_dec) = looking.seen
        inner = np.s_[10:-10, 10:-10]
        errors[name] = np.abs(np.asarray(seen, float)[inner] - x[inner]).mean()
        assert seen_dec.shape == (1, *x.shape)
    assert errors["warped"] < errors["plain"] / 5
    assert errors["warped"] < 4


def test_a_homography_costs_sixteen_bytes_and_a_bit_says_where_it_is(model, turned):
    x, y = turned
    plain = np.full_like(x, 90)
    images = [y, x, plain, plain, x]
    tree = sets.Tree((0, 0, 0, 1, 1))
    blob = set_codec.compress(model, images, tree, geometry=True)
    header, _ = image_sets.unpack(blob)
    assert header.geometry[0] == 0b10010000  # of the images 1, 2, 3 and 4, the first and the last
    assert len(header.geometry) == 1 + 2 * 16
    without = set_codec.compress(model, images, tree)
    assert len(blob) - len(without) == 1 + 2 * 16
    assert files_of(blob) == files_of(without)
    _, _, warps = set_codec.read(blob)
    assert set(warps) == {1, 4}
    corners = np.array([(0, 0, 1), (128, 0, 1), (0, 96, 1), (128, 96, 1)], float)
    moved = corners @ MATRIX.T
    np.testing.assert_allclose(warps[1] / 8, (moved[:, :2] / moved[:, 2:] - corners[:, :2]).ravel(), atol=1.5)
    np.testing.assert_allclose(warps[4] / 8, 0, atol=0.25)
    check_equal(
        set_codec.decompress(model, blob)[:1], set_codec.decompress(model, without)[:1]
    )  # the root is not concerned


def test_references_of_another_size_are_warped_to_the_images(model, turned):
    x, y = turned
    blob = set_codec.compress(model, [y, x[:80, :100]], sets.natural(2), geometry=True)
    assert set(set_codec.read(blob)[2]) == {1}
    assert [image.shape for image in set_codec.decompress(model, blob)] == [(96, 128, 3), (80, 100, 3)]


def test_geometry_that_nobody_writes_is_a_named_error(model, blob, decoded):
    parts = files_of(blob)
    straight = np.zeros(8, ">i2").tobytes()
    torn = np.array([4000, 0, -4000, 0, 0, 0, 0, 0], ">i2").tobytes()  # the upper corners change places

    def packed(geometry):
        return image_sets.pack(sets.pack(TREE), parts, geometry)

    good = set_codec.read(packed(b"\x80" + straight))[2]
    assert set(good) == {1}
    for geometry in (b"\x80", b"\x00" + straight, b"\x80" + straight[:-1], b"\x80" + straight * 2, b"\x10" + straight):
        with pytest.raises(bitstream.PayloadError, match=f"geometry has {len(geometry)} bytes"):
            set_codec.read(packed(geometry))
    with pytest.raises(ValueError, match="no corners"):
        layers.homography_from_integers(np.frombuffer(torn, ">i2"), 40, 56)
    # Of the images 1, 2 and 3, the last; the others need it.
    check_loss(model, packed(b"\x20" + torn), decoded, {1, 2, 3}, 3, bitstream.PayloadError)


# Plans.


def test_a_plan_from_latents_needs_no_opencv_and_joins_what_looks_alike(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    dark = lively.picture(64, 64) // 4
    bright = 255 - dark
    images = [dark, bright, dark[:48], bright[:, :48]]
    tree = set_codec.plan(model, images, feature="latent")
    edges = {frozenset((index, parent)) for index, parent in enumerate(tree.parents) if index != parent}
    assert {frozenset((0, 2)), frozenset((1, 3))} <= edges
    assert set_codec.plan(model, images, feature="latent", max_depth=1).depths.count(1) == 3
    with pytest.raises(ImportError, match='use feature="latent"'):
        set_codec.compress(model, images)


def test_a_plan_is_made_where_none_is_given(model, turned):
    x, y = turned
    images = [np.full_like(x, 90), x, y]
    blob = set_codec.compress(model, images)
    tree, _, _ = set_codec.read(blob)
    assert tree == sets.plan(images)
    assert tree.parents[1] == 2 or tree.parents[2] == 1
