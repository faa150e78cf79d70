"""What a Mesa scenario says: Mesa 3.5 and later hand one on, 3.3 knows none."""

from typing import Any

import mesa

from walras.errors import InputError

_OF_MESA = ("rng", "model")


def scenario_settings(scenario: Any) -> dict[str, Any]:
    """Settings that are attributes of a scenario; none where there is no scenario.

    Raises:
        InputError: this version of Mesa has no scenarios, or it is none.
    """
    if scenario is None:
        return {}
    if not hasattr(mesa.Model, "scenario"):
        raise InputError("scenario needs Mesa 3.5 or later; give its settings as keywords")
    try:
        found = scenario.to_dict()
    except AttributeError as error:
        raise InputError(f"scenario is {scenario!r}; it must be a Mesa scenario") from error
    return {name: value for name, value in found.items() if name not in _OF_MESA and not name.startswith("_")}


def scenario_rng(scenario: Any, seed: Any, rng: Any) -> Any:
    """The generator or seed to begin with: `rng`, or that of the scenario where neither `seed` nor `rng` is given."""
    return getattr(scenario, "rng", None) if seed is None and rng is None else rng
