"""Folders of pictures: classes, splits, names, and what does not open."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from walras.errors import InputError
from walras.experiments.tasks.data.picture_files import Pictures, Wanted, read_pictures


def save(*places: Path, value: int = 0) -> None:
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((3, 5), value, dtype=np.uint8)).save(place)


def names(examples: Any, folder: Path) -> list[str]:
    return [str(Path(example.first).relative_to(folder)) for example in examples]


def test_two_splits_with_classes(tmp_path: Path) -> None:
    """The folder below the split is the class; other files, hidden ones and hidden folders do not count."""
    files = ["train/a/1.png", "train/a/deep/2.PNG", "train/b/3.jpg", "val/b/4.png", ".old/b/5.png", "train/b/.6.png"]
    save(*(tmp_path / file for file in files))
    (tmp_path / "train/b/list.csv").write_text("x", encoding="utf-8")
    found = read_pictures(str(tmp_path), Wanted())
    assert names(found.train, tmp_path) == ["train/a/1.png", "train/a/deep/2.PNG", "train/b/3.jpg"]
    assert names(found.test, tmp_path) == ["val/b/4.png"]
    assert found.labelled
    by_name = {e.first: e.label for e in (*found.train, *found.test)}
    assert by_name[str(tmp_path / "train/b/3.jpg")] == by_name[str(tmp_path / "val/b/4.png")]
    assert len(set(by_name.values())) == 3  # a, a/deep and b


def test_one_piece_is_parted_by_class(tmp_path: Path) -> None:
    save(*(tmp_path / kind / f"{i}.png" for kind in "ab" for i in range(10)))
    found = read_pictures(str(tmp_path), Wanted(share=0.3))
    assert (len(found.train), len(found.test)) == (14, 6)
    assert sorted(str(e.label) for e in found.test) == ["0"] * 3 + ["1"] * 3
    assert not {e.first for e in found.train} & {e.first for e in found.test}
    again, other = (read_pictures(str(tmp_path), Wanted(share=0.3, seed=seed)) for seed in (0, 1))
    assert found.test == again.test != other.test
    few = read_pictures(str(tmp_path), Wanted(train=3, test=2, share=0.3))
    assert (few.train, few.test) == (found.train[:3], found.test[:2])


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    save(*(tmp_path / f"{i}.png" for i in range(10)))
    found = read_pictures(str(tmp_path), Wanted())
    assert (len(found.train), len(found.test), found.labelled) == (8, 2, False)
    assert found.opened(found.train[0].first).size == (5, 3)


def _idx(place: Path, name: str, array: Any, packed: bool = False) -> None:
    content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    (place / name).write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(packed: bool, tmp_path: Path) -> None:
    end = ".gz" if packed else ""
    pixels = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    _idx(tmp_path, f"train-images-idx3-ubyte{end}", pixels[:4], packed)
    _idx(tmp_path, f"train-labels-idx1-ubyte{end}", np.array([7, 1, 7, 0], dtype=np.uint8), packed)
    _idx(tmp_path, f"t10k-images-idx3-ubyte{end}", pixels[4:], packed)
    _idx(tmp_path, f"t10k-labels-idx1-ubyte{end}", np.array([1, 7], dtype=np.uint8), packed)
    found = read_pictures(str(tmp_path), Wanted(train=3))
    assert [e.label for e in found.train] == [7, 1, 7]
    assert [e.label for e in found.test] == [1, 7]
    assert found.labelled
    assert np.asarray(found.opened(found.test[1].first)).tolist() == pixels[5].tolist()
    _idx(tmp_path, f"t10k-labels-idx1-ubyte{end}", np.array([1], dtype=np.uint8), packed)
    with pytest.raises(InputError, match="has 2 pictures, and its file of classes 1"):
        read_pictures(str(tmp_path), Wanted())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(train=9), r"train is 9; .* has 8 pictures to train on"),
        (Wanted(test=3), r"test is 3; .* has 2 pictures to test on"),
        (Wanted(test=0), r"test is 0"),
    ],
)
def test_more_than_there_are(wanted: Wanted, message: str, tmp_path: Path) -> None:
    save(*(tmp_path / f"{i}.png" for i in range(10)))
    with pytest.raises(InputError, match=message):
        read_pictures(str(tmp_path), wanted)


def test_faulty_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder; task images needs one with pictures"):
        read_pictures(str(tmp_path / "none"), Wanted())
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"has no pictures: no IDX files, and none that ends with \.png, "):
        read_pictures(str(tmp_path), Wanted())
    save(*(tmp_path / f"{i}.png" for i in range(3)))
    with pytest.raises(InputError, match="has 3 pictures; at least 4 are needed"):
        read_pictures(str(tmp_path), Wanted())
    with pytest.raises(InputError, match=r"share is 1; it must be"):
        Wanted(share=1.0)
    _idx(tmp_path, "images-idx3-ubyte", np.zeros((1, 2, 2), dtype=np.uint8))
    with pytest.raises(InputError, match="must begin with train, or with test or t10k"):
        read_pictures(str(tmp_path), Wanted())
    (tmp_path / "images-idx3-ubyte").rename(tmp_path / "t10k-images-idx3-ubyte")
    with pytest.raises(InputError, match="none whose name begins with train"):
        read_pictures(str(tmp_path), Wanted())


@pytest.mark.parametrize("fault", ["text", "cut short", "another format", "empty"])
def test_a_picture_that_does_not_open_is_named(fault: str, tmp_path: Path) -> None:
    save(*(tmp_path / f"{i}.png" for i in range(6)))
    bad = tmp_path / "3.png"
    whole = bad.read_bytes()
    content = {"text": b"hello", "cut short": whole[:40], "another format": b"%!PS-Adobe-3.0\n", "empty": b""}
    bad.write_bytes(content[fault])
    with pytest.raises(InputError, match=r"cannot read picture '.*3\.png'"):
        read_pictures(str(tmp_path), Wanted())


def test_a_picture_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(*(tmp_path / f"{i}.png" for i in range(6)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match=r"cannot read picture .*exceeds limit of 10 pixels"):
        read_pictures(str(tmp_path), Wanted())


def test_a_picture_that_no_network_can_be_given(tmp_path: Path) -> None:
    """A line a pixel wide, which would be resized to gigabytes, and colours of which nobody knows the range."""
    for place in range(4):
        Image.new("L", (4, 4)).save(tmp_path / f"{place}.png")
    faulty = tmp_path / "x.tif"
    for picture, message in (
        (Image.new("L", (1, 5000)), r"x\.tif' is 1 x 5,000; one side may be at most 100 times as long as the other"),
        (Image.new("F", (4, 4)), r"x\.tif' holds fractions; valid: whole numbers of 8 or 16 bits"),
    ):
        picture.save(faulty)
        with pytest.raises(InputError, match=message):
            read_pictures(str(tmp_path), Wanted())
        given = Pictures([], [], False, {"data[0]": picture})
        with pytest.raises(InputError, match=message.partition("' ")[2]):
            given.opened("data[0]")
