import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from eval import anchors, bpg_standin

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def picture():
    """48x80: smooth shading, a hard edge and fine noise, so that every codec has a curve to walk along."""
    rows, columns = np.mgrid[:48, :80]
    smooth = np.stack([rows * 4, columns * 3, 255 - rows * 2 - columns], axis=-1)
    smooth[10:30, 20:50] = (200, 40, 30)
    noise = np.random.default_rng(5).normal(0, 6, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


@pytest.fixture(params=anchors.names())
def codec(request):
    found = anchors.get(request.param, **({"speed": 8} if request.param == "avif" else {}))
    if found.missing:
        pytest.skip(found.missing)
    return found


def psnr(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


def test_names_are_the_five_codecs():
    assert anchors.names() == ("jpeg", "webp", "jpeg2000", "bpg", "avif")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(anchors.AnchorError, match="'jpeg3000'.*jpeg, webp, jpeg2000, bpg, avif"):
        anchors.get("jpeg3000")


def test_higher_settings_cost_more_and_look_better(codec, picture):
    ladder = codec.ladder(picture)
    low, middle, high = (codec.encode(picture, ladder[int(f * (len(ladder) - 1))]) for f in (0.0, 0.8, 1.0))
    assert low.bpp < middle.bpp < high.bpp
    psnrs = [psnr(picture, codec.decode(e.data)) for e in (low, middle, high)]
    assert psnrs == sorted(psnrs)
    assert psnrs[2] > 28  # 4:2:0 blurs the red edge


def test_rate_counts_the_bytes_over_the_pixels(codec, picture):
    encoded = codec.encode_at(picture, 2.5)
    assert encoded.bpp == 8 * encoded.size_bytes / (48 * 80)
    if codec.name != "bpg":
        assert encoded.size_bytes == len(encoded.data)


def test_same_bytes_twice(codec, picture):
    setting = codec.ladder(picture)[len(codec.ladder(picture)) // 2]
    assert codec.encode(picture, setting) == codec.encode(picture, setting)
    assert codec.checksum() == codec.checksum()


def test_checksum_sees_another_way_of_coding():
    if anchors.get("avif").missing:
        pytest.skip(anchors.get("avif").missing)
    assert anchors.get("avif", speed=5).checksum() != anchors.get("avif", speed=9).checksum()


def test_checksum_sees_a_lost_option(monkeypatch):
    for name, lost in (("jpeg", "subsampling"), ("jpeg2000", "quality_layers")):
        codec = anchors.get(name)
        before, options = codec.checksum(), codec._options(3.0 if name == "jpeg2000" else 90)
        kept = {key: value for key, value in options.items() if key != lost}
        monkeypatch.setattr(type(codec), "_options", lambda self, setting, kept=kept: kept)
        assert codec.checksum() != before


def test_encode_at_is_the_last_file_under_the_target(codec, picture):
    sweep = anchors.Sweep(codec, picture)
    for target in (codec.floor(picture) * 1.3, 3.0):
        under, over = sweep.under(target), sweep.over(target)
        assert under.bpp <= target < over.bpp
        ladder = list(codec.ladder(picture))
        assert ladder.index(over.setting) == ladder.index(under.setting) + 1
        assert codec.encode_at(picture, target) == under


def test_every_jpeg_quality_under_the_target_needs_no_more(picture):
    jpeg = anchors.get("jpeg")
    best = jpeg.encode_at(picture, 2.0)
    sizes = [jpeg.encode(picture, quality).size_bytes for quality in range(1, 101)]
    assert best.size_bytes == max(size for size in sizes if 8 * size / (48 * 80) <= 2.0)


def test_nothing_at_a_rate_below_the_floor(codec, picture):
    floor = codec.floor(picture)
    assert codec.encode_at(picture, floor * 0.99) is None
    assert codec.encode_at(picture, floor).bpp <= floor


def test_nothing_above_the_highest_setting(picture):
    sweep = anchors.Sweep(anchors.get("jpeg"), picture)
    assert sweep.over(100.0) is None
    assert sweep.under(100.0).setting == 100


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (17, 19), (33, 16)])
def test_any_size(codec, size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    ladder = codec.ladder(image)
    if codec.name == "bpg" and min(size) < 16:
        with pytest.raises(anchors.AnchorError, match=f"{size[0]}x{size[1]}.*HEVC needs 16"):
            codec.encode(image, ladder[0])
        return
    for setting in (ladder[0], ladder[-1]):
        decoded = codec.decode(codec.encode(image, setting).data)
        assert decoded.shape == image.shape
        assert decoded.dtype == np.uint8


def test_colours_keep_their_range(codec):
    """Full-range or studio-range YCbCr, R and B exchanged: each would move one of these flat colours far."""
    for colour in ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), (16, 128, 240)):
        image = np.full((32, 32, 3), colour, np.uint8)
        decoded = codec.decode(codec.encode(image, codec.ladder(image)[-1]).data)
        assert np.abs(decoded.astype(int) - image).max() <= 4


