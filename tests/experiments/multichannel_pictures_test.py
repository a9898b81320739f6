"""Maps of wrong colours and of importance, and what streams take: of pictures and small models."""

import numpy as np
import pytest

from dsin_tf import bitstream, data, files, models
from eval import metrics, rd_results
from experiments import codec_driver, codec_evaluation, common, kept_pictures, multichannel, multichannel_pictures
from tests.dsin_tf.models import lively
from tests.experiments import driving, figure_cases

NATIVE = data.protocols.get("native")
IMAGES = driving.Pairs("test", 44, 60)  # not of multiples of 8


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run of each model and what evaluation leaves there, and {name: model}."""
    folder, made = tmp_path_factory.mktemp("runs"), {}
    for name in ("content_weighted", "multichannel"):
        model = made[name] = lively.make(name)
        model.prepare_for_coding()
        models.save(model, folder / name)
        blobs = [model.compress(IMAGES.read_x(index)) for index in range(len(IMAGES))]
        for index, blob in enumerate(blobs):
            files.write_bytes(folder / name / "files" / f"{index:05d}{codec_evaluation.SUFFIX}", blob)
        points = [{"bpp": [8 * len(blob) / (44 * 60)]} for blob in blobs]
        images = [rd_results.ImagePoints(image, 44, 60, of) for image, of in zip(IMAGES.names, points)]
        meta = {"method": name, "dataset": "made_up", "split": "test", "protocol": "native", "rate": "file"}
        means = {"bpp": [0.2], "rate_weight" if name == "multichannel" else "target_share": [5.0]}
        label = codec_driver.label(model, multichannel.FAMILY.labels)
        rd_results.save(rd_results.RDResult(label, "", meta, means, images), folder / name / "results.json")
    return folder, made


def keep(folder, *methods):
    """Pictures of one image, each method's redder than the one before."""
    ((index, folder),) = kept_pictures.folders(IMAGES, folder, 1).items()
    kept_pictures.write_originals(IMAGES, NATIVE, {index: folder})
    x, found = IMAGES.read_x(index), {}
    for step, method in enumerate(methods, 1):
        found[method] = np.clip(x.astype(int) + [20 * step, 0, 0], 0, 255).astype(np.uint8)
        kept_pictures.write(folder, method, method.upper(), found[method], {"bpp": 0.5, "psnr-rgb": 30.0})
    return x, found


def test_pictures_stand_in_the_posters_order_with_numbers_of_the_whole_image(tmp_path):
    x, kept = keep(tmp_path / "pictures", "multichannel", "jpeg", "content_weighted", "multichannel-no_fusion_16")
    (made,) = multichannel_pictures.compare_pictures(tmp_path / "pictures")
    content, rows, picture = figure_cases.written(made, tmp_path / "out")
    order = ["content_weighted", "multichannel-no_fusion_16", "multichannel"]
    assert [each["method"] for each in content["methods"]] == order
    for method, row in zip(order, rows):
        assert float(row["Colour difference ΔE76"]) == pytest.approx(metrics.lab_difference(x, kept[method]), abs=1e-4)
        assert float(row["RGB angle (degrees)"]) == pytest.approx(metrics.rgb_angle(x, kept[method]), abs=1e-4)
    assert picture.std() > 10


def test_equal_and_black_pictures_are_drawn(tmp_path):
    ((index, folder),) = kept_pictures.folders(IMAGES, tmp_path / "pictures", 1).items()
    kept_pictures.write_originals(IMAGES, NATIVE, {index: folder})
    x = IMAGES.read_x(index)
    for method, picture in (("multichannel", x), ("content_weighted", np.zeros_like(x))):
        kept_pictures.write(folder, method, method, picture, {"bpp": 0.5, "psnr-rgb": 30.0})
    (made,) = multichannel_pictures.compare_pictures(tmp_path / "pictures")
    _, rows, _ = figure_cases.written(made, tmp_path / "out")
    assert [float(row["RGB angle (degrees)"]) for row in rows] == [0, 0]


