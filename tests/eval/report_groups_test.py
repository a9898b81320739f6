"""Results are sorted by what they were measured on, and find the curves published of such images."""

from pathlib import Path

from eval import published_numbers, report_groups, tables
from tests.eval.report_cases import result


def test_a_method_that_several_papers_drew_is_shown_once_in_a_plot():
    known = published_numbers.curves()
    meta = {"dataset": "kitti_stereo", "protocol": "ndic"}
    for key in ("psnr-rgb", "ms-ssim-rgb"):
        methods = [p.meta["method"] for p in report_groups.matching(known, meta, key)]
        assert len(methods) == len(set(methods)) > 5
    assert report_groups.matching(known, {"dataset": "street", "protocol": "ndic"}, "psnr-rgb") == []


def test_images_prepared_as_ndic_does_are_beside_its_curves():
    known = published_numbers.curves()
    small, stereo = {"dataset": "kitti_small", "protocol": "native"}, {"dataset": "kitti_stereo", "protocol": "ndic"}
    found = [report_groups.matching(known, meta, "psnr-rgb") for meta in (small, stereo)]
    assert found[0] == found[1] != []
    assert report_groups.matching(known, {**small, "protocol": "dsin"}, "psnr-rgb") == []


def test_results_on_the_same_images_in_the_same_form_are_a_group():
    same, other, digest = result("a", "A"), result("a", "A", protocol="dsin"), result("b", "B", data_digest="1")
    paths = [Path("x/1.json"), Path("x/2.json"), Path("y/3.json"), Path("z/4.json")]
    first, second, third = report_groups.group(list(zip((same, same, other, digest), paths)))
    assert (first.results, second.results, third.results) == ([same, same], [other], [digest])
    assert first.folders == [Path("x/pictures")]
    assert (first.slug, second.slug) == ("kitti_stereo_test_ndic", "kitti_stereo_test_dsin")
    assert (first.heading, first.images) == ("KITTI Stereo, test, protocol ndic", "2 images")
    assert first.keys == ["psnr-rgb", "ms-ssim-rgb", "ms-ssim-dsin"]


def test_names_that_come_again_have_a_number():
    assert report_groups.unique(["a", "b", "a", "a"]) == ["a", "b", "a_2", "a_3"]


def test_rates_of_the_report_hold_those_of_the_papers():
    assert set(tables.RATES) <= set(report_groups.RATES)


def test_a_pattern_that_nothing_fits_stands_for_itself(tmp_path):
    for name in ("b.json", "a.json"):
        (tmp_path / name).touch()
    assert report_groups.find([f"{tmp_path}/*.json", "none*"]) == [f"{tmp_path}/a.json", f"{tmp_path}/b.json", "none*"]
