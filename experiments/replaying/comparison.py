"""Several policies on one trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from walras.experiments.progress import Progress
from walras.experiments.queries.unfunded import UNFUNDED_RULES, UnfundedRule
from walras.experiments.replaying.figures import PolicyRun, difference
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.replay import replay
from walras.experiments.replaying.requests import Requests

_APART = ("minus_first", "minus_first_low", "minus_first_high")


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """The same trace by several policies, the first of which the others are compared to.

    Attributes:
        runs: one per policy, in the order asked for.
        requests: the trace.
        opening: budget and windows of all markets.
        rule: what was done about requests that were not funded.
        speed: tokens per second of an answer.
    """

    runs: Sequence[PolicyRun]
    requests: Requests
    opening: Opening
    rule: UnfundedRule
    speed: float

    @property
    def told_rule(self) -> str:
        """The rule, as it is named."""
        return str(UNFUNDED_RULES.spelled(self.rule))

    def minus_first(self, run: PolicyRun) -> tuple[float, float, float]:
        """Accuracy less that of the first policy, and its interval; paired by request."""
        right, first = (one.requests["right"].to_numpy() for one in (run, self.runs[0]))
        return difference(right, first)

    def summary(self) -> dict[str, Any]:
        """All figures as plain data."""
        opening, trace = self.opening, self.requests
        return {
            "budget": opening.budget, "seconds": opening.seconds if opening.queries is None else None,
            "queries": opening.queries, "headroom": opening.headroom, "typical": opening.typical_of(trace),
            "unfunded": self.told_rule, "tokens_a_second": self.speed, "requests": len(trace), "judged": trace.judged,
            "sorted": trace.sorted, "bad_rows": [str(row) for row in trace.bad],
            "policies": [
                {"policy": run.policy, **run.figures, **dict(zip(_APART, self.minus_first(run), strict=True))}
                for run in self.runs
            ],
        }  # fmt: skip

    def notes(self) -> list[str]:
        """What a reader of the figures has to know about the trace."""
        trace, notes = self.requests, []
        if trace.sorted:
            rows = "row stood" if trace.sorted == 1 else "rows stood"
            notes.append(f"{trace.sorted:,} {rows} behind one that came later; they were sorted by arrival.")
        if not trace.judged:
            notes.append("The trace does not say which answers are correct: one that ends within its grant is right.")
        if trace.bad:
            notes.append(f"{len(trace.bad):,} bad rows were left out.")
        return notes


def compare_policies(
    policies: Sequence[str], requests: Requests, opening: Opening, rule: UnfundedRule, speed: float, progress: Progress
) -> Comparison:
    """Play the trace once for every policy, each with a market of its own.

    Raises:
        InputError: a policy, budget or window that there is not; found before the first is played.
    """
    markets = {policy: opening.market(policy, requests) for policy in policies}
    runs = []
    for policy, market in markets.items():
        bar = progress.add_task(f"Replaying {policy}", total=len(requests))
        tell = partial(_told, progress, bar, policy)
        found = replay(requests, market, rule, speed, tell)
        progress.update(bar, completed=len(requests))
        runs.append(PolicyRun.from_replay(policy, requests, found, opening, rule))
    return Comparison(runs, requests, opening, rule, speed)


def _told(progress: Progress, bar: Any, policy: str, done: int) -> None:
    """So many requests have been played."""
    progress.update(bar, completed=done, description=f"Replaying {policy}")
