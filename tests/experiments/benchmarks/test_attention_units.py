"""Parts of heads: MACs by hand, masks against a sliced computation, one price, values against whole derivatives."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from walras.agents import Calibration, PartialFisher
from walras.errors import InputError
from walras.experiments.benchmarks.attention_units import measure
from walras.experiments.benchmarks.attention_units.axes import in_principal_axes
from walras.experiments.benchmarks.attention_units.designs import DESIGNS, Parts, Sizes, cleared
from walras.experiments.benchmarks.attention_units.masks import feature_inventory, masked
from walras.experiments.benchmarks.attention_units.values import RIDGE, worths
from walras.experiments.benchmarks.kept_rows import read_rows
from walras.experiments.spec import RunSpec
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks.losses import NextTokens
from walras.models import inventory, macs
from walras.models.levels.moments import input_moments

LENGTH = 5
TINY = Sizes(layers=2, hidden=8, heads=4, groups=2, size=4, neurons=12, length=LENGTH)


@pytest.fixture(scope="module")
def tiny() -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **{
        "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 4, "intermediate_size": 12, "initializer_range": 0.5, "bos_token_id": 1, "eos_token_id": 2,
    })  # fmt: skip
    auto: Any = AutoModelForCausalLM
    return auto.from_config(config, attn_implementation="eager").eval()


def batches(seed: int = 1, count: int = 2) -> list[dict[str, torch.Tensor]]:
    seeded = torch.Generator().manual_seed(seed)
    ids = [torch.randint(3, 30, (3, LENGTH), generator=seeded) for _ in range(count)]
    return [{"input_ids": some, "attention_mask": torch.ones_like(some)} for some in ids]


def drawn(share: float, seed: int = 0) -> Parts:
    generator = np.random.default_rng(seed)
    shapes = ((2, 12), (2, 2, 4), (2, 2, 2))
    return Parts(*(generator.random(shape) < share for shape in shapes))


def test_macs_by_hand(tiny: Any) -> None:
    assert Sizes.of(tiny, LENGTH) == TINY
    assert TINY.neuron == 5 * 3 * 8
    assert TINY.dimension == 5 * 8 + 2 * (5 * 5 + 5 * 8)  # value; mixing and output in two heads
    assert TINY.pair == 2 * (5 * 8 + 2 * (5 * 8 + 5 * 5))  # keys; queries and scores in two heads
    everything = Parts(*(np.ones_like(mask) for mask in drawn(0.5)))
    usage = macs(tiny, inventory(tiny, block=1), LENGTH)
    assert TINY.macs(everything) == TINY.dense == usage.dense
    one = Parts(everything.neurons, everything.dimensions.copy(), everything.pairs.copy())
    one.dimensions[1, 0], one.pairs[1, 0] = False, False
    assert usage.dense - TINY.macs(one) == usage.own[inventory(tiny, block=1).kind == "head"][2]  # of layer 1, group 0


def sliced_attention(attention: Any, x: torch.Tensor, dimensions: Any, pairs: Any, rotary: Any) -> torch.Tensor:
    """Causal attention of one sequence [tokens, hidden] with the rows and columns cut out, head by head."""
    cos, sin = (part[0] for part in rotary)  # [tokens, size]
    total = torch.zeros(len(x), 8)
    for head in range(4):
        group = head // 2
        low = np.flatnonzero(pairs[group])
        kept = np.flatnonzero(dimensions[group])
        turned = []
        for weight, place in ((attention.q_proj.weight, head), (attention.k_proj.weight, group)):
            first, second = x @ weight[place * 4 + low].T, x @ weight[place * 4 + low + 2].T
            c, s = cos[:, low], sin[:, low]
            turned.append(torch.cat([first * c - second * s, second * c + first * s], -1))
        scores = turned[0] @ turned[1].T / 4**0.5
        scores = scores.masked_fill(torch.ones(len(x), len(x)).triu(1).bool(), -torch.inf)
        values = x @ attention.v_proj.weight[group * 4 + kept].T
        total += scores.softmax(-1) @ values @ attention.o_proj.weight[:, head * 4 + kept].T
    return total


@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_masks_are_what_slicing_would_be(seed: int, tiny: Any) -> None:
    keep = drawn(0.5, seed)
    seen: dict[str, torch.Tensor] = {}
    model: Any
    with masked(tiny, TINY, keep) as model:
        for name, module in (("attention", model.model.layers[1].self_attn), ("ffn", model.model.layers[1].mlp)):
            module.register_forward_hook(
                lambda _, args, kwargs, out, name=name: seen.update(
                    {f"{name} in": (args or (kwargs["hidden_states"],))[0], name: out[0] if name != "ffn" else out}
                ),
                with_kwargs=True,
            )
        model(**batches(seed)[0])
        layer = model.model.layers[1]
    rotary = tiny.model.rotary_emb(torch.zeros(1, LENGTH, 8), torch.arange(LENGTH)[None])
    dense = tiny.model.layers[1]
    for row in range(3):
        cut = sliced_attention(dense.self_attn, seen["attention in"][row], keep.dimensions[1], keep.pairs[1], rotary)
        torch.testing.assert_close(seen["attention"][row], cut)
    kept = torch.tensor(keep.neurons[1])
    x = seen["ffn in"]
    inner = torch.nn.functional.silu(x @ dense.mlp.gate_proj.weight[kept].T) * (x @ dense.mlp.up_proj.weight[kept].T)
    torch.testing.assert_close(seen["ffn"], inner @ dense.mlp.down_proj.weight[:, kept].T)
    assert torch.equal(layer.self_attn.q_proj.weight, dense.self_attn.q_proj.weight)


def test_the_repair_lessens_the_error_and_leaves_the_dense_network(tiny: Any) -> None:
    before = {name: weight.clone() for name, weight in tiny.state_dict().items()}
    data, keep = batches(count=8), drawn(0.7)
    errors: list[float] = []
    model: Any
    with torch.no_grad():
        dense = torch.cat([tiny.model(**batch).last_hidden_state for batch in data])
        for fitted in ((), data):
            with masked(tiny, TINY, keep, fitted) as model:
                now = torch.cat([model.model(**batch).last_hidden_state for batch in data])
            errors.append(float((now - dense).square().mean()))
    assert errors[1] < 0.8 * errors[0]
    assert all(torch.equal(weight, before[name]) for name, weight in tiny.state_dict().items())


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("budget", [0.4, 0.7, 1.0])
def test_a_price_keeps_the_budget(name: str, budget: float) -> None:
    generator, design = np.random.default_rng(3), DESIGNS[name]
    worth = Parts(*(generator.gamma(1, size=mask.shape) for mask in drawn(1.0)))
    worth = Parts(worth.neurons * TINY.neuron, worth.dimensions * TINY.dimension, worth.pairs * TINY.pair)
    whole = 1.5 * (worth.dimensions.sum(-1) + worth.pairs.sum(-1))
    keep = cleared(worth, whole, TINY, budget, design)
    used = TINY.macs(keep)
    assert used <= budget * TINY.dense
    assert used > budget * TINY.dense - TINY.neuron or keep.neurons.all()
    gone = ~keep.dimensions.any(-1)
    assert not keep.pairs[gone].any()
    if not design.dimensions:
        assert (keep.dimensions == ~gone[..., None]).all()
    if not design.pairs:
        assert (keep.pairs == ~gone[..., None]).all()
    if budget == 1.0:
        assert used == TINY.dense


def test_a_group_leaves_whole_where_it_may_by_hand() -> None:
    """Each dimension is worth its price, all of them together less than the group costs with its pairs."""
    sizes = Sizes(layers=1, hidden=8, heads=2, groups=1, size=4, neurons=12, length=LENGTH)
    budget = 12 * sizes.neuron / sizes.dense
    values = np.full((1, 1, 4), 4.0) * sizes.dimension
    worth = Parts(np.full((1, 12), 3.0) * sizes.neuron, values, np.zeros((1, 1, 2)))
    whole = np.full((1, 1), 2.0) * sizes.dimension * 4
    beside = cleared(worth, whole, sizes, budget, DESIGNS["dimensions, heads"])
    assert (beside.neurons.sum(), beside.dimensions.sum(), beside.pairs.sum()) == (12, 0, 0)
    alone = cleared(worth, whole, sizes, 0.9, DESIGNS["dimensions"])
    assert (alone.dimensions.sum(), alone.pairs.sum()) == (4, 2)
    with pytest.raises(InputError, match="never gives up costs more"):
        cleared(worth._replace(dimensions=np.full((1, 1, 4), np.inf)), whole, sizes, 0.1, DESIGNS["dimensions"])


def test_values_are_those_of_the_market_and_of_derivatives(tiny: Any) -> None:
    """Groups and neurons as `PartialFisher` values them; pairs by the derivative of each token's loss alone."""
    data, objective = batches(), NextTokens()
    parts, whole = worths(tiny, TINY, objective, data)
    units = inventory(tiny, block=1)
    calibration = Calibration(tiny, units, objective, data, np.full(len(units), 0.1))
    with torch.no_grad():
        gates = torch.ones(len(units))
        found = PartialFisher(RIDGE, shrinkage=0.0)(calibration, gates, torch.Generator()).numpy()
    np.testing.assert_allclose(whole.reshape(-1), found[units.kind == "head"], rtol=1e-3)
    np.testing.assert_allclose(parts.neurons.reshape(-1), found[units.kind == "ffn"], rtol=1e-3)
    assert (parts.dimensions > 0).all()

    expected = np.zeros((2, 2, 2))
    for batch in data:
        for row in batch["input_ids"]:
            ids = row[None]
            gate = torch.ones(LENGTH, 2, 2, 2, requires_grad=True)  # [queries, layers, groups, pairs]
            with torch.enable_grad():
                handles = [
                    layer.self_attn.q_proj.register_forward_hook(
                        lambda _, __, out, i=i, gate=gate: (
                            out * gate[:, i].repeat(1, 1, 2).repeat_interleave(2, 1).reshape(1, 5, 16)
                        )
                    )
                    for i, layer in enumerate(tiny.model.layers)
                ]
                loss = objective(tiny, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.Generator())
                (slope,) = torch.autograd.grad(loss, [gate])
            for handle in handles:
                handle.remove()
            expected += slope.square().sum(0).numpy() / 6
    np.testing.assert_allclose(parts.pairs, expected, rtol=1e-4)


