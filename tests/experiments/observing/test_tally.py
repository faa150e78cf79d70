"""Running sums of attention: by hand, against what transformers itself reports, and the compute that goes with them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from walras.experiments.observing.tally import STATISTICS, Tally, statistics
from walras.mechanisms.inequality import entropy, gini
from walras.models import inventory, macs
from walras.models.architectures import layer_paths
from walras.models.attention import TopKeys, attention_market
from walras.models.attention.token_elimination import elimination_macs, token_elimination
from walras.models.loading import load
from walras.models.resources.layer_costs import LayerMacs
from walras.models.resources.macs import PARTS

INF = math.inf


def shown(tally: Tally, scores: Tensor, k: int | None) -> Tally:
    tally(0, scores, scores.softmax(-1) if k is None else TopKeys(k)(scores))
    return tally


def padded() -> Tensor:
    """Two tokens and padding: shares (1/4, 3/4) and (1/2, 1/2); whatever padding looks at counts for nothing."""
    rows = [[0, math.log(3), -INF], [0, 0, -INF], [5, 9, -INF]]
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def test_one_layer_by_hand() -> None:
    found = shown(Tally(1, [0]), padded(), k=1).mean([0])
    own_entropy = 2 * math.log(2) - 0.75 * math.log(3)
    expected = {
        "keys": 2, "kept": 1, "total": 1, "mass": (0.75 + 0.5) / 2, "active": 1,
        "gini": 1, "gini_bound": 1, "gini_raw": 0.5, "gini_raw_bound": 0.5, "gini_kept": 0,
        "entropy": 0, "entropy_bound": 0, "before_gini": 0.25, "before_gini_raw": 0.125,
        "before_entropy": (own_entropy + math.log(2)) / 2, "before_entropy_bound": math.log(2),
    }  # fmt: skip
    assert found == pytest.approx(expected, abs=1e-12)


def test_unconstrained_by_hand() -> None:
    found = shown(Tally(1, []), padded(), k=None).mean([0])
    assert found["gini"] == found["gini_kept"] == found["before_gini"] == pytest.approx(0.25)
    assert [found[name] for name in ("kept", "total", "mass", "active", "gini_bound")] == [2, 1, 1, 0, 0]
    assert found["entropy_bound"] == pytest.approx(math.log(2))


def test_causal_rows_have_their_own_number_of_keys() -> None:
    scores = torch.zeros(1, 2, 3, 3, dtype=torch.float64).masked_fill(torch.ones(3, 3).triu(1).bool(), -INF)
    tally = shown(Tally(1, [0]), scores, k=2)
    found = tally.mean([0])
    assert (found["keys"], found["kept"], found["active"]) == pytest.approx((2, 5 / 3, 1 / 3))
    assert found["gini_raw_bound"] == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert found["gini"] == found["gini_bound"] == pytest.approx((0 + 0 + 1 / 2) / 3)
    assert found["before_entropy_bound"] == pytest.approx((math.log(2) + math.log(3)) / 3)
    assert tally.most_keys == 3
    assert tally.rows[0] == 6


def test_a_rule_that_saves_attention() -> None:
    scores = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    tally = Tally(1, [0])
    tally(0, scores, torch.full_like(scores, 0.2))
    found = tally.mean([0])
    assert [found[name] for name in ("total", "mass", "kept", "active")] == pytest.approx([0.4, 1, 2, 1])
    assert (found["gini"], found["entropy"]) == pytest.approx((0, math.log(2)))


def test_rows_that_lose_all_are_numbers() -> None:
    found = statistics(torch.zeros(1, 3), torch.zeros(1, 3))
    assert all(bool(torch.isfinite(value).all()) for value in found.values())


def test_sums_over_batches_are_those_of_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    scores = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    scores[2, ..., 3] = -INF
    whole, parts, small = Tally(1, [0]), Tally(1, [0]), Tally(1, [0])
    shown(whole, scores, 2)
    for part in (scores[:2], scores[2:3, :, :3, :3], scores[3:]):  # the third without its padding
        shown(parts, part, 2)
    monkeypatch.setattr("walras.experiments.observing.tally._AT_ONCE", 40)
    shown(small, scores, 2)
    for other in (parts, small):
        np.testing.assert_allclose(other.sums, whole.sums, rtol=1e-12)
        assert (other.rows == whole.rows).all()
        assert other.sequences == whole.sequences == 5


def test_bounds_hold_in_every_row() -> None:
    torch.manual_seed(1)
    scores = 3 * torch.randn(200, 9, dtype=torch.float64)
    scores[:, 6:][torch.rand(200, 3) < 0.5] = -INF
    found = statistics(scores, TopKeys(4)(scores))
    for prefix in ("gini", "gini_raw"):
        assert (found[prefix] >= found[f"{prefix}_bound"] - 1e-12).all()
    for prefix in ("entropy", "before_entropy"):
        assert (found[prefix] <= found[f"{prefix}_bound"] + 1e-12).all()
    assert (found["gini"] >= found["before_gini"] - 1e-12).all()  # for any scores: arithmetic
    assert (found["entropy"] <= found["before_entropy"] + 1e-12).all()
    assert set(found) == set(STATISTICS)


@pytest.fixture(scope="module")
def bert(models: Path) -> Any:
    return load(str(models / "bert"), device="cpu")


TEXTS = ["the cat sat", "a dog ran in the house", "the man", "a woman ate an apple in the house ."]


def test_equal_to_the_attentions_that_transformers_reports(bert: Any) -> None:
    """Sentence by sentence, without padding, under eager attention; ours in one padded batch."""
    model, tokenizer = bert
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    sums, rows = np.zeros((2, 2)), 0
    with torch.no_grad():
        for text in TEXTS:
            attentions = model(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
            for layer, weights in enumerate(attentions):
                sums[layer] += float(gini(weights.double()).sum()), float(entropy(weights.double()).sum())
            rows += weights[..., 0].numel()
    model.set_attn_implementation(before)
    tally = Tally(2, [])
    with torch.no_grad(), attention_market(model, [None, None], tally):
        model(**tokenizer(TEXTS, padding=True, return_tensors="pt"))
    assert (tally.rows == rows).all()
    places = [STATISTICS.index(name) for name in ("gini", "entropy")]
    np.testing.assert_allclose(tally.by_layer[:, places], sums / rows, rtol=1e-5)
    mean = tally.mean([0, 1])
    assert (mean["gini"], mean["entropy"]) == pytest.approx(tuple(sums.mean(0) / rows), rel=1e-5)
    assert math.isnan(tally.mean([])["gini"])


def test_measured_macs_are_those_that_run(bert: Any) -> None:
    model, tokenizer = bert
    costs, paths = LayerMacs.from_model(model), layer_paths(model)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    for k in (None, 3):
        tally, counter = Tally(2, []), FlopCounterMode(display=False)
        market = token_elimination(model, k, tally) if k else attention_market(model, [None, None], tally)
        with torch.no_grad(), market, counter:
            model(**batch)
        for layer, path in enumerate(paths):
            counted = sum(counter.get_flop_counts()[f"BertModel.{path}"].values()) / 2 / len(TEXTS)
            assert tally.measured(costs)[layer].sum() == pytest.approx(counted, rel=1e-12)
        n, units = batch["input_ids"].shape[1], inventory(model)
        expected = macs(model, units, n) if k is None else elimination_macs(model, units, n, k)
        assert tally.measured(costs).sum() == pytest.approx(expected.dense, rel=1e-12)


def test_theoretical_macs_skip_padding_and_what_weighs_nothing(bert: Any) -> None:
    model, tokenizer = bert
    lengths = [len(tokenizer(text).input_ids) for text in TEXTS]
    costs, k = LayerMacs.from_model(model), 4
    tally = Tally(2, [1])
    with torch.no_grad(), attention_market(model, [None, TopKeys(k)], tally):
        model(**tokenizer(TEXTS, padding=True, return_tensors="pt"))
    found = tally.theoretical(costs)
    alone = np.mean([costs(n, n * n, n * n) for n in lengths], axis=0)
    np.testing.assert_allclose(found[0], alone[0], rtol=1e-12)
    mix = PARTS.index("mix")
    kept = sum(n * min(k, n) for n in lengths) / len(TEXTS)
    assert found[1][mix] == pytest.approx(32 * kept)  # hidden size 32
    np.testing.assert_allclose(np.delete(found[1], mix), np.delete(alone[1], mix), rtol=1e-12)
    assert tally.left == 0
