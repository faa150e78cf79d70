"""Controls of a sweep, and the layers that it constrains. No networks here, so that help answers at once."""

from collections.abc import Callable, Mapping

from walras.errors import InputError, UnknownNameError

RANDOM_KEYS, RANDOM_WEIGHTS = "random-k", "random-weights"
CONTROLS: Mapping[str, str] = {
    RANDOM_KEYS: "as many keys, drawn at random",
    RANDOM_WEIGHTS: "the same model, untrained",
}

PATTERNS: Mapping[str, Callable[[int], range]] = {
    "all": lambda layers: range(layers),
    "first-half": lambda layers: range((layers + 1) // 2),
    "second-half": lambda layers: range((layers + 1) // 2, layers),
    "every-second": lambda layers: range(0, layers, 2),
}


def check_pattern(pattern: str) -> None:
    """Refuse what is neither the name of a pattern nor a list of layers.

    Raises:
        UnknownNameError, InputError: as said.
    """
    if pattern not in PATTERNS:
        _listed(pattern)


def constrained_layers(pattern: str, layers: int) -> tuple[int, ...]:
    """Numbers of the layers, counted from 0, that a pattern constrains in a model of so many.

    In `first-half` and `every-second` the others come behind constrained ones, and can answer to them; in
    `second-half` they come before, and cannot: a check of the measurement.

    Raises:
        InputError: a layer that the model has not, or no layer at all.
    """
    found = tuple(PATTERNS[pattern](layers)) if pattern in PATTERNS else _listed(pattern)
    if any(layer >= layers for layer in found):
        raise InputError(f"constrain is {pattern!r}; the model's layers are 0 to {layers - 1}")
    if not found:
        raise InputError(f"constrain is {pattern!r}; of {layers} layer(s) that is none")
    return found


def _listed(pattern: str) -> tuple[int, ...]:
    parts = [part.strip() for part in pattern.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UnknownNameError("layers to constrain", pattern, PATTERNS, "Or a list of layers: 0,2,4.")
    if len(set(map(int, parts))) < len(parts):
        raise InputError(f"constrain is {pattern!r}, which names a layer twice")
    return tuple(sorted(map(int, parts)))
