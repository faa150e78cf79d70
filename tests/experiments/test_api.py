"""Markets from Python: the user's own model, data, loss, metric and agents."""

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, RobertaConfig, RobertaModel

import walras
from walras.errors import InputError, UnknownNameError, UserCodeError
from walras.experiments.store.run_folder import RUN
from walras.experiments.subjects.checks import positions
from walras.experiments.subjects.data import TaskData
from walras.market import read_trace
from walras.mechanisms.testing.conformance import Check
from walras.models.loading import load
from walras.models.objective import Objective

TEXTS = ["the cat sat on the mat", "a dog ran", "the man played", "an apple", "a woman ate", "not in the house"]


@pytest.fixture
def encoder(models: Path) -> Any:
    return load(str(models / "bert"), device="cpu")


@pytest.fixture
def classifier(models: Path) -> Any:
    return load(str(models / "classifier"), "classification", device="cpu")


def batches(tokenizer: Any, labels: bool = True) -> list[dict[str, Tensor]]:
    found = []
    for i in range(0, len(TEXTS), 2):
        batch = dict(tokenizer(TEXTS[i : i + 2], padding=True, return_tensors="pt"))
        found.append({**batch, "labels": torch.tensor([0, 1])} if labels else batch)
    return found


def test_repairs_have_as_many_sentences_as_they_are_given(
    encoder: Any, monkeypatch: pytest.MonkeyPatch, no_pictures: None
) -> None:
    asked: list[int] = []
    drawn = TaskData.batches

    def noted(data: TaskData, sentences: int, seed: int) -> Any:
        asked.append(sentences)
        return drawn(data, sentences, seed)

    monkeypatch.setattr(TaskData, "batches", noted)
    settings: dict[str, Any] = {"budget": 0.5, "block": 16, "sentences": 4, "rounds": 1, "recipe": "none"}
    for repair, more, wanted in (("scales", 6, [4, 6]), ("scales", 0, [4]), ("none", 6, [4])):
        asked.clear()
        walras.run(encoder.model, encoder.tokenizer, TEXTS, repair=repair, repair_sentences=more, **settings)
        assert asked == wanted


def test_texts(encoder: Any) -> None:
    result = walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="none", budget=0.4, rounds=2, block=16)
    n = 8 + 8
    assert isinstance(result, walras.Outcome)
    assert result.gates.shape == result.clearing.quantity.shape == (n,)
    assert set(result.gates.tolist()) == {0.0, 1.0}
    assert torch.equal(result.gates.double(), result.clearing.quantity)
    used = float(result.market.ledger.cost @ result.gates.numpy())
    assert 0.3 < used <= 0.4
    assert used == pytest.approx(result.summary.used)
    assert result.rounds["round"].tolist() == [1, 2]
    assert result.rounds["used"].tolist()[-1] == pytest.approx(used)
    assert result.metric.name == "agreement with dense"
    assert result.metric.value < result.metric.dense == pytest.approx(1, abs=1e-6)
    with pytest.raises(InputError, match=r"kept no trace; give it a folder: out="):
        _ = result.trace


def test_the_compact_model_is_the_gated_one(encoder: Any) -> None:
    result = walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="none", budget=0.3, block=8)
    batch = batches(encoder.tokenizer, labels=False)[0]
    with torch.no_grad():
        before = encoder.model(**batch).last_hidden_state
        with result.gated() as model:
            gated = model(**batch).last_hidden_state
        after = encoder.model(**batch).last_hidden_state
        smaller = result.compact()
        compact = smaller(**batch).last_hidden_state
    assert torch.equal(before, after)
    assert (gated - before).abs().max() > 1e-3
    torch.testing.assert_close(compact, gated, rtol=0, atol=1e-5)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in encoder.model.parameters())


