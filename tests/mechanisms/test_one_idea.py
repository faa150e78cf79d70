"""Attention's rules are clearings of the market: softmax, sparsemax, entmax and top-k."""

import pytest
import torch
from torch import Tensor

from walras.mechanisms import (
    EntropicBids,
    IndivisibleBids,
    QuadraticBids,
    ShadowPrice,
    Status,
    TsallisBids,
    UniformPriceAuction,
)

INF = torch.inf
DTYPES = {torch.float32: 2e-6, torch.float64: 1e-12}


def scores(device: torch.device, dtype: torch.dtype, masked: bool) -> Tensor:
    """Scores [3, 4, 9]; masked as by a causal mask, with the first key always open."""
    random = torch.randn(3, 4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    random += torch.linspace(-12, 4, 12, dtype=torch.float64).view(3, 4, 1)  # prices on both sides of 0
    closed = torch.ones(4, 9).triu(3).bool() & torch.tensor(masked)
    return random.masked_fill(closed, -INF).to(device, dtype)


def sparsemax(z: Tensor) -> Tensor:
    """Projection onto the simplex by sorting (Martins and Astudillo 2016, algorithm 1)."""
    ordered = z.sort(-1, descending=True).values
    count = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
    inside = 1 + count * ordered > ordered.cumsum(-1)
    support = inside.sum(-1, keepdim=True)
    threshold = (ordered.cumsum(-1).gather(-1, support - 1) - 1) / support
    return (z - threshold).clamp(min=0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_entropic_bidders_buy_softmax(
    dtype: torch.dtype, temperature: float, masked: bool, device: torch.device
) -> None:
    z = scores(device, dtype, masked)
    clearing = ShadowPrice(price_floor=-INF)(EntropicBids(z, temperature), 1.0)
    tolerance = 10 * DTYPES[dtype]
    torch.testing.assert_close(clearing.quantity, (z / temperature).softmax(-1), rtol=tolerance, atol=tolerance)
    price = temperature * ((z / temperature).logsumexp(-1, keepdim=True) - 1)
    torch.testing.assert_close(clearing.price, price, rtol=tolerance, atol=tolerance)
    assert clearing.price.min() < 0 < clearing.price.max()  # a floor at 0 would have bound
    assert bool((clearing.quantity[z == -INF] == 0).all())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_quadratic_bidders_buy_sparsemax(
    dtype: torch.dtype, temperature: float, masked: bool, device: torch.device
) -> None:
    z = scores(device, dtype, masked)
    clearing = ShadowPrice(price_floor=-INF)(QuadraticBids(z, temperature), 1.0)
    expected = sparsemax(z / temperature)
    torch.testing.assert_close(clearing.quantity, expected, rtol=10 * DTYPES[dtype], atol=10 * DTYPES[dtype])
    assert bool(((expected == 0) & (z > -INF)).any())  # some key is truly shut out


def entmax15(z: Tensor) -> Tensor:
    """1.5-entmax of one row by trying every size of support (Peters, Niculae and Martins 2019, proposition 3).

    With x = z / 2, and mean and mean square of the k greatest, the threshold is mean - sqrt((1 - k variance) / k).
    """
    x = z.double() / 2
    ordered = x[x > -INF].sort(descending=True).values.tolist()
    thresholds = []
    for k in range(1, len(ordered) + 1):
        mean = sum(ordered[:k]) / k
        room = (1 - sum((value - mean) ** 2 for value in ordered[:k])) / k
        thresholds.append(mean - room**0.5 if room >= 0 else INF)
    threshold = [t for t, value in zip(thresholds, ordered, strict=True) if t <= value][-1]
    return (x - threshold).clamp(min=0).square()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tsallis_bidders_buy_entmax(dtype: torch.dtype, temperature: float, masked: bool, device: torch.device) -> None:
    z = scores(device, dtype, masked)
    clearing = ShadowPrice(price_floor=-INF)(TsallisBids(z, temperature), 1.0)
    rows = (z / temperature).cpu().flatten(0, -2)
    expected = torch.stack([entmax15(row) for row in rows]).view(z.shape).to(z)
    torch.testing.assert_close(clearing.quantity, expected, rtol=30 * DTYPES[dtype], atol=30 * DTYPES[dtype])
    assert bool(((expected == 0) & (z > -INF)).any())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_tsallis_bidders_lie_between_and_beyond_the_others(temperature: float, device: torch.device) -> None:
    z, rule = scores(device, torch.float64, masked=True), ShadowPrice(price_floor=-INF)
    quadratic = rule(TsallisBids(z, temperature, alpha=2.0), 1.0)
    torch.testing.assert_close(quadratic.quantity, rule(QuadraticBids(z, temperature), 1.0).quantity)
    shifted = rule(QuadraticBids(z, temperature), 1.0).price + temperature / 2
    torch.testing.assert_close(quadratic.price, shifted)
    entropic = rule(TsallisBids(z, temperature, alpha=1 + 1e-6), 1.0).quantity
    torch.testing.assert_close(entropic, rule(EntropicBids(z, temperature), 1.0).quantity, rtol=0, atol=1e-4)
    supports = [
        (rule(TsallisBids(z, temperature, alpha), 1.0).quantity > 0).sum().item() for alpha in (1.1, 1.5, 2.0, 4.0)
    ]
    assert supports == sorted(supports, reverse=True)
    assert supports[0] > supports[-1]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rule", [UniformPriceAuction, ShadowPrice])
@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_an_auction_of_k_slots_is_top_k(
    k: int, rule: type[UniformPriceAuction] | type[ShadowPrice], masked: bool, device: torch.device
) -> None:
    z = scores(device, torch.float32, masked)
    clearing = rule(price_floor=-INF)(IndivisibleBids(z), float(k))
    chosen = torch.zeros_like(z).scatter_(-1, z.topk(k, -1).indices, 1.0) * (z > -INF)
    assert torch.equal(clearing.quantity, chosen)
    ordered = z.sort(-1, descending=True).values
    bidders = (z > -INF).sum(-1, keepdim=True)
    loser = ordered.gather(-1, (bidders.clamp(max=k + 1) - 1))  # the (k+1)-th score; with none, the last winner
    assert torch.equal(clearing.price, loser)
    assert torch.equal(clearing.status == Status.CLEARED, bidders.squeeze(-1) > k)


def test_ties_go_to_the_first_and_say_so(device: torch.device) -> None:
    z = torch.tensor([1.0, 2.0, 1.0, 1.0, 0.0], device=device)
    for rule in (UniformPriceAuction(price_floor=-INF), ShadowPrice(price_floor=-INF)):
        clearing = rule(IndivisibleBids(z), 3.0)
        assert clearing.quantity.tolist() == [1, 1, 1, 0, 0]
        assert clearing.price.item() == 1.0
        assert clearing.word == "rationed"


def test_a_row_without_an_open_key_buys_nothing(device: torch.device) -> None:
    z = torch.tensor([[-INF, -INF], [0.5, -INF]], device=device)
    for bids in (EntropicBids(z), QuadraticBids(z), TsallisBids(z), IndivisibleBids(z)):
        clearing = ShadowPrice(price_floor=-INF)(bids, 1.0)
        torch.testing.assert_close(clearing.quantity, torch.tensor([[0.0, 0.0], [1.0, 0.0]], device=device))
        assert clearing.status.tolist()[0] == Status.SLACK
        assert clearing.price[0].item() == 0
