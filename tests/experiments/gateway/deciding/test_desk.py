"""Decisions, what came of them, and that both outlive the process."""

import json
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.experiments.gateway.deciding.desk import Desk
from walras.experiments.gateway.deciding.journal import Journal
from walras.experiments.gateway.deciding.tenants import Tenant, shares
from walras.experiments.gateway.deciding.terms import ALONE, Ask, Terms
from walras.market.queries import ONLINE_POLICIES, OnlinePolicy
from walras.market.queries.online import Seen
from walras.mechanisms import CompetitiveEquilibrium, Mechanism, ProportionalShare

TWO = (Tenant("a"), Tenant("b", weight=3.0))


def terms(*tenants: Tenant, budget: float = 10_000.0, sharing: Mechanism | None = None) -> Terms:
    policy = ONLINE_POLICIES.make("clear")
    return Terms(budget, 60.0, policy, tenants or (ALONE,), sharing or CompetitiveEquilibrium(), headroom=100.0)


def totals(desk: Desk) -> list[int]:
    market = desk.markets[ALONE.name]
    return [market.granted, market.over, market.used, market.returned, market.expired, market.outstanding]


def conserved(desk: Desk) -> bool:
    return all(m.granted + m.over == m.used + m.returned + m.expired + m.outstanding for m in desk.markets.values())


def test_a_grant_is_settled_and_its_class_learned() -> None:
    desk = Desk(terms(), 0.0)
    first = desk.ask(Ask("x", 200.0, kind="sums"), 1.0)
    assert first.funded
    assert first.threshold == 200
    settled = desk.settle("x", 50, 2.0)
    assert settled.returned == first.tokens - 50
    assert desk.ask(Ask("y", 200.0, kind="sums"), 3.0).threshold < 200
    assert desk.ask(Ask("z", 200.0, kind="sums", exact=True), 3.0).threshold == 200
    assert conserved(desk)
    with pytest.raises(InputError, match="'x' is live"):
        desk.settle("x", 1, 4.0)


@final
@dataclass(frozen=True)
class _Idle(OnlinePolicy):
    """Fails where time passes after its second query."""

    name = "idle"

    def wanted(self, bids: Any, seen: Seen) -> list[float]:
        return [100.0]

    def moved(self, seen: Seen, tokens: float) -> None:
        if tokens < 0 and len(seen.recent) > 1:
            raise KeyError("idle")


def test_a_decision_stands_where_the_state_cannot_be_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("walras.experiments.gateway.deciding.journal.ROUND", 1)
    times = count(0.0, 0.5)
    journal = Journal(tmp_path, replace(terms(), policy=_Idle()), lambda: next(times))
    assert journal.desk.ask(Ask("x", 50.0), next(times)).funded
    assert journal.desk.ask(Ask("y", 50.0), next(times)).funded
    journal.close()
    again = Journal(tmp_path, terms(), lambda: next(times))
    assert again.desk.markets[ALONE.name].granted == 200
    again.close()


def test_what_is_told_of_a_window_is_of_the_present_one_whoever_has_asked() -> None:
    desk = Desk(terms(*TWO, Tenant("own", budget=500.0)), 0.0)
    for name, threshold in (("a", 1500.0), ("own", 50.0)):
        assert desk.ask(Ask(name, threshold, tenant=name), 1.0).funded
    before = desk.standing(59.0)
    assert {name: (own.budget, own.left) for name, own in before.items()} == {
        name: (market.budget, market.left) for name, market in desk.markets.items()
    }
    assert before["own"].left < 500
    desk.pass_time(61.0)
    state = desk.state()
    after = desk.standing(61.0)
    assert all(own.left == own.budget for own in after.values())
    assert after["own"].budget == 500
    assert sum(own.budget for own in after.values()) == 10_000
    assert after["b"].budget < before["b"].budget  # it was idle
    assert desk.state() == state
    assert desk.ask(Ask("y", 50.0, tenant="b"), 61.0).funded  # the window of one has begun, the others' as well
    found = desk.standing(61.0)
    assert found["own"].left == 500
    assert found["b"].left == desk.markets["b"].left < after["b"].left


