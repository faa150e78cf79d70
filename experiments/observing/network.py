"""A network whose attention is observed, and the batches on which a rule's setting is found."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import final

import torch
from torch import nn

from walras.errors import InputError
from walras.experiments.grids.sources import content_key
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.observing.rules import Rules
from walras.experiments.observing.tally import Tally
from walras.experiments.spec import SubjectSpec
from walras.experiments.subjects.data import TaskData
from walras.experiments.subjects.subject import Subject, find_task
from walras.models import inventory
from walras.models.architectures import layer_paths, transformer
from walras.models.attention import attention_market
from walras.models.attention.token_elimination import token_elimination
from walras.models.objective import Batch
from walras.models.resources.layer_costs import LayerMacs

Measured = tuple[float, Tally]  # the task's metric, and what attention did


@final
@dataclass(frozen=True, eq=False)
class ObservedNetwork:
    """A network that is observed, and what its layers compute.

    Raises:
        InputError: a layer without attention heads.
    """

    subject: Subject
    batches: Sequence[Batch]
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
        return ObservedNetwork(replace(self.subject, model=model, data=own), self.batches)

    def under(self, rules: Rules) -> Measured:
        """The metric under rules, one per layer, and the tally."""
        tally = Tally(self.layers, [layer for layer, rule in enumerate(rules) if rule is not None])
        return self._evaluated(attention_market(self.model, rules, tally)), tally

    def eliminating(self, k: int) -> Measured:
        """The metric where k tokens stay, and the tally."""
        tally = Tally(self.layers, ())
        return self._evaluated(token_elimination(self.model, k, tally)), tally

    def _evaluated(self, scarcity: AbstractContextManager[None]) -> float:
        with scarcity:
            return self.subject.data.evaluate(self.model)


def load_observed(config: ObserveConfig, random_weights: bool = False) -> ObservedNetwork:
    """The network that a configuration names; a second call with the same one takes what the first one loaded.

    Args:
        config: the settings.
        random_weights: whether it gets the weights that it would be trained from.

    Raises:
        InputError: a task, data or a network that cannot be loaded or observed.
    """
    settings = config.subject, config.limit, config.sentences, config.seed, content_key(config.subject)
    try:
        own = _loaded(*settings)
    except TypeError:  # a task object that cannot be hashed
        own = _loaded.__wrapped__(*settings)
    return _with_random_weights(own, config.seed) if random_weights else own


@lru_cache(maxsize=1)
def _loaded(spec: SubjectSpec, limit: int | None, sentences: int, seed: int, content: str) -> ObservedNetwork:
    del content  # of the user's files, with which another network and other data are meant
    task = find_task(spec)
    subject = Subject.load(spec, None, task if limit is None else task.first(limit), measured=False)
    return ObservedNetwork(subject, subject.data.batches(sentences, seed))


@lru_cache(maxsize=1)
def _with_random_weights(own: ObservedNetwork, seed: int) -> ObservedNetwork:
    return own.untrained(seed)


def untrained(model: nn.Module, seed: int) -> nn.Module:
    """The same architecture with the weights that it would be trained from, on the same device."""
    source = transformer(model)
    place = next(source.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh: nn.Module = type(source)(source.config)
    return fresh.to(place).eval()