@torch.no_grad()
def test_principal_axes_compute_the_same_and_write_apart(tiny: Any) -> None:
    data = batches(count=6)
    turned: Any = in_principal_axes(tiny, TINY, data)
    for batch in data[:2]:
        torch.testing.assert_close(turned(**batch).logits, tiny(**batch).logits, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(
        turned.model.layers[0].self_attn.v_proj.weight, tiny.model.layers[0].self_attn.v_proj.weight
    )
    units = feature_inventory(tiny)
    moments = input_moments(turned, units, data, torch.ones(len(units)))
    for layer in range(2):
        weight = turned.model.layers[layer].self_attn.o_proj.weight
        for group in range(2):
            heads = [slice(4 * h, 4 * h + 4) for h in (2 * group, 2 * group + 1)]
            written = sum(weight[:, h].T @ weight[:, h] for h in heads)
            torch.testing.assert_close(written, torch.eye(4), rtol=0, atol=5e-3)
            moment: Any = sum(moments[2 * layer][h, h] for h in heads)
            variances = moment.diagonal()
            apart = moment - torch.diag(variances)
            assert float(apart.abs().max()) < 1e-3 * float(variances.max())
            assert variances.tolist() == sorted(variances.tolist(), reverse=True)


def test_other_families_are_refused() -> None:
    auto: Any = AutoModelForCausalLM
    gpt2 = auto.from_config(AutoConfig.for_model("gpt2", n_embd=8, n_layer=1, n_head=2, vocab_size=9))
    with pytest.raises(InputError, match="traded here in llama, mistral, qwen2; this is a gpt2"):
        Sizes.of(gpt2, 8)


def test_cells_are_measured_once(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text"
    text.mkdir()
    for split in ("train", "valid", "test"):
        words = "the cat sat on the mat . a dog ran in the house ! " * 30
        (text / f"wiki.{split}.raw").write_text(words, encoding="utf-8")
    counts = measure.Counts(valued=4, repaired=6, judged=4)
    monkeypatch.setattr(measure, "Counts", lambda: counts)
    given: dict[str, Any] = {
        "model": str(models / "llama"), "task": "wikitext2-raw", "data": str(text), "length": 32, "budget": [0.8],
        "design": ["heads", "axes"], "draw": 0, "out": tmp_path / "rows.jsonl",
    }  # fmt: skip
    measure.main(**given)
    rows = read_rows(tmp_path / "rows.jsonl")
    assert [row["design"] for row in rows] == ["dense", "heads", "axes"]
    assert [len(row["nats"]) for row in rows] == [4, 4, 4]
    assert all(row["macs"] <= 0.8 for row in rows[1:])
    measure.main(**given)
    assert read_rows(tmp_path / "rows.jsonl") == rows
    table = measure.table(rows)
    assert table["perplexity"].tolist() == pytest.approx([np.exp(np.mean(row["nats"])) for row in rows])
    first, second = (np.array(row["nats"]) for row in rows[1:])
    assert table["ratio"].iloc[2] == pytest.approx(np.exp((second - first).mean()))
    assert table["low"].iloc[2] <= table["ratio"].iloc[2] <= table["high"].iloc[2]
    with pytest.raises(SystemExit):
        measure.main(**{**given, "design": ["headz"]})


def test_blocks_that_are_judged_are_among_no_others(models: Path, tmp_path: Path) -> None:
    words = " ".join(random.Random(0).choices(("the", "a", "cat", "dog", "sat", "ran", "mat", "man"), k=2000))
    for split in ("train", "valid", "test"):
        (tmp_path / f"wiki.{split}.raw").write_text(words, encoding="utf-8")
    spec = RunSpec.parse({"model": str(models / "llama"), "task": "wikitext2-raw", "data": str(tmp_path), "length": 16})
    subject = Subject.load(spec.subject, measured=False)
    blocks = measure.Blocks.drawn(subject, measure.Counts(4, 6, 5), 0, 4)
    valued, repaired, judged = (
        [tuple(row.tolist()) for batch in part for row in batch["input_ids"]]
        for part in (blocks.valued, blocks.repaired, blocks.judged)
    )
    assert (len(valued), len(repaired), len(judged)) == (4, 6, 5)
    assert repaired[:4] == valued
    assert not {*judged} & {*repaired}
    with pytest.raises(InputError, match="blocks are wanted"):
        measure.Blocks.drawn(subject, measure.Counts(4, 6, 50_000), 0, 4)
