"""One evaluation of a sweep, as a cell of a grid: which layers are constrained, by which rule, and as which control."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, final

from walras.experiments.grids.cell import Cell
from walras.experiments.grids.experiment import Experiment
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.observing.layers import RANDOM_KEYS, RANDOM_WEIGHTS, constrained_layers
from walras.experiments.observing.network import Measured, ObservedNetwork, load_observed
from walras.experiments.observing.rules import random_key_rules, rules_at_budget
from walras.experiments.settings.fields import section
from walras.experiments.store.grid_folder import GridFolder
from walras.files.locks import one_writer
from walras.files.plain_data import parse_yaml, write_json, write_yaml
from walras.files.writing import write_whole

ELIMINATION = "token-elimination"
NONE = "none"


@final
@dataclass(frozen=True)
class Evaluation:
    """Settings of one evaluation.

    Attributes:
        config: of the observation, whose network, task and rule it has.
        constrain: the pattern of layers; "" where none is constrained.
        rule: the attention rule as text, token elimination, or none.
        budget: of the rule; None where nothing is scarce.
        control: none, keys drawn at random, or random weights.
    """

    config: ObserveConfig = section(ObserveConfig, "Observation")
    constrain: str = ""
    rule: str = NONE
    budget: float | None = None
    control: str = NONE

    def as_yaml(self) -> str:
        """The settings as a file."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "config"}
        tree = {**own, "config": parse_yaml(self.config.as_yaml())}
        return write_yaml(tree)

    @property
    def random_weights(self) -> bool:
        """Whether the network has the weights that it would be trained from."""
        return self.control == RANDOM_WEIGHTS

    def measure(self, network: ObservedNetwork) -> tuple[Measured, bool]:
        """The metric and the tally, and whether the budget is as much as there is, or more."""
        layers = network.layers
        if self.budget is None:
            return network.under([None] * layers), False
        if self.rule == ELIMINATION:
            return network.eliminating(int(self.budget)), False
        chosen = constrained_layers(self.constrain, layers)
        if self.control == RANDOM_KEYS:
            k = max(round(self.budget), 1)
            return network.under(random_key_rules(k, self.config.seed, chosen, layers)), False
        made = self.config.scarcity.made
        found = rules_at_budget(made, self.budget, network.model, network.batches, chosen, layers)
        return network.under(found.rules), found.slack


@final
@dataclass(frozen=True)
class ObserveExperiment(Experiment[Evaluation]):
    """Evaluations of a network under scarce attention."""

    @property
    def known(self) -> tuple[str, ...]:
        """What evaluations differ in."""
        return tuple(one.name for one in fields(Evaluation) if one.name != "config")

    def resolve(self, given: Mapping[str, Any]) -> Evaluation:
        """An evaluation from its parts."""
        return Evaluation(**given)

    def check(self, settings: Sequence[Evaluation]) -> None:
        """Nothing: the configuration has checked itself."""

    def label(self, axis: str, settings: Evaluation) -> Any:
        """The part as it is."""
        return getattr(settings, axis)

    def subject(self, settings: Evaluation) -> Hashable:
        """Whether the network has its own weights."""
        return settings.random_weights

    def job(self, folder: GridFolder) -> Callable[[Cell[Evaluation]], object]:
        """An evaluation."""
        return EvaluationJob(folder)

    def row(self, cell: Cell[Evaluation], result: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
        """The metric, what attention did, and whether the budget was as much as there is."""
        return {"value": result["metric"]["value"], "tally": result["tally"], "slack": result["slack"]}


@final
@dataclass(frozen=True)
class EvaluationJob:
    """The job of a worker: one evaluation to its folder."""

    folder: GridFolder

    def __call__(self, cell: Cell[Evaluation]) -> None:
        """Evaluate; the network is that of the last evaluation where it is the same."""
        cell.check_sources()
        begun, settings, place = time.monotonic(), cell.settings, self.folder.place(cell)
        with one_writer(place):
            network = load_observed(settings.config, settings.random_weights)
            (value, tally), slack = settings.measure(network)
            result = {
                "metric": {"name": network.subject.data.metric, "value": value}, "tally": tally.state, "slack": slack,
                "seconds": round(time.monotonic() - begun, 2),
            }  # fmt: skip
            write_whole(place / "config.yaml", settings.as_yaml())
            write_whole(place / "result.json", write_json(result, None))
