import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, data, images, layers, models, training
from dsin_tf.models import cpm, dsin
from dsin_tf.ms_ssim import ms_ssim
from dsin_tf.training import fitting
from tests.dsin_tf.models import lively

VARIANTS = {
    "": {},
    "no_mask": {"mask": False},
    "l2_lab": {"mask": False, "distance": "l2_lab"},
    "raw_y": {"side": "raw_y"},
    "no_si": {"side": "none"},
}


def make(**settings):
    """A lively tiny model whose SI-Net is not the identity that it begins as, prepared for coding."""
    model = lively.make("dsin", **settings)
    rng = np.random.default_rng(1)
    for variable in model.si_net.trainable_variables:
        variable.assign_add(rng.normal(scale=0.05, size=variable.shape))
    model.prepare_for_coding()
    return model


@pytest.fixture(scope="module")
def variants():
    return {name: make(**settings) for name, settings in VARIANTS.items()}


@pytest.fixture(scope="module")
def model(variants):
    return variants[""]


def pair(height, width, seed=0):
    return lively.picture(height, width, seed)[None], lively.picture(height, width, seed + 100)[None]


def inputs(model, height=40, width=56, seed=0):
    x, y = pair(height, width, seed)
    return (x, y) if model.uses_side else x


def test_parameters_are_as_many_as_in_the_published_code():
    model = models.create("dsin")
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == 10_115_759
    assert sum(np.prod(v.shape) for v in model.si_net.trainable_variables) == 75_843
    averages = [v for layer in model.layers for v in layer.non_trainable_variables]
    assert sum(np.prod(v.shape) for v in averages) == 17_224


def test_the_default_is_what_gave_the_published_results():
    settings = models.create("dsin").settings
    released = {"patch_size": (20, 24), "mask": True, "fetch": "resample", "distance": "pearson", "side": "si_finder"}
    assert {**settings, **released, "alpha": 0.7, "target_bpp": 0.02, "regularize": False} == settings


def test_call_is_the_data_flow_of_the_paper(model):
    x, y = pair(40, 56)
    out = model((x, y), training=False)
    alone = cpm.CPM.call(model, x)
    for name in ("x_dec", "symbols", "bpp_estimated"):
        np.testing.assert_array_equal(out[name], alone[name])
    np.testing.assert_array_equal(out["y_dec"], cpm.CPM.call(model, y)["x_dec"])
    y_syn = layers.si_finder.SIFinder((8, 8), mask=True, fetch="copy")(out["x_dec"], out["y_dec"], y)
    np.testing.assert_array_equal(out["y_syn"], y_syn)
    mean, deviation = np.array(cpm.MEAN), np.sqrt(np.array(cpm.VARIANCE) + 1e-10)
    both = np.concatenate([(out["x_dec"] - mean) / deviation, (y_syn - mean) / deviation], axis=-1)
    x_hat = model.si_net(both.astype(np.float32)) * deviation + mean
    np.testing.assert_allclose(out["x_hat"], x_hat, atol=1e-3)


def test_what_was_moved_is_found():
    """x and y are two parts of one picture. Where no edge is near, y_syn shows x itself."""
    model = make(mask=False)
    scene = lively.picture(256, 336)
    x, y = scene[None, :, :320], scene[None, :, 16:]
    y_syn = model((x, y))["y_syn"].numpy()
    inner = np.s_[:, 104:152, 128:208]
    np.testing.assert_array_equal(y_syn[inner], x[inner])
    assert np.abs(y[inner].astype(int) - x[inner]).max() > 20