def test_what_is_cut_off_raises_the_threshold() -> None:
    desk = Desk(terms(), 0.0)
    for i in range(5):
        grant = desk.ask(Ask(str(i), 100.0, kind="proofs"), float(i))
        desk.settle(str(i), grant.tokens, i + 0.5, cut=True)
    assert desk.threshold(Ask("n", 100.0, kind="proofs")) > 150


def test_a_floor_is_charged_whatever_is_left() -> None:
    desk = Desk(terms(budget=100.0), 0.0)
    assert not desk.ask(Ask("x", 5000.0), 1.0).funded
    assert desk.unfunded == 1
    assert desk.promise(Ask("x", 5000.0), 300, 1.0).tokens == 300
    assert desk.markets[ALONE.name].left == -200
    assert desk.settle("x", 300, 2.0).over == 0
    assert conserved(desk)


def test_next_window() -> None:
    desk = Desk(terms(), 100.0)
    assert desk.next_window(115.0) == pytest.approx(45.0)
    assert desk.next_window(400.0) == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (Ask("x", 0.0), "guess of 0"),
        (Ask("x", float("nan")), "guess of nan"),
        (Ask("x", 5.0, weight=-1.0), "weight -1"),
        (Ask("x", 5.0, cap=0.0), "cap 0"),
        (Ask("x", 5.0, tenant="nobody"), "tenant 'nobody'"),
    ],
)
def test_unsound_requests_are_refused_and_change_nothing(ask: Ask, told: str) -> None:
    desk, heard = Desk(terms(), 0.0), list[Any]()
    desk = Desk(terms(), 0.0, heard.append)
    before = desk.state()
    with pytest.raises(InputError, match=told):
        desk.ask(ask, 1.0)
    with pytest.raises(InputError, match=told):
        desk.promise(ask, 5, 1.0)
    assert heard == []
    assert desk.state() == before


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 25), st.sampled_from("ab"), st.floats(1, 3000), st.sampled_from(["", "k"]), st.floats(0, 3)
    ),
    max_size=25,
)


def play(desk: Desk, changes: list[tuple[int, str, float, str, float]], begin: float = 0.0) -> None:
    now = begin
    for i, (gap, tenant, guess, kind, share) in enumerate(changes):
        now += gap
        ask = Ask(f"{begin}-{i}", guess, kind, tenant)
        grant = desk.ask(ask, now)
        if not grant.funded and share < 0.3:
            grant = desk.promise(ask, 64, now)
        if grant.funded and share <= 2:
            desk.settle(ask.id, int(grant.tokens * share), now + 0.5, cut=share == 1)


@given(CHANGES)
def test_what_was_recorded_repeats_itself(changes: list[tuple[int, str, float, str, float]]) -> None:
    heard: list[Any] = []
    desk, again = Desk(terms(*TWO), 0.0, heard.append), Desk(terms(*TWO), 0.0)
    play(desk, changes)
    assert conserved(desk)
    for change in heard:
        again.repeat(json.loads(json.dumps(change)))
    assert again.state() == desk.state()
    later = Desk(terms(*TWO), 0.0)
    later.restore(json.loads(json.dumps(desk.state())), now=0.0, ago=0.0)
    assert later.state()["markets"] == desk.state()["markets"]


