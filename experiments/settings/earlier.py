"""Settings as earlier versions wrote them, read as those of now: `config.yaml` of an older run stays readable."""

from collections.abc import Mapping
from typing import Any

from walras.errors import InputError
from walras.escaping import shown
from walras.parameters import split_spec

_PHASES = {"sublayers": "sublayer-sessions", "rearranged": "swap-refinement"}  # once switches of the market
_EARLIER = ("price", "resource", "besides", *_PHASES)


def converted(given: Mapping[str, Any]) -> dict[str, Any]:
    """Given settings with those of earlier versions taken for what they mean now.

    `price` was a setting of its own, and is a parameter of PostedPrice; `resource` and `besides` said what the budget
    was a share of, and which others there were; `sublayers` and `rearranged` are phases.

    Raises:
        InputError: an earlier setting beside the one that took its place; a price beside a mechanism that is no text.
    """
    found = {key: value for key, value in given.items() if key not in _EARLIER}
    if given.get("price") is not None:
        found["mechanism"] = _priced(found.get("mechanism", "PostedPrice"), given["price"])
    phases = [phase for name, phase in _PHASES.items() if given.get(name)]
    if phases and found.get("phases"):
        raise InputError(f"phases is {found['phases']!r} beside {', '.join(n for n in _PHASES if given.get(n))}")
    if any(name in given for name in _PHASES):
        found["phases"] = tuple(phases)
    if given.get("resource") is not None or given.get("besides"):
        found["budget"] = _budget(given)
    return found


def _priced(mechanism: Any, price: Any) -> Any:
    """A mechanism, given as a text or as a mapping, with its price."""
    if isinstance(mechanism, str):
        return f"{mechanism}{',' if split_spec(mechanism)[1] else ':'}price={price}"
    if isinstance(mechanism, Mapping) and "price" not in mechanism:
        return {**mechanism, "price": price}
    raise InputError(
        f"price is {shown(price)} beside mechanism {mechanism!r}; give the price as a parameter of the mechanism"
    )


def _budget(given: Mapping[str, Any]) -> Any:
    """Budgets by resource."""
    resource, budget = str(given.get("resource") or "macs"), given.get("budget", 0.5)
    besides = given.get("besides") or {}
    if not isinstance(besides, Mapping):
        raise InputError(f"besides is {shown(besides)}; it must map resources to shares")
    if isinstance(budget, Mapping):
        if resource not in budget or besides:
            raise InputError(f"resource is {shown(resource)}, and the budgets are of {', '.join(map(str, budget))}")
        return {resource: budget[resource], **budget}
    if isinstance(budget, (list, tuple)):
        named = [str(item) if "=" in str(item) else f"{resource}={item}" for item in budget]
        return [*named, *(f"{name}={share}" for name, share in besides.items())]
    return {resource: budget, **besides}