def test_variants_differ_in_what_joins_the_decoded_image(variants):
    x, y = pair(40, 56)
    outs = {name: model(inputs(model)) for name, model in variants.items()}
    np.testing.assert_array_equal(outs["raw_y"]["y_syn"], y)
    assert "y_dec" not in outs["raw_y"]
    assert "y_syn" not in outs["no_si"]
    x_hats = [out["x_hat"].numpy() for out in outs.values()]
    for i, one in enumerate(x_hats):
        assert all(np.abs(one - other).max() > 0.1 for other in x_hats[:i])
    assert {name: model.variant for name, model in variants.items()} == {name: name for name in VARIANTS}
    assert [model.uses_side for model in variants.values()] == [True, True, True, True, False]


def test_without_side_information_the_mean_colour_is_in_its_place(variants):
    model = variants["no_si"]
    x_dec = model(inputs(model))["x_dec"]
    mean_colour = tf.ones_like(x_dec) * np.float32(cpm.MEAN)
    np.testing.assert_allclose(model(inputs(model))["x_hat"], model.fuse(x_dec, mean_colour), atol=1e-2)


def test_the_loss_is_both_distortions_and_the_rate():
    model = models.create("dsin", "tiny", alpha=0.6, target_bpp=1.0)
    x, rng = pair(16, 24)[0], np.random.default_rng(0)
    x_dec, x_hat = (x + rng.normal(scale=s, size=x.shape).astype(np.float32) for s in (20, 60))
    out = {"x_dec": x_dec, "x_hat": x_hat, "bpp_estimated": tf.constant([0.3])}
    out.update(bit_cost=tf.fill([1, 2, 3, 8], 9.0), mask=tf.ones([1, 2, 3, 8]))
    terms = model.rate_distortion(x, out)
    d_ae, d_si = (np.abs(x.astype(float) - image).mean() for image in (x_dec, x_hat))
    assert float(terms["loss"]) == pytest.approx(0.4 * d_ae + 0.6 * d_si + 500 * (9 - 8), rel=1e-5)
    assert float(terms["distortion_si"]) == pytest.approx(d_si, rel=1e-5)
    shown = np.clip(np.rint(x_hat), 0, 255)
    assert float(terms["psnr"][0]) == pytest.approx(10 * np.log10(255**2 / ((x - shown) ** 2).mean()), rel=1e-5)


def test_y_leaves_no_trace_in_training():
    """Its pass is that of evaluation: it moves no running average, and no gradient comes back through the search."""

    def averages_after(seed):
        model = make()
        x, y = pair(40, 56)[0], pair(40, 56, seed)[1]
        with tf.GradientTape() as tape:
            out = model((x, y), training=True)
        gradients = tape.gradient(out["y_syn"], model.trainable_variables)
        assert gradients == [None] * len(gradients)
        np.testing.assert_array_equal(out["y_dec"], evaluated[seed])
        return [v.numpy() for v in model.non_trainable_variables]

    fresh = make()
    evaluated = {seed: fresh(pair(40, 56, seed))["y_dec"] for seed in (0, 7)}
    changed = False
    for one, other, before in zip(averages_after(0), averages_after(7), fresh.non_trainable_variables):
        np.testing.assert_array_equal(one, other)
        changed |= not np.array_equal(one, before)
    assert changed


def test_the_distortion_of_the_result_reaches_the_encoder():
    model = make(alpha=1.0, target_bpp=10.0)
    x, y = pair(40, 56)
    with tf.GradientTape() as tape:
        loss = model.rate_distortion(x, model((x, y), training=True))["loss"]
    gradient = tape.gradient(loss, layers.convolutions(model.analysis)[0].kernel)
    assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("name", list(VARIANTS))
def test_training_changes_every_weight(name):
    model = make(target_bpp=0.01, **VARIANTS[name])
    fitting.compile_model(model, training.Config(steps=2, schedule="constant", learning_rate=1e-3))
    before = [variable.numpy() for variable in model.trainable_variables]
    batch = tuple(np.concatenate(images_) for images_ in zip(pair(40, 56), pair(40, 56, 5)))
    logs = [model.train_step(batch) for _ in range(2)][-1]
    assert set(logs) == {"loss", "bpp", "psnr"}
    same = [v.name for v, old in zip(model.trainable_variables, before) if np.array_equal(v, old)]
    assert same == []
    assert int(model.step) == 2


