"""Kept results: measured again by their commands, compared number by number; and whether the shipped weights still
give the kept numbers.
"""

import copy
import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest

import dsin_tf
from dsin_tf import bitstream, data, images
from eval import anchor_points, anchors, metrics, rd_results
from experiments import codec_driver, common, results
from tests.dsin_tf.models import lively
from tests.experiments.driving import drive

KEPT = results.kept()
RATE = ("--codecs=jpeg", "--bpp=2,3")


def made(psnr=(30.0, 34.0), bpp=(0.1, 0.2), names=("a", "b"), **columns):
    """A result of two images."""
    points = {"bpp": list(bpp), "psnr-rgb": list(psnr), "encode-s": [0.1] * len(bpp), **columns}
    meta = {"method": "m", "dataset": "pairs", "protocol": "native", "rate": "file"}
    return rd_results.RDResult(
        "M", "", meta, {"bpp": list(bpp)}, [rd_results.ImagePoints(name, 8, 8, copy.deepcopy(points)) for name in names]
    )


def changed(kept, again):
    return {change.column: (round(change.most, 6), change.images) for change in results.compare(kept, again)}


# ---------------------------------------------------------------------------------------------------------------------
# Comparing.


def test_equal_results_have_no_change_and_seconds_do_not_count():
    again = made()
    again.images[0].points["encode-s"] = [9.0, 9.0]
    again.images[0].points["ssim"] = [0.5, 0.6]  # a new column takes nothing away
    assert changed(made(), again) == {}


@pytest.mark.parametrize(
    ("column", "share"), [("psnr-rgb", 1.9e-4), ("bpp-estimated", 1.9e-4), ("ms-ssim-dsin", 1.9e-4)]
)
def test_what_floats_compute_may_differ_a_little(column, share):
    kept, again = (made(**{column: [value, 40.0]}) for value in (30.0, 30.0 * (1 + share)))
    assert changed(kept, again) == {}
    more = made(**{column: [30.0 * (1 + 1.2 * share), 40.0]})
    assert changed(kept, more) == {column: (round(30 * 1.2 * share, 6), 2)}


@pytest.mark.parametrize("column", ["bpp", "bpp-payload", "bytes", "lmbda", "depth"])
def test_rates_and_settings_may_not_differ(column):
    kept, again = (made(**{column: [value, 0.9]}) for value in (0.1, 0.1 + 1e-9))
    again.images[1] = kept.images[1]
    assert [(change.column, change.images) for change in results.compare(kept, again)] == [(column, 1)]


def test_the_largest_difference_is_told_and_in_how_many_images():
    again = made()
    again.images[1].points["psnr-rgb"] = [30.5, 33.0]
    assert changed(made(), again) == {"psnr-rgb": (1.0, 1)}
    assert str(results.compare(made(), again)[0]) == "psnr-rgb by up to 1 in 1 images"


def test_missing_images_points_and_columns_are_changes():
    assert changed(made(), made(names=("a",))) == {"the list of images": (1, 1)}
    shorter = made(psnr=(30.0,), bpp=(0.1,))
    assert changed(made(), shorter) == {"bpp": (np.inf, 2), "psnr-rgb": (np.inf, 2)}
    assert changed(made(ssim=[0.1, 0.2]), made()) == {"ssim": (np.inf, 2)}


# ---------------------------------------------------------------------------------------------------------------------
# Commands.


def test_a_command_gives_its_flags():
    command = "python -m experiments.dsin --mode=evaluate --partial --nocolour '--scenes=a b,c' --bpp=1,2"
    expected = {"mode": "evaluate", "partial": "true", "colour": "false", "scenes": "a b,c", "bpp": "1,2"}
    assert results.settings_of(command) == expected