@pytest.mark.nightly
def test_batches_loss_metric_and_folder_of_ones_own(classifier: Any, tmp_path: Path) -> None:
    model, tokenizer = classifier
    seen: list[int] = []

    def loss(network: nn.Module, batch: Any) -> Tensor:
        seen.append(len(batch["labels"]))
        logits = network(**{k: v for k, v in batch.items() if k != "labels"}).logits
        return nn.functional.cross_entropy(logits, batch["labels"])

    calls: list[bool] = []

    def evaluate(network: nn.Module) -> float:
        calls.append(network.training)
        return float(network(**batches(tokenizer, labels=False)[0]).logits.sum())

    loader: Any = DataLoader([*zip(TEXTS, [0, 1] * 3, strict=True)], batch_size=3, collate_fn=lambda rows: {  # type: ignore[arg-type]
        **tokenizer([text for text, _ in rows], padding=True, return_tensors="pt"),
        "labels": torch.tensor([label for _, label in rows]),
    })  # fmt: skip
    model.train()
    result = walras.run(
        model, None, loader, loss=loss, evaluate=evaluate, recipe="none", mechanism="UniformPriceAuction",
        valuation="gradient", budget=0.6, rounds=3, seed=5, out=tmp_path / "r",
    )  # fmt: skip
    assert seen == [3, 3] * 3
    assert calls == [False, False]  # no dropout while figures are taken
    assert all(module.training for module in model.modules())
    assert result.metric.name == "evaluate"
    assert result.metric.dense != result.metric.value
    assert result.summary.mechanism == "UniformPriceAuction"
    assert result.folder == tmp_path / "r"
    assert {p.name for p in result.folder.iterdir()} == set(RUN.parts) - {"weights.safetensors"}  # nothing was repaired
    assert len(result.trace) == 3 * 12
    settings = yaml.safe_load((tmp_path / "r" / "config.yaml").read_text())
    assert settings["subject"]["model"] == "BertForSequenceClassification (from Python)"
    market = settings["market"]
    assert (market["mechanism"], market["valuation"], market["rounds"]) == ("UniformPriceAuction", "gradient", 3)
    assert (settings["seed"], settings["subject"]["task"]) == (5, "own data")
    with pytest.raises(InputError, match="holds another run"):
        walras.run(model, None, loader, loss=loss, out=tmp_path / "r")


def test_without_a_loss_the_model_has_its_own(classifier: Any) -> None:
    model, tokenizer = classifier
    labelled = walras.run(model, None, batches(tokenizer), recipe="none", rounds=1)
    assert labelled.metric.name == "loss (nats)"
    free = walras.run(model, None, batches(tokenizer, labels=False), recipe="none", rounds=1)
    values = [r.market.ledger.value for r in (labelled, free)]
    assert not (values[0] == values[1]).any()
    encoder = walras.run(model.bert, None, batches(tokenizer, labels=False), recipe="none", rounds=1)
    assert encoder.metric.name == "cosine with dense"
    assert encoder.metric.value < encoder.metric.dense == pytest.approx(1, abs=1e-6)
    assert free.metric.name == "agreement with dense"


def test_the_same_seed_gives_the_same_market(encoder: Any) -> None:
    def trade(seed: int) -> list[float]:
        market = walras.open_market(encoder.model, encoder.tokenizer, TEXTS, valuation="random", seed=seed)
        market.step()
        return list(market.ledger.value)

    assert trade(1) == trade(1) != trade(2)


class Proud(walras.HeadAgent):
    """Bids twice its value while it is poor."""

    def bid(self) -> float:
        return self.value * (2 if self.wealth < 1 else 1)


def test_a_mesa_market(encoder: Any) -> None:
    market = walras.open_market(
        encoder.model, encoder.tokenizer, TEXTS, valuation="magnitude", budget=0.5, rounds=3, agents={"head": Proud}
    )
    assert len(market.agents) == 12
    for _ in range(3):
        market.step()
    proud = market.agents.select(agent_type=Proud)
    assert len(proud) == 8
    assert len(market.agents.select(lambda a: a.kind == "ffn" and a.layer == 1)) == 2
    funded = market.agents.select(lambda a: a.quantity > 0)
    assert sum(a.cost for a in funded) <= 0.5
    assert all(a.payment <= a.price for a in funded)
    assert {type(a).__name__ for a in market.agents} == {"Proud", "FFNBlockAgent"}
    frame = market.datacollector.get_model_vars_dataframe()
    assert (
        frame["budget"].tolist()
        == [r.budget for r in market.rounds]
        == pytest.approx([0.5 ** (i / 3) for i in (1, 2, 3)])
    )
    assert frame["price"].tolist() == [r.price for r in market.rounds]
    assert set(market.ledger.strategy) == {"Proud", "truthful"}


