"""Settings of an observation, from the command line, a YAML file, or both; checked before anything is loaded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import yaml

from walras.errors import InputError, UnknownNameError
from walras.experiments.config import setting, typed, whole
from walras.experiments.observing.scarcity import CONTROLS, SCARCE, Scarce, check_pattern

UNCONSTRAINED = "unconstrained"  # a control that is always there: everything is compared with it


@final
@dataclass(frozen=True)
class ObserveConfig:
    """A sweep of budgets over one model on one task. Every field is a key of a config file and an option."""

    model: str = setting("sentence-transformers/all-MiniLM-L6-v2", "Folder or hub id of a transformer.")
    task: str = setting("pairs", "Task by name, or FILE.py:Class.")
    data: str | None = setting(None, "Folder or file with the task's data.")
    rule: str = setting("top-k", f"What rations attention: {', '.join(SCARCE)}.")
    budgets: tuple[float, ...] = setting((), "Budgets of the rule, such as 32,16,8; without any, those of the rule.")
    constrain: tuple[str, ...] = setting(
        ("all", "first-half"), "Layers: all, first-half, second-half, every-second, or a list 0,2,4; several times."
    )
    controls: tuple[str, ...] = setting(tuple(CONTROLS), f"Beside {UNCONSTRAINED}: {', '.join(CONTROLS)}; or none.")
    eliminate: bool = setting(True, "Beside keys: tokens that leave the network (encoders only), a saving that runs.")
    limit: int | None = setting(None, "Evaluate on the first rows of the split only.")
    sentences: int = setting(64, "Training sentences on which a rule's setting is found that meets a budget.")
    length: int = setting(128, "Tokens of a sequence: texts are cut there.")
    batch_size: int = setting(32, "Samples a batch.")
    seed: int = setting(0, "Seed of everything random.")
    device: str = setting("auto", "cpu, cuda, ...; auto takes a GPU where there is one.")
    trust_remote_code: bool = setting(False, "Let code that comes with a checkpoint run.")

    def __post_init__(self) -> None:
        for name, least in (("sentences", 2), ("length", 4), ("batch_size", 1), ("seed", 0)):
            whole(name, getattr(self, name), least, 2**32 - 1 if name == "seed" else None)
        if self.limit is not None:
            whole("limit", self.limit, 2, None)
        if self.rule not in SCARCE:
            raise UnknownNameError("rule", self.rule, SCARCE)
        object.__setattr__(self, "budgets", self.budgets or self.scarce.budgets)
        for budget in self.budgets:
            self.scarce.check(self.rule, budget)
        for pattern in self.constrain:
            check_pattern(pattern)
        for control in self.controls:
            if control not in CONTROLS:
                raise UnknownNameError("control", control, (*CONTROLS, UNCONSTRAINED, "none"))
        if not self.constrain:
            raise InputError("constrain is empty; name at least one set of layers")
        for name in _LISTS:
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise InputError(f"{name} is {', '.join(map(str, values))}, which names something twice")

    @property
    def scarce(self) -> Scarce:
        """What the rule's budgets are."""
        return SCARCE[self.rule]

    @staticmethod
    def of(settings: Mapping[str, Any]) -> "ObserveConfig":
        """Settings from a file or the command line, lists as lists or as text.

        Raises:
            InputError, UnknownNameError: a wrong value or key.
        """
        lists: dict[str, Any] = {name: read(name, settings[name]) for name, read in _LISTS.items() if name in settings}
        plain = typed({k: v for k, v in settings.items() if k not in lists}, ObserveConfig)
        return ObserveConfig(**plain, **lists)

    def as_yaml(self) -> str:
        """The settings as a config file."""
        lists = {name: list(getattr(self, name)) for name in _LISTS}
        return yaml.safe_dump({**asdict(self), **lists}, sort_keys=False, allow_unicode=True)


def _items(name: str, value: Any) -> list[Any]:
    """The items of a list, of a text with commas, or of a list of such texts."""
    values = [value] if isinstance(value, (str, int, float)) else value
    if not isinstance(values, Sequence) or any(
        isinstance(v, bool) or not isinstance(v, (str, int, float)) for v in values
    ):
        raise InputError(f"{name} is {value!r}; it must be a list")
    return [part for v in values for part in ([p.strip() for p in v.split(",")] if isinstance(v, str) else [v])]


def _budgets(name: str, value: Any) -> tuple[float, ...]:
    found = []
    for item in _items(name, value):
        try:
            found.append(float(item))
        except ValueError:
            raise InputError(f"{name} has {item!r}; it must be a number") from None
    return tuple(found)


def _controls(name: str, value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in _items(name, value) if item not in (UNCONSTRAINED, "none"))


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    """A list of layers is one item, with its commas."""
    values = [value] if isinstance(value, (str, int)) else value
    if not isinstance(values, Sequence) or any(isinstance(v, bool) or not isinstance(v, (str, int)) for v in values):
        raise InputError(f"{name} is {value!r}; it must be a list of patterns, or of texts like '0,2,4'")
    return tuple(str(v) for v in values)


_LISTS: Mapping[str, Callable[[str, Any], tuple[Any, ...]]] = {
    "budgets": _budgets, "constrain": _patterns, "controls": _controls,
}  # fmt: skip