def test_maps_are_those_of_the_model(runs, tmp_path):
    folder, made = runs
    (figure,) = multichannel_pictures.draw_maps([folder / name for name in made], IMAGES, NATIVE, 1)
    content, rows, picture = figure_cases.written(figure, tmp_path)
    x = IMAGES.read_x(IMAGES.names.index(content["image"]))
    assert [row["model"] for row in rows] == [
        *("Li et al. 2018 (tiny), target_share 0.33", "Multi-channel (tiny), rate_weight 5")
    ]
    for model, of, row in zip(made.values(), content["models"], rows):
        code = model.code(x[None])
        levels = np.array([line.split() for line in of["map"]], int)
        np.testing.assert_array_equal(levels, code["map"][0, ..., 0])
        assert levels.shape == (6, 8)
        assert of["places"] == [np.sum(levels == level) for level in range(4)]
        assert of["share"] == pytest.approx(float(np.mean(code["masks"]["code" if "code" in code else "luma"])))
        assert float(row["code sent (%)"]) == pytest.approx(100 * levels.mean() / 4, abs=1e-4)
        assert float(row["places at the lowest level (%)"]) == pytest.approx(100 * np.mean(levels == 0), abs=1e-3)
        assert float(row["bpp"]) == pytest.approx(8 * len(model.compress(x)) / (44 * 60), abs=1e-4)
    assert picture.std() > 10


def test_only_models_with_a_map_have_one(tmp_path):
    models.save(models.create("balle2017", "tiny"), tmp_path / "run")
    with pytest.raises(common.UserError, match="balle2017 has no importance map"):
        multichannel_pictures.draw_maps([tmp_path / "run"], IMAGES, NATIVE, 1)


def test_streams_are_those_of_the_evaluated_files(runs, tmp_path):
    runs, _ = runs
    (made,) = multichannel_pictures.compare_streams([runs])  # a folder of runs
    content, rows, picture = figure_cases.written(made, tmp_path)
    *published, li, fusion = rows
    assert [float(row["map (%)"]) for row in published] == [
        pytest.approx(share, abs=0.05) for share in (17.2, 15.7, 11.4, 7.8, 5.8)
    ]
    lengths = []
    for path in sorted((runs / "multichannel" / "files").iterdir()):
        header = bitstream.inspect(path.read_bytes())
        lengths.append([*header.lengths, path.stat().st_size - sum(header.lengths)])
    columns = ("importance map", "Y", "Cb", "Cr", "header and checksum")
    means = np.mean(lengths, axis=0) * 8 / (44 * 60)
    assert [float(fusion[column]) for column in columns] == pytest.approx(means.tolist(), abs=1e-4)
    assert float(fusion["bpp"]) == pytest.approx(means.sum(), abs=1e-4)
    assert float(fusion["Cb and Cr (%)"]) == pytest.approx(100 * (means[2] + means[3]) / means.sum(), abs=1e-2)
    assert fusion["model"] == "Multi-channel (tiny), rate_weight 5"
    assert (li["Y"], li["Cb and Cr (%)"]) == ("", "")
    assert float(li["code of all colours"]) > 0
    assert content["runs"][-1]["data"] == "made_up test, 3 images"
    assert picture.std() > 10


def test_files_that_are_not_what_was_evaluated_are_refused(runs, tmp_path):
    (runs, _), folder = runs, tmp_path / "run"
    (folder / "files").mkdir(parents=True)
    (folder / "results.json").write_bytes((runs / "multichannel" / "results.json").read_bytes())
    for path in (runs / "content_weighted" / "files").iterdir():
        (folder / "files" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(common.UserError, match=r"file 0 takes 0\.\d+ bpp, not \d\.\d+ as results.json says"):
        multichannel_pictures.compare_streams([folder])
    text = (folder / "results.json").read_text().replace('"multichannel"', '"balle2018"')
    (folder / "results.json").write_text(text)
    with pytest.raises(common.UserError, match="holds files of balle2018, content_weighted or multichannel"):
        multichannel_pictures.compare_streams([folder])
    with pytest.raises(common.UserError, match="holds no evaluated run"):
        multichannel_pictures.compare_streams([tmp_path / "none"])


def test_folders_without_the_pictures_are_named(tmp_path):
    with pytest.raises(common.UserError, match="holds no pictures"):
        multichannel_pictures.compare_pictures(tmp_path)
    keep(tmp_path, "jpeg")
    with pytest.raises(common.UserError, match="holds nothing of content_weighted, multichannel-no_fusion_16"):
        multichannel_pictures.compare_pictures(tmp_path)
