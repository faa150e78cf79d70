"""`walras sparsify` on tiny models: what it writes, that every figure is what it says it is, and bad input."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

import walras
from walras.errors import InputError
from walras.experiments.registries import registry
from walras.experiments.sparsifying.config import SparsifyConfig
from walras.experiments.sparsifying.from_python import sparsify
from walras.experiments.tasks.document import split_document
from walras.models.loading import load
from walras.models.tokens.token_map import token_maps

Walras = Callable[..., Any]


@pytest.fixture
def line(llama: Path, document: Path) -> tuple[object, ...]:
    return ("sparsify", "--model", llama, "--data", document, "--length", 16, "--device", "cpu")


@pytest.fixture
def settings(llama: Path, document: Path) -> dict[str, Any]:
    return {"model": str(llama), "texts": str(document), "length": 16, "device": "cpu"}


def test_from_the_command_line_to_a_folder(walras: Walras, line: tuple[object, ...]) -> None:
    answer = walras(*line, "--budget", 0.7, "--out", "x", "--trace", "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["spent"] == pytest.approx(0.7, abs=0.005)
    assert told["metric"]["name"] == "perplexity"
    written = json.loads(Path("x/sparsify.json").read_text())
    assert {name: told[name] for name in written} == written
    assert set(told["bytes"]) >= {
        "config.json", "model.safetensors", "modeling_sparsified.py", "README.md", "sparsify.json", "tokenizer.json",
        "trace/tokens-00000.parquet", "trace/tokens-00003.parquet",
    }  # fmt: skip


@pytest.mark.nightly
def test_the_same_command_gives_the_same_bytes(walras: Walras, line: tuple[object, ...]) -> None:
    for out in ("x", "y"):
        assert walras(*line, "--budget", 0.6, "--trace", "--out", out).code == 0
    for file in (p for p in Path("x").rglob("*") if p.is_file()):
        if file.name not in ("sparsify.json", "README.md"):  # seconds; the folder's name
            assert file.read_bytes() == (Path("y") / file.relative_to("x")).read_bytes(), file


def test_what_is_printed(walras: Walras, line: tuple[object, ...]) -> None:
    answer = walras(*line, "--budget", 0.6, "--out", "x")
    assert "of the multiplications, on at most 64 rows (budget 0.6;" in answer.out
    assert 'Reload: walras.load_model("x")' in answer.out
    assert all(name in answer.out for name in ("query", "gate", "up", "down"))


PAIRS = [
    pytest.param(valuation, policy, marks=[] if "fisher" in valuation or "one" in policy else [pytest.mark.nightly])
    for valuation in registry("token valuation")
    for policy in registry("price policy")
]


@pytest.mark.spread
@pytest.mark.parametrize(("valuation", "policy"), PAIRS)
def test_every_valuation_under_every_price_policy(valuation: str, policy: str, settings: dict[str, Any]) -> None:
    found = sparsify(**settings, budget=0.6, token_valuation=valuation, price_policy=policy)
    assert found.summary.spent == pytest.approx(0.6, abs=0.005)
    assert found.summary.token_valuation.startswith(valuation)
    bought = found.calibration.bought
    assert set(bought) == {m.path for m in token_maps(found.dense)}
    assert all(0 < share <= 1 for share in bought.values())


@pytest.mark.filterwarnings("ignore:several sequences buy at once")
def test_what_is_measured_is_what_decodes(settings: dict[str, Any]) -> None:
    """The network in which prompts buy too gives the perplexity that was measured on the dense one's hooks."""
    found = sparsify(**settings, budget=0.6, prefill="market")
    assert found.data.evaluate(found.model) == pytest.approx(found.summary.metric["value"], rel=1e-4)
    assert found.data.evaluate(found.dense) == found.summary.metric["dense"]
    assert found.summary.metric["value"] != found.summary.metric["dense"]
    assert 0.5 < found.summary.measured < 0.7


def test_the_first_rows_are_measured(settings: dict[str, Any]) -> None:
    few, more = (sparsify(**settings, budget=0.6, limit=limit) for limit in (2, 4))
    assert few.summary.metric["dense"] != more.summary.metric["dense"]
    assert few.calibration == more.calibration
    assert (few.summary.limit, more.summary.limit) == (2, 4)


