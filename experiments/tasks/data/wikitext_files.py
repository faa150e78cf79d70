"""The text of WikiText (Merity et al. 2016), from files or from the Hugging Face hub.

The official archives hold `wikitext-2/wiki.train.tokens`, `wikitext-2-raw/wiki.test.raw` and so on; copies with the
names `train.txt`, `valid.txt`, `test.txt` are as common. The hub (`Salesforce/wikitext`) has the same lines as rows,
with nothing left of blank ones: both ways lead to the same text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import final

from walras.errors import InputError, UnknownNameError
from walras.experiments.tasks.data.hub import hub_split
from walras.files.contents import read_bytes

HUB_NAME = "Salesforce/wikitext"
SPLITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"train": ("train",), "valid": ("valid", "validation"), "test": ("test",)}  # the last is the hub's name
)
LARGEST = 2**31
"""Bytes of a text: four times those of WikiText-103."""
BLANK = " \n"  # a line without text in the official files


@final
@dataclass(frozen=True)
class Corpus:
    """One edition: its folder in the official layout, the suffix of its files, and its configuration on the hub."""

    folder: str
    suffix: str
    hub: str

    def files(self, split: str) -> tuple[str, ...]:
        """Names that a split's file may have."""
        return (f"wiki.{split}{self.suffix}", *(f"{name}.txt" for name in SPLITS[split]))


WIKITEXT: Mapping[str, Corpus] = MappingProxyType(
    {
        "wikitext2": Corpus("wikitext-2", ".tokens", "wikitext-2-v1"),
        "wikitext2-raw": Corpus("wikitext-2-raw", ".raw", "wikitext-2-raw-v1"),
        "wikitext103": Corpus("wikitext-103", ".tokens", "wikitext-103-v1"),
        "wikitext103-raw": Corpus("wikitext-103-raw", ".raw", "wikitext-103-raw-v1"),
    }
)


def read_wikitext(name: str, data: str | Path | None, split: str) -> str:
    """The text of a split, as it stands in the official file.

    Args:
        name: of WIKITEXT.
        data: folder with the edition's folder in it (or that folder itself); None asks the hub.
        split: of SPLITS.

    Raises:
        InputError: files that are missing, empty or not UTF-8.
        UnknownNameError: an unknown edition or split.
    """
    if name not in WIKITEXT:
        raise UnknownNameError("edition of WikiText", name, WIKITEXT)
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    corpus = WIKITEXT[name]
    if data is None:
        rows = hub_split(HUB_NAME, corpus.hub, SPLITS[split][-1], corpus.folder)
        return "".join(str(row["text"]) or BLANK for row in rows)
    path = split_file(corpus, Path(data), split)
    if path is None:
        wanted = ", ".join(corpus.files(split))
        raise InputError(f"{data} holds no {split} split of {corpus.folder}; looked for {wanted}, in it and in "
                         f"{corpus.folder}/")  # fmt: skip
    content = read_bytes(path, "text", LARGEST)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    if "\0" in text:
        raise InputError(f"{path}: a null character at place {text.index(chr(0)) + 1}; this is no text file")
    if not text.strip():
        raise InputError(f"{path} is empty")
    return text


def training_split(name: str, data: str | Path | None) -> str:
    """ "train"; "valid" where a folder holds no training text."""
    found = data is None or split_file(WIKITEXT[name], Path(data), "train") is not None
    return "train" if found else "valid"


def split_file(corpus: Corpus, data: Path, split: str) -> Path | None:
    """The file of a split in the edition's folder below `data`, or in `data` itself; None where there is none.

    Raises:
        InputError: `data` is no folder.
    """
    if not data.is_dir():
        raise InputError(f"{data} is not a folder; expected a folder with {corpus.folder}/{corpus.files(split)[0]}")
    places = [data / corpus.folder, data]
    return next((p / n for p in places for n in corpus.files(split) if (p / n).is_file()), None)
