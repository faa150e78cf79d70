"""Every routing rule's fast kernel is the clearing of a market; by hand, at the limits, and what rules learn."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from walras.errors import InputError, UnknownNameError
from walras.mechanisms import ShadowPrice, Status, UniformPriceAuction, resource_use
from walras.models.routing import (
    ROUTING_RULES,
    Allotment,
    BalancedAssignment,
    CapacityPrice,
    ExpertChoice,
    Load,
    LossFreeBias,
    PostedPrices,
    RoutingRule,
    TopExperts,
)

DOUBLE = torch.float64
PRICES = torch.tensor([0.5, -0.2, 0.0, 0.7, 0.1], dtype=DOUBLE)
RULES: list[RoutingRule] = [
    TopExperts(),
    ExpertChoice(),
    ExpertChoice(0.4),
    ExpertChoice(2.0),
    BalancedAssignment(1e-4),
    CapacityPrice(tolerance=1e-4),
    CapacityPrice(1.6, tolerance=1e-4),
    LossFreeBias(),
    LossFreeBias(learned=PRICES),
    PostedPrices(),
    PostedPrices(PRICES),
]


def logits(tokens: int = 20, experts: int = 5, seed: int = 0) -> Tensor:
    """Experts that not everybody likes alike."""
    noise = torch.randn(tokens, experts, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))
    return noise + torch.linspace(-1, 1, experts, dtype=DOUBLE)


def cleared(rule: RoutingRule, z: Tensor, k: int) -> Tensor:
    market = rule.market(z, k)
    found = market.mechanism(market.bids, market.supply, market.cost)
    return rule.settle(found.quantity, tuple(z.shape))


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_kernel_is_the_clearing(rule: RoutingRule, k: int) -> None:
    for seed in range(3):
        z = logits(seed=seed)
        assert torch.equal(rule(z, k).chosen, cleared(rule, z, k))


def test_every_rule_of_the_list_is_tried() -> None:
    assert {type(rule) for rule in RULES} == set(ROUTING_RULES.values())
    for name, rule in ROUTING_RULES.items():
        assert rule.name == name
        assert getattr(rule, "__final__", False)
    assert ROUTING_RULES.make("capacity-price:capacity=1.5") == CapacityPrice(1.5)


def test_which_mechanism_each_of_them_is() -> None:
    kinds = {type(rule).__name__: type(rule.market(logits(), 2).mechanism) for rule in RULES}
    auctions = ("TopExperts", "ExpertChoice", "LossFreeBias", "PostedPrices")
    assert kinds == {
        **dict.fromkeys(auctions, UniformPriceAuction), "BalancedAssignment": ShadowPrice, "CapacityPrice": ShadowPrice
    }  # fmt: skip


@pytest.mark.parametrize("rule", [BalancedAssignment(1e-4), CapacityPrice(1.2, tolerance=1e-4)], ids=repr)
def test_prices_are_shadow_prices(rule: RoutingRule) -> None:
    """Both support the same allotment: at either prices, every token has its k best experts, and what is left is free.

    `ShadowPrice` has the lowest that do; an auction ends within a step above them.
    """
    z, k = logits(), 2
    market, found = rule.market(z, k), rule(z, k)
    exact = market.mechanism(market.bids, market.supply, market.cost).price[: z.shape[1]]
    assert found.price is not None
    step = 1e-4 * float((z.amax(1) - z.amin(1)).mean())
    for price in (exact, found.price):
        net = z - price
        last = net.topk(k).values[:, -1:].expand_as(net)
        assert bool((net[found.chosen] >= last[found.chosen] - step - 1e-9).all())
    room = int(torch.as_tensor(market.supply)[0])
    assert float(found.price.max()) > 0.5
    assert bool(((found.price == 0) | (found.chosen.sum(0) == room)).all())


# ---- by hand


def test_expert_choice_by_hand() -> None:
    shares = torch.tensor([[0.7, 0.3], [0.6, 0.4], [0.9, 0.1], [0.2, 0.8]], dtype=DOUBLE)
    found = ExpertChoice()(shares.log(), 1)  # 4 tokens, 2 experts: 2 places each
    assert found.chosen.tolist() == [[True, False], [False, True], [True, False], [False, True]]
    assert found.price is not None
    assert found.price.tolist() == pytest.approx([0.6, 0.3])  # the first that was turned away
    few = ExpertChoice(0.5)(shares.log(), 1)
    assert few.chosen.any(1).tolist() == [False, False, True, True]  # two tokens have no expert


def test_a_bias_moves_against_the_load_by_hand() -> None:
    z = torch.tensor([[2.0, 1.0, 0.0]] * 4, dtype=DOUBLE)
    rule = LossFreeBias(0.1)
    found = rule(z, 1)
    after = rule.after(found)
    assert isinstance(after, LossFreeBias)
    assert after.learned is not None
    assert after.learned.tolist() == pytest.approx([0.1, -0.1, -0.1])  # prices: negatives of the biases
    gradual = LossFreeBias(0.1, proportional=True).after(found)
    assert gradual.learned is not None
    assert gradual.learned.tolist() == pytest.approx([0.1, -0.1, -0.1])  # 12/3 = 3 times the mean counts as twice
    assert rule.learned is None


def test_the_sign_of_a_step_is_that_of_excess_demand() -> None:
    """A step of tatonnement: demand at the posted prices, less the supply, by the mechanisms' own accounts."""
    z, k = logits(60), 2
    rule = LossFreeBias(0.05, learned=PRICES)
    market = CapacityPrice(1.0).market(z, k)
    assert market.cost is not None
    wanted = rule(z, k).chosen.flatten().to(DOUBLE)
    excess = (resource_use(market.cost, wanted) - torch.as_tensor(market.supply))[:5]
    after = rule.after(rule(z, k)).learned
    assert after is not None
    torch.testing.assert_close(after - PRICES, 0.05 * excess.sign())


