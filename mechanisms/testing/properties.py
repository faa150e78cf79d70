"""The properties that rules are held to: one check per property, which returns an error message or an empty string."""

from collections.abc import Callable

from walras.mechanisms import traits
from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.testing.invariance import monotone, permutation, scaling
from walras.mechanisms.testing.optimality import efficient, several, truthful
from walras.mechanisms.testing.random_markets import Market
from walras.mechanisms.testing.soundness import affordable, batched, feasible, precise, rational

CheckFunction = Callable[[Mechanism, Market], str]
# What every rule is held to, and what a rule is held to where its `guarantees` name it.
ALWAYS: dict[str, CheckFunction] = {
    "never over supply, no NaN": feasible,
    "batched equals looped": batched,
    "float32 and float64": precise,
}
NAMED: dict[str, CheckFunction] = {
    traits.PRICE_FLOOR: feasible,
    traits.INDIVIDUALLY_RATIONAL: rational,
    traits.PERMUTATION_INVARIANT: permutation,
    traits.SCALE_INVARIANT: scaling,
    traits.SUPPLY_MONOTONE: monotone,
    traits.SEVERAL_RESOURCES: several,
    traits.TRUTHFUL: truthful,
    traits.EFFICIENT: efficient,
    traits.WITHIN_BUDGETS: affordable,
}
