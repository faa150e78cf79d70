"""Whole markets on a mixture of experts: from Python, from the command line, and out of the folder that is exported."""

import copy
import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import BertTokenizer, MixtralConfig, MixtralForCausalLM

import walras as library
from walras.errors import InputError, RequirementError
from walras.market.supply import Supply
from walras.mechanisms import IndivisibleBids, ShadowPrice
from walras.models import inventory, macs

EXPERTS = 4


@pytest.fixture(scope="module")
def mixture(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Mixtral of two layers: 2 groups of heads and 4 experts each, 2 of them for each token."""
    folder = tmp_path_factory.mktemp("mixture")
    tokenizer = BertTokenizer.from_pretrained(models / "gpt2")
    config = MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=EXPERTS, num_experts_per_tok=2, max_position_embeddings=128,
        bos_token_id=2, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = MixtralForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape) * weight.shape[-1] ** -0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(mixture: Path) -> tuple[Any, Any]:
    model = MixtralForCausalLM.from_pretrained(mixture, experts_implementation="eager").eval()  # type: ignore[no-untyped-call]  # transformers' own
    return model, BertTokenizer.from_pretrained(mixture)


TEXTS = ["The cat sat on the mat.", "A dog ran in the house!", "The man played the guitar.", "A woman ate an apple."]


def test_from_python_with_texts(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    outcome = library.run(model, tokenizer, TEXTS, budget="bytes=0.6", length=32)  # recipe walras, repair included
    assert outcome.summary.kept.keys() == {"head", "expert"}
    budget = outcome.summary.budgets["bytes"]
    assert budget.absolute <= 0.6 * budget.dense
    small = outcome.compact()
    gone = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in small.parameters())
    assert 4 * gone == budget.dense - budget.absolute
    assert np.isfinite(outcome.summary.metric.value)


def test_a_mac_budget_is_cleared_by_rules_for_chains_and_refused_to_others(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    given: dict[str, Any] = {"recipe": "none", "valuation": "magnitude", "length": 32, "units": ["expert"]}
    outcome = library.run(model, tokenizer, TEXTS, budget=0.8, **given)
    budget = outcome.summary.budgets["macs"]
    assert budget.absolute <= 0.8 * budget.dense
    assert budget.absolute == macs(outcome.compact(), inventory(outcome.compact()), 32).dense
    message = "VCG cannot clear a budget in macs of this network: what a unit of kind 'expert' adds depends on how many"
    with pytest.raises(RequirementError, match=f"{message}.*ShadowPrice.*of bytes and parameters"):
        library.run(model, tokenizer, TEXTS, budget=0.8, mechanism="VCG", **given)
    library.run(model, tokenizer, TEXTS, budget="bytes=0.8", mechanism="VCG", **given)


@pytest.mark.parametrize("budget", [0.9, 0.75, 0.5])
def test_the_shadow_price_finds_the_best_set_of_experts(budget: float, loaded: tuple[Any, Any]) -> None:
    """The best of all numbers of experts per layer, since within a layer those worth most are kept."""
    model, _ = loaded
    units = inventory(model, ["expert"])
    use = macs(model, units, 32)
    value = np.random.default_rng(1).lognormal(size=len(units))
    offer = Supply((use,)).offer([budget], value, np.ones(len(units), dtype=bool), np.zeros(len(units)))
    found = ShadowPrice()(IndivisibleBids(torch.from_numpy(value), offer.before), offer.supply, offer.cost)
    keep = found.quantity.numpy() > 0
    assert use.used(keep) <= budget * use.dense
    best = 0.0
    for counts in product(range(EXPERTS + 1), repeat=2):
        chosen = np.zeros(len(units), dtype=bool)
        for site, count in zip(units.sites, counts, strict=True):
            chosen[site.units.start + np.argsort(-value[site.units])[:count]] = True
        if use.used(chosen) <= budget * use.dense:
            best = max(best, float(value[chosen].sum()))
    assert float(value[keep].sum()) == pytest.approx(best)


def test_valuations_that_look_at_features_say_which_do_not(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    with pytest.raises(InputError, match=r"experts have no features .* valuations without: fisher, partial-fisher"):
        library.run(model, tokenizer, TEXTS, budget="bytes=0.6", recipe="k-prune", length=32)


@pytest.mark.parametrize("valuation", ["fisher", "gradient", "random", "leave-one-out", "partial-fisher"])
def test_valuations_of_experts(valuation: str, loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    market = library.open_market(
        model, tokenizer, TEXTS, budget="bytes=0.6", recipe="none", valuation=valuation, length=32
    )
    market.step()
    experts = market.ledger.kind == "expert"
    assert bool((market.ledger.value[experts] >= 0).all())
    assert bool((market.ledger.value[experts] > 0).any())
    assert {type(agent).__name__ for agent in market.agents} == {"HeadAgent", "ExpertAgent"}


def test_from_the_command_line_to_a_folder_that_transformers_loads(
    walras: Any, mixture: Path, lines: Path, no_pictures: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    run = ("run", "--model", mixture, "--task", "text", "--data", lines, "--length", 32)
    answer = walras(*run, "--budget", "bytes=0.6", "--out", "market")
    assert answer.code == 0, answer.err
    assert json.loads(Path("market/result.json").read_text())["kept"]["expert"] < 2 * EXPERTS
    answer = walras("export", "market", "--out", "small")
    assert answer.code == 0, answer.err
    causal: Any = transformers.AutoModelForCausalLM
    theirs = causal.from_pretrained("small", trust_remote_code=True).eval()
    told = [theirs.config.per_layer_config[i].experts for i in range(2)]
    assert sum(told) == json.loads(Path("market/result.json").read_text())["kept"]["expert"]
    ids = torch.arange(4, 20).unsqueeze(0)
    with torch.no_grad():
        assert torch.equal(theirs(ids).logits, library.load_model("small")(ids).logits)


def test_an_expert_market_on_a_dense_network_is_refused(walras: Any, models: Path, lines: Path) -> None:
    run = ("run", "--model", models / "gpt2", "--task", "text", "--data", lines, "--length", 32)
    answer = walras(*run, "--budget", "0.6", "--units", "expert", "--out", "market")
    assert "GPT2LMHeadModel has no units of kind 'expert'; it has: head, ffn" in answer.error
    assert not Path("market/result.json").exists()


def test_even_layers_are_a_stock_configuration(loaded: tuple[Any, Any], tmp_path: Path) -> None:
    """A market in each layer keeps the same number of experts everywhere: no code goes along, not even for one a token.

    At 0.44 a single expert is left of each layer, of which a token cannot be given two.
    """
    model, tokenizer = loaded
    for number, left in ((2, 0.63), (1, 0.44)):
        outcome = library.run(model, tokenizer, TEXTS, budget={"bytes": left}, recipe="reap", length=32)
        small: Any = outcome.compact()
        assert [layer.mlp.experts.num_experts for layer in small.model.layers] == [number] * 2
        outcome.export(tmp_path / f"{number}", stock=True)
        causal: Any = transformers.AutoModelForCausalLM
        stock = causal.from_pretrained(tmp_path / f"{number}", trust_remote_code=False, experts_implementation="eager")
        assert (stock.config.num_local_experts, stock.config.num_experts_per_tok) == (number, number)
        assert not list((tmp_path / f"{number}").glob("*.py"))
        ids = torch.arange(4, 20).unsqueeze(0)
        with torch.no_grad():
            assert torch.equal(stock.eval()(ids).logits, small(ids).logits)


def test_macs_and_bytes_are_two_prices(loaded: tuple[Any, Any]) -> None:
    """Experts that leave save bytes, and MACs only where fewer are left than a token is given: then MACs are free."""
    model, tokenizer = loaded
    settings: dict[str, Any] = {"recipe": "none", "valuation": "fisher", "length": 32, "rounds": 1}

    def sold(size: float, work: float) -> tuple[Any, Any, Any]:
        outcome = library.run(model, tokenizer, TEXTS, budget={"bytes": size, "macs": work}, **settings)
        found = outcome.summary.budgets
        for name, share in (("bytes", size), ("macs", work)):
            assert found[name].absolute <= share * found[name].dense
        return outcome, found["bytes"].price, found["macs"].price

    outcome, of_bytes, of_macs = sold(0.6, 0.9)
    assert min(of_bytes, of_macs) > 0
    small = outcome.compact()
    assert outcome.summary.budgets["macs"].absolute == macs(small, inventory(small), 32).dense
    _, of_bytes, of_macs = sold(0.5, 0.9)
    assert (of_bytes > 0, of_macs) == (True, 0)
    _, of_bytes, of_macs = sold(0.9, 0.8)
    assert (of_bytes, of_macs > 0) == (0, True)


@pytest.mark.parametrize("repair", ["router=true", "router=true,experts=true"])
def test_uneven_layers_repaired(repair: str, loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    before = [p.detach().clone() for p in model.parameters()]
    settings: dict[str, Any] = {"recipe": "none", "valuation": "reap", "units": ["expert"], "rounds": 1, "length": 32}
    outcome = library.run(model, tokenizer, TEXTS, budget="bytes=0.6", repair=f"least_squares:{repair}", **settings)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert outcome.summary.kept["expert"] < 2 * EXPERTS
    assert np.isfinite(outcome.summary.metric.value)


def test_reap_of_heads_is_refused(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    with pytest.raises(InputError, match=r"reap values experts alone; L0\.H0 is of kind 'head'"):
        library.run(model, tokenizer, TEXTS, budget="bytes=0.6", recipe="none", valuation="reap", length=32)


def test_fewer_experts_than_a_token_is_given(mixture: Path, lines: Path, walras: Any, tmp_path: Path) -> None:
    """Said before anything is traded, or written."""
    broken = tmp_path / "broken"
    shutil.copytree(mixture, broken)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "num_experts_per_tok": 5}))
    run = ("run", "--model", broken, "--task", "text", "--data", lines, "--length", 32)
    answer = walras(*run, "--budget", "bytes=0.6", "--out", "market")
    assert "num_experts_per_tok is 5; valid: 1 to 4, as many as num_local_experts" in answer.error
    assert not Path("market").exists()


def test_a_network_with_fewer_experts_than_a_token_is_given(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = copy.deepcopy(loaded[0]), loaded[1]
    model.model.layers[1].mlp.gate.top_k = 5
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.gate gives each token 5 of 4 experts; valid: 1 to 4"):
        library.run(model, tokenizer, TEXTS, budget="bytes=0.6", length=32)
