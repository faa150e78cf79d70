"""Settings of an observation, from the command line, a YAML file, or both; checked before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, final

from walras.errors import InputError, UnknownNameError
from walras.escaping import shown
from walras.experiments.observing.layers import CONTROLS, check_pattern
from walras.experiments.registries import registry
from walras.experiments.settings.command_settings import CommandSettings
from walras.experiments.settings.fields import section, setting, whole
from walras.experiments.spec import SubjectSpec

if TYPE_CHECKING:
    from walras.experiments.observing.budgeted_rule import BudgetedRule

UNCONSTRAINED = "unconstrained"  # a control that is always there: everything is compared with it
NO_CONTROL = "none"


def read_budgets(name: str, value: Any) -> tuple[float, ...]:
    """Numbers of a list, of a text with commas, or of a list of such texts.

    Raises:
        InputError: something else.
    """
    found = []
    for item in _items(name, value):
        try:
            found.append(float(item))
        except ValueError:
            raise InputError(f"{name} has {item!r}; it must be a number") from None
    return tuple(found)


def read_controls(name: str, value: Any) -> tuple[str, ...]:
    """Names of a list, of a text with commas, or of a list of such texts; without what is no control, or always one."""
    return tuple(str(item) for item in _items(name, value) if item not in (UNCONSTRAINED, NO_CONTROL))


def read_patterns(name: str, value: Any) -> tuple[str, ...]:
    """Sets of layers; a list of layers is one item, with its commas.

    Raises:
        InputError: something else.
    """
    values = [value] if isinstance(value, (str, int)) else value
    if not isinstance(values, Sequence) or any(isinstance(v, bool) or not isinstance(v, (str, int)) for v in values):
        raise InputError(f"{name} is {shown(value)}; it must be a list of patterns, or of texts like '0,2,4'")
    return tuple(str(v) for v in values)


@final
@dataclass(frozen=True)
class ScarcitySpec:
    """What is made scarce, where, and what is set beside it."""

    rule: Any = setting("top-k", "What rations attention.", registry="attention rule")
    budgets: tuple[float, ...] = setting(
        (), "Budgets of the rule, such as 32,16,8; without any, those of the rule.", read=read_budgets
    )
    constrain: tuple[str, ...] = setting(
        ("all", "first-half"), "Layers: all, first-half, second-half, every-second, or a list 0,2,4; several times.",
        read=read_patterns,
    )  # fmt: skip
    controls: tuple[str, ...] = setting(
        tuple(CONTROLS), f"Beside {UNCONSTRAINED}: {', '.join(CONTROLS)}; or none.", read=read_controls
    )
    eliminate: bool = setting(
        True, "Beside keys: tokens that leave the network (encoders only), a saving that runs.",
        option="--eliminate/--no-eliminate",
    )  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "budgets", self.budgets or self.made.budgets)
        for budget in self.budgets:
            self.made.check(budget)
        for pattern in self.constrain:
            check_pattern(pattern)
        for control in self.controls:
            if control not in CONTROLS:
                raise UnknownNameError("control", control, (*CONTROLS, UNCONSTRAINED, NO_CONTROL))
        if not self.constrain:
            raise InputError("constrain is empty; name at least one set of layers")
        for name in ("budgets", "constrain", "controls"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise InputError(f"{name} is {', '.join(map(str, values))}, which names something twice")

    @cached_property
    def made(self) -> "BudgetedRule":
        """The rule."""
        found: BudgetedRule = registry("attention rule").make(self.rule)
        return found

    @property
    def rule_text(self) -> str:
        """The rule by name, with its parameters."""
        return str(registry("attention rule").spelled(self.rule))


@final
@dataclass(frozen=True)
class ObserveConfig(CommandSettings):
    """A sweep of budgets over one model on one task. `parse` makes it from whatever is given."""

    command: ClassVar[str] = "observe"

    limit: int | None = setting(None, "Evaluate on the first rows of the split only.")
    sentences: int = setting(64, "Training sentences on which a rule's setting is found that meets a budget.")
    seed: int = setting(0, "Seed of everything random.")
    subject: SubjectSpec = section(SubjectSpec, "Network and task")
    scarcity: ScarcitySpec = section(ScarcitySpec, "Scarcity")

    def __post_init__(self) -> None:
        whole("sentences", self.sentences, 2)
        whole("seed", self.seed, 0, 2**32 - 1)
        if self.limit is not None:
            whole("limit", self.limit, 2)

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values; none follows from others."""
        return values


def _items(name: str, value: Any) -> list[Any]:
    """The items of a list, of a text with commas, or of a list of such texts."""
    values = [value] if isinstance(value, (str, int, float)) else value
    if not isinstance(values, Sequence) or any(
        isinstance(v, bool) or not isinstance(v, (str, int, float)) for v in values
    ):
        raise InputError(f"{name} is {shown(value)}; it must be a list")
    return [part for v in values for part in ([p.strip() for p in v.split(",")] if isinstance(v, str) else [v])]
