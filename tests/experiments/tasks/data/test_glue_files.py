"""GLUE in both layouts: rows and labels of every task, how files are found, and errors by file and line."""

import json
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from walras.errors import InputError, UnknownNameError
from walras.experiments.tasks.data.glue_files import glue_task, read_glue
from walras.experiments.tasks.data.glue_table import GLUE, GlueTask
from walras.experiments.tasks.data.rows import Example

# The header and one row of every official file (CoLA has no header), and what the row means.
OFFICIAL = {
    "cola": ("", "gj04\t0\t*\tA sentence.", Example("A sentence.", None, 0)),
    "sst2": ("sentence\tlabel", 'a "joy \t1', Example('a "joy ', None, 1)),
    "mrpc": ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", "1\t7\t8\tOne.\tTwo.", Example("One.", "Two.", 1)),
    "stsb": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "0\tg\tf\t2012test\t1\tnone\tnone\tOne.\tTwo.\t3.800",
        Example("One.", "Two.", 3.8),
    ),
    "qqp": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t2\t3\tA?\tB?\t1", Example("A?", "B?", 1)),
    "mnli": (
        "index\tsentence1\tsentence2\tlabel1\tgold_label",
        "0\tOne.\tTwo.\tneutral\tcontradiction",
        Example("One.", "Two.", 2),
    ),
    "mnli-mm": ("sentence1\tsentence2\tgold_label", "One.\tTwo.\tneutral", Example("One.", "Two.", 1)),
    "qnli": ("index\tquestion\tsentence\tlabel", "0\tA?\tB.\tentailment", Example("A?", "B.", 0)),
    "rte": ("index\tsentence1\tsentence2\tlabel", "0\tOne.\tTwo.\tnot_entailment", Example("One.", "Two.", 1)),
    "wnli": ("index\tsentence1\tsentence2\tlabel", "0\tOne.\tTwo.\t1", Example("One.", "Two.", 1)),
}


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return folder


def test_every_task_is_tried() -> None:
    assert set(OFFICIAL) == set(GLUE)


@pytest.mark.parametrize("name", list(OFFICIAL))
@pytest.mark.parametrize("split", ["train", "dev"])
def test_official_layout(tmp_path: Path, name: str, split: str) -> None:
    header, row, expected = OFFICIAL[name]
    task = GLUE[name]
    lines = [line for line in (header, row, row) if line]
    write(tmp_path, f"{task.folder}/{task.stems(split)[0]}.tsv", *lines)
    assert read_glue(name, tmp_path, split) == [expected, expected]


@pytest.mark.parametrize("name", list(OFFICIAL))
def test_json_layout(tmp_path: Path, name: str) -> None:
    task, expected = GLUE[name], OFFICIAL[name][2]
    row = dict(zip(task.fields.names, (expected.first, expected.second, expected.label), strict=False))
    if expected.second is None:
        row = {task.fields.first: expected.first, task.fields.label: expected.label}
    write(tmp_path, f"{task.folder}/{task.dev[-1]}.jsonl", json.dumps({**row, "idx": 0}))
    assert read_glue(name, tmp_path, "dev") == [expected]


@pytest.mark.parametrize("spelling", ["STS-B", "stsb", "sts-b", "STS_B"])
def test_folders_and_names_in_any_spelling(tmp_path: Path, spelling: str) -> None:
    header, row, expected = OFFICIAL["stsb"]
    write(tmp_path, f"{spelling}/dev.tsv", header, row)
    assert glue_task(spelling) is GLUE["stsb"]
    assert read_glue(spelling, tmp_path, "dev") == [expected]
    assert read_glue(spelling, tmp_path / spelling, "dev") == [expected]


def test_matched_and_mismatched_are_told_apart(tmp_path: Path) -> None:
    for name in ("mnli", "mnli-mm"):
        row = {"premise": name, "hypothesis": "h", "label": 0}
        write(tmp_path, f"MNLI/{GLUE[name].dev[-1]}.jsonl", json.dumps(row))
    assert [read_glue(name, tmp_path, "dev")[0].first for name in ("mnli", "mnli-mm")] == ["mnli", "mnli-mm"]


