"""Settings of a run: one network, one task, one market."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.recipes import DEFAULT_RECIPE, Recipe, find_recipe
from walras.experiments.registries import registry
from walras.experiments.settings.command_settings import CommandSettings
from walras.experiments.settings.earlier import converted
from walras.experiments.settings.fields import (
    as_float,
    flat,
    number,
    section,
    setting,
    texts,
    whole,
)
from walras.experiments.settings.names import canonical_names

MACS = "macs"
_RICHEST = 1e290  # beyond, a trace has no room for what many agents own together
_WIDEST = 2**31 - 1


def read_budget(name: str, value: Any) -> dict[str, float]:
    """Shares of the dense model by resource, from 0.5, `50%`, `latency=0.6`, several such texts, or a mapping.

    Raises:
        InputError: no number, none at all, or two budgets of one resource.
    """
    if isinstance(value, Mapping):
        pairs = [(str(key), share) for key, share in value.items()]
    else:
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        pairs = [_resource_and_share(item) for item in several]
    found: dict[str, float] = {}
    for resource, amount in pairs:
        share = number(amount) if isinstance(amount, str) else amount
        if hasattr(share, "item"):  # a number of numpy's or torch's
            share = share.item()
        if not isinstance(share, (int, float)) or isinstance(share, bool):
            raise InputError(
                f"{name} is {shown(value)}; it must be a share like 0.5 or 50%, or of a resource like latency=0.6"
            )
        if resource in found:
            raise InputError(f"contradictory budgets: {resource} is given as {found[resource]:g} and as {share:g}")
        found[resource] = as_float(name, share)
    if not found:
        raise InputError(f"{name} is {shown(value)}; give the share of at least one resource")
    return found


def _resource_and_share(item: Any) -> tuple[str, Any]:
    """`latency=0.6` taken apart; a plain number is of MACs."""
    if not isinstance(item, str) or "=" not in item:
        return MACS, item
    resource, _, amount = item.rpartition("=")
    return resource.strip(), amount


DTYPES = ("auto", "float32", "bfloat16", "float16")


@final
@dataclass(frozen=True)
class SubjectSpec:
    """What is traded on: a network, a task with its data, and how much of both is looked at."""

    model: str = setting("sentence-transformers/all-MiniLM-L6-v2", "Folder or hub id of a transformer.")
    task: Any = setting("pairs", "Task by name, or FILE.py:Class.", registry="task")
    data: str | None = setting(None, "Folder or file with the task's data.")
    length: int = setting(128, "Tokens of a sequence: texts are cut there, and compute is counted for it.")
    batch_size: int = setting(32, "Samples per batch.")
    device: str = setting("auto", "cpu, cuda, ...; auto takes a GPU where there is one.")
    dtype: str = setting(
        "auto",
        "auto (as the weights are stored), float32, bfloat16 or float16: half the memory, less exact.",
        later=True,
    )
    trust_remote_code: bool = setting(
        False, "Let code that comes with a checkpoint run.", option="--trust-remote-code/--no-trust-remote-code"
    )

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(f"dtype is {shown(self.dtype)}; it must be one of: {', '.join(DTYPES)}")
        whole("length", self.length, 4)
        whole("batch_size", self.batch_size, 1)


@final
@dataclass(frozen=True)
class MarketSpec:
    """Who trades, by which rule, for how much."""

    budget: Mapping[str, float] = setting(
        {MACS: 0.5}, "Share of the dense model that may be used at the end: 0.5, 50%, or of a resource: latency=0.6.",
        read=read_budget,
    )  # fmt: skip
    units: tuple[Any, ...] = setting(
        (), "Kinds of units that trade; several. [default: the finest that the network has]", read=texts,
        registry="unit kind",
    )  # fmt: skip
    block: int = setting(32, "FFN neurons that trade as one unit.")
    mechanism: Any = setting("ShadowPrice", "Rule of the market.", registry="mechanism")
    valuation: Any = setting("fisher", "What a unit is worth.", registry="valuation")
    strategy: Any = setting(
        "truthful", "How agents bid; several with shares: truthful=0.8,shading=0.2.", registry="strategy"
    )
    label_free: bool = setting(False, "Value units without the task's labels.", option="--label-free/--labels")
    sentences: int = setting(512, "Sentences with which units are valued.")
    rounds: int = setting(4, "Rounds of the market.")
    schedule: Any = setting(
        "geometric", "How the budget moves over the rounds, or FILE.txt with a number per round.", registry="schedule"
    )
    scope: Any = setting("global", "How far the market reaches: one, or one per layer, ...", registry="scope")
    repair: Any = setting(
        "none", "How the weights that stay are repaired after each round; or none.", registry="repair"
    )
    repair_sentences: int = setting(
        0,
        "Sentences on which repairs are fitted; 0: those with which units are valued, or as many as the repair needs.",
        later=True,
    )
    phases: tuple[Any, ...] = setting((), "Extra phases of a round; several.", read=texts, registry="phase")
    shock: str | None = setting(
        None, "What strikes before some round: disable:L3.H7+L0.F2@2, task:sst2@3; several with blanks between."
    )
    probes: int = setting(8, "Agents sampled per round to estimate the largest gain from misreporting; 0: none.")
    reentry: bool = setting(
        False, "Whether a unit that lost its funding may bid again.", option="--reentry/--no-reentry"
    )
    endowment: float = setting(0.0, "Money of each agent at the start, in the valuation's unit.")
    latency_batch: int = setting(32, "Sequences of a forward pass that is timed, where latency has a budget.")
    latency_table: str | None = setting(None, "File with measured times, instead of the one in the cache.")

    def __post_init__(self) -> None:
        whole("block", self.block, 1, _WIDEST)
        for name, least in (
            ("sentences", 2),
            ("repair_sentences", 0),
            ("latency_batch", 1),
            ("probes", 0),
        ):
            whole(name, getattr(self, name), least)
        whole("rounds", self.rounds, 1, 99_999)  # as many parts as a trace numbers
        if not 0 <= self.endowment <= _RICHEST:
            raise InputError(f"endowment is {self.endowment!r}; it must be a number of at least 0, up to {_RICHEST:g}")

    @property
    def leading(self) -> str:
        """The resource that prices and shares are told of first."""
        return next(iter(self.budget))

    @property
    def share(self) -> float:
        """The leading resource's budget."""
        return self.budget[self.leading]


