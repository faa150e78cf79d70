"""The optional package SALib, which makes the points of two designs and estimates Sobol's indices."""

from importlib import import_module
from typing import Any

from walras.errors import InputError
from walras.extras import installing


def salib(module: str, design: str) -> Any:
    """A module of SALib, such as `sample.sobol`.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(f"SALib.{module}")
    except ImportError as error:
        raise InputError(f"design {design} needs the package SALib: {installing('designs')}") from error


def problem(factors: int) -> dict[str, Any]:
    """So many settings from 0 to 1, as SALib has them."""
    return {"num_vars": factors, "names": [f"x{j}" for j in range(factors)], "bounds": [[0.0, 1.0]] * factors}