def test_a_view_that_is_not_contiguous_is_coded_like_a_copy(codec, picture):
    view = picture[2:40, 3:60][:, ::-1]
    setting = codec.ladder(view)[len(codec.ladder(view)) // 2]
    assert codec.encode(view, setting) == codec.encode(view.copy(), setting)


def test_other_arrays_are_refused(codec):
    with pytest.raises(ValueError, match="float64"):
        codec.encode(np.zeros((32, 32, 3)), codec.ladder(np.zeros((32, 32, 3)))[0])


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"no picture at all", lambda data: data[:20]])
def test_damaged_bytes_are_one_named_error(codec, picture, damage):
    data = codec.encode_at(picture, 3.0).data
    with pytest.raises(anchors.AnchorError, match=codec.label.split()[0]):
        codec.decode(damage(data))


def test_another_codecs_file_is_refused(picture):
    with pytest.raises(anchors.AnchorError, match="JPEG cannot decode these .* another codec's"):
        anchors.get("jpeg").decode(anchors.get("webp").encode_at(picture, 3.0).data)


def test_rates_must_be_positive(picture):
    with pytest.raises(anchors.AnchorError, match="0 bpp"):
        anchors.get("jpeg").encode_at(picture, 0)


def test_versions_name_what_codes(codec):
    versions = codec.versions()
    library = {"jpeg": "libjpeg", "webp": "libwebp", "jpeg2000": "openjpeg", "bpg": "x265", "avif": "libavif"}[
        codec.name
    ]
    assert versions[library][0].isdigit()
    assert all(isinstance(v, str) for v in versions.values())


_FRESH = """
import hashlib, os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}) if hasattr(os, "sched_setaffinity") else None
import numpy as np
from eval import anchors
image = np.load(sys.argv[1])
for name in sys.argv[2:]:
    codec = anchors.get(name, **({"speed": 8} if name == "avif" else {}))
    data = open(os.path.join(os.path.dirname(sys.argv[1]), name), "rb").read()
    print(hashlib.sha256(codec.decode(data).tobytes()).hexdigest())
    print(hashlib.sha256(codec.encode_at(image, 2.5).data).hexdigest())
"""


