"""What every rule must keep, as a suite that anybody can run on a rule or a population of their own.

Always held to: never more than the supply, no NaN, batched equals looped, the same in float32 and float64. Where a
mechanism's `guarantees` name a property, it is held to that too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from walras.errors import RequirementError, WalrasError
from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.testing.properties import ALWAYS, NAMED, CheckFunction, feasible
from walras.mechanisms.testing.random_markets import Market, markets


@final
@dataclass(frozen=True)
class Check:
    """One line of the report: what was checked, whether it held, and the first instance where it did not."""

    name: str
    passed: bool
    instances: int
    detail: str = ""


def check_mechanism(
    mechanism: Mechanism, seed: int = 0, instances: int = 24, tell: Callable[[str], object] = lambda name: None
) -> list[Check]:
    """Run the suite on a mechanism; a failed check tells the first market on which it failed, and how.

    `tell` is called with the name of every check before it begins.

    The report ends with the first check where the mechanism does not keep that one: nothing else can be said of it.
    """
    unknown = mechanism.guarantees - set(NAMED)
    if unknown:
        raise RequirementError(f"unknown guarantee {sorted(unknown)[0]!r}; known: {', '.join(sorted(NAMED))}")
    sample = list(markets(mechanism, seed, instances))
    if not sample:
        raise RequirementError(f"no population has the traits {sorted(mechanism.requires)} that the rule requires")
    wanted = ALWAYS | {name: check for name, check in NAMED.items() if name in mechanism.guarantees}
    report: list[Check] = []
    for name, check in wanted.items():
        tell(name)
        report.append(_run(name, check, mechanism, sample))
        if check is feasible and not report[-1].passed:
            break
    return report


def _run(name: str, check: CheckFunction, mechanism: Mechanism, sample: list[Market]) -> Check:
    for done, market in enumerate(sample, 1):
        try:
            problem = check(mechanism, market)
        except WalrasError as error:
            problem = str(error)
        except Exception as error:  # a user's rule may fail in any way: that is what is reported
            problem = f"{type(error).__name__}: {error}"
        if problem:
            return Check(name, False, done, f"{market.name}: {problem}")
    return Check(name, True, len(sample))