@given(CHANGES, st.integers(0, 200), st.integers(0, 60))
def test_a_journal_outlives_its_process(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[int, str, float, str, float]],
    gone: int,
    torn: int,
) -> None:
    """To the token: what was granted, used, returned and expired, and what died with it counts as used."""
    folder = tmp_path_factory.mktemp("state")
    first = Journal(folder, terms(*TWO), clock=lambda: 0.0, wall=lambda: 5000.0)
    play(first.desk, changes)
    was = {name: market.state() for name, market in first.desk.markets.items()}
    outstanding = sum(m.outstanding for m in first.desk.markets.values())
    (file,) = folder.glob("changes-*.jsonl")
    file.write_bytes(file.read_bytes() + b'{"settle": "half a lin'[: torn and torn % 22])
    second = Journal(folder, terms(*TWO), clock=lambda: 1e6, wall=lambda: 5000.0 + gone)
    assert second.lost == outstanding
    for name, market in second.desk.markets.items():
        assert market.outstanding == 0
        assert market.granted == was[name]["totals"][0]
        assert market.used == was[name]["totals"][1] + sum(tokens for tokens, _ in was[name]["live"].values())
    assert conserved(second.desk)
    assert len([*folder.iterdir()]) == 2
    second.close()


@given(CHANGES, st.integers(0, 100), st.integers(0, 100))
def test_what_a_journal_repeats_is_what_was_decided(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str, float, str, float]], idle: int, more: int
) -> None:
    """Also where headroom and price follow the clock, and a state was written when nobody had asked for a while."""
    folder, clock = tmp_path_factory.mktemp("state"), [0.0]
    terms_ = Terms(10_000.0, 60.0, ONLINE_POLICIES.make("clear"), TWO, CompetitiveEquilibrium())
    first = Journal(folder, terms_, clock=lambda: clock[0], wall=lambda: 5000.0)
    for begin in (float(idle), float(idle + more + 1000)):
        clock[0] = begin
        first.save()
        play(first.desk, changes, begin + more)
    then = Journal(folder, terms_, clock=lambda: clock[0], wall=lambda: 5000.0)
    for name, market in first.desk.markets.items():
        own = then.desk.markets[name]
        assert (own.granted, own.over) == (market.granted, market.over)
        assert own.used + own.returned + own.expired == market.granted + market.over
    assert conserved(then.desk)
    then.close()


@pytest.mark.parametrize(
    "other",
    [
        {"budget": 150.0}, {"seconds": 1.0}, {"headroom": 5000.0}, {"policy": ONLINE_POLICIES.make("uniform")},
        {"policy": ONLINE_POLICIES.make("fixed-cap:tokens=50")},
    ],
)  # fmt: skip
def test_what_was_decided_stays_so_under_other_terms(tmp_path: Path, other: Any) -> None:
    """A process dies, and its operator sets up another budget or policy: its grants were told to clients."""
    first = Journal(tmp_path, terms(), clock=lambda: 0.0, wall=lambda: 5000.0)
    for i in range(20):
        grant = first.desk.ask(Ask(str(i), 400.0, kind="sums"), 7.0 * i)
        if not grant.funded:
            first.desk.promise(Ask(str(i), 400.0), 64, 7.0 * i)
        if i % 4:
            first.desk.settle(str(i), 300, 7.0 * i + 1)
    granted, over, used, returned, expired, outstanding = totals(first.desk)
    assert outstanding
    second = Journal(tmp_path, replace(terms(), **other), clock=lambda: 200.0, wall=lambda: 5001.0)
    assert totals(second.desk) == [granted, over, used + outstanding, returned, expired, 0]
    assert second.lost == outstanding
    second.close()


def test_a_decision_that_cannot_be_recorded_is_none() -> None:
    def full(change: Any) -> None:
        raise OSError("no space left on device")

    desk = Desk(terms(), 0.0, full)
    with pytest.raises(OSError, match="no space"):
        desk.ask(Ask("x", 200.0), 1.0)
    with pytest.raises(OSError, match="no space"):
        desk.promise(Ask("x", 200.0), 64, 1.0)
    assert totals(desk) == [0] * 6
    assert desk.markets[ALONE.name].left == 10_000
    assert len(desk) == 0


