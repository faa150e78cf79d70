"""Settings of a run, from the command line, a YAML file, or both; checked before anything is loaded."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, final, get_type_hints

import yaml

from walras.errors import InputError, UnknownNameError

RESOURCES = ("macs", "parameters", "latency")
SCOPES = ("global", "layer", "sublayer", "kind")  # those of `walras.market.scope`, which imports networks


def setting(default: Any, text: str) -> Any:
    """A field of the configuration with its line of help."""
    return field(default=default, metadata={"help": text})


@final
@dataclass(frozen=True)
class RunConfig:
    """One market on one model and one task. Every field is a key of a config file and, but for `besides`, an option."""

    model: str = setting("sentence-transformers/all-MiniLM-L6-v2", "Folder or hub id of a transformer.")
    task: str = setting("pairs", "Task by name, or FILE.py:Class.")
    data: str | None = setting(None, "Folder or file with the task's data.")
    mechanism: str = setting("ShadowPrice", "Rule of the market by name, or FILE.py:Class.")
    price: float | None = setting(None, "Tax of PostedPrice: money for the dense model's whole compute.")
    valuation: str = setting("fisher", "What a unit is worth, by name, or FILE.py:Class.")
    strategy: str = setting(
        "truthful", "How agents bid, by name, or FILE.py:Class; several with shares: truthful=0.8,shading=0.2."
    )
    endowment: float = setting(0.0, "Money of each agent at the start, in the valuation's unit.")
    recipe: str | None = setting(None, "Published or own combination of the settings below, by name.")
    budget: float = setting(
        0.5, "Share of the dense model's compute that may be used at the end; or of a resource: latency=0.6."
    )
    resource: str = setting("macs", "What the budget is a share of: macs, parameters or latency.")
    besides: Mapping[str, float] | None = setting(None, "Budgets of further resources, by name.")
    latency_batch: int = setting(32, "Sequences of a forward pass that is timed, where latency has a budget.")
    latency_table: str | None = setting(None, "File with measured times, instead of the one in the cache.")
    rounds: int = setting(4, "Rounds of the market.")
    schedule: str = setting("geometric", "How the budget moves: linear, geometric, constant, step, cycle, FILE.txt.")
    shock: str | None = setting(
        None, "What strikes before some round: disable:L3.H7+L0.F2@2, task:sst2@3; several with blanks between."
    )
    scope: str = setting(
        "global", "How far the market reaches: global; or a layer, sublayer or kind each with its own supply."
    )
    sublayers: bool = setting(False, "Whether each budget is cleared sub-layer by sub-layer, from the bottom up.")
    rearranged: bool = setting(False, "Whether units of a sub-layer swap places after clearing (Kwon et al. 2022).")
    repair: str = setting("none", "What becomes of the weights after each round: none, least_squares or scales.")
    label_free: bool = setting(False, "Value units without the task's labels.")
    probes: int = setting(8, "Agents a round for whom reports are sought that would have earned more; 0: none.")
    reentry: bool = setting(False, "Whether a unit that lost its funding may bid again.")
    block: int = setting(32, "FFN neurons that trade as one unit.")
    length: int = setting(128, "Tokens of a sequence: texts are cut there, and compute is counted for it.")
    sentences: int = setting(512, "Sentences with which units are valued.")
    batch_size: int = setting(32, "Samples a batch.")
    seed: int = setting(0, "Seed of everything random.")
    device: str = setting("auto", "cpu, cuda, ...; auto takes a GPU where there is one.")
    trust_remote_code: bool = setting(False, "Let code that comes with a checkpoint run.")

    def __post_init__(self) -> None:
        for name, least, most in (
            ("rounds", 1, 99_999),  # as many parts as a trace numbers
            ("block", 1, None),
            ("length", 4, None),
            ("sentences", 2, None),
            ("batch_size", 1, None),
            ("latency_batch", 1, None),
            ("probes", 0, None),
            ("seed", 0, 2**32 - 1),
        ):
            whole(name, getattr(self, name), least, most)
        if not 0 <= self.endowment < math.inf:
            raise InputError(f"endowment is {self.endowment!r}; it must be a number of at least 0")
        if self.price is not None and not 0 <= self.price < math.inf:
            raise InputError(f"price is {self.price!r}; it must be a number of at least 0")
        for name in (self.resource, *(self.besides or {})):
            if name not in RESOURCES:
                raise UnknownNameError("resource", name, RESOURCES)
        if self.scope not in SCOPES:
            raise UnknownNameError("scope", self.scope, SCOPES)
        if self.scope != SCOPES[0] and (self.sublayers or self.resource == "latency"):
            what = "sub-layers trade one after the other" if self.sublayers else "milliseconds belong to no unit alone"
            raise InputError(f"scope is {self.scope}, and {what}; choose one of the two")
        if self.resource in (self.besides or {}):
            raise InputError(
                f"{self.resource} has two budgets, {self.budget:g} and {(self.besides or {})[self.resource]:g}"
            )

    @property
    def shares(self) -> dict[str, float]:
        """The budget of every resource, the leading one first."""
        return {self.resource: self.budget, **(self.besides or {})}

    def as_yaml(self) -> str:
        """The settings as a config file."""
        return yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)


def read_config(path: str | Path) -> dict[str, Any]:
    """Settings of a run from a YAML file, unknown keys and wrong types refused.

    Raises:
        InputError: as `read_settings`, or a value of the wrong type.
        UnknownNameError: an unknown key.
    """
    return checked(read_settings(path))


def read_settings(path: str | Path) -> Mapping[str, Any]:
    """What a YAML file maps names to.

    Raises:
        InputError: no such file, or not YAML, or no settings in it.
    """
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read config file {str(path)!r}: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"config file {str(path)!r} is not YAML: {error}") from error
    if not isinstance(found, Mapping):
        what = "is empty" if found is None else f"holds a {type(found).__name__}"
        raise InputError(f"config file {str(path)!r} {what}; it must hold lines like `budget: 0.5`")
    return found


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run with known keys and values of the right type."""
    settings = _apart(settings)
    besides = {k: v for k, v in settings.items() if k == "besides"}
    return {**typed({k: v for k, v in settings.items() if k not in besides}, RunConfig), **besides}


