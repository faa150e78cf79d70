"""Settings of a training run; checked before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from walras.errors import InputError, UnknownNameError
from walras.experiments.recipes import RECIPES, Recipe, find_recipe
from walras.experiments.settings.command_settings import CommandSettings
from walras.experiments.settings.fields import leaf_values, section, setting, whole
from walras.experiments.settings.names import NONE
from walras.experiments.spec import RunSpec, SubjectSpec
from walras.experiments.training.sections import CLEARED, EconomySpec, OptimiserSpec, RowsSpec, TrainMarketSpec

DEVICES = ("auto", "cpu")
_EARLIER = {"travel": "gate_logit_range", "values": "init_gates_by_value"}
_SUBJECT = ("model", "task", "data", "length", "batch_size", "device", "trust_remote_code")
_MARKET = ("mechanism", "valuation", "label_free", "rounds", "schedule", "repair")


@final
@dataclass(frozen=True)
class TrainConfig(CommandSettings):
    """One training run on one task. `parse` makes it from whatever is given."""

    command: ClassVar[str] = "train"
    sweep: ClassVar[str] = "train"

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

    @classmethod
    def converted(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Given settings, those with names of earlier versions under their present ones.

        Raises:
            InputError: one under both names.
        """
        for before, now in _EARLIER.items():
            if before in given and now in given:
                raise InputError(f"{before} is an earlier name of {now}, and both are given; leave {before} out")
        return {_EARLIER.get(key, key): value for key, value in given.items()}

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values; with a recipe there is no price by default."""
        recipe = find_recipe(values.get("recipe"))
        values["recipe"] = _kept(values.get("recipe"), recipe)
        if recipe is not None and values.get("pricing") in (None, CLEARED):
            values["pricing"] = NONE  # the default gives way
        return values

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


def _kept(given: Any, recipe: Recipe | None) -> Any:
    """What settings keep of a recipe: a text by which it is found again, unless the user gave an object."""
    if recipe is None or not isinstance(given, str):
        return recipe
    return given if Path(given).suffix in (".yaml", ".yml") else RECIPES.spelled(given)
