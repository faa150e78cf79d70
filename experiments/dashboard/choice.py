"""What the controls of a market say, and the settings that this makes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from walras.agents import STRATEGIES
from walras.agents.strategies.registry import mixture_parts
from walras.errors import InputError
from walras.experiments.shocks import find_shocks
from walras.experiments.spec import MACS
from walras.experiments.tasks import TASKS
from walras.market import SCHEDULES
from walras.mechanisms import MECHANISMS
from walras.registry import Registry

NOBODY = "nobody else"
MOST_ROUNDS, MOST_SENTENCES = 2000, 4096
_PARAMETERS = re.compile(r"[\w=.,+-]*")  # numbers and names; nothing that could name a file


@final
@dataclass(frozen=True)
class Choice:
    """The settings of one market that its controls change; all others stay as the dashboard was started.

    Attributes:
        budget: share of the leading resource.
        mechanism, parameters: the rule, and its parameters as text: `price=0.002`.
        strategy, second, share: how agents bid, and the share of them that bid the second way.
        schedule, rounds, sentences, seed, reentry, shock: as on the command line.
    """

    budget: float = 0.5
    mechanism: str = "ShadowPrice"
    parameters: str = ""
    strategy: str = "truthful"
    second: str = NOBODY
    share: float = 0.2
    schedule: str = "geometric"
    rounds: int = 12
    sentences: int = 32
    seed: int = 0
    reentry: bool = False
    shock: str = ""

    @staticmethod
    def from_settings(settings: Mapping[str, Any]) -> "Choice":
        """What the controls show at first."""
        mechanism, _, parameters = str(MECHANISMS.spelled(settings["mechanism"])).partition(":")
        if ".py" in mechanism or not _PARAMETERS.fullmatch(parameters):
            mechanism, parameters = str(MECHANISMS.spelled(settings["mechanism"])), ""
        return Choice(
            next(iter(settings["budget"].values())), mechanism, parameters,
            str(STRATEGIES.spelled(settings["strategy"])), schedule=str(SCHEDULES.spelled(settings["schedule"])),
            rounds=settings["rounds"], sentences=settings["sentences"], seed=settings["seed"],
            reentry=settings["reentry"], shock=settings["shock"] or "",
        )  # fmt: skip

    def settings(self, base: Mapping[str, Any], cheapest: float = 0.0) -> tuple[dict[str, Any], list[str]]:
        """Settings of the market, and what was changed so that there can be one.

        Args:
            base: settings that the dashboard was started with.
            cheapest: share of the cheapest unit, as far as it is known: no smaller budget buys anything.

        Raises:
            InputError: parameters that are none; a rule, a strategy, a schedule or a task that neither a menu holds nor
                the dashboard was started with: whoever sees the page could name a file of code by it.
        """
        budget, notes = clipped_budget(self.budget, cheapest)
        resource, *others = base["budget"]
        found = {
            "budget": {resource: budget, **{name: base["budget"][name] for name in others}},
            "mechanism": self._mechanism(base), "strategy": self._strategy(base),
            "schedule": _known(SCHEDULES, base["schedule"], self.schedule),
            "rounds": _clipped("rounds", self.rounds, 1, MOST_ROUNDS, notes),
            "sentences": _clipped("sentences", self.sentences, 2, MOST_SENTENCES, notes),
            "seed": _clipped("seed", self.seed, 0, 2**32 - 1, notes),
            "reentry": self.reentry, "shock": self._shock(base),
        }  # fmt: skip
        return {**base, **found}, notes

    def _mechanism(self, base: Mapping[str, Any]) -> Any:
        if not _PARAMETERS.fullmatch(self.parameters):
            raise InputError(f"parameters are {self.parameters!r}; they must read like price=0.002")
        if not self.parameters:
            return _known(MECHANISMS, base["mechanism"], self.mechanism)
        own = Choice.from_settings(base).mechanism
        return f"{_known(MECHANISMS, own, self.mechanism)}:{self.parameters}"

    def _strategy(self, base: Mapping[str, Any]) -> Any:
        first = _known(STRATEGIES, base["strategy"], self.strategy)
        if self.second == NOBODY or self.share <= 0 or self.second == self.strategy:
            return first
        second = _known(STRATEGIES, base["strategy"], self.second)
        if self.share >= 1:
            return second
        text = str(STRATEGIES.spelled(first))
        rest = [(spec, (1 - self.share) * own) for spec, own in mixture_parts(text) or [(text, 1.0)]]
        return "+".join(f"{spec}={own:.4g}" for spec, own in [*rest, (str(second), self.share)])

    def _shock(self, base: Mapping[str, Any]) -> str | None:
        """What was typed, or given; a task that is typed is one of those that need no file of code."""
        text = self.shock.strip()
        if text != (base["shock"] or ""):
            for shock in find_shocks(text, MOST_ROUNDS):
                if shock.kind == "task" and shock.what not in TASKS:
                    raise InputError(f"task is {shock.what!r}; in the page it must be one of: {', '.join(TASKS)}")
        return text or None


def clipped_budget(budget: float, cheapest: float = 0.0) -> tuple[float, list[str]]:
    """A budget that can be asked for, and a sentence where it is not the one that was given."""
    least = min(max(cheapest, 0.001), 1.0)
    if budget < least:
        why = f"the cheapest unit needs {cheapest:.2%}" if cheapest >= 0.001 else "a market sells something"
        return least, [f"A budget of {budget:.2%} buys nothing, for {why}: it is {least:.2%} now."]
    if budget > 1:
        return 1.0, [f"A budget of {budget:.0%} is more than the whole network: it is 100% now."]
    return budget, []


def menu(registry: Registry[Any], own: str) -> list[str]:
    """Names that can be chosen: those of the registry, and what the dashboard was started with."""
    return list(dict.fromkeys([*registry, own]))


def explained(resource: str) -> str:
    """What a budget is a share of."""
    return "multiplications" if resource == MACS else resource


def _known(registry: Registry[Any], given: Any, chosen: str) -> Any:
    """A name of the registry, or what was given where it is still chosen: an object, or code that was named at first.

    Raises:
        InputError: anything else.
    """
    if str(registry.spelled(given)) == chosen:
        return given
    if chosen not in registry:
        raise InputError(f"{registry.kind} is {chosen!r}; in the page it must be one of: {', '.join(registry)}")
    return chosen


def _clipped(name: str, value: int, least: int, most: int, notes: list[str]) -> int:
    fitting = min(max(int(value), least), most)
    if fitting != value:
        notes.append(f"{name} was {value}: it is {fitting} now, the nearest that there can be.")
    return fitting
