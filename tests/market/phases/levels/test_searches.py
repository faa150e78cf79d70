"""Searches over levels: against every choice there is, within the budget, and what they refuse."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from tests.market.phases.levels.conftest import levels_of, usage
from walras.agents import Uniform
from walras.errors import InputError
from walras.market import EvoPress, Phase, RepairWeights, Spdy, SublayerSessions
from walras.market.phases.levels.evopress import alike_sublayers, offspring_of
from walras.market.phases.levels.level_search import drawn, mean_loss, within
from walras.models import gated, inventory, macs
from walras.models.levels import NetworkLevels


def played(floor: Any, phase: Phase, budget: float = 0.5, **more: Any) -> Any:
    market = floor.market(Uniform(), budgets=(budget,), phases=[phase], resources=(usage(floor),), **more)
    market.step()
    return market


def figure(floor: Any, levels: NetworkLevels, choice: Sequence[int], *, divergence: bool) -> float:
    with levels.placed(floor.calibration.model, choice):
        return mean_loss(floor.calibration, range(2), divergence=divergence)


@pytest.mark.parametrize("budget", [0.3, 0.5, 0.8])
def test_without_a_search_errors_are_the_least_within_the_budget(budget: float, copied: Any) -> None:
    levels = levels_of(copied)
    market = played(copied, Spdy(steps=0), budget)
    choices = [
        c for c in product(*(range(len(s)) for s in levels.sublayers)) if levels.cost(c) <= budget * levels.dense
    ]
    error = {c: sum(s.errors[i] for s, i in zip(levels.sublayers, c, strict=True)) for c in choices}
    keep = market.ledger.quantity > 0
    found = next(c for c in choices if (levels.keep(c) == keep).all())
    assert error[found] == pytest.approx(min(error.values()))
    assert market.rounds[-1].used <= budget


def test_a_search_never_ends_worse_than_it_begins(copied: Any) -> None:
    levels, told = levels_of(copied), list[tuple[str, float]]()
    market = copied.market(Uniform(), budgets=(0.5,), phases=[Spdy(steps=30, share=0.5)], resources=(usage(copied),))
    market.tell = lambda what, share: told.append((what, share))
    market.step()
    plain = played(copied, Spdy(steps=0))
    by_keep = {
        levels.keep(c).tobytes(): c for c in product(*(range(len(s)) for s in levels.sublayers))
    }  # fmt: skip
    first, last = (by_keep[(m.ledger.quantity > 0).tobytes()] for m in (plain, market))
    assert figure(copied, levels, last, divergence=False) <= figure(copied, levels, first, divergence=False)
    assert told[0] == ("levels of 1 of 4 sub-layers", 0.25)
    assert told[-1][1] == 1.0
    assert "choices judged" in told[-1][0]


def test_evopress_ends_at_the_best_that_switches_can_reach(copied: Any) -> None:
    """Heads are switched with heads, neurons with neurons: their numbers stay, and every split can be reached."""
    levels = levels_of(copied)
    before = {k: copied.model.state_dict()[k].clone() for k in copied.model.state_dict()}
    phase = EvoPress(generations=12, offspring=8, survivors=(3, 1), tokens=(40, 80), levels=5)
    market = played(copied, phase)
    assert all(torch.equal(v, before[k]) for k, v in copied.model.state_dict().items())
    keep = market.ledger.quantity > 0
    counts = [int(keep[s.site.units].sum()) for s in levels.sublayers]
    heads, ffn = counts[0] + counts[2], counts[1] + counts[3]
    reachable = [
        c for c in product(*(range(len(s)) for s in levels.sublayers)) if (c[0] + c[2], c[1] + c[3]) == (heads, ffn)
    ]
    figures = {c: figure(copied, levels, c, divergence=True) for c in reachable}
    assert figures[tuple(counts)] == pytest.approx(min(figures.values()))
    assert market.rounds[-1].used <= 0.5


def test_offspring_stay_within_the_budget_and_differ(copied: Any) -> None:
    levels = levels_of(copied)
    alike, parent = alike_sublayers(levels), (1, 3, 1, 2)
    assert alike == {0: [0, 2], 1: [1, 3], 2: [0, 2], 3: [1, 3]}
    children = offspring_of(parent, levels, alike, levels.cost(parent), 20, np.random.default_rng(0))
    assert len(set(children)) == len(children)
    assert parent not in children
    assert all(levels.cost(c) <= levels.cost(parent) * (1 + 1e-9) for c in children)
    assert {c[0] + c[2] for c in children} == {2}
    assert {c[1] + c[3] for c in children} == {5}
    steps = {sum(abs(a - b) for a, b in zip(c, parent, strict=True)) for c in children}
    assert steps <= {2, 4, 6}
    assert offspring_of(levels.full, levels, alike, levels.dense, 5, np.random.default_rng(0)) == []


def test_a_last_block_that_is_narrower_never_breaks_the_budget(copied: Any) -> None:
    """36 neurons in blocks of 8: taking the narrow block out and a whole one in elsewhere would cost more."""
    levels = levels_of(copied)
    for seed in range(10):
        drawn_now = np.random.default_rng(seed)
        parent = tuple(int(drawn_now.integers(len(s))) for s in levels.sublayers)
        for child in offspring_of(parent, levels, alike_sublayers(levels), levels.cost(parent), 10, drawn_now):
            assert levels.cost(child) <= levels.cost(parent) * (1 + 1e-9)


def test_where_the_clearing_kept_the_narrow_block_a_level_is_given_up(copied: Any) -> None:
    levels = levels_of(copied)
    choice, least = (1, 3, 1, 2), levels.cost((1, 3, 1, 2))
    assert within(least, levels, choice) == choice
    lower = within(least * 0.999, levels, choice)
    rise = [s.errors[i - 1] - s.errors[i] for s, i in zip(levels.sublayers, choice, strict=True)]
    assert lower == tuple(i - (place == int(np.argmin(rise))) for place, i in enumerate(choice))


def test_no_generations_leave_equal_shares(copied: Any) -> None:
    market = played(copied, EvoPress(generations=0))
    plain = copied.market(Uniform(), budgets=(0.5,), resources=(usage(copied),))
    plain.step()
    now, before = (copied.units.counts(m.ledger.quantity > 0) for m in (market, plain))
    assert now["head"] == before["head"]
    assert before["ffn"] - 1 <= now["ffn"] <= before["ffn"]  # the narrow last block of a layer may have stayed
    everything = played(copied, EvoPress(generations=3), 1.0)
    assert (everything.ledger.quantity > 0).all()


def test_after_the_repair_the_network_is_that_of_the_levels(copied: Any) -> None:
    levels = levels_of(copied)
    repair = RepairWeights("structured_obs:sequential=false")
    market = copied.market(Uniform(), budgets=(0.5,), phases=[Spdy(steps=3), repair], resources=(usage(copied),))
    dense = market.calibration.network("a test").dense
    market.step()
    keep = market.ledger.quantity > 0
    choice = tuple(int(keep[s.site.units].sum()) for s in levels.sublayers)
    batch = copied.calibration.batches[0]
    with torch.no_grad(), levels.placed(dense, choice):
        wanted = dense(**batch).last_hidden_state
    with torch.no_grad(), gated(copied.model, copied.units, market.gates):
        torch.testing.assert_close(copied.model(**batch).last_hidden_state, wanted, rtol=1e-4, atol=1e-5)


def test_batches_are_drawn_until_there_are_enough_tokens(floor: Any) -> None:
    """Batches of 48 and of 32 tokens."""
    assert drawn(floor.calibration, 40, None) == [0]
    assert drawn(floor.calibration, 49, None) == [0, 1]
    assert drawn(floor.calibration, 0, None) == [0, 1]
    assert drawn(floor.calibration, 10_000, None) == [0, 1]
    assert {tuple(drawn(floor.calibration, 1, np.random.default_rng(i))) for i in range(9)} == {(0,), (1,)}


def test_what_a_search_refuses(floor: Any, copied: Any) -> None:
    with pytest.raises(InputError, match="phase Spdy writes weights: it needs a copy of the network"):
        floor.market(Uniform(), phases=[Spdy()])
    with pytest.raises(InputError, match="phase EvoPress searches once, from all units; there are 2 sessions"):
        copied.market(Uniform(), budgets=(0.8, 0.5), phases=[EvoPress()])
    with pytest.raises(InputError, match="there are 4 sessions"):
        copied.market(Uniform(), phases=[SublayerSessions(), EvoPress()])
    with pytest.raises(InputError, match="keeps one budget of one resource; give one, and scope global"):
        copied.market(Uniform(), phases=[Spdy()], scope="layer")
    tight = copied.market(Uniform(), phases=[Spdy()], budgets=(0.5,), resources=(kept_ffn(copied),))
    with pytest.raises(InputError, match="supply is"):
        tight.step()


def kept_ffn(floor: Any) -> Any:
    """A resource of which nearly everything stays whichever units leave."""
    found = macs(floor.model, inventory(floor.model, block=8), 8)
    return replace(found, inventory=floor.units, fixed=3 * found.dense)


@pytest.mark.parametrize(
    ("phase", "what"),
    [
        (lambda: Spdy(steps=-1), "steps is -1"),
        (lambda: Spdy(buckets=0), "buckets is 0"),
        (lambda: Spdy(share=0.0), "share is 0.0"),
        (lambda: EvoPress(offspring=0), "offspring is 0"),
        (lambda: EvoPress(survivors=(2, 2), tokens=(5, 5)), "one survivor in the end"),
        (lambda: EvoPress(survivors=(1, 1)), "survivors are"),
        (lambda: EvoPress(survivors=(), tokens=()), "survivors are"),
        (lambda: EvoPress(survivors=(1,), tokens=(0,)), "survivors are"),
    ],
)
def test_settings_that_make_no_sense(phase: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        phase()