def test_another_process_on_one_core_makes_and_reads_the_same_bytes_in_silence(picture, tmp_path):
    # Tall enough for several rows of HEVC's coding tree units, where threads change x265's bytes.
    image = np.tile(picture, (5, 2, 1))
    np.save(tmp_path / "image.npy", image)
    expected, names = [], []
    for name in anchors.names():
        codec = anchors.get(name, **({"speed": 8} if name == "avif" else {}))
        if codec.missing:
            continue
        names.append(name)
        data = codec.encode_at(image, 2.5).data
        (tmp_path / name).write_bytes(data)
        expected += [hashlib.sha256(codec.decode(data).tobytes()).hexdigest(), hashlib.sha256(data).hexdigest()]
    found = subprocess.run(
        [sys.executable, "-c", _FRESH, str(tmp_path / "image.npy"), *names],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == expected
    assert found.stderr == ""


class TestSweep:
    class Staircase(anchors.Codec):
        """Sizes by table; counts how often it is asked."""

        name, label, setting_name = "staircase", "Staircase", "step"
        description, missing = "sizes by table", None

        def __init__(self, sizes):
            self.sizes, self.asked = sizes, []

        def ladder(self, image):
            return range(len(self.sizes))

        def versions(self):
            return {}

        def _encode(self, image, setting):
            self.asked.append(setting)
            return b"." * self.sizes[setting]

        def _decode(self, data):
            return TestSweep.image

    image = np.zeros((8, 1, 3), np.uint8)  # so that bpp is bytes

    def test_finds_the_last_step_of_a_plateau(self):
        codec = self.Staircase([1, 2, 2, 2, 5, 5, 9])
        assert anchors.Sweep(codec, self.image).under(2).setting == 3
        assert anchors.Sweep(codec, self.image).over(2).setting == 4

    def test_encodes_no_setting_twice_for_many_targets(self):
        codec = self.Staircase(list(range(1, 200)))
        sweep = anchors.Sweep(codec, self.image)
        assert [sweep.under(t).size_bytes for t in (20, 21, 20.5, 150)] == [20, 21, 20, 150]
        assert len(codec.asked) == len(set(codec.asked)) <= 24

    def test_a_wrong_hint_costs_time_only(self):
        codec = self.Staircase(list(range(1, 200)))
        codec.likely_rungs = lambda image, bpp: [3, 9]
        assert anchors.Sweep(codec, self.image).under(120).size_bytes == 120

    def test_stays_under_the_target_where_sizes_do_not_ascend(self):
        codec = self.Staircase([4, 3, 6, 5, 8, 7, 9])
        for target in (4, 5, 6, 7, 8):
            assert anchors.Sweep(codec, self.image).under(target).size_bytes <= target


class TestMissing:
    def test_pillow_without_a_format(self, monkeypatch, picture):
        monkeypatch.setattr(features, "check", lambda feature: feature not in ("avif", "jpg_2000"))
        for name, library in (("avif", "libavif"), ("jpeg2000", "openjpeg")):
            codec = anchors.get(name)
            assert f"without {library}" in codec.missing
            assert "pip install" in codec.missing
            with pytest.raises(anchors.AnchorError, match=f"{codec.label} cannot run here: .*{library}"):
                codec.encode(picture, codec.ladder(picture)[0])
            with pytest.raises(anchors.AnchorError, match="cannot run here"):
                codec.decode(b"")
        assert anchors.get("jpeg").missing is None
        assert anchors.get("jpeg").encode_at(picture, 5.0) is not None

    def test_no_pyav(self, monkeypatch, picture):
        monkeypatch.setitem(sys.modules, "av", None)
        codec = anchors.get("bpg")
        assert "PyAV cannot be imported" in codec.missing
        assert "pip install av" in codec.missing
        with pytest.raises(anchors.AnchorError, match="BPG.*PyAV"):
            codec.encode(picture, 40)

    def test_pyav_without_x265(self, monkeypatch):
        av = pytest.importorskip("av")

        def refuse(name, mode):
            raise av.codec.codec.UnknownCodecError(name)

        monkeypatch.setattr(av, "Codec", refuse)
        assert f"PyAV {av.__version__} was built without libx265" in anchors.get("bpg").missing


class TestJpeg2000:
    def test_asks_for_the_colour_transform_and_the_real_wavelet(self, picture):
        """Looked up in the bytes by hand: COD is FF52, length 12, and its fifth and last bytes are MCT and wavelet."""
        data = anchors.get("jpeg2000").encode_at(picture, 3.0).data
        at = data.index(b"\xff\x52\x00\x0c")
        assert data[at + 8] == 1
        assert data[at + 13] == 0

    def test_an_encoder_that_ignores_the_options_is_refused(self, monkeypatch, picture):
        codec = anchors.get("jpeg2000")
        options = codec._options(30.0)
        for lost in ("mct", "irreversible"):
            kept = {key: value for key, value in options.items() if key != lost}
            monkeypatch.setattr(anchors.Jpeg2000, "_options", lambda self, setting, kept=kept: kept)
            with pytest.raises(anchors.AnchorError, match="colour transform and the 9/7 wavelet were asked for"):
                codec.encode(picture, 30.0)

    def test_writes_a_jp2_file(self, picture):
        assert anchors.get("jpeg2000").encode_at(picture, 3.0).data[4:8] == b"jP  "

    def test_ladder_descends_to_no_compression(self, picture):
        ladder = anchors.get("jpeg2000").ladder(picture)
        assert ladder[-1] == 1.0
        assert all(a > b for a, b in zip(ladder, ladder[1:]))

    def test_colour_transform_pays_on_real_images(self, sample_data):
        folder = sample_data / "kitti_sample/data_scene_flow_multiview/training/image_2"
        image = np.array(Image.open(sorted(folder.glob("*_10.png"))[0]))[27:347, 9:1233]
        codec = anchors.get("jpeg2000")
        ours = codec.encode_at(image, 0.1)
        plain = io.BytesIO()
        Image.fromarray(image).save(
            plain, "JPEG2000", quality_mode="rates", quality_layers=[24 / ours.bpp], irreversible=True, mct=0
        )
        assert abs(len(plain.getvalue()) / ours.size_bytes - 1) < 0.03
        assert psnr(image, codec.decode(ours.data)) > 1 + psnr(image, np.array(Image.open(plain)))


class TestBpg:
    @pytest.fixture(autouse=True)
    def _runs(self):
        if bpg_standin.missing():
            pytest.skip(bpg_standin.missing())

    def test_rate_counts_the_slice_and_27_bytes(self, picture):
        encoded = anchors.get("bpg").encode(picture, 35)
        # VPS (32), SPS (33) and PPS (34) come first, each behind a start code; the last unit is the slice.
        units = encoded.data.split(b"\0\0\1")
        assert [unit[0] >> 1 for unit in units[1:-1]] == [32, 33, 34]
        assert units[-1][0] >> 1 in (19, 20)  # an IDR picture
        assert encoded.size_bytes == len(units[-1]) + 27
        assert len(encoded.data) - encoded.size_bytes in range(40, 80)

    def test_stream_holds_no_message(self, picture):
        assert b"x265" not in anchors.get("bpg").encode(picture, 35).data

    def test_odd_sizes_are_padded_by_replication(self, picture):
        """Coding an image of 37x51 gives the slice of the same image padded to 40x56 by hand."""
        image = picture[:37, :51]
        padded = np.pad(image, ((0, 3), (0, 5), (0, 0)), mode="edge")
        stream, by_hand = (bpg_standin.encode(i, 30) for i in (image, padded))
        assert bpg_standin.nal_units(stream)[-1] == bpg_standin.nal_units(by_hand)[-1]
        np.testing.assert_array_equal(bpg_standin.decode(stream), bpg_standin.decode(by_hand)[:37, :51])

    def test_chroma_keeps_its_resolution(self):
        """Columns of red and blue one pixel wide survive 4:4:4 and would blur to purple in 4:2:0."""
        image = np.zeros((32, 32, 3), np.uint8)
        image[:, ::2, 0] = image[:, 1::2, 2] = 200
        assert psnr(image, bpg_standin.decode(bpg_standin.encode(image, 4))) > 40

    def test_a_stream_of_two_pictures_is_refused(self, picture):
        stream = bpg_standin.encode(picture, 40)
        with pytest.raises(anchors.AnchorError, match="2 pictures"):
            anchors.get("bpg").decode(stream + stream)
