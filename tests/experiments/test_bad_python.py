"""What a user hands over from Python and cannot be worked with is told in one sentence, before anything is traded."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn
from transformers import BertConfig, BertModel

import walras
from walras.errors import InputError
from walras.experiments.spec import RunSpec
from walras.experiments.tasks.losses import OwnPredictions
from walras.market import Disable
from walras.models.loading import load

TEXTS = ["the cat sat on the mat", "a dog ran", "the man played", "an apple"]
PLAIN: dict[str, Any] = {"recipe": "none", "rounds": 1, "block": 16, "valuation": "magnitude"}


@pytest.fixture(scope="module")
def encoder(models: Path) -> Any:
    return load(str(models / "bert"), device="cpu")


@pytest.fixture(scope="module")
def ids(encoder: Any) -> dict[str, Tensor]:
    return dict(encoder.tokenizer(TEXTS[:2], padding=True, return_tensors="pt"))


def unpadded(tokenizer: Any) -> Any:
    tokenizer.pad_token = None
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (lambda t: None, "tokenizer is None, and data are texts; give the model's tokenizer"),
        (lambda t: 5, "tokenizer is 5; it must be the model's tokenizer"),
        (unpadded, "has no padding token; set one: tokenizer"),
    ],
)
@pytest.mark.parametrize("texts", [True, False])
def test_tokenizers(encoder: Any, tokenizer: Callable[[Any], Any], message: str, texts: bool) -> None:
    given = tokenizer(copy.deepcopy(encoder.tokenizer))
    what: dict[str, Any] = {"data": TEXTS} if texts else {"task": "pairs"}
    with pytest.raises(InputError, match=message):
        walras.run(encoder.model, given, **what, **PLAIN)


def test_the_tokenizer_of_another_network(encoder: Any) -> None:
    other = copy.deepcopy(encoder.tokenizer)
    other.add_tokens([f"word{i}" for i in range(50)])
    with pytest.raises(InputError, match=r"a batch holds token \d+; BertModel has embeddings for tokens 0 to \d+"):
        walras.run(encoder.model, other, ["word1 word2", "word40", "the cat", "word8"], **PLAIN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: {**b, "input_ids": b["input_ids"] + 1000}, r"data\[1\] holds token 1\d\d\d; BertModel has"),
        (lambda b: {**b, "input_ids": b["input_ids"] - 1000}, r"data\[1\] holds token -\d+; BertModel has"),
        (lambda b: {**b, "input_ids": b["input_ids"].float()}, r"\['input_ids'\] is torch\.float32; tokens are whole"),
        (lambda b: {**b, "input_ids": None}, r"data\[1\]\['input_ids'\] is NoneType; it must be a tensor"),
        (lambda b: {k: v.tolist() for k, v in b.items()}, r"data\[1\]\['input_ids'\] is list; it must be a tensor"),
        (lambda b: {**b, "attention_mask": b["attention_mask"][:1]}, r"different numbers of rows: input_ids 2, atten"),
        (lambda b: {k: v[:0] for k, v in b.items()}, r"data\[1\] has no rows"),
        (lambda b: {"input_ids": torch.ones(2, 300, dtype=torch.long)}, r"has 300 tokens a row; BertModel has"),
        (lambda b: {**b, "input_ids": torch.tensor(3)}, r"\['input_ids'\] is of shape \[\]"),
        (lambda b: {1: b["input_ids"]}, r"data\[1\] has 1; the names in a batch are texts"),
        (lambda b: {}, r"data\[1\] is dict; a batch must be a dict of tensors"),
        (lambda b: {**b, "input_ids": torch.ones(2, 3, 4, dtype=torch.long)}, r"shape \[2, 3, 4\]; it must be \[rows"),
    ],
)  # fmt: skip
def test_batches(encoder: Any, ids: dict[str, Tensor], change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        walras.run(encoder.model, None, [ids, change(ids)], **PLAIN)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"abc", "data is bytes; give a list of texts, pictures, sounds or batches, or a task"),
        ({"input_ids": torch.ones(1, 2)}, "data is one batch; give a list"),
        (["a \ud800", "b"], r"data\[0\] holds half a character: '\\ud800'"),
        ([5], r"data\[0\] is int; a batch must be"),
    ],
)
def test_data(encoder: Any, data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        walras.run(encoder.model, encoder.tokenizer, data, **PLAIN)


def test_labels_out_of_range(models: Path, ids: dict[str, Tensor]) -> None:
    model = load(str(models / "classifier"), "classification", device="cpu").model
    for labels in ([0, 9], [0]):
        with pytest.raises(InputError, match=r"BertForSequenceClassification cannot be run on data: \w+Error: .*\d"):
            walras.run(model, None, [{**ids, "labels": torch.tensor(labels)}], **PLAIN)


def test_networks(encoder: Any) -> None:
    with torch.device("meta"):
        empty: nn.Module = BertModel(BertConfig.from_dict(encoder.model.config.to_dict()))
    empty.eval()
    with pytest.raises(InputError, match=r"BertModel has no weights: .* is on the meta device"):
        walras.run(empty, encoder.tokenizer, TEXTS, **PLAIN)
    shared = copy.deepcopy(encoder.model)
    shared.encoder.layer[1] = shared.encoder.layer[0]
    cut = copy.deepcopy(encoder.model)
    cut.encoder.layer[0].intermediate.dense = nn.Linear(32, 48)
    for model, message in ((shared, "is the same module as"), (cut, "writes 48 features")):
        with pytest.raises(InputError, match=message):
            walras.run(model, encoder.tokenizer, TEXTS, **PLAIN)


def test_nothing_is_computed_on_a_network_that_is_refused(encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(nn.Linear):
        pass

    model = copy.deepcopy(encoder.model)
    model.encoder.layer[1].output.dense.__class__ = Own
    monkeypatch.setattr(type(model), "forward", lambda *_, **__: pytest.fail("the network was run"))
    with pytest.raises(InputError, match=r"encoder\.layer\.1\.output\.dense is a \S+\.Own"):
        walras.run(model, encoder.tokenizer, TEXTS, recipe="walras")
    model.config.add_cross_attention = True
    with pytest.raises(InputError, match="cross-attention"):
        walras.run(model, encoder.tokenizer, TEXTS, recipe="walras")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"out": 5}, "out is 5; it must be the path of a folder"),
        ({"agents": [1]}, r"agents is \[1\]; it must map kinds of unit to classes"),
        ({"loss": 5}, "loss is 5; it must be a function"),
        ({"shock": "disable:L3.H7@1"}, r"^unknown unit 'L3\.H7'\. Did you mean 'L1\.H3'\? Known: L0\.F0, L0\.F1, "),
    ],
)  # fmt: skip
def test_keywords(encoder: Any, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        walras.run(encoder.model, encoder.tokenizer, TEXTS, **PLAIN, **keywords)


def test_shocks_of_a_market(encoder: Any) -> None:
    for shocks, message in (
        (5, "shocks is 5; it must be a list of shocks"),
        ([5], "shocks holds 5; it must be a Shock"),
        ([Disable(9, "L0.H0")], "shock Disable strikes before round 9; there are 1 rounds"),
        ([Disable(1, "L9.H0")], r"unknown unit 'L9\.H0'"),
    ):
        with pytest.raises(InputError, match=message):
            walras.open_market(encoder.model, encoder.tokenizer, TEXTS, shocks=shocks, **PLAIN)  # type: ignore[arg-type]  # that is the test


def test_values_that_vanish_are_told(encoder: Any) -> None:
    """An artificial loss, a millionth of a usual one, in float16."""
    half = copy.deepcopy(encoder.model).half()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        states: Tensor = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        return states.square().mean() * scale

    settings: dict[str, Any] = {**PLAIN, "valuation": "fisher"}
    scale = 1e-6
    with pytest.raises(InputError, match=r"Fisher values every unit at 0, .* in float16, .* scale the loss up"):
        walras.run(half, encoder.tokenizer, TEXTS, loss=loss, **settings)
    assert walras.run(encoder.model, encoder.tokenizer, TEXTS, loss=loss, **settings).market.ledger.value.all()
    scale = 1000.0
    assert walras.run(half, encoder.tokenizer, TEXTS, loss=loss, **settings).market.ledger.value.any()


def test_numbers_of_numpy_and_torch_are_taken(encoder: Any, tmp_path: Path, no_pictures: None) -> None:
    settings: dict[str, Any] = {**PLAIN, "rounds": np.int64(1), "seed": np.int64(3), "out": tmp_path / "r"}
    result = walras.run(encoder.model, encoder.tokenizer, TEXTS, budget=np.float64(0.5), **settings)
    assert 0 < result.summary.used <= 0.5
    kept = yaml.safe_load((tmp_path / "r" / "config.yaml").read_text())
    assert (kept["market"]["budget"], kept["market"]["rounds"], kept["seed"]) == ({"macs": 0.5}, 1, 3)
    again = walras.run(encoder.model, encoder.tokenizer, TEXTS, **{**PLAIN, "seed": 3, "budget": torch.tensor(0.5)})
    assert torch.equal(again.gates, result.gates)


@pytest.mark.nightly
def test_a_label_free_recipe_looks_at_no_labels(
    models: Path, tmp_path: Path, ids: dict[str, Tensor], no_pictures: None
) -> None:
    """Labels of the user's own batches serve for the figure alone; what is kept of the settings reads back so."""
    model = load(str(models / "classifier"), "classification", device="cpu").model
    found = []
    for number, labels in enumerate(([0, 1], [1, 0])):
        batch = {**ids, "labels": torch.tensor(labels)}
        result = walras.run(model, None, [batch], recipe="walras", block=16, out=tmp_path / str(number))
        assert isinstance(result.market.calibration.network("test").objective, OwnPredictions)
        found.append(result)
    assert torch.equal(found[0].gates, found[1].gates)
    assert found[0].metric.dense != found[1].metric.dense
    kept = yaml.safe_load((tmp_path / "0" / "config.yaml").read_text())
    assert kept["market"]["label_free"] is True
    kept["subject"]["task"] = "pairs"
    assert RunSpec.parse(kept).market.valuation == "partial-fisher"


def test_the_figure_of_batches_without_labels_moves(encoder: Any, ids: dict[str, Tensor]) -> None:
    """Of an encoder no loss would: it is the same at every budget."""
    figures = []
    for budget in (0.9, 0.3):
        result = walras.run(encoder.model, None, [ids], **PLAIN, budget=budget)
        assert result.metric.dense == pytest.approx(1.0, abs=1e-6)
        figures.append(result.metric.value)
    assert 1 > figures[0] > figures[1]