def test_a_market_does_not_keep_the_network_alive(models: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(models / "classifier")
    tokenizer = AutoTokenizer.from_pretrained(models / "classifier")
    market = walras.open_market(model, None, batches(tokenizer), valuation="magnitude")
    market.step()
    del model
    gc.collect()
    with pytest.raises(InputError, match="keep a reference to it"):
        market.step()


def mixed() -> Iterator[Any]:
    yield "a text"
    yield {"input_ids": torch.ones(1, 2)}


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ([], {}, r"data is empty; give at least two texts, or one batch"),
        ("one text", {}, r"data is one string; give a list of texts"),
        (["one text"], {}, r"1 text\(s\); at least two are needed"),
        (mixed(), {}, r"data\[1\] is dict, and data\[0\] is a text; all must be texts"),
        ([torch.ones(2, 3)], {}, r"data\[0\] is Tensor; a batch must be a dict of tensors"),
        (TEXTS, {"round": 3}, r"unknown setting 'round'\. Did you mean 'rounds'\? Known: batch_size"),
        (TEXTS, {"task": "stsb"}, r"task is 'stsb' beside data of your own"),
        (None, {}, r"data is None; give texts, batches, or a task"),
        (5, {}, r"data is 5; give a list of texts, pictures, sounds or batches, or a task"),
        (TEXTS, {"rounds": "3"}, r"rounds is '3'; it must be of type int"),
        (TEXTS, {"budget": 2}, r"budget is 2\.0; it must be a share"),
        (TEXTS, {"budget": "half"}, r"budget is 'half'; it must be a share"),
        (TEXTS, {"schedule": "fast"}, r"unknown schedule 'fast'"),
        (TEXTS, {"length": 129}, r"length is 129; BertModel has positions for at most 128 tokens"),
        (TEXTS, {"mechanism": "Shadow"}, r"unknown mechanism 'Shadow'\. Did you mean 'ShadowPrice'\?"),
        (TEXTS, {"mechanism": 5}, r"mechanism is 5; it must be a Mechanism, or the name of one: ShadowPrice"),
        (TEXTS, {"mechanism": walras.ShadowPrice}, r"mechanism is <class .*; it must be a Mechanism, or the name"),
        (TEXTS, {"loss": 5}, r"loss is 5; it must be a function of a model and a batch"),
        (TEXTS, {"valuation": "fish"}, r"unknown valuation 'fish'\. Did you mean 'fisher'\?"),
        (TEXTS, {"agents": {"haed": Proud}}, r"unknown kind of unit 'haed'\. Did you mean 'head'\?"),
        (TEXTS, {"loss": lambda model, batch: 1.0}, r"loss returned 1\.0; it must be a tensor of one element"),
        (TEXTS, {"loss": lambda model, batch: torch.ones(())}, r"does not depend on the model's output"),
        (TEXTS, {"evaluate": lambda model: None}, r"evaluate returned None; it must be a number"),
        (TEXTS, {"evaluate": lambda model: float("nan")}, r"evaluate returned nan; it must be a finite number"),
        (
            TEXTS,
            {"loss": lambda model, batch: model(**batch).last_hidden_state.sum() * float("nan")},
            r"the loss of a calibration batch is nan; it must be finite",
        ),
    ],
)
def test_bad_input(encoder: Any, tmp_path: Path, data: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        walras.run(encoder.model, encoder.tokenizer, data, out=tmp_path / "r", **settings)
    assert not (tmp_path / "r").exists()


def test_a_model_is_a_transformer_or_its_name(models: Path) -> None:
    with pytest.raises(InputError, match="model is a name: its tokenizer is loaded with it"):
        walras.run(str(models / "bert"), None, TEXTS)
    with pytest.raises(InputError, match="model is int; it must be a transformer"):
        walras.run(5, None, TEXTS)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InputError):
        walras.run(nn.Linear(2, 2), None, TEXTS)


def test_positions_of_roberta_begin_after_the_padding_token() -> None:
    sizes = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
        "vocab_size": 9,
    }
    model: Any = RobertaModel(RobertaConfig.from_dict({**sizes, "max_position_embeddings": 20, "pad_token_id": 1}))
    assert positions(model) == 18
    model(input_ids=torch.full((1, 18), 3))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, 19), 3))


