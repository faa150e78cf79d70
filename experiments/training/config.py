"""Settings of a training run; checked before anything is loaded."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from walras.errors import InputError, UnknownNameError
from walras.experiments.recipes import RECIPES, Recipe, find_recipe
from walras.experiments.settings.fields import (
    as_tree,
    as_yaml,
    flat,
    leaf_values,
    nested,
    read_settings,
    section,
    setting,
    whole,
)
from walras.experiments.settings.names import NONE, canonical_names, told
from walras.experiments.settings.trust import as_data
from walras.experiments.spec import RunSpec, SubjectSpec
from walras.experiments.training.sections import CLEARED, EconomySpec, OptimiserSpec, RowsSpec, TrainMarketSpec

DEVICES = ("auto", "cpu")
_EARLIER = {"travel": "gate_logit_range", "values": "init_gates_by_value"}
_SUBJECT = ("model", "task", "data", "length", "batch_size", "device", "trust_remote_code")
_MARKET = ("mechanism", "valuation", "label_free", "rounds", "schedule", "repair")


@final
@dataclass(frozen=True)
class TrainConfig:
    """One training run on one task. `parse` makes it from whatever is given."""

    budget: float = setting(0.5, "Share of the dense model's compute that may be used at the end; 1 keeps every unit.")
    recipe: str | Recipe | None = setting(
        None, "Remove units before training by a recipe of `walras list recipes`; no price then."
    )
    seed: int = setting(0, "Seed of everything random.")
    subject: SubjectSpec = section(SubjectSpec, "Network and task")
    economy: EconomySpec = section(EconomySpec, "Price of compute")
    market: TrainMarketSpec = section(TrainMarketSpec, "Market and values")
    optimiser: OptimiserSpec = section(OptimiserSpec, "Optimiser")
    rows: RowsSpec = section(RowsSpec, "Rows, evaluation, checkpoints")

    def __post_init__(self) -> None:
        whole("seed", self.seed, 0, 2**32 - 1)
        if self.subject.device not in DEVICES:
            raise UnknownNameError("device", self.subject.device, DEVICES)
        if self.recipe is not None and self.economy.pricing != NONE:
            raise InputError(
                f"recipe {self.recipe_name} removes units before training, and {self.economy.pricing_name} during it"
            )

    @staticmethod
    def parse(given: Mapping[str, Any]) -> "TrainConfig":
        """Settings as given on the command line, in a file or in a call, sections inside or taken apart.

        With a recipe there is no price by default.

        Raises:
            InputError, UnknownNameError: whatever is wrong with a key or a value, the nearest valid one named.
        """
        values = canonical_names(flat(_converted(given), TrainConfig), TrainConfig)
        recipe = find_recipe(values.get("recipe"))
        values["recipe"] = _kept(values.get("recipe"), recipe)
        if recipe is not None and values.get("pricing") in (None, CLEARED):
            values["pricing"] = NONE  # the default gives way
        return nested(values, TrainConfig)

    @staticmethod
    def read(path: str | Path, given: Mapping[str, Any], code: Collection[Any] = ()) -> "TrainConfig":
        """Settings of a YAML file, or of an earlier run's `config.yaml`; what is `given` besides comes first.

        The file names no code but what is named in `given` or in `code`.

        Raises:
            InputError, UnknownNameError: as `parse`, or a file that cannot be read, or names other code.
        """
        return TrainConfig.parse({**read_flat(path, given, code), **flat(_converted(given), TrainConfig)})

    def with_values(self, **values: Any) -> "TrainConfig":
        """The same with other values of some fields, whichever section they are in."""
        return nested({**leaf_values(self), **values}, TrainConfig)

    def as_yaml(self) -> str:
        """The settings as `config.yaml` has them; `parse` makes the same run of it."""
        return as_yaml(self.tree)

    @cached_property
    def tree(self) -> dict[str, Any]:
        """The settings as plain data, objects by their names."""
        return as_tree(self, told)

    @property
    def recipe_name(self) -> str | None:
        """The recipe by name."""
        return self.recipe.name if isinstance(self.recipe, Recipe) else self.recipe

    def run_spec(self) -> RunSpec:
        """The market of these settings: that of the recipe, played before training, or else the one during it.

        What a recipe says comes before the settings of the market in training.
        """
        own = leaf_values(self)
        given = {name: own[name] for name in (*_SUBJECT, "budget", "seed", "units", "block", "sentences")}
        if self.recipe is None:
            given |= {name: own[name] for name in _MARKET}
        return RunSpec.parse({**given, "recipe": self.recipe})


def read_flat(path: str | Path, given: Mapping[str, Any], code: Collection[Any] = ()) -> dict[str, Any]:
    """Settings of a file by the names of their fields, those of earlier versions by today's; code as `read` says.

    Raises:
        InputError, UnknownNameError: a file that cannot be read, a key that is no setting.
    """
    return as_data(flat(_converted(read_settings(path)), TrainConfig), path, given, code)


def _converted(given: Mapping[str, Any]) -> dict[str, Any]:
    """Given settings, those with names of earlier versions under their present ones.

    Raises:
        InputError: one under both names.
    """
    for before, now in _EARLIER.items():
        if before in given and now in given:
            raise InputError(f"{before} is an earlier name of {now}, and both are given; leave {before} out")
    return {_EARLIER.get(key, key): value for key, value in given.items()}


def _kept(given: Any, recipe: Recipe | None) -> Any:
    """What settings keep of a recipe: a text by which it is found again, unless the user gave an object."""
    if recipe is None or not isinstance(given, str):
        return recipe
    return given if Path(given).suffix in (".yaml", ".yml") else RECIPES.spelled(given)