def test_weights_that_are_not_shipped_are_named():
    name = dsin_tf.zoo.names()[0]
    assert results.shipped_weights(f"python -m experiments.dsin --workdir={name}") == (name,)
    assert results.shipped_weights("python -m experiments.anchors --codecs=jpeg") == ()
    with pytest.raises(results.NotAtHand, match="not shipped: a training that is not kept"):
        results.shipped_weights("python -m experiments.dsin --workdir=RUN")
    with pytest.raises(results.NotAtHand, match="not shipped: runs/mine"):
        results.shipped_weights(f"python -m experiments.dsin --workdir={name},runs/mine")


def test_data_are_found_by_the_digest_of_their_list(tmp_path):
    for folder, name in (("one", "a"), ("deep/in/two", "b")):
        images.write(tmp_path / folder / f"{name}.png", lively.picture(16, 16, 1))
    wanted = data.load("images", "test", tmp_path / "deep/in/two")
    meta = {"command": "python -m experiments.balle --dataset=images --data_dir=DIR", "data_digest": wanted.digest}
    meta.update(images=1, dataset="images", split="test")
    source, folder = results.find_source(meta, tmp_path)
    assert (source.names, folder) == (wanted.names, tmp_path / "deep/in/two")
    with pytest.raises(results.NotAtHand, match=r"1 images of images test, digest \w{12}\): not in .*one"):
        results.find_source(meta, tmp_path / "one")
    with pytest.raises(results.NotAtHand, match="there is no --data_dir"):
        results.find_source(meta, None)


def test_a_kept_command_measures_the_same_again(tmp_path, capsys, monkeypatch):
    for seed in (1, 2):
        images.write(tmp_path / "data" / f"{seed}.png", lively.picture(32, 48, seed))
    ran = drive(
        "anchors", *RATE, "--dataset=images", f"--data_dir={tmp_path / 'data'}", f"--workdir={tmp_path / 'run'}"
    )
    assert ran.returncode == 0, ran.stderr
    kept = tmp_path / "kept" / "jpeg_images.json"
    kept.parent.mkdir()
    shutil.copy(tmp_path / "run" / "jpeg.json", kept)
    document = json.loads(kept.read_text())
    command = "python -m experiments.anchors --dataset=images --data_dir=DIR --codecs=jpeg --bpp=2,3"
    assert document["meta"]["command"] == command

    assert results.run([kept], tmp_path, tmp_path / "again") == []
    assert "jpeg_images  equal" in capsys.readouterr().out

    document["images"][1]["points"]["psnr-rgb"][0] += 1
    kept.write_text(json.dumps(document))
    found = tmp_path / "again" / "jpeg_images" / "jpeg.json"
    monkeypatch.setattr(results, "measure", lambda *arguments: found)  # what it found stands there
    assert results.run([kept], tmp_path, tmp_path / "again") == [kept]
    assert "psnr-rgb by up to 1 in 1 images" in capsys.readouterr().out
    results.run([kept], tmp_path, tmp_path / "again", update=True)
    assert kept.read_bytes() == found.read_bytes()


def test_what_cannot_be_measured_again_is_in_the_table(tmp_path, capsys):
    result = made()
    rd_results.save(result, tmp_path / "no_command.json")
    of_run = dataclasses.replace(result, meta={**result.meta, "command": "python -m experiments.dsin --workdir=RUN"})
    rd_results.save(of_run, tmp_path / "of_run.json")
    assert results.run(sorted(tmp_path.glob("*.json")), None, tmp_path / "again") == []
    out = capsys.readouterr().out
    assert "no_command  not measured again" in out
    assert "it names no command" in out
    assert "its weights are not shipped: a training that is not kept" in out


def test_a_name_that_fits_nothing_is_refused():
    failed = drive("results", "--only=nothing")
    assert failed.returncode == 1
    assert "error: --only=nothing: fits no result in" in failed.stderr


