"""How agents bid: each strategy by hand, and learners on games whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest

from walras.agents import (
    EXP3,
    STRATEGIES,
    BestResponse,
    BidderInfo,
    BudgetLimited,
    Hedge,
    Mixture,
    RegretMatching,
    RoundOutcome,
    Shading,
    Strategy,
    Truthful,
    ZeroIntelligence,
)
from walras.agents.strategies.learner import Learner, Learning, drawn
from walras.errors import InputError

RANDOM = np.random.default_rng
LEARNERS = [Hedge, EXP3, RegretMatching]


def known(value: list[float], price: list[float] | None = None, wealth: list[float] | None = None) -> BidderInfo:
    n = len(value)
    zero = np.zeros(n)
    return BidderInfo(
        np.array(value), np.ones(n), zero if wealth is None else np.array(wealth), zero,
        zero if price is None else np.array(price), 1.0,
    )  # fmt: skip


@pytest.mark.parametrize("rule", STRATEGIES.values())
def test_every_strategy_reports_finite_bids_of_everybody_and_repeats_itself(rule: type[Strategy]) -> None:
    given = known([0.0, 1.0, 2.5, 1e-9], price=[0.5, 0.5, 0.5, 0.5], wealth=[0.0, 0.3, -1.0, 9.0])
    first, second = (rule().begun(4, RANDOM(3)).bid(given, RANDOM(4)) for _ in range(2))
    assert first.shape == (4,)
    assert np.isfinite(first).all()
    assert (first >= 0).all()
    assert np.array_equal(first, second)
    assert given.value.tolist() == [0.0, 1.0, 2.5, 1e-9]
    assert rule().names(2) == [rule.name] * 2


def test_by_hand() -> None:
    given = known([1.0, 2.0, 3.0], price=[0.0, 1.0, 3.0], wealth=[0.5, 9.0, -2.0])
    assert Truthful().bid(given, RANDOM(0)).tolist() == [1, 2, 3]
    assert Shading(0.5).bid(given, RANDOM(0)).tolist() == [0.5, 1, 1.5]
    assert BudgetLimited().bid(given, RANDOM(0)).tolist() == [0.5, 2, 0]
    assert BestResponse(0.1).bid(given, RANDOM(0)).tolist() == [1, 1.1, 3]
    draws = ZeroIntelligence().bid(known([2.0] * 4000), RANDOM(0))
    assert 0 <= draws.min() < 0.01
    assert 1.99 < draws.max() <= 2
    assert draws.mean() == pytest.approx(1, abs=0.05)


def test_what_a_round_brought_and_what_it_would_have() -> None:
    """Values 4 and 4, prices 3 and 5: the first won and paid 3."""
    two = np.array([4.0, 4.0])
    uniform = RoundOutcome(two, two, np.array([1.0, 0.0]), np.array([3.0, 5.0]), np.array([3.0, 0.0]))
    assert uniform.reward.tolist() == [1, 0]
    assert uniform.forgone(np.array([3.5, 4.5])).tolist() == [1, 0]
    assert uniform.forgone(np.array([[2.0, 3.0], [5.0, 6.0]])).tolist() == [[0, 1], [-1, -1]]
    own = replace(uniform, pays_bid=True)
    assert own.forgone(np.array([[2.0, 3.5], [5.0, 6.0]])).tolist() == [[0, 0.5], [-1, -2]]


def play(learner: Learner, pays_bid: bool, rounds: int, agents: int = 100) -> Learning:
    """Agents of value 1 meet a fixed price of 0.45, each for itself."""
    value, price, random = np.ones(agents), np.full(agents, 0.45), RANDOM(7)
    now: Strategy = learner.begun(agents, random)
    for _ in range(rounds):
        report = now.bid(known([1.0] * agents), random)
        won = (report >= price).astype(float)
        paid = won * (report if pays_bid else price)
        now = now.after(RoundOutcome(value, report, won, price, paid, pays_bid), random)
    assert isinstance(now, Learning)
    return now


@pytest.mark.parametrize("kind", LEARNERS)
def test_learners_shade_where_they_pay_their_bids(kind: type[Learner]) -> None:
    """The best of the factors is 0.5, the lowest that wins."""
    learner = play(kind(), True, 300 if kind is not EXP3 else 3000)
    best = np.asarray(learner.rule.factors)[learner.arm] == 0.5
    assert best.mean() > (0.9 if kind is not EXP3 else 0.5)


@pytest.mark.parametrize("kind", [Hedge, pytest.param(EXP3, marks=pytest.mark.nightly), RegretMatching])
def test_learners_win_where_they_pay_the_price(kind: type[Learner]) -> None:
    """All factors from 0.5 on win, and cost the same; those below win nothing."""
    learner = play(kind(), False, 300 if kind is not EXP3 else 3000)
    assert (np.asarray(learner.rule.factors)[learner.arm] >= 0.5).mean() > 0.8


def test_hedge_and_regret_matching_meet_their_bounds() -> None:
    """Against prices that an opponent draws at random, regret over T rounds is below the theorem's bound."""
    random, agents, rounds = RANDOM(1), 200, 400
    for learner in (Hedge(rate=0.5 * float(np.sqrt(8 * np.log(6) / rounds))), RegretMatching()):
        now: Strategy = learner.begun(agents, random)
        value, earned, could = np.ones(agents), np.zeros(agents), np.zeros((agents, 6))
        for _ in range(rounds):
            price = random.uniform(0, 1.2, agents)
            report = now.bid(known([1.0] * agents), random)
            won = (report >= price).astype(float)
            outcome = RoundOutcome(value, report, won, price, won * report, True)
            earned += np.clip(outcome.reward, -1, 1)
            could += np.clip(outcome.forgone(np.tile(learner.factors, (agents, 1))), -1, 1)
            now = now.after(outcome, random)
        regret = (could.max(-1) - earned).mean()
        bound = np.sqrt(2 * rounds * np.log(6)) if isinstance(learner, Hedge) else 2 * np.sqrt(6 * rounds)
        assert regret <= bound
        assert regret < 0.1 * rounds