def test_training_for_ms_ssim_shows_that_of_the_result():
    model = make(distortion="ms-ssim", target_bpp=1.0)
    fitting.compile_model(model, training.Config(steps=1, schedule="constant", learning_rate=1e-3))
    x, y = pair(104, 112)
    out = model((x, y))
    shown = model.rate_distortion(x, out)["ms_ssim_db"]
    similarity = ms_ssim(x.astype(np.float32), out["x_hat"], 255.0, window=7)
    np.testing.assert_allclose(shown, -10 * np.log10(1 - similarity), rtol=1e-4)
    logs = model.train_step((x, y))
    assert set(logs) == {"loss", "bpp", "psnr", "ms_ssim_db"}
    assert all(np.isfinite(float(value)) for value in logs.values())


def test_training_on_pairs_lowers_the_loss(tmp_path):
    class Pairs:
        name, kind, digest, split = "made_up", "pairs", "d", "train"
        names = ("0", "1")

        def __len__(self):
            return 2

        def read_x(self, index):
            return self.read(index)[0]

        def read(self, index):
            return tuple(image[0] for image in pair(40, 56, index))

    model = models.create("dsin", "tiny", target_bpp=0.3)
    before = float(model.test_step(pair(40, 56))["loss"])
    config = training.Config(steps=60, schedule="constant", learning_rate=3e-3, steps_per_epoch=60)
    training.fit(model, Pairs(), None, data.protocols.get("native"), config, tmp_path)
    model.reset_metrics()
    assert float(model.test_step(pair(40, 56))["loss"]) < 0.7 * before


@pytest.mark.parametrize("name", list(VARIANTS))
@pytest.mark.parametrize("size", [(1, 1), (3, 60), (15, 17), (64, 72)])
def test_a_decoded_image_is_what_the_model_computes(variants, name, size):
    model = variants[name]
    given = inputs(model, *size)
    x, *side = given if model.uses_side else (given,)
    blob = model.compress(x[0])
    x_hat = model.decompress(blob, *(y[0] for y in side))
    assert (x_hat.dtype, x_hat.shape) == (np.uint8, x[0].shape)
    out = model(given, training=False)
    np.testing.assert_allclose(x_hat, np.clip(out["x_hat"][0], 0, 255), atol=0.51)
    assert model.estimate(x[0]) == pytest.approx(float(out["bpp_estimated"][0]), rel=1e-5)


def test_one_file_serves_every_y(model):
    x, y = (image[0] for image in pair(64, 72))
    blob = model.compress(x)
    assert np.abs(model.decompress(blob, y).astype(int) - model.decompress(blob, y[:, ::-1].copy())).max() > 0
    np.testing.assert_array_equal(model.decompress(blob, y), model.decompress(blob, y))


def test_large_images_are_decoded_piece_by_piece(model, monkeypatch):
    x, y = (image[0] for image in pair(96, 1400))
    blob = model.compress(x)
    whole = model.decompress(blob, y).astype(int)
    monkeypatch.setattr("dsin_tf.layers.strips._LARGEST", 2**16)
    monkeypatch.setattr("dsin_tf.layers.strips._STRIP", 2**16)
    assert np.mean(np.abs(model.decompress(blob, y) - whole) > 1) < 1e-2


def test_pairs_of_a_batch_do_not_touch_each_other(model):
    pairs = [pair(40, 56, seed) for seed in range(3)]
    together = model(tuple(np.concatenate(images_) for images_ in zip(*pairs)))["x_hat"]
    for i, one in enumerate(pairs):
        np.testing.assert_allclose(together[i], model(one)["x_hat"][0], atol=1e-2)


