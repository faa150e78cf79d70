"""The rules of the token markets are the general mechanisms on the same bids."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from walras.mechanisms import PostedPrice, ShadowPrice, UniformPriceAuction
from walras.models.tokens.rules import BatchRule, MechanismRule, PriceRule, RandomRule, SameCountRule
from walras.models.tokens.token_map import TokenMap

FEATURES = TokenMap(0, "a", "query", inputs=7, outputs=3)
NEURONS = TokenMap(0, "b", "up", inputs=4, outputs=7, signal="act")
ALL = {"a": 1.0, "b": 1.0}
values = st.lists(st.sampled_from((0.0, 0.25, 0.5, 1.0, 2.0, 3.0)), min_size=35, max_size=35).map(
    lambda given: torch.tensor(given).view(5, 7)
)
shares = st.floats(0.05, 1.0)


@given(values, st.sampled_from((0.25, 0.3, 1.0, 2.0, 4.0)), st.sampled_from((FEATURES, NEURONS)))
def test_a_price_is_a_posted_price(value: torch.Tensor, price: float, traded: TokenMap) -> None:
    general = MechanismRule(PostedPrice(price=price), ALL)
    assert torch.equal(PriceRule({traded.path: price})(traded, value), general(traded, value))


@given(values, shares, st.sampled_from((FEATURES, NEURONS)))
def test_the_same_count_is_a_uniform_price_auction(value: torch.Tensor, share: float, traded: TokenMap) -> None:
    share = round(share * 7) / 7
    general = MechanismRule(UniformPriceAuction(), {traded.path: share})
    assert torch.equal(SameCountRule({traded.path: share})(traded, value), general(traded, value))


@given(values, shares, st.sampled_from((FEATURES, NEURONS)))
def test_a_batch_is_cleared_at_one_shadow_price(value: torch.Tensor, share: float, traded: TokenMap) -> None:
    """All tokens are one market; ties at the price are broken by position in both."""
    share = round(share * 35) / 35
    whole = TokenMap(0, traded.path, "all", inputs=35, outputs=traded.cost)
    fast = BatchRule({traded.path: share})(traded, value)
    general = MechanismRule(ShadowPrice(), {whole.path: share})(whole, value.reshape(-1))
    assert int(fast.sum()) == int(general.sum())
    assert value[fast].sum() == value.reshape(-1)[general].sum()


def test_lots() -> None:
    value = torch.rand(2000, 7, generator=torch.Generator().manual_seed(0))
    keep = RandomRule({"a": torch.tensor(3)}, torch.Generator().manual_seed(1))(FEATURES, value)
    assert keep.sum(-1).eq(3).all()
    assert ((keep.float().mean(0) - 3 / 7).abs() < 0.05).all()
    counts = torch.arange(2000) % 8
    assert torch.equal(RandomRule({"a": counts}, torch.Generator())(FEATURES, value).sum(-1), counts)


def test_nothing_and_all() -> None:
    value = torch.rand(3, 7)
    for kind in (SameCountRule, BatchRule):
        assert not kind({"a": 0.0})(FEATURES, value).any()
        assert kind({"a": 1.0})(FEATURES, value).all()