def typed(settings: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Settings of a dataclass, known keys with values of the right type; whole numbers are taken for real ones.

    Raises:
        InputError: a value of the wrong type.
        UnknownNameError: an unknown key.
    """
    hints, known = get_type_hints(kind), {f.name for f in fields(kind)}
    result: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in known:
            raise UnknownNameError("config key", str(key), known)
        kinds = getattr(hints[key], "__args__", (hints[key],))
        if float in kinds and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if float in kinds and isinstance(value, str):
            value = _number(value)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join(k.__name__ for k in kinds if k is not type(None))
            raise InputError(f"{key} is {value!r}; it must be of type {wanted}")
        result[key] = value
    return result


def parse_budgets(texts: Sequence[str], resource: str | None = None) -> float | dict[str, float]:
    """Budgets as they stand on the command line: `0.5`, or `macs=0.5` and `latency=0.6`.

    Raises:
        InputError: no number, or two budgets of one resource; a plain number is of `resource`, or else of MACs.
        UnknownNameError: an unknown resource.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, named, amount = text.rpartition("=")
        name = name.strip() if named else resource or RESOURCES[0]
        share = _number(amount)
        if name not in RESOURCES:
            raise UnknownNameError("resource", name, RESOURCES)
        if not isinstance(share, float):
            raise InputError(f"budget is {text!r}; it must be a share like 0.5, or of a resource like latency=0.6")
        if name in found:
            raise InputError(f"contradictory budgets: {name} is given as {found[name]:g} and as {share:g}")
        found[name] = share
    if [*found] == [resource or RESOURCES[0]]:
        return found[resource or RESOURCES[0]]
    return found


def _apart(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which a budget that maps resources to shares is told as `budget`, `resource` and `besides`."""
    result = dict(settings)
    besides = result.get("besides")
    if isinstance(result.get("budget"), Mapping):
        shares = dict(result.pop("budget"))
        if not shares or besides:
            raise InputError(f"budget is {shares!r} beside {besides!r}; give every resource's share once, at least one")
        first = result.get("resource", next(iter(shares)))
        if first not in shares:
            raise InputError(f"resource is {first!r}, and the budgets are of {', '.join(map(str, shares))}")
        result["budget"], result["resource"], besides = shares.pop(first), first, shares
    if besides is not None and not isinstance(besides, Mapping):
        raise InputError(f"besides is {besides!r}; it must map resources to shares")
    if "besides" in result or besides is not None:
        amounts = {str(k): float(v) if _is_number(v) else v for k, v in (besides or {}).items()}
        for name, share in amounts.items():
            if not isinstance(share, float):
                raise InputError(f"the budget of {name} is {share!r}; it must be a number")
        result["besides"] = amounts or None
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(text: str) -> Any:
    """The number of a text like 1e-8, which YAML takes for no number; other texts as they are."""
    try:
        return float(text)
    except ValueError:
        return text


def whole(name: str, value: Any, least: int, most: int | None) -> None:
    """Refuse a setting that is no whole number between limits."""
    number = isinstance(value, int) and not isinstance(value, bool)
    if not number or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} is {value!r}; it must be a whole number {limits}")
