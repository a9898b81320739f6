"""The driver of DSC-MSF with models of a few channels, on little sets."""

import functools

import numpy as np
import pytest

from dsin_tf import bitstream, data, images, models, sets
from dsin_tf.data import chains
from dsin_tf.models import set_codec
from eval import metrics, rd_results
from experiments import codec_driver, common, dsc_msf, set_evaluation
from tests.dsin_tf.models import lively
from tests.experiments.driving import drive

NATIVE = data.protocols.get("native")
COUNTS = (3, 1)


class Scenes:
    """A set of three pictures that move a little, and one of a single picture."""

    name, split, kind, digest, names = "made_up", "test", "sets", "d1", ("street", "square")

    def __len__(self):
        return len(COUNTS)

    def count(self, index):
        return COUNTS[index]

    def read_image(self, index, k):
        return np.ascontiguousarray(lively.picture(24, 60, index)[:, 4 * k : 4 * k + 40])

    def read_x(self, index):
        return self.read_image(index, 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a sweep of one model."""
    folder = tmp_path_factory.mktemp("runs") / "dsc_msf"
    model = lively.make("dsc_msf")
    model.prepare_for_coding()
    models.save(model, folder / "lmbda_0.0008")
    return folder


@pytest.fixture(scope="module")
def model(run):
    return models.load(run / "lmbda_0.0008")


def evaluate(run, variant=""):
    measure = functools.partial(
        set_evaluation.measure, feature="latent", **dsc_msf.EVALUATION_ABLATIONS.get(variant, {})
    )
    path = codec_driver.evaluate(
        run, chains.Flat(Scenes()), NATIVE, dsc_msf.FAMILY.labels, measure=measure, variant=variant, pictures=2
    )
    return rd_results.load(path)


def points(result):
    return [{column: values[0] for column, values in image.points.items()} for image in result.images]


def test_results_are_of_files_that_were_decoded_along_the_tree(run, model):
    result = evaluate(run)
    assert (result.meta["method"], result.name) == ("dsc_msf", "DSC-MSF (tiny)")
    assert [image.name for image in result.images] == ["street/0", "street/1", "street/2", "square/0"]
    first = 0
    for index, count in enumerate(COUNTS):
        blob = (run / "lmbda_0.0008" / "files" / f"{index:05d}.dset").read_bytes()
        originals = [Scenes().read_image(index, k) for k in range(count)]
        decoded, (tree, blobs, _) = set_codec.decompress(model, blob), set_codec.read(blob)
        found = points(result)[first : first + count]
        assert sum(point["bpp"] for point in found) * 24 * 40 / 8 == pytest.approx(len(blob))
        for k, point in enumerate(found):
            assert point["psnr-rgb"] == pytest.approx(metrics.psnr(originals[k], decoded[k]))
            x_dec = model.decode(blobs[k])[0].round().clip(0, 255).astype(np.uint8)
            assert point["psnr-codec"] == pytest.approx(metrics.psnr(originals[k], x_dec))
            assert point["depth"] == tree.depths[k]
            payload = sum(bitstream.inspect(blobs[k]).lengths)
            assert point["bpp-payload"] == pytest.approx(8 * payload / (24 * 40))
        first += count
    kept = sorted(path.name for path in (run / "pictures").iterdir())
    assert kept == ["00000-street_0", "00003-square_0"]


@pytest.mark.parametrize("variant", list(dsc_msf.EVALUATION_ABLATIONS))
def test_ways_of_measuring_have_names_and_results_of_their_own(run, model, variant):
    result = evaluate(run, variant)
    assert result.meta["method"] == f"dsc_msf-{variant}"
    assert (run / f"results-{variant}.json").is_file()
    blob = (run / "lmbda_0.0008" / "files" / "00000.dset").read_bytes()
    tree, blobs, warps = set_codec.read(blob)
    originals = [Scenes().read_image(0, k) for k in range(3)]
    if variant == "no_ir":
        assert tree == sets.natural(3)
        shown = None
    else:
        shown = originals
    for k, x_hat, _ in set_codec.iterate(model, tree, blobs, warps, originals=shown):
        assert points(result)[k]["psnr-rgb"] == pytest.approx(metrics.psnr(originals[k], x_hat))


def test_every_ablation_is_a_variant_with_a_label():
    for name, settings in dsc_msf.ABLATIONS.items():
        variant = models.create("dsc_msf", "tiny", **settings).variant
        assert variant == ("" if name == "none" else name)
        for measured in ("", *dsc_msf.EVALUATION_ABLATIONS):
            method = "-".join(filter(None, ("dsc_msf", variant, measured)))
            assert method in dsc_msf.FAMILY.labels
    assert "lee2019-no_context" in dsc_msf.FAMILY.labels


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for k in range(3):
        images.write(folder / f"{k}.png", Scenes().read_image(0, k))
    return folder


def test_a_folder_of_pictures_becomes_a_file_and_pictures_again(run, model, pictures, tmp_path):
    target = tmp_path / "set.dset"
    done = drive("dsc_msf", "--mode=compress", f"--workdir={run}", f"--input={pictures}", f"--output={target}")
    assert done.returncode == 0, done.stderr
    blob = target.read_bytes()
    assert done.stdout == f"{target}: 3 pictures, {len(blob)} bytes, {8 * len(blob) / (3 * 24 * 40):.4f} bpp\n"
    assert dsc_msf.decompress(model, target, tmp_path / "out") == f"{tmp_path / 'out'}: 3 pictures"
    for k, expected in enumerate(set_codec.decompress(model, blob)):
        np.testing.assert_array_equal(images.read(tmp_path / "out" / f"{k:05d}.png"), expected)
    shown = drive("dsc_msf", "--mode=info", f"--input={target}").stdout
    tree, blobs, _ = set_codec.read(blob)
    assert f"root {tree.root}, depth {max(tree.depths)}" in shown
    assert all(f"image {k}     {len(one)} bytes" in shown for k, one in enumerate(blobs))


def test_one_picture_of_a_set_is_decompressed_alone(model, pictures, tmp_path):
    dsc_msf.compress(model, pictures, tmp_path / "set.dset", "latent")
    assert dsc_msf.decompress(model, tmp_path / "set.dset", tmp_path / "out", only=2).endswith("1 pictures")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["00002.png"]
    with pytest.raises(common.UserError, match="--only=3: the set holds 3 pictures"):
        dsc_msf.decompress(model, tmp_path / "set.dset", tmp_path / "out", only=3)


def test_a_set_is_kept_as_files_and_an_index_where_a_folder_is_named(model, pictures, tmp_path):
    dsc_msf.compress(model, pictures, f"{tmp_path}/set/", "latent")
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [*(f"{k:05d}.dsin" for k in range(3)), "set.index"]
    dsc_msf.compress(model, pictures, tmp_path / "set.dset", "latent")
    for source in ("set", "set.dset"):
        dsc_msf.decompress(model, tmp_path / source, tmp_path / f"from_{source}")
    for k in range(3):
        one, other = (images.read(tmp_path / f"from_{s}" / f"{k:05d}.png") for s in ("set", "set.dset"))
        np.testing.assert_array_equal(one, other)


def test_damaged_pictures_are_named_and_the_others_written(model, pictures, tmp_path):
    dsc_msf.compress(model, pictures, f"{tmp_path}/set/", "latent")
    tree, _, _ = set_codec.read(set_codec.read_folder(tmp_path / "set"))
    leaf = tree.order[-1]
    set_codec.image_path(tmp_path / "set", leaf).write_bytes(b"damaged")
    with pytest.raises(common.UserError, match=rf"2 pictures; 1 could not be decoded\. picture {leaf}: "):
        dsc_msf.decompress(model, tmp_path / "set", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_what_cannot_be_done_is_said(run, pictures, tmp_path):
    done = drive("dsc_msf", "--mode=train", "--ablation=no_ir", f"--workdir={tmp_path}")
    assert done.returncode == 1
    assert done.stderr == "error: --ablation=no_ir is one of evaluation. Give it with --mode=evaluate.\n"
    done = drive("dsc_msf", "--mode=evaluate", "--dataset=street", f"--workdir={run}")
    assert done.returncode == 1
    assert "street is a source of pairs; DSC-MSF codes sets." in done.stderr