def test_public_names() -> None:
    for name in walras.__all__:
        assert getattr(walras, name) is not None
    assert set(walras.__all__) <= set(dir(walras))
    with pytest.raises(AttributeError, match="has no attribute 'Walras'"):
        _ = walras.Walras
    assert all(isinstance(check, Check) for check in walras.check_mechanism(walras.ShadowPrice(), instances=1))
    assert issubclass(UnknownNameError, ValueError)


@pytest.mark.nightly
def test_a_recipe_repairs_a_copy(encoder: Any, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in encoder.model.state_dict().items()}
    given: dict[str, Any] = {"budget": 0.5, "block": 16, "batch_size": 2, "seed": 1}
    result = walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="walras", out=tmp_path / "r", **given)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.model.state_dict().items())
    assert result.model is not encoder.model
    assert result.summary.rounds == 2
    small = result.compact()
    kept = load_file(tmp_path / "r" / "weights.safetensors")
    assert kept
    assert all(torch.equal(small.state_dict()[name], tensor) for name, tensor in kept.items())
    assert set(kept) == set(result.repaired())
    batch = dict(encoder.tokenizer(TEXTS, padding=True, return_tensors="pt"))
    with torch.no_grad(), result.gated() as model:
        there = model(**batch).last_hidden_state
        torch.testing.assert_close(small(**batch).last_hidden_state, there, rtol=0, atol=1e-5)
    plain = walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="walras", repair="none", **given)
    assert plain.model is encoder.model
    assert plain.repaired() == {}


def test_sub_layers_in_turn(encoder: Any) -> None:
    result = walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="k-prune", budget=0.5, block=16, batch_size=2)
    assert result.summary.rounds == len(result.units.sites)
    assert 0.3 < result.summary.used <= 0.5


def test_a_market_to_step_takes_no_repair(encoder: Any) -> None:
    with pytest.raises(InputError, match=r"repair is least_squares.* use walras\.run"):
        walras.open_market(encoder.model, encoder.tokenizer, TEXTS, recipe="walras")


def test_hooks_map_events_to_functions(encoder: Any) -> None:
    hooks: Any = [print]
    for start in (walras.run, walras.open_market):
        with pytest.raises(
            InputError, match=r"hooks is \[<built-in function print>\]; it must map events to functions"
        ):
            start(encoder.model, encoder.tokenizer, TEXTS, hooks=hooks)


@pytest.mark.parametrize("event", ["played", "settled"])
def test_a_round_stays_although_a_hook_behind_it_raises(encoder: Any, tmp_path: Path, event: str) -> None:
    def fails(market: Any, turn: Any) -> None:
        if turn.number == 2:
            raise KeyError("x")

    with pytest.raises(UserCodeError, match=f"hook .*fails on '{event}' failed .*: KeyError: 'x'"):
        walras.run(
            encoder.model, encoder.tokenizer, TEXTS, recipe="none", valuation="magnitude", rounds=3,
            hooks={event: fails}, out=tmp_path / "r",
        )  # fmt: skip
    assert set(read_trace(tmp_path / "r")["round"]) == {1, 2}
    assert pd.read_parquet(tmp_path / "r" / "rounds.parquet")["round"].tolist() == [1, 2]


class Broken(Objective):
    unit = "nothing"

    def __call__(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        raise ZeroDivisionError


def test_a_loss_or_a_metric_that_raises_is_named_with_file_and_line(encoder: Any) -> None:
    def breaks(*given: Any) -> Any:
        return 1 / 0

    def wrong() -> None: ...

    line, place = breaks.__code__.co_firstlineno + 1, re.escape(__file__)
    for what in ("loss", "evaluate"):
        given: Any = {what: breaks}
        with pytest.raises(UserCodeError, match=rf"^{what} failed \({place}, line {line}\): ZeroDivisionError"):
            walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="none", valuation="gradient", **given)
    with pytest.raises(UserCodeError, match=rf"^loss Broken failed \({place}, line \d+\): ZeroDivisionError"):
        walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="none", valuation="gradient", loss=Broken())
    taken = wrong.__code__.co_firstlineno
    with pytest.raises(UserCodeError, match=rf"^evaluate \({place}, line {taken}\) failed: TypeError"):
        walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="none", evaluate=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"^evaluate \({place}, line \d+\): evaluate returned None"):
        walras.run(encoder.model, encoder.tokenizer, TEXTS, recipe="none", evaluate=lambda model: None)  # type: ignore[arg-type,return-value]
