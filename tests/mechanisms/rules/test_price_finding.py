"""Rules that look for the price in different ways find the same one."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from walras.errors import InputError, RequirementError
from walras.mechanisms import (
    AscendingClock,
    Bids,
    EntropicBids,
    IndivisibleBids,
    LogisticBids,
    QuadraticBids,
    ShadowPrice,
    Status,
    Tatonnement,
    TsallisBids,
    resource_use,
)

DOUBLE = torch.float64
CONCAVE: dict[str, Any] = {
    "entropic": EntropicBids,
    "quadratic": QuadraticBids,
    "logistic": LogisticBids,
    "tsallis": TsallisBids,
}


def population(kind: str, seed: int, n: int = 12) -> tuple[Bids, torch.Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    score = 3 * torch.rand(n, generator=generator, dtype=DOUBLE) + 1
    return CONCAVE[kind](score), torch.rand(n, generator=generator, dtype=DOUBLE) + 0.2, generator


@pytest.mark.parametrize("kind", CONCAVE)
@pytest.mark.parametrize("seed", range(6))
def test_clock_groping_and_bisection_agree_on_the_price(kind: str, seed: int) -> None:
    bids, cost, generator = population(kind, seed)
    most = resource_use(cost.unsqueeze(-1), bids.demand(torch.full((12,), 1e-3, dtype=DOUBLE))).item()
    supply = most * (0.1 + 0.7 * float(torch.rand(1, generator=generator)))
    exact = ShadowPrice()(bids, supply, cost)
    groped, clock = Tatonnement()(bids, supply, cost), AscendingClock(step=0.01)(bids, supply, cost)
    assert exact.word == groped.word == clock.word == "cleared"
    assert groped.price.item() == pytest.approx(exact.price.item(), rel=1e-5)
    assert abs(groped.residual.item()) <= 1e-6 * supply
    assert exact.price.item() <= clock.price.item() <= exact.price.item() * 1.01 + 1e-12


def test_groping_that_is_cut_short_says_so() -> None:
    bids, cost, _ = population("quadratic", 0)
    clearing = Tatonnement(rounds=2, step=0.01)(bids, 1.0, cost)
    assert clearing.word == "not_converged"
    wanted = resource_use(cost.unsqueeze(-1), bids.demand(clearing.price * cost))
    assert clearing.residual.item() == pytest.approx(wanted.item() - 1.0)
    assert clearing.residual.item() > 0.1
    assert resource_use(cost.unsqueeze(-1), clearing.quantity).item() == pytest.approx(1.0)


def test_a_long_step_is_halved_and_a_short_one_grows() -> None:
    bids, cost, _ = population("entropic", 1)
    prices = [Tatonnement(step=step)(bids, 1.0, cost).price.item() for step in (1e-4, 0.5, 50.0)]
    assert prices == pytest.approx([prices[0]] * 3, rel=1e-5)


def test_nothing_scarce_is_free() -> None:
    bids, cost, _ = population("quadratic", 2)
    for rule in (ShadowPrice(), Tatonnement()):
        clearing = rule(bids, [1e4, 1e4], torch.stack([cost, 2 * cost], -1))
        assert clearing.word == "slack"
        assert clearing.price.tolist() == [0, 0]


@pytest.mark.spread
@pytest.mark.parametrize("kind", CONCAVE)
@pytest.mark.parametrize("seed", range(4))
def test_several_resources_against_scipy(kind: str, seed: int) -> None:
    """The primal, by another method: most welfare within three supplies."""
    bids, _, generator = population(kind, seed, n=6)
    cost = torch.rand(6, 3, generator=generator, dtype=DOUBLE) + 0.05
    free = bids.demand(torch.full((6,), 0.05, dtype=DOUBLE))
    supply = resource_use(cost, free) * (0.1 + 0.6 * torch.rand(3, generator=generator, dtype=DOUBLE))
    clearing = ShadowPrice()(bids, supply.tolist(), cost)
    groped = Tatonnement(tolerance=1e-7, rounds=20_000)(bids, supply.tolist(), cost)

    solver: Any = minimize  # its types ask for more than it does

    def loss(x: np.ndarray) -> float:
        return -float(bids.utility(torch.from_numpy(x)).sum())

    limits = [
        {"type": "ineq", "fun": lambda x, k=k: float(supply[k] - torch.from_numpy(x) @ cost[:, k])} for k in range(3)
    ]
    start = 0.3 * clearing.quantity.numpy() + 1e-3
    found = solver(loss, start, method="SLSQP", bounds=[(1e-9, None)] * 6, constraints=limits,
                     options={"maxiter": 500, "ftol": 1e-13})  # fmt: skip
    welfare = bids.utility(clearing.quantity).sum().item()
    assert clearing.status == Status.CLEARED
    assert welfare == pytest.approx(-found.fun, rel=1e-6)
    torch.testing.assert_close(groped.price, clearing.price, rtol=1e-4, atol=1e-6)
    assert (clearing.price * clearing.residual).abs().max() < 1e-7  # what is left over costs nothing


@pytest.mark.parametrize("kind", CONCAVE)
def test_a_second_resource_of_which_there_is_enough_changes_nothing(kind: str) -> None:
    bids, cost, _ = population(kind, 3)
    one = ShadowPrice()(bids, 1.0, cost)
    two = ShadowPrice()(bids, [1.0, torch.inf], torch.stack([cost, cost], -1))
    torch.testing.assert_close(two.quantity, one.quantity, rtol=1e-6, atol=1e-9)
    assert two.price.tolist() == pytest.approx([one.price.item(), 0.0], rel=1e-6)


def test_a_price_that_meets_the_floor_stays_there_exactly() -> None:
    """Of 300 random markets this one once stopped at 5e-17, from where every further step was cut to nothing."""
    generator = torch.Generator().manual_seed(91)
    score, cost = (torch.rand(*shape, generator=generator, dtype=DOUBLE) + 0.05 for shape in ((7,), (7, 2)))
    supply = cost.sum(0) * 1.2 * torch.rand(2, generator=generator, dtype=DOUBLE)
    assert ShadowPrice()(TsallisBids(score), supply, cost).word in ("cleared", "slack")


def test_whoever_needs_what_is_not_there_gets_nothing() -> None:
    bids = EntropicBids(torch.ones(3, dtype=DOUBLE))
    clearing = ShadowPrice()(bids, [1.0, 0.0], torch.tensor([[1.0, 0.0], [1.0, 0.5], [1.0, 0.0]]))
    torch.testing.assert_close(clearing.quantity, torch.tensor([0.5, 0.0, 0.5], dtype=DOUBLE))
    assert clearing.word == "rationed"


def test_refusals() -> None:
    with pytest.raises(RequirementError, match="Tatonnement requires bids that are concave; IndivisibleBids"):
        Tatonnement()(IndivisibleBids(torch.tensor([1.0])), 1.0)
    for settings, message in (
        ({"step": 0.0}, "step is 0"), ({"tolerance": float("nan")}, "tolerance is nan"), ({"rounds": 0}, "rounds is 0"),
        ({"price_floor": -torch.inf}, "price_floor is -inf"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            Tatonnement(**settings)
    with pytest.raises(InputError, match="several resources needs a finite one"):
        ShadowPrice(price_floor=-torch.inf)(EntropicBids(torch.ones(2)), [1.0, 1.0], torch.ones(2, 2))
