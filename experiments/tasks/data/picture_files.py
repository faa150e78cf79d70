"""Pictures of a folder, with or without classes, in a training and a test split or in one piece."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from PIL import Image, UnidentifiedImageError

from walras.errors import InputError
from walras.experiments.tasks.data.idx_file import read_idx
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.data.splits import check_share, drawn
from walras.files.contents import brief, read_bytes

LARGEST = 2**28
"""Bytes of a picture's file."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # none that runs another program, as PostScript does
_TRAIN, _TEST = ("train", "training"), ("test", "t10k", "val", "valid", "validation", "dev")
_WHAT = "picture"
LONGEST = 100
"""How many times as long as the shorter side of a picture the longer one may be, which grows with it in a network."""
LEAST = 4
"""Pictures of a folder that is in one piece: two to calibrate on, two to test on."""


@final
@dataclass(frozen=True)
class Wanted:
    """How many pictures, and of a folder in one piece which."""

    train: int | None = None  # the first so many; None: all
    test: int | None = None
    share: float = 0.2  # of a folder in one piece, drawn to test on
    seed: int = 0  # of the draw

    def __post_init__(self) -> None:
        check_share(self.share)


@final
@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures by name; a name is the path of a file, or a file and a number in it.

    Attributes:
        train: to value units on, and with classes those among which neighbours are looked for.
        test: to measure with; empty where the folder is in one piece.
        labelled: whether they have classes.
        given: pictures that are in memory, by name; all others are read from their files when they are wanted.
    """

    train: Sequence[Example]
    test: Sequence[Example]
    labelled: bool
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def in_splits(self, where: str, wanted: Wanted) -> "Pictures":
        """The same in two splits, as many as are wanted of each.

        Raises:
            InputError: too few to make two, or fewer than asked for.
        """
        train, test = self.train, self.test
        if not test:
            if len(train) < LEAST:
                raise InputError(
                    f"{where!r} has {len(train)} pictures; at least {LEAST} are needed: two to calibrate on, two to "
                    "test on"
                )
            rest = drawn([str(example.label) for example in train], wanted.share, wanted.seed)
            test = [example for example, stays in zip(train, rest, strict=True) if not stays]
            train = [example for example, stays in zip(train, rest, strict=True) if stays]
        train, test = _first(train, wanted.train, "train", where), _first(test, wanted.test, "test", where)
        return replace(self, train=train, test=test)

    def opened(self, name: str) -> Any:
        """A picture of Pillow.

        Raises:
            InputError: a file that holds none.
        """
        found = self.given.get(name)
        if found is None:
            return open_picture(name)
        picture = Image.fromarray(found) if isinstance(found, np.ndarray) else found
        check_picture(picture, name)
        return picture


def read_pictures(folder: str, wanted: Wanted) -> Pictures:
    """The pictures of a folder: IDX files as of MNIST, or files of pictures at any depth.

    Folders `train` and `test` (or `val`, ...) hold the two splits; without them some of each class are drawn to test
    on. The folder that a picture lies in below them is its class; where all lie in one folder, they have none. Every
    file is looked into once, so that one that is damaged is told of before any work is done.

    Raises:
        InputError: no folder, none in it, one that does not open, fewer than asked for.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"{folder!r} is no folder; task images needs one with pictures or IDX files")
    idx = [file for file in place.iterdir() if "idx3-ubyte" in file.name.replace(".", "-") and file.is_file()]
    found = (_of_idx(place, idx) if idx else _of_files(place)).in_splits(folder, wanted)
    for example in [] if idx else [*found.train, *found.test]:
        _check(example.first)
    return found


def open_picture(name: str) -> Any:
    """A picture from its file, decoded.

    Raises:
        InputError: it does not open.
    """
    content = read_bytes(name, _WHAT, LARGEST)
    with _decoding(name):
        picture: Any = Image.open(io.BytesIO(content), formats=_FORMATS)
        check_picture(picture, name)
        picture.load()
    return picture


def check_picture(picture: Any, name: str) -> None:
    """Refuse what no network can be given: sides that are too unlike, and colours of which nobody knows the range.

    Raises:
        InputError: as said.
    """
    width, height = picture.size
    if max(width, height) > LONGEST * min(width, height):
        raise InputError(
            f"picture {name!r} is {width:,} x {height:,}; one side may be at most {LONGEST} times as long as the other"
        )
    if picture.mode == "F":
        raise InputError(f"picture {name!r} holds fractions; valid: whole numbers of 8 or 16 bits")