# ---------------------------------------------------------------------------------------------------------------------
# The numbers that are kept.


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_every_kept_result_says_what_made_it(path):
    meta = rd_results.load(path).meta
    assert meta["command"].startswith("python -m experiments.")
    assert len(meta["data_digest"]) == 64
    given = results.settings_of(meta["command"])
    assert given["dataset"] == meta["dataset"]
    assert (given.get("split", "test"), given.get("protocol", "native")) == (meta["split"], meta["protocol"])
    weights = given.get("workdir", "")
    for setting in codec_driver.RATE_SETTINGS:
        if setting in meta.get("settings", {}) and weights != common.PLACES["workdir"]:
            assert [float(name.rpartition("-")[2]) for name in weights.split(",")] == meta["settings"][setting]


def first_of_all(path, request):
    """(result, image, its source, where it is) of a kept result that can be measured here; of sets the root's place."""
    result = rd_results.load(path)
    try:
        weights = results.shipped_weights(result.meta["command"])
        folder = request.getfixturevalue("sample_data") if "--data_dir" in result.meta["command"] else None
        source, _ = results.find_source(result.meta, folder)
    except results.NotAtHand as reason:
        pytest.skip(str(reason))
    # Of a set the image without a reference: what the codec alone makes of it is kept, too.
    at = next(k for k, image in enumerate(result.images) if not image.points.get("depth", [0])[0])
    protocol = data.protocols.get(result.meta["protocol"])
    return result, weights, at, source, protocol


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_shipped_weights_and_codecs_still_give_what_is_kept(path, request):
    result, weights, at, source, protocol = first_of_all(path, request)
    kept = result.images[at]
    assert kept.name == source.names[at]
    found = (
        measure_weights(result, weights[0], at, source, protocol)
        if weights
        else measure_codec(result, at, source, protocol)
    )
    if weights:
        setting = next(name for name in codec_driver.RATE_SETTINGS if name in kept.points)
        rank = kept.points[setting].index(result.meta["settings"][setting][0])
    else:
        rank = kept.points["bytes"].index(found["bytes"])
    wanted = {column: kept.points[column][rank] for column in found}
    for column in ("psnr-rgb", "psnr-codec", "ms-ssim-rgb"):
        if column in found:
            assert found.pop(column) == pytest.approx(wanted.pop(column), rel=results.TOLERANCE), column
    assert found == wanted


loaded = functools.lru_cache(maxsize=8)(dsin_tf.load)


def measure_weights(result, name, at, source, protocol):
    """What these weights make of an image now."""
    model = loaded(name)
    x, *side = map(
        protocol.evaluate, source.read(at) if model.uses_side and source.kind == "pairs" else (source.read_x(at),)
    )
    blob = model.compress(x)
    bits_a_pixel = 8 / (x.shape[0] * x.shape[1])
    found = {"bpp": len(blob) * bits_a_pixel, "bpp-payload": sum(bitstream.inspect(blob).lengths) * bits_a_pixel}
    if "depth" in result.results or "depth" in result.images[at].points:
        del found["bpp"]  # a share of its set's tree is in there
        x_dec = model.decode(blob)[0].round().clip(0, 255).astype(np.uint8)
        return {**found, "psnr-codec": metrics.psnr(x, x_dec)}
    x_hat = model.decompress(blob, *side)
    return {
        **found,
        "psnr-rgb": metrics.psnr(x, x_hat),
        "ms-ssim-rgb": metrics.ms_ssim(x, x_hat, window=result.meta["ms_ssim_window"]),
    }


def measure_codec(result, at, source, protocol):
    """What a classical codec makes of an image at its highest rate now."""
    codec = anchors.get(result.meta["method"])
    if codec.versions() != result.meta["versions"]:
        pytest.skip(f"{codec.label} is {codec.versions()} here, and was {result.meta['versions']}")
    x = protocol.evaluate(source.read_x(at))
    encoded = codec.encode(x, result.images[at].points["setting"][-1])
    found = anchor_points.measure(x, codec.decode(encoded.data), result.meta["ms_ssim_window"])
    return {
        "bpp": encoded.bpp,
        "bytes": encoded.size_bytes,
        "setting": encoded.setting,
        **{key: found[key] for key in ("psnr-rgb", "ms-ssim-rgb")},
    }
