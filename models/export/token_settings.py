"""What config.json tells of the markets of a network, checked: people change it by hand.

This text travels inside the file of code of a sparsified model; it needs nothing but Python.
"""

from collections.abc import Mapping
from typing import Any

DENSE, MARKET = "dense", "market"
"""What a sequence of several tokens does: buy everything, or each token as if it were alone."""
FEATURES, NEURONS = "features", "neurons"
"""Who buys in a map."""
_ROLES = frozenset({"gate", "up", "down"})


def told_of(config: Any) -> Mapping[str, Any]:
    """What a configuration tells of markets.

    Raises:
        ValueError: it was changed by hand, and lacks a part of it.
    """
    told = getattr(config, "walras", None)
    tokens = told.get("tokens") if isinstance(told, dict) else None
    parts: Mapping[str, Any] = tokens if isinstance(tokens, dict) else {}
    for name, kind in (("prefill", str), ("maps", dict), ("ffns", dict)):
        if not isinstance(parts.get(name), kind):
            raise ValueError(
                f"walras.tokens of its config.json has no {name!r} as walras sparsify writes it; it was changed by "
                "hand: sparsify the dense network anew"
            )
    return parts


def check_markets(model: Any, told: Mapping[str, Any]) -> None:
    """Refuse markets that fit no map of a network, or one another.

    Args:
        model: with stock maps.
        told: `prefill`, `maps` and `ffns`, as `told_of` gives them.

    Raises:
        ValueError: naming the map and what is wrong with it.
    """
    if told["prefill"] not in (DENSE, MARKET):
        raise ValueError(f"prefill is {told['prefill']!r}; it must be {DENSE} or {MARKET}")
    for path, names in told["ffns"].items():
        if not isinstance(names, dict) or names.keys() != _ROLES:
            raise ValueError(f"{path} has the maps {names!r}; it must have a name for each of gate, up and down")
    gated = {f"{path}.{names['up']}" for path, names in told["ffns"].items()}
    for path, kind in told["maps"].items():
        _check_linear(model, path)
        if kind not in (FEATURES, NEURONS) or (kind == NEURONS) != (path in gated):
            raise ValueError(
                f"{path} has buyers of kind {kind!r}, and is {'' if path in gated else 'not '}the up "
                "projection of a gated FFN that is told"
            )


def _check_linear(model: Any, path: str) -> None:
    """Refuse a place where no linear map is.

    Raises:
        ValueError: there is none, or it is no linear map.
    """
    try:
        module = model.get_submodule(path)
    except AttributeError as error:
        raise ValueError(f"markets are told of for {path}, which this network has not") from error
    if getattr(getattr(module, "weight", None), "ndim", 0) != 2 or not hasattr(module, "bias"):
        raise ValueError(f"markets are told of for {path}, which is {type(module).__name__} and no linear map")