def test_draws_follow_the_chances() -> None:
    chance = np.tile([0.2, 0.0, 0.8], (20_000, 1))
    assert np.bincount(drawn(chance, RANDOM(0)), minlength=3) / 20_000 == pytest.approx([0.2, 0, 0.8], abs=0.01)


def test_a_mixture_deals_agents_out_and_each_part_learns_from_its_own() -> None:
    mixed = Mixture((Truthful(), Shading(0.5), Hedge()), (0.5, 0.3, 0.2)).begun(11, RANDOM(0))
    names = mixed.names(11)
    assert sorted(names) == ["hedge"] * 2 + ["shading"] * 3 + ["truthful"] * 6  # 5.5, 3.3, 2.2
    report = mixed.bid(known([2.0] * 11), RANDOM(0))
    assert all(r == {"truthful": 2.0, "shading": 1.0}.get(name, r) for r, name in zip(report, names, strict=True))
    value = np.full(11, 2.0)
    won = np.ones(11)
    after = mixed.after(RoundOutcome(value, report, won, 0.5 * value, 0.5 * value), RANDOM(1))
    learning = after.parts[2]
    assert isinstance(learning, Learning)
    score = learning.score
    assert score.shape == (2, 6)
    assert (score[:, 2:] > 0).all()
    assert mixed.learns
    assert not Mixture((Truthful(), Shading()), (0.5, 0.5)).learns
    assert Mixture((Truthful(), Shading()), (0.5, 0.5)).begun(11, RANDOM(1)).names(11) != mixed.names(11)


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"shares of strategies are truthful=0\.8, shading=0\.3: 1\.1 together"):
        Mixture((Truthful(), Shading()), (0.8, 0.3))
    with pytest.raises(InputError, match="shares of strategies"):
        Mixture((Truthful(), Shading()), (1.5, -0.5))
    with pytest.raises(InputError, match="2 strategies and 1 shares"):
        Mixture((Truthful(), Shading()), (1.0,))
    with pytest.raises(InputError, match="has not begun with 1 agents"):
        Mixture((Truthful(),), (1.0,)).bid(known([1.0]), RANDOM(0))
    with pytest.raises(InputError, match="hedge learns from what rounds bring, and has not begun with 2 agents"):
        Hedge().bid(known([1.0, 1.0]), RANDOM(0))
    for make, message in (
        (lambda: Shading(-1.0), r"factor is -1\.0"), (lambda: BestResponse(float("nan")), "margin is nan"),
        (lambda: Hedge(rate=0.0), r"rate is 0\.0"), (lambda: EXP3(gamma=2.0), r"gamma is 2\.0"),
        (lambda: RegretMatching(factors=(1.0,)), "at least two numbers"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            make()