def test_a_dense_prompt_is_the_dense_networks(settings: dict[str, Any], llama: Path) -> None:
    found = sparsify(**settings, budget=0.5)
    ids = torch.arange(10)[None] % 30
    torch.testing.assert_close(found.model(ids).logits, load(str(llama), "causal", device="cpu").model(ids).logits)
    assert not torch.allclose(found.model(ids[:, :1]).logits, found.dense(ids[:, :1]).logits, atol=1e-3)


def test_a_budget_of_one_is_the_dense_network_bit_for_bit(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = sparsify(**settings, budget=1.0)
    with pytest.raises(InputError, match="a trace is wanted, and budget is 1"):
        found.save(tmp_path / "x", trace=True)
    found.save(tmp_path / "x")
    again = walras.load_model(tmp_path / "x")
    ids = torch.arange(10)[None] % 30
    for some in (ids, ids[:, :1]):
        assert torch.equal(again(some).logits, found.dense(some).logits)
    assert found.summary.metric["value"] == found.summary.metric["dense"]
    assert found.summary.maps == []


@pytest.mark.nightly
def test_from_objects_and_texts(llama: Path, document: Path) -> None:
    model, tokenizer = load(str(llama), "causal", device="cpu")
    text = document.read_text(encoding="utf-8")
    one = sparsify(model, tokenizer, text, budget=0.6, length=16)
    many = sparsify(model, tokenizer, text.splitlines(), budget=0.6, length=16)
    for found in (one, many):
        assert found.summary.task == "document"
        assert found.summary.spent == pytest.approx(0.6, abs=0.005)
    assert "(from Python)" in one.summary.model
    named = sparsify(str(llama), None, str(document), budget=0.6, length=16)
    assert named.calibration.prices == one.calibration.prices


def test_an_encoder_is_studied(walras: Walras, models: Path, glue: Path) -> None:
    """Padding buys nothing and is not counted: prices are those at which real tokens spend the budget."""
    answer = walras(
        "sparsify", "--model", models / "bert", "--task", "stsb", "--data", glue, "--length", 32, "--budget", 0.6,
        "--sequences", 8, "--device", "cpu", "--out", "x", "--json", "--trace",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["spent"] == pytest.approx(0.6, abs=0.005)
    assert pd.read_parquet("x/trace/tokens-00000.parquet")["surprisal"].isna().all()
    assert type(walras_model("x")).__name__ == "SparsifiedBertModel"


def walras_model(folder: str) -> Any:
    return walras.load_model(folder)


def test_decoded_text_goes_through_every_kind_of_generation(settings: dict[str, Any], tmp_path: Path) -> None:
    sparsify(**settings, budget=0.6).save(tmp_path / "x")
    model = walras.load_model(tmp_path / "x")
    kind: Any = AutoTokenizer
    tokenizer = kind.from_pretrained(tmp_path / "x")
    given = tokenizer("the cat sat", return_tensors="pt", add_special_tokens=False)
    out = model.generate(input_ids=given["input_ids"], attention_mask=given["attention_mask"], max_new_tokens=5)
    assert out.shape[1] <= given["input_ids"].shape[1] + 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--budget", 0.01), "budget is 0.01; attention scores, what is not traded, and the bids alone take 0."),
        (("--budget", 1.5), "budget is 1.5; it must be a share above 0 and at most 1"),
        (("--budget", "nan"), "budget is nan; it must be a share above 0 and at most 1"),
        (("--prefill", "dens"), "unknown prefill 'dens'. Did you mean 'dense'?"),
        (("--token-valuation", "fischer"), "unknown token valuation 'fischer'. Did you mean 'fisher'?"),
        (("--price-policy", "mixture:exponent=3"), "exponent is 3.0; it must be a number from 0 to 1"),
        (("--price-policy", "greedy:step=0"), "step is 0.0; it must be a share between 0 and 1"),
        (("--budget", 1, "--trace"), "a trace is wanted, and budget is 1, at which nothing is dropped"),
        (("--sequences", 0), "sequences is 0; it must be a whole number of at least 1"),
        (("--length", 500), "length is 500; LlamaForCausalLM has positions for at most 128 tokens"),
    ],
)
def test_bad_settings(walras: Walras, line: tuple[object, ...], options: tuple[object, ...], said: str) -> None:
    error = walras(*line, "--out", "x", *options).error
    assert error.startswith(said)
    assert not Path("x").exists()


