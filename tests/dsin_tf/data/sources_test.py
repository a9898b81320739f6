"""Lists of files: names, digests, missing files, bad list files."""

import hashlib
import pickle

import numpy as np
import pytest
from PIL import Image

from dsin_tf import images
from dsin_tf.data import sources


def _picture(path, size=(6, 8), level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(path)


@pytest.fixture
def four(tmp_path):
    for k, name in enumerate(("a.png", "b.png", "c.png", "d.png")):
        _picture(tmp_path / name, level=10 * k)
    return tmp_path


def test_reads_x_then_y(four):
    source = sources.FilePairs("mine", "test", four, [("a.png", "b.png"), ("c.png", "d.png")])
    x, y = source.read(1)
    assert (len(source), source.kind, source.names) == (2, "pairs", ("a.png", "c.png"))
    assert (x.shape, x.dtype, x[0, 0, 0], y[0, 0, 0]) == ((6, 8, 3), np.uint8, 20, 30)
    assert source.read_x(1)[0, 0, 0] == 20


def test_digest_is_that_of_the_list_file_and_not_of_the_folder(four, tmp_path_factory):
    pairs = [("a.png", "b.png"), ("c.png", "d.png")]
    source = sources.FilePairs("mine", "test", four, pairs)
    assert source.digest == hashlib.sha256(b"a.png\nb.png\nc.png\nd.png\n").hexdigest()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("a.png", "b.png", "c.png", "d.png"):
        _picture(elsewhere / name, level=99)
    assert sources.FilePairs("mine", "test", elsewhere, pairs).digest == source.digest
    assert sources.FilePairs("mine", "test", four, pairs, limit=1).digest != source.digest


def test_names_stay_unique_when_an_image_is_used_more_than_once(four):
    pairs = [("a.png", "b.png"), ("a.png", "c.png"), ("a.png", "b.png")]
    assert sources.FilePairs("mine", "test", four, pairs).names == ("a.png+b.png", "a.png+c.png", "a.png+b.png#2")


def test_a_limit_does_not_change_the_names(four):
    pairs = [("a.png", "b.png"), ("a.png", "c.png")]
    assert sources.FilePairs("mine", "test", four, pairs, limit=1).names == ("a.png+b.png",)


def test_sources_can_be_pickled(four):
    made = [
        sources.FilePairs("mine", "test", four, [("a.png", "b.png")]),
        sources.FileImages("mine", "test", four, [("a.png",)]),
        sources.FileSets("mine", "test", four, [("a.png", "b.png", "c.png")], ["abc"]),
    ]
    for source in made:
        copy = pickle.loads(pickle.dumps(source))
        assert (copy.names, copy.digest, copy.kind) == (source.names, source.digest, source.kind)
        np.testing.assert_array_equal(copy.read(0), source.read(0))
    assert made[2].names == ("abc",)


def test_sets_with_the_same_files_divided_otherwise_have_another_digest(four):
    one = sources.FileSets("mine", "test", four, [("a.png", "b.png"), ("c.png",)], ["1", "2"])
    two = sources.FileSets("mine", "test", four, [("a.png",), ("b.png", "c.png")], ["1", "2"])
    assert one.digest != two.digest


def test_missing_file_is_named_and_counted(four):
    (four / "d.png").unlink()
    with pytest.raises(sources.MissingFilesError, match=r"mine test: 1 of 2 pairs are there.*d\.png") as caught:
        sources.FilePairs("mine", "test", four, [("a.png", "b.png"), ("c.png", "d.png")])
    assert (caught.value.expected, caught.value.found, caught.value.missing) == (2, 1, (str(four / "d.png"),))


def test_partial_goes_on_and_says_how_many(four, caplog):
    (four / "b.png").unlink()
    source = sources.FilePairs("mine", "test", four, [("a.png", "b.png"), ("c.png", "d.png")], partial=True)
    assert (source.names, source.expected) == (("c.png",), 2)
    assert "mine test: 1 of 2 pairs are there" in caplog.text


def test_partial_with_nothing_at_all_is_still_an_error(tmp_path):
    with pytest.raises(sources.MissingFilesError, match="0 of 1 pairs"):
        sources.FilePairs("mine", "test", tmp_path, [("a.png", "b.png")], partial=True)


def test_a_directory_where_a_file_is_expected_is_called_one(four):
    (four / "b.png").unlink()
    (four / "b.png").mkdir()
    with pytest.raises(sources.MissingFilesError, match=r"b\.png \(a directory\)"):
        sources.FilePairs("mine", "test", four, [("a.png", "b.png")])


def test_pair_of_two_sizes_is_refused_with_both(four):
    _picture(four / "b.png", size=(6, 9))
    with pytest.raises(images.ImageError, match=r"a\.png is 6x8 .* and .*b\.png is 6x9"):
        sources.FilePairs("mine", "test", four, [("a.png", "b.png")]).read(0)


def test_truncated_png_is_named(four):
    _picture(four / "a.png", size=(60, 80))
    whole = (four / "a.png").read_bytes()
    (four / "b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(images.ImageError, match=r"b\.png: cannot be decoded"):
        sources.FilePairs("mine", "test", four, [("a.png", "b.png")]).read(0)


@pytest.mark.parametrize("limit", [0, -3])
def test_limit_below_one_is_refused(four, limit):
    with pytest.raises(sources.DataError, match=f"limit is {limit}"):
        sources.FilePairs("mine", "test", four, [("a.png", "b.png")], limit=limit)


def test_colour_folders_of_kitti_2012_stand_in_for_each_other(tmp_path):
    _picture(tmp_path / "s/colored_0/000000_10.png", level=1)
    _picture(tmp_path / "s/colored_1/000000_10.png", level=2)
    pair = ("s/image_2/000000_10.png", "s/image_3/000000_10.png")
    source = sources.FilePairs("mine", "test", tmp_path, [pair])
    assert source.names == ("s/image_2/000000_10.png",)  # the list's name, wherever the file is
    assert [image[0, 0, 0] for image in source.read(0)] == [1, 2]


def test_list_file_round_trip(tmp_path):
    pairs = [("a.png", "b.png"), ("c.png", "d.png")]
    (tmp_path / "list.txt").write_text(sources.list_text(pairs))
    assert sources.read_list(tmp_path / "list.txt") == pairs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.png\nb.png\nc.png\n", "has 3 lines, an even number.*'c.png'"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a.png\n\nb.png\nc.png\n", "line 2 is empty"),
        (b"\xff\xfe\x00", "is not text"),
    ],
)
def test_malformed_list_file(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(sources.DataError, match=message):
        sources.read_list(tmp_path / "list.txt")


def test_list_file_that_is_missing_or_a_folder(tmp_path):
    with pytest.raises(sources.DataError, match="does not exist"):
        sources.read_list(tmp_path / "none.txt")
    with pytest.raises(sources.DataError, match="is a directory"):
        sources.read_list(tmp_path)


def _images(folder, name, files):
    return sources.FileImages(name, "test", folder, [(file,) for file in files])


def test_joined_sources_keep_their_order_and_both_digests(four):
    one, two = _images(four, "one", ["c.png"]), _images(four, "two", ["b.png", "a.png"])
    joined = sources.Joined([one, two])
    assert (joined.name, joined.split, joined.kind, len(joined)) == ("one+two", "test", "images", 3)
    assert joined.names == ("one/c.png", "two/b.png", "two/a.png")
    assert [joined.read(k)[0, 0, 0] for k in range(3)] == [joined.read_x(k)[0, 0, 0] for k in range(3)] == [20, 10, 0]
    assert joined.digest == hashlib.sha256(f"one {one.digest}\ntwo {two.digest}\n".encode()).hexdigest()
    copy = pickle.loads(pickle.dumps(joined))
    assert (copy.names, copy.digest, copy.read(1)[0, 0, 0]) == (joined.names, joined.digest, 10)


def test_joined_sets_read_one_image_of_the_right_set(four):
    one = sources.FileSets("one", "test", four, [("a.png",), ("b.png", "c.png")], ["1", "2"])
    two = sources.FileSets("two", "test", four, [("d.png", "a.png", "b.png")], ["1"])
    joined = sources.Joined([one, two])
    assert [joined.count(k) for k in range(3)] == [1, 2, 3]
    for index in range(3):
        for k in range(joined.count(index)):
            np.testing.assert_array_equal(joined.read_image(index, k), joined.read(index)[k])


def test_joined_sources_of_two_kinds_or_twice_the_same_are_refused(four):
    one = _images(four, "one", ["a.png"])
    pairs = sources.FilePairs("two", "test", four, [("a.png", "b.png")])
    with pytest.raises(sources.DataError, match=r"one\+two: sources of one kind.*one of images, two of pairs"):
        sources.Joined([one, pairs])
    with pytest.raises(sources.DataError, match=r"one\+one names a data set twice"):
        sources.Joined([one, one])


@pytest.mark.parametrize("value", [-1, 6, 2.0, True, "2", None])
def test_what_is_no_whole_number_of_the_range_is_refused(value):
    with pytest.raises(sources.DataError, match=f"size is {value!r}, a whole number of 0 to 5 was expected"):
        sources.check_whole("size", value, 0, 5)
