"""Settings of a run, from the command line, a YAML file, or both; checked before anything is loaded."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, final, get_type_hints

import yaml

from walras.errors import InputError, UnknownNameError


def setting(default: Any, text: str) -> Any:
    """A field of the configuration with its line of help."""
    return field(default=default, metadata={"help": text})


@final
@dataclass(frozen=True)
class RunConfig:
    """One market on one model and one task. Every field is an option of `walras run` and a key of a config file."""

    model: str = setting("sentence-transformers/all-MiniLM-L6-v2", "Folder or hub id of a transformer.")
    task: str = setting("pairs", "Task by name, or FILE.py:Class.")
    data: str | None = setting(None, "Folder or file with the task's data.")
    mechanism: str = setting("ShadowPrice", "Rule of the market by name, or FILE.py:Class.")
    price: float | None = setting(None, "Tax of PostedPrice: money for the dense model's whole compute.")
    valuation: str = setting("fisher", "What a unit is worth, by name, or FILE.py:Class.")
    strategy: str = setting("truthful", "How agents bid, by name, or FILE.py:Class.")
    recipe: str | None = setting(None, "Published or own combination of the settings below, by name.")
    budget: float = setting(0.5, "Share of the dense model's compute that may be used at the end.")
    rounds: int = setting(4, "Rounds of the market.")
    schedule: str = setting("geometric", "How the budget shrinks over the rounds: linear, geometric or constant.")
    sublayers: bool = setting(False, "Whether each budget is cleared sub-layer by sub-layer, from the bottom up.")
    rearranged: bool = setting(False, "Whether units of a sub-layer swap places after clearing (Kwon et al. 2022).")
    repair: str = setting("none", "What becomes of the weights after each round: none, least_squares or scales.")
    label_free: bool = setting(False, "Value units without the task's labels.")
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
            ("seed", 0, 2**32 - 1),
        ):
            _whole(name, getattr(self, name), least, most)
        if self.price is not None and not 0 <= self.price < math.inf:
            raise InputError(f"price is {self.price!r}; it must be a number of at least 0")

    def as_yaml(self) -> str:
        """The settings as a config file."""
        return yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)


def read_config(path: str | Path) -> dict[str, Any]:
    """Settings of a YAML file, unknown keys and wrong types refused.

    Raises:
        InputError: no such file, not YAML, or a value of the wrong type.
        UnknownNameError: an unknown key.
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
    return checked(found)


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with known keys and values of the right type; whole numbers are taken for real ones."""
    hints, known = get_type_hints(RunConfig), {f.name for f in fields(RunConfig)}
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


def _number(text: str) -> Any:
    """The number of a text like 1e-8, which YAML takes for no number; other texts as they are."""
    try:
        return float(text)
    except ValueError:
        return text


def _whole(name: str, value: Any, least: int, most: int | None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} is {value!r}; it must be a whole number {limits}")