def test_bad_texts(walras: Walras, line: tuple[object, ...], tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("the cat sat\non the mat\n")
    assert "at least two are needed" in walras(*line, "--data", short, "--out", "x").error
    for text, said in (("", "is empty"), ("\n \n", "is empty"), ("cat", "is too short")):
        short.write_text(text)
        assert said in walras(*line, "--data", short, "--out", "x").error
    assert "cannot read document" in walras(*line, "--data", tmp_path / "none.txt", "--out", "x").error


def test_a_text_of_one_line(llama: Path, document: Path) -> None:
    text = " ".join(document.read_text(encoding="utf-8").split())
    task = split_document(text, "texts")
    assert task.training + task.evaluated == text
    assert task.training.endswith(" ")
    assert len(task.evaluated) == pytest.approx(len(text) / 10, abs=12)


def test_what_is_there_stays(walras: Walras, line: tuple[object, ...]) -> None:
    Path("x").mkdir()
    Path("x/mine.txt").write_text("mine")
    assert "holds 'mine.txt', which no export wrote" in walras(*line, "--out", "x").error
    assert walras(*line, "--out", "y").code == 0
    assert "use --overwrite to replace it" in walras(*line, "--out", "y").error
    assert walras(*line, "--budget", 0.8, "--out", "y", "--overwrite").code == 0
    assert json.loads(Path("y/sparsify.json").read_text())["budget"] == 0.8


def test_activations_that_are_no_numbers(llama: Path, document: Path) -> None:
    model, tokenizer = load(str(llama), "causal", device="cpu")
    text = document.read_text(encoding="utf-8")
    handle = model.get_submodule("model.layers.1.input_layernorm").register_forward_hook(
        lambda module, args, out: out.masked_fill(torch.arange(64) == 3, float("nan"))
    )
    with pytest.raises(InputError, match="not finite"):
        sparsify(model, tokenizer, text, budget=0.6, length=16)
    handle.remove()


def test_a_layer_of_another_formula_is_refused(llama: Path, document: Path) -> None:
    """An FFN that looks gated and computes something else would be computed wrongly, were it not checked."""
    model, tokenizer = load(str(llama), "causal", device="cpu")
    ffn: Any = model.get_submodule("model.layers.0.mlp")
    ffn.forward = lambda x: ffn.down_proj(ffn.act_fn(ffn.gate_proj(x)) + ffn.up_proj(x))
    with pytest.raises(InputError, match="another formula than the table says"):
        sparsify(model, tokenizer, document.read_text(encoding="utf-8"), budget=0.6, length=16)


def test_as_many_sequences_as_there_are_are_told(settings: dict[str, Any]) -> None:
    found = sparsify(**settings, budget=1, sequences=9999)
    assert 2 <= found.summary.sequences == sum(len(batch["input_ids"]) for batch in found.network.batches) < 9999


def test_no_tokenizer(llama: Path) -> None:
    model, _ = load(str(llama), "causal", device="cpu")
    with pytest.raises(InputError, match="tokenizer is None, and data are texts; give the model's tokenizer"):
        sparsify(model, None, "the cat sat on the mat", length=16)


@pytest.mark.parametrize("texts", [None, 3, ["a", 3], b"abc"])
def test_what_is_no_text(texts: Any, llama: Path) -> None:
    model, tokenizer = load(str(llama), "causal", device="cpu")
    with pytest.raises(InputError, match=r"texts is .*; it must be a text, a list of texts, or a task"):
        sparsify(model, tokenizer, texts)


def test_settings_of_a_file(walras: Walras, line: tuple[object, ...], tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("market: {budget: 0.8, price_policy: equal-shares}\n")
    assert walras(*line, "--config", file, "--budget", 0.75, "--out", "x").code == 0
    told = json.loads(Path("x/sparsify.json").read_text())
    assert (told["budget"], told["price_policy"]) == (0.75, "equal-shares")
    again = SparsifyConfig.parse(json.loads(json.dumps({"budget": 0.5, "data": "f.txt"})))
    assert again.subject.task == "document"


GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "sparsify.md"


def test_what_the_guide_shows(llama: Path, document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks: list[str] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (one for one in blocks if "walras.sparsify(" in one)
    model, tokenizer = load(str(llama), "causal", device="cpu")
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    scope = {"walras": walras, "model": model, "tokenizer": tokenizer, "text": document.read_text(encoding="utf-8")}
    exec(block.replace("length=256", "length=16").replace("generate(", "generate(max_new_tokens=3, "), scope)
    assert (tmp_path / "fast" / "model.safetensors").is_file()