def _check(name: str) -> None:
    """Whether a picture opens, as far as that is known without decoding it."""
    content = read_bytes(name, _WHAT, LARGEST)
    with _decoding(name):
        picture: Any = Image.open(io.BytesIO(content), formats=_FORMATS)
        check_picture(picture, name)
        picture.verify()


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises over a file into one sentence; of what would fill the memory it only warns."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"cannot read picture {name!r}: it is none; valid: {', '.join(_FORMATS)}") from error
    except Exception as error:  # whatever the many decoders raise
        raise InputError(f"cannot read picture {name!r}: {brief(error)}") from error


def _of_idx(place: Path, files: Sequence[Path]) -> Pictures:
    """MNIST's four files, or two without classes."""
    given: dict[str, Any] = {}
    splits: dict[bool, list[Example]] = {}
    classes: dict[bool, bool] = {}
    for file in sorted(files):
        training = file.name.startswith(_TRAIN)
        if not training and not file.name.startswith(_TEST):
            raise InputError(f"the name of {str(file)!r} must begin with train, or with test or t10k")
        images = read_idx(file, 3)
        labels = _labels_beside(file)
        if labels is not None and len(labels) != len(images):
            raise InputError(f"{str(file)!r} has {len(images):,} pictures, and its file of classes {len(labels):,}")
        if min(images.shape) == 0:
            raise InputError(f"{str(file)!r} has no pictures")
        names = [f"{file}[{i}]" for i in range(len(images))]
        given.update(zip(names, images, strict=True))
        marks = [None] * len(names) if labels is None else labels.tolist()
        if training in splits:
            raise InputError(f"{str(place)!r} has two IDX files for one split: {file.name} is one")
        splits[training] = [Example(name, None, mark) for name, mark in zip(names, marks, strict=True)]
        classes[training] = labels is not None
    if True not in splits:
        raise InputError(f"{str(place)!r} has IDX files to test on, and none whose name begins with train")
    return Pictures(splits[True], splits.get(False, []), all(classes.values()), given)


def _labels_beside(file: Path) -> Any:
    """The classes of an IDX file of pictures; None where there are none."""
    plain = file.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    beside = (file.with_name(f"{plain}{end}") for end in ("", ".gz"))
    found = next((path for path in beside if path != file and path.is_file()), None)
    return None if found is None else read_idx(found, 1)


def _of_files(place: Path) -> Pictures:
    """Files below a folder, by their names."""
    files = sorted(f for f in place.rglob("*") if f.suffix.lower() in SUFFIXES and _visible(f, place) and f.is_file())
    if not files:
        raise InputError(f"{str(place)!r} has no pictures: no IDX files, and none that ends with {', '.join(SUFFIXES)}")
    tops = {file.relative_to(place).parts[0].lower() for file in files}
    apart = tops <= {*_TRAIN, *_TEST} and bool(tops & {*_TRAIN}) and bool(tops & {*_TEST})
    parents = [file.parent.relative_to(place).parts[1 if apart else 0 :] for file in files]
    labelled = len(set(parents)) > 1
    classes = {name: number for number, name in enumerate(sorted(set(parents)))}
    splits: dict[bool, list[Example]] = {True: [], False: []}
    for file, parent in zip(files, parents, strict=True):
        training = not apart or file.relative_to(place).parts[0].lower() in _TRAIN
        splits[training].append(Example(str(file), None, classes[parent] if labelled else None))
    return Pictures(splits[True], splits[False], labelled)


def _visible(file: Path, place: Path) -> bool:
    """Whether neither a file nor a folder on the way to it is hidden."""
    return not any(part.startswith(".") for part in file.relative_to(place).parts)


def _first(examples: Sequence[Example], count: int | None, what: str, folder: str) -> Sequence[Example]:
    if count is None:
        return examples
    if not 1 <= count <= len(examples):
        raise InputError(f"{what} is {count}; {folder!r} has {len(examples):,} pictures to {what} on")
    return examples[:count]
