"""The user's own tables as tasks: what labels are taken for, splits, and files in every state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from transformers import BertConfig, BertForSequenceClassification

import walras
from walras.errors import InputError, UnknownNameError
from walras.experiments.tasks import TASKS, labelled_table
from walras.experiments.tasks.classification import Classification
from walras.experiments.tasks.labelled_table import csv
from walras.experiments.tasks.regression import Regression
from walras.experiments.tasks.similarity import Similarity

Walras = Callable[..., Any]
WORDS = ["good", "bad"]


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """Writes a table of texts and labels, and tells its file."""

    def write(labels: list[Any], name: str = "own.csv", **columns: list[Any]) -> str:
        rows = pd.DataFrame(
            {"a": [f"the cat, {'sat' * (1 + i % 3)}" for i in range(len(labels))],
             "b": [f"a dog ran {i}" for i in range(len(labels))], "y": labels, **columns}
        )  # fmt: skip
        place = tmp_path / name
        rows.to_csv(place, index=False, sep="\t" if name.endswith("tsv") else ",")
        return str(place)

    return write


def test_words_are_classes(table: Callable[..., str]) -> None:
    task = csv(table(WORDS * 10), ("a",), "y")
    assert isinstance(task, Classification)
    assert task.classes == ["bad", "good"]
    assert (len(task.train), len(task.dev)) == (16, 4)
    assert (task.metric, task.others) == ("accuracy", ("f1", "matthews"))
    assert task.train[0].first.startswith("the cat, sat")
    assert task.train[0].second is None


@pytest.mark.parametrize(
    ("labels", "text", "kind", "made"),
    [
        ([0, 1, 2] * 4, ("a",), "", Classification), ([0.5, 1, 2] * 4, ("a",), "", Regression),
        ([0.5, 1, 2] * 4, ("a", "b"), "", Similarity), ([0.5, 1, 2] * 4, ("a", "b"), "numbers", Regression),
        ([0, 1, 2] * 4, ("a",), "numbers", Regression), ([0, 1, 2] * 4, ("a", "b"), "similarity", Similarity),
        (list(range(30)), ("a",), "", Regression), ([0.5, 1.5] * 6, ("a",), "classes", Classification),
    ],
)  # fmt: skip
def test_what_labels_are_taken_for(
    table: Callable[..., str], labels: list[Any], text: tuple[str, ...], kind: str, made: type
) -> None:
    assert type(csv(table(labels), text, "y", kind)) is made


def test_whole_numbers_are_in_order_and_scores_are_scaled(table: Callable[..., str]) -> None:
    task = csv(table([10, 2, -1] * 5), ("a",), "y")
    assert isinstance(task, Classification)
    assert task.classes == ["-1", "2", "10"]
    scores = csv(table([-1.5, 0.5, 2.5] * 5), ("a", "b"), "y")
    assert isinstance(scores, Similarity)
    assert sorted({e.label or 0 for e in (*scores.train, *scores.dev)}) == [0, 2.5, 5]
    numbers = csv(table([-1.5, 0.5, 2.5] * 5), ("a",), "y")
    assert sorted({e.label or 0 for e in numbers.pool()}) == [-1.5, 0.5, 2.5]


def test_splits(table: Callable[..., str]) -> None:
    file = table(WORDS * 10, where=["train"] * 12 + ["Test"] * 8)
    own = csv(file, ("a", "b"), "y", split="where")
    assert isinstance(own, Classification)
    assert [e.second for e in own.dev] == [f"a dog ran {i}" for i in range(12, 20)]
    drawn, again, other = (csv(file, ("b",), "y", share=0.5, seed=seed) for seed in (0, 0, 1))
    assert isinstance(drawn, Classification)
    assert (len(drawn.train), drawn) == (10, again)
    assert sorted(e.label or 0 for e in drawn.dev) == [0] * 5 + [1] * 5  # of each label its share
    assert drawn != other
    assert not {e.first for e in drawn.train} & {e.first for e in drawn.dev}


@pytest.mark.parametrize(
    "content",
    [
        "a;y\r\nthe cat;good\r\na dog;bad\r\na man;good\r\na mat;bad\r\n", "\ufeffa,y\nx,good\ny,bad\nz,good\nw,bad\n",
        'y,a\ngood,"the cat, it ""sat""\non a mat"\nbad,x\ngood,z\nbad,w', "a\ty\nx\tgood\ny\tbad\nz\tgood\nw\tbad\n",
    ],
)  # fmt: skip
def test_tables_as_programs_write_them(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_bytes(content.encode())
    task = csv(str(tmp_path / "t.csv"), ("a",), "y", seed=1)
    assert isinstance(task, Classification)
    assert {len(task.train), len(task.dev)} == {2}
    if '"' in content:
        assert 'the cat, it "sat"\non a mat' in {e.first for e in (*task.train, *task.dev)}


def test_rows_with_empty_cells_do_not_count(table: Callable[..., str]) -> None:
    task = csv(table([*WORDS * 4, "", " "]), ("a",), "y")
    assert isinstance(task, Classification)
    assert len(task.train) + len(task.dev) == 8
    assert task.classes == ["bad", "good"]


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("", {}, "is empty; its first row"), ("a,y\n", {}, "has 0 rows with a, y; it needs at least 4"),
        ("a,y\nx,1\ny,2\nz,1\n", {}, "has 3 rows with a, y"),
        ("a,y\nx,\ny,2\nz,1\nw,1\n", {}, r"has 3 rows with a, y \(1 others have an empty cell\)"),
        ("a,y\n" + "x,1\n" * 6, {}, "all labels in column y of .* are '1'"),
        ("a,a,y\n" + "x,y,1\n" * 6, {}, "has 2 columns 'a'; rename all but one"),
        ("a,y\nx,1\ny,2,3\nz,1\nw,1\n", {}, "line 3: 3 cells, and the first row names 2 columns"),
        ("a,b,y\nx,1,1\ny\nz,1,1\nw,1,1\n", {}, "line 3: 1 cells, and the first row names 3 columns"),
        ('a,y\n"x,1\ny,2\nz,1\nw,1\n', {}, "unexpected end of data"),
        ("a,y\nx,1\ny,2\nz,1\nw,one\n", {"kind": "numbers"}, "'one' in row 4 .*it is no number"),
        ("a,y\nx,1\ny,2\nz,nan\nw,2\n", {"kind": "numbers"}, "'nan' in row 3"),
        ("a,y\nx,1\ny,2\nz,1\nw,2\n", {"kind": "similarity"}, "which is of pairs"),
        ("a,s,y\n" + "x,u,1\nx,u,2\n" * 3, {"split": "s"}, "column s of .* says 'u'; it must say train, or"),
        ('a,y\n"' + "x" * 200_000 + "\n", {}, r"field larger than field limit \(131072\)"),
        ("a,y,s\nx,1,dev\ny,2,train\nz,1,dev\nw,2,dev\n", {"split": "s"}, "leaves 1 rows to calibrate and 3"),
        ("a,y\nx,1\ny,2\nz,1\nw,2\n", {"share": 1.0}, "share is 1"), ("a,y\nx,1\n", {"rows": 2}, "rows is 2"),
        ("a,y\nx,p\ny,q\nz,p\nw,q\n", {"classes": ("p", "r")}, "has 'q'; classes are p, r"),
        ("a,y,s\nx,1,train\ny,2,train\nz,1,dev\nw,1,dev\n", {"split": "s"}, "rows of .* that evaluate are alike"),
        ("a,y\nx,0.5\ny,2\nz,1\nw,2\n", {"classes": ("1", "2")}, "holds numbers; say kind=classes"),
    ],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path: Path, content: str, more: dict[str, Any], message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        csv(str(tmp_path / "t.csv"), ("a",), "y", **more)


def test_columns_and_files_that_are_not_there(table: Callable[..., str], tmp_path: Path) -> None:
    file = table(WORDS * 4)
    with pytest.raises(UnknownNameError, match=r"unknown column of table .* 'txt'.*Known: a, b, y"):
        csv(file, ("txt",), "y")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"text": ()}, "names of one or two columns"), ({"text": ("a", "b", "y")}, "names of one or two columns"),
        ({"text": ("a",), "label": ""}, "and of the label"), ({"text": ("a",), "label": "a"}, "a column twice: a, a"),
        ({"text": ("a",), "kind": "words"}, "unknown kind of labels 'words'"),
    ]  # fmt: skip
    for given, message in refused:
        with pytest.raises(InputError, match=message):
            csv(file, **{"label": "y", **given})
    with pytest.raises(InputError, match="needs a file: --data"):
        csv(None, ("a",), "y")
    with pytest.raises(InputError, match="No such file"):
        csv(str(tmp_path / "none.csv"), ("a",), "y")
    (tmp_path / "latin.csv").write_bytes("a,y\ncaf\u00e9,1\nx,2\n".encode("latin-1"))
    with pytest.raises(InputError, match="byte 0xe9 is not UTF-8; save the file as UTF-8"):
        csv(str(tmp_path / "latin.csv"), ("a",), "y")


def test_more_rows_than_there_may_be(table: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_table, "MOST_ROWS", 10)
    with pytest.raises(InputError, match="has more than 10 rows, which is the most that is read"):
        csv(table(WORDS * 10), ("a",), "y")
    first = csv(table(WORDS * 10), ("a",), "y", rows=8)
    assert isinstance(first, Classification)
    assert len(first.train) + len(first.dev) == 8


def test_too_many_classes(table: Callable[..., str]) -> None:
    with pytest.raises(InputError, match=r"has 1,001 different labels; classes are at most 1,000: is it the right"):
        csv(table([f"w{i}" for i in range(1001)]), ("a",), "y")


def test_named_as_any_task(table: Callable[..., str]) -> None:
    file = table(WORDS * 6)
    named = TASKS.make("csv:text=a/b,label=y,share=0.25", data=file)
    assert named == TASKS.make({"name": "csv", "text": ["a", "b"], "label": "y", "share": 0.25}, data=file)
    assert TASKS.spelled({"name": "csv", "text": ["a", "b"], "label": "y"}) == "csv:text=a/b,label=y"


def test_a_run_on_a_table(
    walras: Walras, table: Callable[..., str], models: Path, tmp_path: Path, no_pictures: None
) -> None:
    """By the options of the command line, and read back from its own config.yaml."""
    small = ("--length", 16, "--sentences", 8, "--recipe", "magnitude", "--block", 16)
    file = table([0, 1] * 8)
    options = ("run", "--data", file, "--text", "a,b", "--label", "y", *small, "--model", models / "classifier")
    answer = walras(*options, "--task", "csv", "--out", "one")
    assert answer.code == 0, answer.err
    assert "task: csv:text=a/b,label=y" in Path("one/config.yaml").read_text()
    assert walras("run", "--config", "one/config.yaml", "--out", "two").code == 0
    for name in ("one", "two"):
        assert '"name": "accuracy"' in (Path(name) / "result.json").read_text()
    assert "is of --task csv; name it" in walras(*options).error
    assert "unknown parameter of task pairs 'text'" in walras(*options, "--task", "pairs").error


def test_networks_that_do_not_fit(walras: Walras, table: Callable[..., str], models: Path) -> None:
    small = ("--length", 16, "--sentences", 8, "--recipe", "magnitude", "--block", 16, "--text", "a", "--label", "y")

    def told(labels: list[Any], model: str, task: str = "csv") -> str:
        return str(walras("run", "--task", task, "--data", table(labels), *small, "--model", models / model).error)

    assert "fine-tuned with a classification head" in told([0, 1] * 8, "bert")
    assert "the model has 2 classes and the task has 3: 0, 1, 2" in told([0, 1, 2] * 8, "classifier")
    assert "in the model's order: classes=bad/good" in told(WORDS * 8, "classifier")
    assert "has 2 outputs and the labels are numbers; it needs a head with one" in told([0.5, 1] * 8, "classifier")


def test_numbers_on_a_head_with_one_output(
    table: Callable[..., str], models: Path, tmp_path: Path, no_pictures: None
) -> None:
    from transformers import BertTokenizer

    folder = tmp_path / "regressor"
    config = BertConfig.from_pretrained(models / "classifier", num_labels=1)
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer.from_pretrained(models / "classifier").save_pretrained(folder)
    file = table([0.5, 1.5, 2.5, 7] * 5)
    for label_free in (False, True):
        found = walras.run(
            str(folder), data=file, task={"name": "csv", "text": ["a"], "label": "y"}, length=16, sentences=8,
            recipe="none", valuation="fisher", block=16, label_free=label_free, rounds=1,
        )  # fmt: skip
        assert found.summary.as_dict()["metric"]["name"] == "spearman"
