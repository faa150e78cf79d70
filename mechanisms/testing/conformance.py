"""The conformance suite: what every rule must keep, for our rules and for rules of the user's own.

Every rule is held to these: never more than the supply, no NaN, batched equals looped, the same in float32 and float64.
A property that its `guarantees` name is checked as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from walras.errors import RequirementError, WalrasError
from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.testing.properties import ALWAYS, NAMED, CheckFunction
from walras.mechanisms.testing.random_markets import Market, markets
from walras.mechanisms.testing.soundness import feasible


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
    """Run the suite on a mechanism; a failed check names the first market on which it failed, and how.

    The report ends after the first check where that fails: the others would only repeat its error.

    Args:
        mechanism: the rule.
        seed: of the random markets.
        instances: random markets per population.
        tell: is called with the name of every check before it begins.

    Raises:
        RequirementError: a guarantee without a check, or required traits that no population has.
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
        except Exception as error:  # a rule may fail in any way: that is what is reported
            problem = f"{type(error).__name__}: {error}"
        if problem:
            return Check(name, False, done, f"{market.name}: {problem}")
    return Check(name, True, len(sample))