@pytest.mark.parametrize("broken", ["AppendedLines", "write_whole"])
def test_a_new_state_that_cannot_be_written_leaves_the_old_one_and_its_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def full(*given: Any) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr("walras.experiments.gateway.deciding.journal.ROUND", 5)
    first = Journal(tmp_path, terms(), clock=lambda: 0.0, wall=lambda: 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(f"walras.experiments.gateway.deciding.journal.{broken}", full)
        for i in range(8):
            first.desk.ask(Ask(str(i), 50.0), 1.0)
    first.desk.ask(Ask("later", 50.0), 1.0)
    again = Journal(tmp_path, terms(), clock=lambda: 0.0, wall=lambda: 0.0)
    assert again.lost == first.desk.markets[ALONE.name].granted > 0
    again.close()


def test_a_window_goes_on_after_a_restart_and_a_clock_that_was_set_back_opens_none(tmp_path: Path) -> None:
    first = Journal(tmp_path, terms(), clock=lambda: 100.0, wall=lambda: 5000.0)
    tokens = first.desk.ask(Ask("x", 200.0), 110.0).tokens
    for wall, left in ((5020.0, 10_000 - tokens), (1000.0, 10_000 - tokens), (9000.0, 10_000)):
        again = Journal(tmp_path, terms(), clock=lambda: 7.0, wall=partial(float, wall))
        again.desk.ask(Ask("hopeless", 1e9), 7.0)
        assert again.desk.markets[ALONE.name].left == left
        again.close()


def test_a_state_is_written_anew_after_many_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walras.experiments.gateway.deciding.journal.ROUND", 10)
    journal = Journal(tmp_path, terms(), clock=lambda: 0.0, wall=lambda: 0.0)
    for i in range(57):
        journal.desk.ask(Ask(str(i), 50.0), 1.0)
    (file,) = tmp_path.glob("changes-*.jsonl")
    assert len(file.read_text().splitlines()) <= 10
    again = Journal(tmp_path, terms(), clock=lambda: 0.0, wall=lambda: 0.0)
    assert again.desk.markets[ALONE.name].granted == journal.desk.markets[ALONE.name].granted
    again.close()


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"changes": 1}', '{"changes": 1, "now": 0, "wall": 0, "desk": {}}']
)
def test_a_damaged_state_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(InputError, match="state of a gateway"):
        Journal(tmp_path, terms())


def test_other_tenants_are_told(tmp_path: Path) -> None:
    Journal(tmp_path, terms()).close()
    with pytest.raises(InputError, match="others are set up now"):
        Journal(tmp_path, terms(*TWO))


def test_shares_by_hand() -> None:
    """1,000 tokens by weights 1 and 3: 250 and 750. One that asked for 50 wants 100; the other takes the rest."""
    asked = {"a": 50.0, "b": 5000.0}
    assert shares(TWO, asked, 1000, CompetitiveEquilibrium()) == pytest.approx({"a": 100, "b": 900})
    assert shares(TWO, asked, 1000, ProportionalShare()) == pytest.approx({"a": 250, "b": 750})
    own = (*TWO, Tenant("c", budget=400.0))
    assert shares(own, {"a": inf, "b": inf}, 1400, CompetitiveEquilibrium()) == pytest.approx(
        {"a": 250, "b": 750, "c": 400}
    )


@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(0, 1e9)), min_size=1, max_size=8), st.floats(100, 1e9))
def test_shares_sum_to_the_budget(rows: list[tuple[float, float]], budget: float) -> None:
    tenants = [Tenant(str(i), weight) for i, (weight, _) in enumerate(rows)]
    asked = {str(i): want for i, (_, want) in enumerate(rows)}
    for mechanism in (CompetitiveEquilibrium(), ProportionalShare()):
        found = shares(tenants, asked, budget, mechanism)
        assert budget - 1 <= sum(found.values()) <= budget
        assert min(found.values()) >= 1


@pytest.mark.parametrize("bad", [{"name": ""}, {"name": "a\n"}, {"weight": 0.0}, {"weight": inf}, {"budget": 0.0}])
def test_bad_tenants(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Tenant(**{"name": "a", **bad})


def test_budgets_of_their_own_beyond_the_whole() -> None:
    with pytest.raises(InputError, match="the whole is 100"):
        shares((Tenant("a", budget=200.0), Tenant("b")), {}, 100.0, ProportionalShare())