@final
@dataclass(frozen=True)
class RunSpec(CommandSettings):
    """One market on one network and one task. `parse` makes it from whatever is given.

    A recipe's settings count where nothing else is given; of a file they are written out, and its name adds nothing.
    """

    command: ClassVar[str] = "run"
    sweep: ClassVar[str] = "compare"

    recipe: str | None = setting(DEFAULT_RECIPE, "Combination of settings, published or our own; none: plain defaults.")
    seed: int = setting(0, "Seed of everything random.")
    subject: SubjectSpec = section(SubjectSpec, "Network and task")
    market: MarketSpec = section(MarketSpec, "Market")

    def __post_init__(self) -> None:
        whole("seed", self.seed, 0, 2**32 - 1)

    @classmethod
    def converted(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Given settings, those of earlier versions taken for what they mean today."""
        return converted(given)

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values, and below them what the recipe sets."""
        recipe = find_recipe(values.get("recipe", DEFAULT_RECIPE))
        if "budget" in values:
            values["budget"] = _known_resources(read_budget("budget", values["budget"]))
        share = next(iter(values.get("budget", {MACS: 0.5}).values()))
        below = {} if recipe is None else canonical_names(_settings_of(recipe, share), cls)
        return {**below, **values, "recipe": None if recipe is None else recipe.name}


def _settings_of(recipe: Recipe, share: float) -> dict[str, Any]:
    """What a recipe sets at a budget.

    Raises:
        InputError: it sets what is no setting.
    """
    try:
        return flat(recipe.resolved(share), RunSpec)
    except InputError as error:
        raise InputError(f"recipe {recipe.name}: {error}") from error


def _known_resources(budget: dict[str, float]) -> dict[str, float]:
    """Budgets by the names of the registry."""
    known = registry("resource")
    found: dict[str, float] = {}
    for name, share in budget.items():
        own = known.spelled(name)
        if own in found:
            raise InputError(f"contradictory budgets: {own} is given as {found[own]:g} and as {share:g}")
        found[own] = share
    return found