def test_one_graph_takes_any_size(model):
    spec = tf.TensorSpec([None, None, None, 3], tf.uint8)
    call = tf.function(lambda x, y: model((x, y))["x_hat"], input_signature=[spec, spec])
    for size in ((5, 7), (40, 56), (33, 64)):
        np.testing.assert_allclose(call(*pair(*size)), model(pair(*size))["x_hat"], atol=1e-2)


def test_what_y_must_be_is_said(variants, model):
    x, y = (image[0] for image in pair(24, 32))
    blob = model.compress(x)
    with pytest.raises(ValueError, match="dsin decodes with side information, and y is None"):
        model.decompress(blob)
    with pytest.raises(images.ImageError, match=r"is 24x31 \(height x width\), the file's image 24x32"):
        model.decompress(blob, y[:, :31])
    with pytest.raises(images.ImageError, match="float64"):
        model.decompress(blob, y.astype(float))
    with pytest.raises(bitstream.ChecksumError):
        model.decompress(blob[:-1] + bytes([blob[-1] ^ 1]), y)
    without = variants["no_si"]
    with pytest.raises(ValueError, match="without side information got y"):
        without.decompress(without.compress(x), y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"side": "y"}, "no side 'y'; there are: si_finder, raw_y, none"),
        ({"alpha": 1.5}, r"alpha is 1.5; 0 \.\.\. 1 was expected"),
        ({"si_filters": 0}, "si_filters is 0"),
        ({"fetch": "borrow"}, "fetch is 'borrow'"),
        ({"lmbda": 3}, "dsin has no setting 'lmbda'"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.create("dsin", "tiny", **settings)


def test_the_second_stage_starts_from_the_first():
    first = lively.make("cpm", seed=3)
    model = models.create("dsin", "tiny", seed=4)
    si_net = [variable.numpy() for variable in model.si_net.weights]
    model.start_from(first)
    x, y = pair(40, 56)
    np.testing.assert_array_equal(model((x, y))["x_dec"], first(x)["x_dec"])
    assert model.estimate(x[0]) == pytest.approx(float(first(x)["bpp_estimated"][0]), rel=1e-6)
    for variable, before in zip(model.si_net.weights, si_net):
        np.testing.assert_array_equal(variable, before)
    with pytest.raises(ValueError, match=r"cpm has \[.*\] as .*, dsin expects \[.*\]\. Start from a model of the same"):
        models.create("dsin", "tiny", filters=4).start_from(first)


def test_identity_covers_what_decoding_depends_on(variants):
    def identity(change=lambda model: None, **settings):
        model = make(**settings)
        change(model)
        return model.identity

    def change_encoder(model):
        kernel = layers.convolutions(model.analysis)[0].kernel
        kernel.assign_add(np.full(kernel.shape, 1e-6))

    def change_si_net(model):
        model.si_net.weights[-1].assign_add(np.full(3, 1e-6))

    plain = variants[""].identity
    assert plain == identity() == identity(alpha=0.5)
    changed = [identity(change) for change in (change_encoder, change_si_net)]
    changed += [identity(fetch="resample"), identity(patch_size=(8, 10))]
    changed += [model.identity for name, model in variants.items() if name]
    assert len({plain, *changed}) == 1 + len(changed)
    # y as it is does not pass the encoder.
    assert identity(change_encoder, side="raw_y") == variants["raw_y"].identity


def test_a_saved_model_is_the_same(model, tmp_path):
    models.save(model, tmp_path)
    read = models.load(tmp_path)
    assert (read.identity, read.settings, read.preset) == (model.identity, model.settings, "tiny")
    x, y = (image[0] for image in pair(24, 32))
    np.testing.assert_array_equal(read.decompress(model.compress(x), y), model.decompress(model.compress(x), y))


def test_presets_add_to_those_of_the_autoencoder():
    for preset, settings in dsin.PRESETS.items():
        assert settings.items() >= cpm.PRESETS[preset].items()
