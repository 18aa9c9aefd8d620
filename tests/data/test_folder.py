"""Folders of pictures: class files, splits, and what is wrong with them, each with its message."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from sweeper.data.folder import FolderSource, folder_from
from sweeper.data.prepare import prepare
from sweeper.data.settings import IGNORE
from sweeper.errors import DataError

from .shelves import BINARY, SPLITS, real, square


def refused(shelf, tmp_path, **changes) -> str:
    with pytest.raises(DataError) as error:
        prepare(shelf.settings(**changes), tmp_path / "cache")
    return str(error.value)


# Classes


def test_json_yaml_and_inline_say_the_same(shelf):
    path = shelf.root / "classes.yaml"
    path.write_text(yaml.safe_dump({"classes": BINARY}))
    sources = [
        FolderSource.of(shelf.settings(classes=classes))
        for classes in (str(shelf.root / "classes.json"), str(path), tuple(BINARY))
    ]
    assert sources[0].classes == sources[1].classes == sources[2].classes
    assert [(item.index, item.name, item.color) for item in sources[0].classes] == [
        (0, "background", "#000000"),
        (1, "crack", "#ff0000"),
    ]


def test_classes_are_kept_in_the_order_of_their_index(make_shelf):
    shelf = make_shelf(classes=BINARY[::-1])
    assert [item.name for item in FolderSource.of(shelf.settings()).classes] == ["background", "crack"]


def test_without_index_the_order_counts_and_the_color_is_the_class(make_shelf):
    shelf = make_shelf(classes=[{"title": "Land", "color": "#000000"}, {"title": "Water", "color": "#010101"}])
    source = FolderSource.of(shelf.settings())
    assert [(item.index, item.name) for item in source.classes] == [(0, "Land"), (1, "Water")]
    assert source.table.mask_format == "rgb"
    assert np.array_equal(source.read("a").mask, square())


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "lists no classes"),
        ("crack", "lists no classes"),
        (["crack"], "class number 0 is 'crack'"),
        ([{"index": 0, "color": "#000000"}], "class number 0 has no name"),
        ([{"index": 0, "nmae": "a"}, {"index": 1, "name": "b"}], "did you mean 'nmae'"),
        ([{"index": 0, "name": "a"}, {"name": "b"}], "has no index while others have"),
        ([{"index": 0, "name": "a"}, {"index": 255, "name": "b"}], r"they must be 0 to 1.*data\.remap"),
        ([{"index": 0, "name": "a"}, {"index": 0, "name": "b"}], "they must be 0 to 1"),
        ([{"index": "0", "name": "a"}], "index '0'; it must be a whole number"),
        ([{"index": 0, "name": "a"}, {"index": 1, "name": "a"}], "two classes are called 'a'"),
        ([{"index": 0, "name": "a", "color": "red"}], "'red' is no color"),
    ],
)
def test_class_files_that_cannot_be_used(make_shelf, tmp_path, classes, message):
    with pytest.raises(DataError, match=message):
        FolderSource.of(make_shelf(classes=classes).settings())


def test_class_file_that_is_missing_or_broken(shelf):
    with pytest.raises(DataError, match=r"nowhere\.json: there is no such class file"):
        FolderSource.of(shelf.settings(classes=str(shelf.root / "nowhere.json")))
    path = shelf.root / "classes.json"
    path.write_text('{"classes": [\n{"index": 0,}]}')
    with pytest.raises(DataError, match=r"classes\.json:2: the class file cannot be used: not valid JSON"):
        FolderSource.of(shelf.settings())
    path = shelf.root / "classes.yaml"
    path.write_text("classes:\n  - {index: 0\n")
    with pytest.raises(DataError, match=r"classes\.yaml:\d+: the class file cannot be used: .*mend the YAML syntax"):
        FolderSource.of(shelf.settings(classes=str(path)))


def test_color_coded_classes_need_colors_that_differ(make_shelf):
    shelf = make_shelf(classes=[{"index": 0, "name": "a"}, {"index": 1, "name": "b", "color": "#000000"}])
    with pytest.raises(DataError, match="class 'a' has no color"):
        FolderSource.of(shelf.settings(mask_format="rgb"))
    same = tuple({"index": n, "name": str(n), "color": "#AABBCC"} for n in range(2))
    with pytest.raises(DataError, match="#AABBCC is class '0' and also class '1'"):
        FolderSource.of(shelf.settings(classes=same, mask_format="rgb"))


# Values no class declares


def test_ignore_and_remap(make_shelf):
    shelf = make_shelf()
    mask = square()
    mask[40:, :] = 255
    mask[:, 60:] = 7
    mask[20:22, 30:33] = 9
    Image.fromarray(mask).save(shelf.mask("a.png"))
    wanted = mask.copy()
    wanted[mask == 7] = IGNORE
    wanted[mask == 9] = 1
    source = FolderSource.of(shelf.settings(ignore=(255,), remap={7: "ignore", "9": "crack"}))
    assert np.array_equal(source.read("a").mask, wanted)
    classes = shelf.write(
        "classes.json",
        {
            "classes": BINARY,
            "ignore": [{"index": 255, "name": "border"}, {"index": 7, "name": "void", "color": "#000000"}],
        },
    )
    source = FolderSource.of(shelf.settings(classes=str(classes), remap={9: 1}))
    assert np.array_equal(source.read("a").mask, wanted)


def test_undeclared_values_are_named_with_file_and_count(shelf, tmp_path):
    for stem, value in (("a", 7), ("c", 7), ("d", 9)):
        Image.fromarray(square(0, value)).save(shelf.mask(f"{stem}.png"))
    message = refused(shelf, tmp_path)
    assert "7: 200 pixels in 2 masks" in message
    assert "9: 100 pixels in 1 mask" in message
    for stem, value in (("a", 7), ("c", 7), ("d", 9)):
        assert f"masks/{stem}.png: undeclared {value} (100 pixels)" in message
    assert "masks/b.png" not in message
    assert "data.remap: {7: <class name or ignore>}" in message


def test_0_255_masks_get_the_usual_hint(shelf, tmp_path):
    for stem in "abcd":
        Image.fromarray(square(0, 255)).save(shelf.mask(f"{stem}.png"))
    assert "`data.remap: {255: <class name>}`" in refused(shelf, tmp_path)
    prepared = prepare(shelf.settings(remap={255: "crack"}), tmp_path / "cache")
    assert prepared.splits["train"].counts.sum(axis=0).tolist() == [2 * (48 * 64 - 100), 200]


def test_16_bit_values_beyond_the_classes_are_named(shelf, tmp_path):
    Image.fromarray(square().astype(np.uint16) * 300).save(shelf.mask("a.png"))
    assert "300: 100 pixels in 1 mask" in refused(shelf, tmp_path)
    shelf.mask("a.png").unlink()
    Image.fromarray(square().astype(np.int32) * -70_000).save(shelf.mask("a.tif"))
    assert "-70000: 100 pixels in 1 mask" in refused(shelf, tmp_path)


def test_blurred_masks_are_not_listed_color_by_color(make_shelf, tmp_path):
    shelf = make_shelf()
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(shelf.mask("a.png"))
    message = refused(shelf, tmp_path, mask_format="rgb")
    assert "further colors" in message
    assert "nearest-neighbour" in message
    assert len(message) < 6000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ignore": (1,)}, "1 is class 'crack' and also an ignored value"),
        ({"remap": {1: "background"}}, "1 is class 'crack' and also a remapped value"),
        ({"remap": {7: "crak"}}, r"data\.remap\[7\] is 'crak', which is no class; did you mean 'crack'"),
        ({"remap": {7: 4}}, r"data\.remap\[7\] is 4, but class indices run from 0 to 1"),
        ({"ignore": ("#ffffff",)}, "with mask_format index it is a whole number"),
        ({"ignore": (255,), "mask_format": "rgb"}, "255 is no color"),
    ],
)
def test_mappings_that_make_no_sense(shelf, changes, message):
    with pytest.raises(DataError, match=message):
        FolderSource.of(shelf.settings(**changes))


# Pairs


def test_everything_wrong_is_in_one_message(shelf, tmp_path):
    shelf.mask("a.png").unlink()
    shelf.image("b.png").unlink()
    Image.fromarray(square()[:, :60]).save(shelf.mask("c.png"))
    shelf.image("d.png").write_bytes(shelf.image("d.png").read_bytes()[:1000])
    Image.fromarray(square(0, 3)).save(shelf.mask("d.png"))
    message = refused(shelf, tmp_path)
    assert "images/a.png: has no mask; add masks/a.png" in message
    assert "masks/b.png: has no image; add images/b.png" in message
    assert "masks/c.png: is 60 x 48 pixels, but its image c.png is 64 x 48" in message
    assert "images/d.png: cannot be read" in message
    assert "masks/d.png: undeclared 3 (100 pixels)" in message
    assert not any((tmp_path / "cache").glob("*/meta.json"))


def test_a_mask_lying_on_its_side(shelf, tmp_path):
    Image.fromarray(square().T.copy()).save(shelf.mask("c.png"))
    assert "is 48 x 64 pixels, but its image c.png is 64 x 48 (one of them lies on its side)" in refused(
        shelf, tmp_path
    )


def test_a_jpeg_is_no_mask(shelf, tmp_path):
    Image.open(shelf.mask("a.png")).save(shelf.mask("a.jpg"))
    shelf.mask("a.png").unlink()
    assert "add masks/a.png (a.jpg there is no lossless picture this reads)" in refused(shelf, tmp_path)


def test_two_images_of_one_stem(shelf, tmp_path):
    shutil.copy(shelf.image("a.png"), shelf.image("a.tif"))
    assert "images/a.tif: has the same stem as a.png" in refused(shelf, tmp_path)


def test_folders_that_are_missing_empty_or_unlike(make_shelf, tmp_path):
    shelf = make_shelf()
    assert "data.images: there is no folder" in refused(shelf, tmp_path, images=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "empty holds no masks (0 files" in refused(shelf, tmp_path, masks=str(tmp_path / "empty"))
    for stem in "abcd":
        shelf.mask(f"{stem}.png").rename(shelf.mask(f"{stem}_mask.png"))
    splits = {"train": ["a"], "val": ["b"], "test": ["c"]}
    message = refused(shelf, tmp_path, splits=splits)
    assert "no image has a mask of the same stem (images like a.png, masks like a_mask.png)" in message


def test_hidden_and_other_files_are_left_alone(shelf):
    shelf.image(".DS_Store").write_text("x")
    shelf.image("notes.txt").write_text("x")
    shelf.mask("._a.png").write_text("x")
    assert sorted(FolderSource.of(shelf.settings()).pairs) == list("abcd")


def test_one_class_data(shelf, tmp_path):
    for stem in "abcd":
        Image.fromarray(square(0, 0)).save(shelf.mask(f"{stem}.png"))
    assert "one-class data: every valid training pixel is 'background' and no split shows any other" in refused(
        shelf, tmp_path
    )


def test_one_class_in_training_only(shelf, tmp_path):
    for stem in "ab":
        Image.fromarray(square(0, 0)).save(shelf.mask(f"{stem}.png"))
    assert "only val and test shows others" in refused(shelf, tmp_path)


def test_a_split_that_is_all_ignored(shelf, tmp_path):
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(shelf.mask("c.png"))
    assert "val: every pixel of its 1 pictures is ignored" in refused(shelf, tmp_path, ignore=(255,))


# Splits


def test_splits_from_json_yaml_and_inline(shelf):
    path = shelf.root / "splits.yaml"
    path.write_text(yaml.safe_dump(SPLITS))
    for splits in (str(shelf.root / "splits.json"), str(path), SPLITS):
        assert FolderSource.of(shelf.settings(splits=splits)).splits == {
            "train": ("a", "b"),
            "val": ("c",),
            "test": ("d",),
        }


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": ["a"], "val": ["b"], "test": ["x"]}, "test: 'x' has no picture"),
        ({"train": ["a.png"], "val": ["b"], "test": ["c"]}, "write the name without its ending, 'a'"),
        ({"train": ["a", "b"], "val": ["b"], "test": ["c"]}, "val: 'b' is listed in train as well"),
        ({"train": ["a", "a"], "val": ["b"], "test": ["c"]}, "train: 'a' is listed twice"),
        ({"train": ["a"], "val": [], "test": ["c"]}, "val holds no picture"),
        ({"train": ["a"], "test": ["c"]}, "val holds no picture"),
        ({"train": [1], "val": ["b"], "test": ["c"]}, "train: 1 is not a name; put it in quotes"),
        ({"train": ["a"], "valid": ["b"], "test": ["c"]}, "no split 'valid'; did you mean 'val'"),
        ({"val": 0.0, "test": 0.2}, "val is 0.0; it must be a share between 0 and 1"),
        ({"val": 0.6, "test": 0.5}, "leave nothing to train on"),
        ({"train": 0.5, "val": 0.2}, "it is what val and test leave"),
        ({"seed": "x"}, "seed is 'x'"),
    ],
)
def test_splits_that_cannot_be_used(shelf, splits, message):
    with pytest.raises(DataError, match=message):
        FolderSource.of(shelf.settings(splits=splits))


def test_all_problems_of_a_split_file_at_once(shelf):
    with pytest.raises(DataError) as error:
        FolderSource.of(shelf.settings(splits={"train": ["x", "a"], "val": ["a"], "test": []}))
    assert len(str(error.value).splitlines()) == 3


def test_pictures_in_no_split_are_reported_once(shelf, tmp_path, caplog):
    splits = {"train": ["a"], "val": ["c"], "test": ["d"]}
    for _ in range(2):
        prepare(shelf.settings(splits=splits), tmp_path)
    assert [record.getMessage() for record in caplog.records] == ["1 pictures are in no split and are not used: b"]


def test_hashed_splits_follow_their_shares_and_their_seed(make_shelf):
    from sweeper.data.splits import assign_splits

    stems = [f"picture-{n}" for n in range(4000)]
    splits, unused = assign_splits({"val": 0.1, "test": 0.3, "seed": 3}, stems)
    assert not unused
    assert len(splits["val"]) / 4000 == pytest.approx(0.1, abs=0.02)
    assert len(splits["test"]) / 4000 == pytest.approx(0.3, abs=0.03)
    assert splits != assign_splits({"val": 0.1, "test": 0.3, "seed": 4}, stems)[0]
    fewer = assign_splits({"val": 0.1, "test": 0.3, "seed": 3}, stems[::2])[0]
    assert all(set(fewer[name]) <= set(splits[name]) for name in splits)  # who stays, stays where it was


def test_an_empty_hashed_split_names_a_seed_that_works(make_shelf):
    shelf = make_shelf(stems="abcde")
    spec = next(
        {"val": 0.2, "test": 0.2, "seed": seed}
        for seed in range(50)
        if _empty(shelf.settings(splits={"val": 0.2, "test": 0.2, "seed": seed}))
    )
    with pytest.raises(DataError, match="none falls into") as error:
        FolderSource.of(shelf.settings(splits=spec))
    fix = str(error.value).split("`")[1].removeprefix("splits: ")
    assert not _empty(shelf.settings(splits=yaml.safe_load(fix)))


def _empty(settings) -> bool:
    try:
        FolderSource.of(settings)
    except DataError:
        return True
    return False


# --data DIR


def test_folder_from(shelf, tmp_path):
    found = folder_from(shelf.root)
    assert found.splits is not None
    assert prepare(found, tmp_path / "cache").name == "toy"
    (shelf.root / "splits.json").unlink()
    (shelf.root / "classes.json").rename(shelf.root / "classes.yaml")  # JSON is YAML
    assert folder_from(shelf.root).splits is None
    assert folder_from(shelf.root).classes.endswith("classes.yaml")


def test_folder_from_says_what_is_missing(shelf, tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        folder_from(tmp_path / "nowhere")
    shutil.rmtree(shelf.root / "masks")
    (shelf.root / "classes.json").unlink()
    with pytest.raises(DataError, match=r"lacks masks/, classes\.json"):
        folder_from(shelf.root)


def test_folder_from_does_not_choose_between_two_class_files(shelf):
    shelf.write("classes.yaml", {"classes": BINARY})
    with pytest.raises(DataError, match=r"both classes\.json and classes\.yaml"):
        folder_from(shelf.root)


# Real data


def test_dubai_with_the_class_file_as_published(tmp_path):
    """Its colors are not those of the masks; only Unlabeled agrees."""
    folder = real("dubai_aerial")
    splits = json.loads((folder / "splits.json").read_text())
    few = {"train": ["tile2_part003"], "val": ["tile1_part001"], "test": ["tile4_part002"]}
    assert all(few[name][0] in splits[name] for name in few)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        for stem in (stems[0] for stems in few.values()):
            (path,) = (folder / part).glob(f"{stem}.*")
            (tmp_path / part / path.name).symlink_to(path.resolve())
    settings = folder_from(_dressed(tmp_path, folder / "classes_as_published.json", few))
    with pytest.raises(DataError) as error:
        prepare(settings, tmp_path / "cache")
    message = str(error.value)
    for color in ("#E2A929", "#8429F6"):  # Water and Land as they are in the masks
        assert f"{color}: " in message
    assert "#9B9B9B" not in message
    for stems in few.values():
        assert f"masks/{stems[0]}.png: undeclared" in message
    _dressed(tmp_path, folder / "classes.json", few)
    assert len(prepare(settings, tmp_path / "cache").classes) == 6


def _dressed(root, classes, splits):
    shutil.copy(classes, root / "classes.json")
    (root / "splits.json").write_text(json.dumps(splits))
    return root


def test_camvid_fractions_match_those_published_with_it(tmp_path):
    prepared = prepare(folder_from(real("camvid")), tmp_path, workers=1)
    counts = prepared.splits["val"].counts.sum(axis=0)
    ignored = 34 * 480 * 360 - counts.sum()
    shares = 100 * counts / (34 * 480 * 360)
    assert shares[10] == pytest.approx(2.195, abs=5e-4)  # Bicyclist
    assert shares[3] == pytest.approx(28.949, abs=5e-4)  # Road
    assert 100 * ignored / (34 * 480 * 360) == pytest.approx(1.638, abs=5e-4)
