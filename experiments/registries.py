"""Every registry by the name of its kind. The rooms that hold them are imported when one is asked for."""

from importlib import import_module
from typing import Any

from walras.errors import UnknownNameError
from walras.registry import Registry, normalised, plural

_HOMES: dict[str, tuple[str, str]] = {
    "mechanism": ("walras.mechanisms", "MECHANISMS"),
    "valuation": ("walras.agents", "VALUATIONS"),
    "strategy": ("walras.agents", "STRATEGIES"),
    "schedule": ("walras.market", "SCHEDULES"),
    "scope": ("walras.market", "SCOPES"),
    "phase": ("walras.market", "PHASES"),
    "repair": ("walras.models.repair", "REPAIRS"),
    "resource": ("walras.models.resources", "RESOURCES"),
    "unit kind": ("walras.models.units", "UNIT_KINDS"),
    "task": ("walras.experiments.tasks", "TASKS"),
    "recipe": ("walras.experiments.recipes", "RECIPES"),
    "attention rule": ("walras.experiments.observing.attention_rules", "BUDGETED_RULES"),
    "routing rule": ("walras.models.routing", "ROUTING_RULES"),
    "token valuation": ("walras.models.tokens.worths", "TOKEN_VALUATIONS"),
    "price policy": ("walras.models.tokens.policies", "PRICE_POLICIES"),
    "pricing": ("walras.market.pricing", "PRICINGS"),
    "rise": ("walras.market.pricing", "RISES"),
    "allocator": ("walras.market.queries", "ALLOCATORS"),
    "online policy": ("walras.market.queries", "ONLINE_POLICIES"),
    "unfunded rule": ("walras.experiments.queries.unfunded", "UNFUNDED_RULES"),
    "dialect": ("walras.experiments.gateway.dialects", "DIALECTS"),
    "predictor": ("walras.experiments.queries.predictors", "PREDICTORS"),
    "design": ("walras.experiments.designs", "DESIGNS"),
    "executor": ("walras.experiments.executors", "EXECUTORS"),
    "family": ("walras.models.architectures", "ARCHITECTURES"),
}
KINDS: tuple[str, ...] = tuple(_HOMES)


def registry(kind: str) -> Registry[Any]:
    """The registry of a kind, in any spelling, singular or plural: `mechanism`, `unit-kinds`, `strategies`.

    Raises:
        UnknownNameError: there is no such kind.
    """
    wanted = normalised(kind).replace(" ", "")
    for known, (module, name) in _HOMES.items():
        plain = known.replace(" ", "")
        plurals = {plain, plural(plain)}
        if wanted in plurals:
            found: Registry[Any] = getattr(import_module(module), name)
            return found
    raise UnknownNameError("list", kind, KINDS)
