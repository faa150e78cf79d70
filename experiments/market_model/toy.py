"""A market on made-up units, which is there at once."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.market_model.model import MarketModel
from walras.experiments.market_model.scenario import scenario_rng, scenario_settings
from walras.market.compute_market import seed_from

MIX = {"head": 1.0, "ffn": 2.0}
MOST_UNITS, ROUNDS = 1_000_000, 10


@final
class ToyMarket(MarketModel):
    """A market on units that are drawn at random, for trying rules and agents out and for teaching.

    Costs are log-uniform from 1/2 to 2; a unit's value is its cost times a log-normal draw, so that value per cost
    varies about as it does among the units of a network. Both depend on the seed alone.

    Args:
        units: how many there are.
        layers: among which they are divided evenly.
        kinds: parts of each kind of unit in every layer, by name; None: a third heads, two thirds FFN blocks.
        noise: where above 0, values are drawn anew in every round.
        seed: of the units, and of everything else random.
        rng: a seed or a generator, as Mesa hands it on.
        kwargs: everything else that `MarketModel` takes with values.

    Raises:
        InputError: no units, more layers than units, parts that are none; whatever `MarketModel` refuses.
    """

    def __init__(
        self,
        units: int = 24,
        layers: int = 4,
        kinds: Mapping[str, float] | None = None,
        *,
        noise: float = 0.0,
        seed: int | None = None,
        rng: Any = None,
        scenario: Any = None,
        **kwargs: Any,
    ) -> None:
        seed = seed_from(seed, scenario_rng(scenario, seed, rng))
        own = drawn_units(units, layers, MIX if kinds is None else kinds, seed)
        rounds = {} if "rounds" in scenario_settings(scenario) else {"rounds": ROUNDS}
        super().__init__(**own, noise=noise, seed=seed, scenario=scenario, **{**rounds, **kwargs})


def toy(
    units: int = 24,
    layers: int = 4,
    kinds: Mapping[str, float] | None = None,
    *,
    seed: int | None = None,
    noise: float = 0.0,
    rounds: int = ROUNDS,
    budget: float = 0.5,
    mechanism: Any = "ShadowPrice",
    **kwargs: Any,
) -> ToyMarket:
    """A market on units that are drawn at random: no network is loaded, and every rule and strategy works as always.

    `toy(units=60, noise=0.3, mechanism="VCG", rounds=20)`. See `ToyMarket` for what is drawn, and `MarketModel` for
    further keywords; mesa's `batch_run` takes this function for a model class.
    """
    told = {"rounds": rounds, "budget": budget, "mechanism": mechanism}
    return ToyMarket(units, layers, kinds, seed=seed, noise=noise, **told, **kwargs)


def drawn_units(units: int, layers: int, kinds: Mapping[str, float], seed: int) -> dict[str, Any]:
    """Values, costs, layers and kinds [units], layer by layer.

    Raises:
        InputError: no units, more layers than units, parts that are none.
    """
    for name, given, most in (("units", units, MOST_UNITS), ("layers", layers, units)):
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or not 1 <= given <= most:
            raise InputError(f"{name} is {shown(given)}; it must be a whole number from 1 to {shown(most)}")
    names, parts = _parts(kinds)
    place: list[tuple[int, str]] = []
    for layer in range(layers):
        size = (layer + 1) * units // layers - layer * units // layers
        ends = np.rint(np.cumsum(parts) * size).astype(int)  # rounded ends: the counts add up to the layer's size
        counts = np.diff(ends, prepend=0)
        place += [(layer, name) for name, count in zip(names, counts, strict=True) for _ in range(count)]
    generator = np.random.default_rng(seed)
    cost = np.exp2(generator.uniform(-1, 1, units))
    return {
        "values": cost * np.exp(generator.normal(size=units)),
        "cost": cost,
        "layers": [layer for layer, _ in place],
        "kinds": [name for _, name in place],
    }


def _parts(kinds: Any) -> tuple[list[str], Any]:
    """Names of kinds, and the share of each among the units of a layer."""
    if not isinstance(kinds, Mapping) or not kinds:
        raise InputError(f"kinds is {shown(kinds)}; it must map kinds to their parts, such as {MIX}")
    for name, part in kinds.items():
        number = isinstance(part, (int, float, np.number)) and not isinstance(part, bool)
        if not (isinstance(name, str) and number and 0 <= part < 1e9):
            raise InputError(f"kinds maps {shown(name)} to {shown(part)}; each part must be a number of at least 0")
    parts = np.array([*kinds.values()], dtype=np.float64)
    if not parts.any():
        raise InputError(f"kinds is {shown(kinds)}; one part must be above 0")
    return [*kinds], parts / parts.sum()
