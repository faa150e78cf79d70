"""The figures of the benchmark of pictures and speech: words wrong, tables, and rows that are not measured again."""

import gzip
from pathlib import Path

import pytest

from walras.errors import InputError
from walras.experiments.benchmarks import senses
from walras.experiments.benchmarks.senses import distance, plain, spoken_words, table


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [("a b c", "a b c", 0), ("a b c", "", 3), ("", "a b", 2), ("a b c", "a x c", 1), ("a b c", "b c d", 2)],
)
def test_words_wrong(said: str, heard: str, wrong: int) -> None:
    assert distance(said.split(), heard.split()) == wrong


def test_words_are_compared_without_marks_and_digits_as_words() -> None:
    assert plain("Press 1 now -- don't dial 28.8!") == [
        "press", "one", "now", "don't", "dial", "two", "eight", "eight"
    ]  # fmt: skip


def test_what_is_said(tmp_path: Path) -> None:
    text = "; Sounds\n\nhello: Hello there.\ndigits/1: One\nbeep: [a beep]\n"
    with pytest.raises(InputError, match=r"has no core-sounds-en\.txt\.gz"):
        spoken_words(tmp_path)
    (tmp_path / "doc").mkdir()
    (tmp_path / "doc" / "core-sounds-en.txt.gz").write_bytes(gzip.compress(text.encode()))
    assert spoken_words(tmp_path) == {"hello": "Hello there.", "1": "One"}


def test_a_line_a_recipe_and_budget() -> None:
    rows = [
        {"recipe": recipe, "budget": budget, "draw": draw, "value": value, "macs": budget, "seconds": 1}
        for recipe, budget, draw, value in (("dense", 1.0, 0, 0.9), ("a", 0.5, 0, 0.5), ("a", 0.5, 1, 0.7))
    ]
    found = table(rows)
    assert found[["recipe", "draws", "value", "least", "most"]].to_numpy().tolist() == [
        ["dense", 1, 0.9, 0.9, 0.9], ["a", 2, 0.6, 0.5, 0.7]
    ]  # fmt: skip
    assert set(senses.TASKS) == {"pictures", "speech"}
