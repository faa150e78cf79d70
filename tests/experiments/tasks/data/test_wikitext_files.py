"""Where WikiText's text is found, and that files and hub give the same."""

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from walras.errors import InputError, UnknownNameError
from walras.experiments.tasks.data.wikitext_files import WIKITEXT, read_wikitext, training_split

TEXT = " \n = Title = \n \n Some words , né @-@ <unk> . \n"
ROWS = ["", " = Title = \n", "", " Some words , né @-@ <unk> . \n"]


def write(path: Path, content: str | bytes = TEXT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("wikitext2", "wikitext-2/wiki.test.tokens"),
        ("wikitext2", "wikitext-2/test.txt"),
        ("wikitext2-raw", "wikitext-2-raw/wiki.test.raw"),
        ("wikitext103", "wikitext-103/wiki.test.tokens"),
        ("wikitext103-raw", "wikitext-103-raw/wiki.test.raw"),
    ],
)
def test_official_files_and_their_copies(tmp_path: Path, name: str, file: str) -> None:
    place = write(tmp_path / file).parent
    assert read_wikitext(name, tmp_path, "test") == TEXT
    assert read_wikitext(name, place, "test") == TEXT
    assert training_split(name, tmp_path) == "valid"
    write(place / file.rpartition("/")[2].replace("test", "train"))
    assert training_split(name, tmp_path) == "train"


def test_editions_are_not_mistaken(tmp_path: Path) -> None:
    write(tmp_path / "wikitext-2-raw" / "wiki.test.raw")
    write(tmp_path / "wikitext-2" / "wiki.test.raw")
    looked = r"holds no test split of wikitext-2; looked for wiki\.test\.tokens, test\.txt, in it and in wikitext-2/"
    with pytest.raises(InputError, match=looked):
        read_wikitext("wikitext2", tmp_path, "test")


@pytest.mark.parametrize(
    ("content", "message"), [(b" \n\n", r"test\.txt is empty"), (b"ab\xff", r"not UTF-8 \(byte 2\)")]
)
def test_bad_files(tmp_path: Path, content: bytes, message: str) -> None:
    write(tmp_path / "test.txt", content)
    with pytest.raises(InputError, match=message):
        read_wikitext("wikitext2", tmp_path, "test")


def test_no_folder_and_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no is not a folder; expected a folder with wikitext-2/wiki\.test\.tokens"):
        read_wikitext("wikitext2", tmp_path / "no", "test")
    with pytest.raises(UnknownNameError, match=r"unknown edition of WikiText 'wikitext3'\. Did you mean 'wikitext"):
        read_wikitext("wikitext3", tmp_path, "test")
    with pytest.raises(UnknownNameError, match=r"unknown split 'dev'"):
        read_wikitext("wikitext2", tmp_path, "dev")


@pytest.mark.parametrize(("split", "asked"), [("train", "train"), ("valid", "validation"), ("test", "test")])
def test_the_hub_gives_the_text_of_the_file(monkeypatch: pytest.MonkeyPatch, split: str, asked: str) -> None:
    calls = []

    def load_dataset(path: str, config: str, split: str) -> list[dict[str, str]]:
        calls.append((path, config, split))
        return [{"text": row} for row in ROWS]

    module = ModuleType("datasets")
    monkeypatch.setattr(module, "load_dataset", load_dataset, raising=False)
    module.__spec__ = ModuleSpec("datasets", None)
    monkeypatch.setitem(sys.modules, "datasets", module)
    for name, corpus in WIKITEXT.items():
        assert read_wikitext(name, None, split) == TEXT
        assert calls[-1] == ("Salesforce/wikitext", corpus.hub, asked)
        assert training_split(name, None) == "train"


def test_without_datasets_the_error_has_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install '.\[hub\]'.*, or give the folder .* wikitext-103/ with"):
        read_wikitext("wikitext103", None, "test")


@pytest.mark.skipif("WALRAS_DATA" not in os.environ, reason="WALRAS_DATA (folder with real data) is not set")
@pytest.mark.parametrize("name", ["wikitext2", "wikitext2-raw", "wikitext103"])
def test_real_files(name: str) -> None:
    """245,569 and 217,646 are the published numbers of words, <eos> among them."""
    data = Path(os.environ["WALRAS_DATA"])
    for split, words in (("valid", 217_646), ("test", 245_569)):
        text = read_wikitext(name, data, split)
        assert len(text.split()) + text.count("\n") == words