@pytest.mark.parametrize("proportional", [False, True])
def test_biases_end_at_shadow_prices(proportional: bool) -> None:
    """On the same tokens again and again, posted prices that move grope their way to those of `ShadowPrice`."""
    z, k = logits(200), 2
    rule: RoutingRule = LossFreeBias(0.05, proportional)
    for step in range(1500):
        assert isinstance(rule, LossFreeBias)
        rule = replace(rule.after(rule(z, k)), rate=0.05 / (1 + step / 50))
    load = rule(z, k).chosen.sum(0)
    assert int((load - 80).abs().max()) <= 3
    exact = CapacityPrice(1.0, tolerance=1e-4)(z, k)
    assert exact.price is not None
    assert rule.learned is not None
    apart = (rule.learned - rule.learned.mean()) - (exact.price - exact.price.mean())  # levels are nobody's business
    assert float(apart.abs().max()) < 0.05
    before = TopExperts()(z, k).chosen.sum(0)
    assert int((before - 80).abs().max()) > 30


def test_capacity_that_does_not_bind_is_top_k() -> None:
    z = logits()
    found = CapacityPrice(5.0)(z, 2)
    assert torch.equal(found.chosen, TopExperts()(z, 2).chosen)
    assert found.price is not None
    assert not found.price.any()
    balanced = BalancedAssignment(1e-4)(z, 2)
    assert torch.equal(balanced.chosen, CapacityPrice(1.0, tolerance=1e-4)(z, 2).chosen)
    assert balanced.chosen.sum(0).tolist() == [8] * 5


def test_prices_are_remembered_and_posted_at_evaluation() -> None:
    one, two = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    rule: RoutingRule = CapacityPrice(memory=0.75)
    for price in (one, two):
        rule = rule.after(Allotment(torch.ones(1, 2, dtype=torch.bool), price))
    assert rule.learned is not None
    assert rule.learned.tolist() == pytest.approx([0.75, 0.5])
    assert rule.at_evaluation().learned is rule.learned
    assert isinstance(rule.at_evaluation(), PostedPrices)
    assert isinstance(BalancedAssignment().at_evaluation(), TopExperts)
    assert TopExperts().after(Allotment(torch.ones(1, 2, dtype=torch.bool))) == TopExperts()


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rules_that_say_so_look_at_no_later_token(rule: RoutingRule) -> None:
    z = logits(40) + torch.linspace(-2, 2, 5, dtype=DOUBLE)
    whole = [rule(z, 2).chosen[:10], rule(torch.cat([z[:10], 2 - z[10:]]), 2).chosen[:10]]
    assert torch.equal(*whole) == rule.causal
    assert rule.at_evaluation().causal


@given(tokens=st.integers(1, 30), experts=st.integers(1, 6), seed=st.integers(0, 99), data=st.data())
def test_any_batch_is_shared_out(tokens: int, experts: int, seed: int, data: Any) -> None:
    k = data.draw(st.integers(1, experts))
    z = logits(tokens, experts, seed)
    for rule in (TopExperts(), BalancedAssignment(), CapacityPrice(), LossFreeBias(), PostedPrices()):
        assert rule(z, k).chosen.sum(1).tolist() == [k] * tokens
    room = -(-k * tokens // experts)
    assert ExpertChoice()(z, k).chosen.sum(0).tolist() == [min(room, tokens)] * experts
    assert int(BalancedAssignment()(z, k).chosen.sum(0).max()) <= room


def test_load_by_hand() -> None:
    load = Load(capacity=1.0)
    load.add(Allotment(torch.tensor([[True, False], [True, False], [True, True], [False, False]])))
    assert load.experts.tolist() == [3, 1]
    assert (load.violation, load.dropped, load.unserved) == (0.5, 0.25, 0.25)
    load.add(Allotment(torch.tensor([[True, False], [False, True]])))
    assert load.experts.tolist() == [4, 2]
    assert load.violation == 0.25
    assert load.unserved == pytest.approx(1 / 6)


# ---- bad input


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("k", [6, 0, True, 1.5])
def test_fewer_experts_than_k(rule: RoutingRule, k: Any) -> None:
    with pytest.raises(InputError, match=rf"each token is to have k = {k} of 5 experts; valid: 1 to 5"):
        rule(logits(), k)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExpertChoice(-0.1), "capacity is -0.1; it must be a number of at least 0, in equal shares"),
        (lambda: CapacityPrice(0.9), "capacity is 0.9; it must be a number of at least 1"),
        (lambda: CapacityPrice(memory=1.0), "memory is 1.0; it must be a number from 0, below 1"),
        (lambda: BalancedAssignment(0.0), "tolerance is 0.0; it must be a number above 0, at most 1"),
        (lambda: LossFreeBias(0.0), "rate is 0.0; it must be a number above 0"),
        (lambda: PostedPrices(torch.zeros(3))(logits(), 2), r"prices have shape \[3\]; the layer has 5 experts"),
    ],
)
def test_settings_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_an_unknown_rule_has_a_nearest_one() -> None:
    assert ROUTING_RULES.make("loss-free-bias").knowing(PRICES).learned is PRICES
    with pytest.raises(InputError, match="TopExperts learns nothing"):
        TopExperts().knowing(PRICES)
    with pytest.raises(UnknownNameError, match="top-experts"):
        ROUTING_RULES.make("top-expert")


def test_status_of_the_market_of_places() -> None:
    market = CapacityPrice(5.0).market(logits(), 2)
    found = market.mechanism(market.bids, market.supply, market.cost)
    assert int(found.status) in (Status.CLEARED, Status.SLACK)