def test_only_qqp_may_have_torn_rows(tmp_path: Path) -> None:
    header, row, expected = OFFICIAL["qqp"]
    write(tmp_path, "QQP/dev.tsv", header, row, '"\tthe other half?\t0', row)
    assert read_glue("qqp", tmp_path, "dev") == [expected, expected]
    assert [name for name, task in GLUE.items() if task.torn] == ["qqp"]


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("stsb", "1\tshort", r"dev\.tsv, line 3: 2 columns, expected 10"),
        ("stsb", OFFICIAL["stsb"][1].replace("3.800", "high"), r"line 3: label 'high' is not a number from 0 to 5"),
        ("stsb", OFFICIAL["stsb"][1].replace("3.800", "5.1"), r"line 3: label '5\.1' is not a number from 0 to 5"),
        ("stsb", OFFICIAL["stsb"][1].replace("3.800", "nan"), r"line 3: label 'nan' is not a number"),
        ("sst2", "fine\t2", r"line 3: label '2' is no class; expected one of 0 \(negative\), 1 \(positive\)"),
        ("sst2", "fine\t", r"line 3: label '' is no class"),
    ],
)
def test_bad_tsv_row_names_file_and_line(tmp_path: Path, name: str, bad: str, message: str) -> None:
    header, row, _ = OFFICIAL[name]
    write(tmp_path, f"{GLUE[name].folder}/dev.tsv", header, row, bad)
    with pytest.raises(InputError, match=message):
        read_glue(name, tmp_path, "dev")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"premise": "p", "label": 0}', r"line 2: no field 'hypothesis'; it has premise, label"),
        ('{"premise": 3, "hypothesis": "h", "label": 0}', "line 2: premise is 3, expected a text"),
        ('{"premise": "p", "hypothesis": "h", "label": -1}', r"line 2: label -1 is no class; .*2 \(contradiction\)"),
        ('{"premise": "p", "hypothesis": "h", "label": true}', "line 2: label True is no class"),
        ('{"premise": "p"', "line 2: not JSON"),
    ],
)
def test_bad_json_row_names_file_and_line(tmp_path: Path, bad: str, message: str) -> None:
    good = '{"premise": "p", "hypothesis": "h", "label": 0}'
    write(tmp_path, "MNLI/validation_matched.jsonl", good, bad)
    with pytest.raises(InputError, match=rf"validation_matched\.jsonl, {message}"):
        read_glue("mnli", tmp_path, "dev")


def test_a_header_without_the_columns_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "SST-2/dev.tsv", "text\tlabel", "fine\t1")
    with pytest.raises(InputError, match="no field 'sentence'; it has text, label"):
        read_glue("sst2", tmp_path, "dev")


def test_missing_files_name_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent is not a folder; expected a folder with STS-B/dev\.tsv"):
        read_glue("stsb", tmp_path / "absent", "dev")
    with pytest.raises(InputError, match=r"holds no folder STS-B; expected STS-B/dev\.tsv"):
        read_glue("stsb", tmp_path, "dev")
    write(tmp_path, "MNLI/train.tsv", "")
    looked = r"dev_matched\.tsv, validation_matched\.tsv, dev_matched\.jsonl, validation_matched\.jsonl"
    with pytest.raises(InputError, match=f"holds no dev split; looked for {looked}"):
        read_glue("mnli", tmp_path, "dev")


@pytest.mark.parametrize(("lines", "message"), [(("",), "is empty"), (("sentence\tlabel",), "holds no rows")])
def test_files_without_rows_are_refused(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    write(tmp_path, "SST-2/train.tsv", *lines)
    with pytest.raises(InputError, match=message):
        read_glue("sst2", tmp_path, "train")


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown GLUE task 'stbs'\. Did you mean 'stsb'\?"):
        read_glue("stbs", None, "dev")
    with pytest.raises(UnknownNameError, match="unknown split 'test'"):
        read_glue("sst2", None, "test")


def test_without_datasets_the_error_has_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install '.\[hub\]'.*, or give the folder .* STS-B/ with --data"):
        read_glue("stsb", None, "dev")


def hub(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, object]] | Exception) -> list[object]:
    """Puts a stand-in for the package `datasets` in place; returns what is asked of it."""
    asked: list[object] = []

    def load_dataset(path: str, config: str, split: str) -> list[dict[str, object]]:
        asked.append((path, config, split))
        if isinstance(rows, Exception):
            raise rows
        return rows

    module = ModuleType("datasets")
    monkeypatch.setattr(module, "load_dataset", load_dataset, raising=False)
    module.__spec__ = ModuleSpec("datasets", None)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return asked


@pytest.mark.parametrize(
    ("name", "split", "hub_split"),
    [("stsb", "train", "train"), ("stsb", "dev", "validation"), ("mnli-mm", "dev", "validation_mismatched")],
)
def test_the_hub_is_asked_for_its_own_names(
    monkeypatch: pytest.MonkeyPatch, name: str, split: str, hub_split: str
) -> None:
    task: GlueTask = GLUE[name]
    row = {task.fields.names[0]: "One.", task.fields.names[1]: "Two.", "label": 2, "idx": 0}
    asked = hub(monkeypatch, [row])
    assert read_glue(name, None, split) == [Example("One.", "Two.", 2)]
    assert asked == [("nyu-mll/glue", task.hub, hub_split)]


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, ConnectionError("no route"))
    with pytest.raises(InputError, match=r"cannot fetch nyu-mll/glue \(rte\) .*: no route\. Go online, or .* --data"):
        read_glue("rte", None, "dev")


@pytest.mark.skipif("WALRAS_DATA" not in os.environ, reason="WALRAS_DATA (folder with real data) is not set")
@pytest.mark.parametrize(
    ("name", "train", "dev"),
    [
        ("cola", 8_551, 1_043),
        ("stsb", 5_749, 1_500),
        ("sst2", 60_614, 6_735),
        ("mnli", 13_779, 9_815),
        ("mnli-mm", 13_779, 9_832),
    ],
)
def test_real_files(name: str, train: int, dev: int) -> None:
    data = Path(os.environ["WALRAS_DATA"]) / "glue"
    task = GLUE[name]
    for split, size in (("train", train), ("dev", dev)):
        found = read_glue(name, data, split)
        assert len(found) == size
        assert all((example.second is None) == (task.tsv.second is None) for example in found)
        kinds = {example.label for example in found}
        assert kinds == set(range(len(task.classes))) if task.classes else {0.0, 5.0} <= kinds
