"""The settings of a sweep, one evaluation of the task each, and what attention did meanwhile."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import torch
from torch import nn

from walras.errors import InputError
from walras.experiments.observing.config import UNCONSTRAINED, ObserveConfig
from walras.experiments.observing.evaluations import Evaluations, Found
from walras.experiments.observing.rules import Rules, lottery, ruled
from walras.experiments.observing.scarcity import constrained_layers
from walras.experiments.observing.tally import Tally
from walras.experiments.tasks import Task
from walras.experiments.tasks.base import Reference
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
class Subject:
    """A network that is observed, and what the task must know of it."""

    model: nn.Module
    tokenizer: Any
    task: Task
    batch_size: int
    length: int
    reference: Reference = field(init=False, repr=False)
    costs: LayerMacs = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sizes = {"batch_size": self.batch_size, "length": self.length}
        with_heads = {site.layer for site in inventory(self.model).sites if site.sublayer == "heads"}
        if missing := sorted(set(range(self.layers)) - with_heads):
            raise InputError(
                f"layer {missing[0]} of the model has no attention head left; nothing can be observed there"
            )
        object.__setattr__(self, "reference", self.task.reference(self.model, self.tokenizer, **sizes))
        object.__setattr__(self, "costs", LayerMacs.from_model(self.model))

    @property
    def layers(self) -> int:
        """How many it has."""
        return len(layer_paths(self.model))

    def under(self, rules: Rules) -> Found:
        """The metric under rules, one a layer, and the tally."""
        tally = Tally(self.layers, [layer for layer, rule in enumerate(rules) if rule is not None])
        return self._evaluated(attention_market(self.model, rules, tally)), tally

    def eliminating(self, k: int) -> Found:
        """The metric where k tokens stay, and the tally."""
        tally = Tally(self.layers, ())
        return self._evaluated(token_elimination(self.model, k, tally)), tally

    def _evaluated(self, scarcity: AbstractContextManager[None]) -> float:
        with scarcity:
            return self.task.evaluate(
                self.model, self.tokenizer, self.reference, batch_size=self.batch_size, length=self.length
            )


@final
@dataclass(frozen=True)
class Sweep:
    """All settings and controls of a configuration, on one network."""

    config: ObserveConfig
    subject: Subject
    batches: Sequence[Batch]  # on which a rule's setting is found
    evaluations: Evaluations = field(default_factory=Evaluations)
    patterns: dict[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        found = {pattern: constrained_layers(pattern, self.subject.layers) for pattern in self.config.constrain}
        object.__setattr__(self, "patterns", found)

    def __len__(self) -> int:
        """How many evaluations it takes."""
        settings = len(self.config.budgets) * len(self.patterns)
        own = 1 + settings * (2 if self._drawn else 1) + len(self._eliminated)
        return own + (1 + settings if "random-weights" in self.config.controls else 0)

    def __iter__(self) -> Iterator[list[Observation]]:
        """An evaluation at a time; the unconstrained one is an observation of every pattern."""
        yield from self._of(self.subject, UNCONSTRAINED, NONE)
        if "random-weights" in self.config.controls:
            own = self.subject
            other = Subject(untrained(own.model, self.config.seed), own.tokenizer, own.task, own.batch_size, own.length)
            yield from self._of(other, "random-weights", "random-weights")

    def _of(self, subject: Subject, baseline: str, control: str) -> Iterator[list[Observation]]:
        config, layers = self.config, subject.layers
        dense, tally = self.evaluations(baseline, partial(subject.under, [None] * layers))

        def seen(
            pattern: str, rule: str, budget: float, control: str, run: Callable[[], Found], slack: bool = False
        ) -> list[Observation]:
            chosen = self.patterns.get(pattern, tuple(range(1, layers)))
            value, did = self.evaluations(f"{pattern}: {rule} {budget!r}, {control}", run)
            return [Observation(pattern, chosen, rule, budget, control, value, dense, did, subject.costs, slack)]

        yield [
            Observation(pattern, chosen, NONE, math.nan, baseline, dense, dense, tally, subject.costs)
            for pattern, chosen in self.patterns.items()
        ]
        for pattern, chosen in self.patterns.items():
            for budget in config.budgets:
                found = ruled(config.rule, budget, subject.model, self.batches, chosen, layers)
                yield seen(pattern, config.rule, budget, control, partial(subject.under, found.rules), found.slack)
                if control == NONE and self._drawn:
                    rules = lottery(max(round(budget), 1), config.seed, chosen, layers)
                    yield seen(pattern, config.rule, budget, "random-k", partial(subject.under, rules))
        for k in self._eliminated if control == NONE else ():
            yield seen("tokens", ELIMINATION, float(k), control, partial(subject.eliminating, k))

    @property
    def _drawn(self) -> bool:
        return "random-k" in self.config.controls and self.config.scarce.counts_keys

    @property
    def _eliminated(self) -> tuple[int, ...]:
        """Tokens that stay, one sweep's worth."""
        if not (self.config.eliminate and self.config.scarce.counts_keys and can_eliminate(self.subject.model)):
            return ()
        return tuple(dict.fromkeys(max(round(budget), 1) for budget in self.config.budgets))


def untrained(model: nn.Module, seed: int) -> nn.Module:
    """The same architecture with the weights that it would be trained from, on the same device."""
    source = transformer(model)
    place = next(source.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh: nn.Module = type(source)(source.config)
    return fresh.to(place).eval()
