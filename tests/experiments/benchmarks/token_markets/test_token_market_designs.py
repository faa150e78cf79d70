"""Published designs by their formulas: TEAL's thresholds, CATS's gated neurons, winners by lot."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from walras.errors import InputError
from walras.experiments.benchmarks.token_markets import quality
from walras.experiments.benchmarks.token_markets.designs import DESIGNS
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks.losses import NextTokens
from walras.models.tokens.account import TokenMacs
from walras.models.tokens.calibrate import Calibration, find_prices
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.offers import Tally
from walras.models.tokens.trading import token_markets

LENGTH = 6


def calibrated(name: str, budget: float) -> tuple[Any, Calibrated, Calibration, TokenMacs]:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.eval()
    design = DESIGNS[name]
    ids = torch.randint(40, (16, LENGTH))
    maps = design.traded(model)
    worths = design.valuation(model, maps, [{"input_ids": ids}], NextTokens(), 0) if name != "by lot" else {
        m.path: torch.rand(m.bidders, generator=torch.Generator().manual_seed(0)) for m in maps
    }  # fmt: skip
    network = Calibrated(model, maps, worths, [{"input_ids": ids}])
    account = TokenMacs.from_model(model, maps, LENGTH)
    return model, network, find_prices(network, budget, design.policy, account), account


def logits(model: Any, ids: Tensor) -> Tensor:
    found: Tensor = model(input_ids=ids).logits
    return found


@torch.no_grad()
def test_cats_skips_rows_of_up_and_columns_of_down() -> None:
    """h = act(gate) up x where |act(gate)| reaches the layer's threshold, and 0 elsewhere; the rest is dense."""
    model, network, calibration, account = calibrated("CATS", 0.8)
    ids, tally = network.batches[0]["input_ids"], Tally()
    design = DESIGNS["CATS"]
    with token_markets(model, network.maps, network.worths, design.clear(network.maps, calibration, 0), tally):
        ours = logits(model, ids)
    for layer in model.model.layers:
        ffn = layer.mlp
        up = next(m for m in network.maps if m.signal and model.get_submodule(m.path) is ffn.up_proj)
        bar = (calibration.prices[up.path] * up.cost) ** 0.5

        def forward(x: Tensor, ffn: Any = ffn, bar: float = bar) -> Tensor:
            gates = ffn.act_fn(ffn.gate_proj(x))
            found: Tensor = ffn.down_proj(torch.where(gates.abs() >= bar, gates * ffn.up_proj(x), 0.0))
            return found

        ffn.forward = forward
    torch.testing.assert_close(logits(model, ids), ours)
    bought = tally.bought
    for m in network.maps:
        up_share = next(bought[o.path] for o in network.maps if o.signal and o.layer == m.layer)
        assert bought[m.path] == pytest.approx(up_share, abs=0.02)  # columns of down are those of the rows of up
    assert account.spent(network.maps, bought) == pytest.approx(0.8, abs=0.006)
    assert {m.name for m in network.maps} == {"up", "down"}


@torch.no_grad()
def test_teal_drops_small_activations() -> None:
    """Of every map, up as well, the inputs below a threshold on |x| are 0."""
    model, network, calibration, _ = calibrated("TEAL, equal", 0.6)
    ids = network.batches[0]["input_ids"]
    with token_markets(model, network.maps, network.worths, DESIGNS["TEAL, equal"].clear((), calibration, 0)):
        ours = logits(model, ids)
    for m in network.maps:
        bar = (calibration.prices[m.path] * m.cost) ** 0.5
        model.get_submodule(m.path).register_forward_pre_hook(
            lambda module, args, bar=bar: (torch.where(args[0].abs() >= bar, args[0], 0.0),)
        )
    torch.testing.assert_close(logits(model, ids), ours)
    assert {m.name for m in network.maps if not m.signal} >= {"query", "up", "gate", "down"}
    shares = list(calibration.bought.values())
    assert max(shares) - min(shares) < 0.05


@torch.no_grad()
@pytest.mark.parametrize("name", ["by lot", "mixture, same count", "mixture, batch"])
def test_rules_buy_as_much_as_the_prices_sold(name: str) -> None:
    model, network, calibration, account = calibrated("by lot", 0.6)
    tally = Tally()
    clear = DESIGNS[name].clear(network.maps, calibration, 0)
    with token_markets(model, network.maps, network.worths, clear, tally):
        logits(model, network.batches[0]["input_ids"])
    assert account.spent(network.maps, tally.bought) == pytest.approx(calibration.spent, abs=0.02)


def test_a_table_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {
            "model": "m", "task": "wikitext2-raw", "metric": "perplexity", "dense": 10.0, "design": d, "budget": 0.5,
            "draw": i, "quality": p, "measured": 0.5,
        }
        for d, values in {"one price": (11.0, 13.0), "CATS": (20.0,)}.items()
        for i, p in enumerate(values)
    ]  # fmt: skip
    table = quality.summary(rows).set_index("design")
    assert list(table.index) == ["one price", "CATS"]
    assert table.loc["one price", "quality"] == 12
    assert table.loc["one price", "half_95"] == pytest.approx(12.706, abs=0.01)  # t(1) = 12.706, sd = 2 ** 0.5
    assert table["half_95"].isna()["CATS"]
    done = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "token_markets_cells.jsonl").write_text(done)
    tried: list[tuple[Any, ...]] = []

    def measure(markets: Any, design: Any, budget: float, draw: int) -> dict[str, float]:
        tried.append((design, budget, draw))
        return {"quality": 15.0, "measured": 0.5}

    class Loaded:
        dense = 10.0
        data = SimpleNamespace(metric="perplexity")

    monkeypatch.setattr(quality.Markets, "measure", measure)
    monkeypatch.setattr(Subject, "load", lambda *_: Loaded())
    asked: dict[str, Any] = {"out": tmp_path, "design": ["one price", "CATS"], "budget": [0.5], "draws": 2}
    quality.main("x/m", "data", "wikitext2-raw", **asked)
    assert tried == [(DESIGNS["CATS"], 0.5, 1)]
    assert len((tmp_path / "token_markets_cells.jsonl").read_text().splitlines()) == 4
    quality.main("x/m", "data", "wikitext2-raw:tokens=9", **asked)  # another measurement altogether
    assert len(tried) == 5
    with pytest.raises(InputError, match="design is 'TEEL'; it must be one of: mixture, "):
        quality._design("TEEL")
