"""The settings of a sweep, one evaluation of the task each, and what attention did meanwhile."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import final

import torch
from torch import nn

from walras.errors import InputError
from walras.experiments.observing.config import UNCONSTRAINED, ObserveConfig
from walras.experiments.observing.evaluations import Evaluation, Evaluations
from walras.experiments.observing.layers import RANDOM_KEYS, RANDOM_WEIGHTS, constrained_layers
from walras.experiments.observing.rules import Rules, random_key_rules, rules_at_budget
from walras.experiments.observing.tally import Tally
from walras.experiments.subject import Subject
from walras.experiments.subject_data import TaskData
from walras.models import inventory
from walras.models.architectures import layer_paths, transformer
from walras.models.attention import attention_market
from walras.models.attention.token_elimination import can_eliminate, token_elimination
from walras.models.objective import Batch
from walras.models.resources.layer_costs import LayerMacs

ELIMINATION = "token-elimination"
NONE = "none"


@final
@dataclass(frozen=True, eq=False)
class Observation:
    """One setting or control: which layers were constrained, how, and what came of it."""

    constrain: str  # the pattern
    layers: tuple[int, ...]  # that it constrains
    rule: str
    budget: float  # NaN where nothing is scarce
    control: str
    value: float  # the task's metric
    dense: float  # the same of the same weights, unconstrained
    tally: Tally
    costs: LayerMacs
    slack: bool = False  # of a budget: as much as there is, or more, where the rule's setting was sought

    @property
    def changed(self) -> float | None:
        """Share of the constrained layers' rows in which the rule changed anything, or of tokens that left.

        None where nothing is scarce.
        """
        if math.isnan(self.budget):
            return None
        return self.tally.left if self.rule == ELIMINATION else self.tally.mean(self.layers)["active"]

    @property
    def free(self) -> tuple[int, ...]:
        """The other layers."""
        return tuple(layer for layer in range(len(self.tally.rows)) if layer not in self.layers)


@final
@dataclass(frozen=True)
class ObservedNetwork:
    """A network that is observed, and what its layers compute.

    Raises:
        InputError: a layer without attention heads.
    """

    subject: Subject
    costs: LayerMacs = field(init=False, repr=False)

    def __post_init__(self) -> None:
        with_heads = {site.layer for site in inventory(self.model, ("head",)).sites}
        if missing := sorted(set(range(self.layers)) - with_heads):
            raise InputError(
                f"layer {missing[0]} of the model has no attention head left; nothing can be observed there"
            )
        object.__setattr__(self, "costs", LayerMacs.from_model(self.model))

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.subject.model

    @property
    def layers(self) -> int:
        """How many it has."""
        return len(layer_paths(self.model))

    def untrained(self, seed: int) -> "ObservedNetwork":
        """The same architecture with the weights that it would be trained from, on the same data."""
        model, data = untrained(self.model, seed), self.subject.data
        assert isinstance(data, TaskData)
        rows, length = data.sizes["batch_size"], self.subject.length
        own = TaskData.from_task(data.task, model, self.subject.tokenizer, batch_size=rows, length=length)
        return ObservedNetwork(replace(self.subject, model=model, data=own))

    def under(self, rules: Rules) -> Evaluation:
        """The metric under rules, one per layer, and the tally."""
        tally = Tally(self.layers, [layer for layer, rule in enumerate(rules) if rule is not None])
        return self._evaluated(attention_market(self.model, rules, tally)), tally

    def eliminating(self, k: int) -> Evaluation:
        """The metric where k tokens stay, and the tally."""
        tally = Tally(self.layers, ())
        return self._evaluated(token_elimination(self.model, k, tally)), tally

    def _evaluated(self, scarcity: AbstractContextManager[None]) -> float:
        with scarcity:
            return self.subject.data.evaluate(self.model)


@final
@dataclass(frozen=True)
class Sweep:
    """All settings and controls of a configuration, on one network."""

    config: ObserveConfig
    network: ObservedNetwork
    batches: Sequence[Batch]  # on which a rule's setting is found
    evaluations: Evaluations = field(default_factory=Evaluations)
    patterns: dict[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        constrain = self.config.scarcity.constrain
        found = {pattern: constrained_layers(pattern, self.network.layers) for pattern in constrain}
        object.__setattr__(self, "patterns", found)

    def __len__(self) -> int:
        """How many evaluations it takes."""
        settings = len(self.config.scarcity.budgets) * len(self.patterns)
        own = 1 + settings * (2 if self._drawn else 1) + len(self._eliminated)
        return own + (1 + settings if RANDOM_WEIGHTS in self.config.scarcity.controls else 0)

    def __iter__(self) -> Iterator[list[Observation]]:
        """One evaluation at a time; the unconstrained one is an observation of every pattern."""
        yield from self._observed(self.network, UNCONSTRAINED, NONE)
        if RANDOM_WEIGHTS in self.config.scarcity.controls:
            yield from self._observed(self.network.untrained(self.config.seed), RANDOM_WEIGHTS, RANDOM_WEIGHTS)

    def _observed(self, network: ObservedNetwork, baseline: str, control: str) -> Iterator[list[Observation]]:
        scarcity, layers, seed = self.config.scarcity, network.layers, self.config.seed
        rule = scarcity.rule_text
        dense, tally = self.evaluations(baseline, partial(network.under, [None] * layers))

        def seen(
            pattern: str, rule: str, budget: float, control: str, run: Callable[[], Evaluation], slack: bool = False
        ) -> list[Observation]:
            chosen = self.patterns.get(pattern, tuple(range(1, layers)))
            value, did = self.evaluations(f"{pattern}: {rule} {budget!r}, {control}", run)
            return [Observation(pattern, chosen, rule, budget, control, value, dense, did, network.costs, slack)]

        yield [
            Observation(pattern, chosen, NONE, math.nan, baseline, dense, dense, tally, network.costs)
            for pattern, chosen in self.patterns.items()
        ]
        for pattern, chosen in self.patterns.items():
            for budget in scarcity.budgets:
                found = rules_at_budget(scarcity.made, budget, network.model, self.batches, chosen, layers)
                yield seen(pattern, rule, budget, control, partial(network.under, found.rules), found.slack)
                if control == NONE and self._drawn:
                    rules = random_key_rules(max(round(budget), 1), seed, chosen, layers)
                    yield seen(pattern, rule, budget, RANDOM_KEYS, partial(network.under, rules))
        for k in self._eliminated if control == NONE else ():
            yield seen("tokens", ELIMINATION, float(k), control, partial(network.eliminating, k))

    @property
    def _drawn(self) -> bool:
        return RANDOM_KEYS in self.config.scarcity.controls and self.config.scarcity.made.counts_keys

    @property
    def _eliminated(self) -> tuple[int, ...]:
        """Numbers of tokens that stay, in the order of the budgets."""
        scarcity = self.config.scarcity
        if not (scarcity.eliminate and scarcity.made.counts_keys and can_eliminate(self.network.model)):
            return ()
        return tuple(dict.fromkeys(max(round(budget), 1) for budget in scarcity.budgets))


def untrained(model: nn.Module, seed: int) -> nn.Module:
    """The same architecture with the weights that it would be trained from, on the same device."""
    source = transformer(model)
    place = next(source.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh: nn.Module = type(source)(source.config)
    return fresh.to(place).eval()
