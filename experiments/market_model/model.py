"""A market as a Mesa model that is made from keywords alone: for batch runs, SolaraViz and notebooks."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import pandas as pd

from walras.agents import UnitAgent
from walras.errors import InputError
from walras.experiments.market_model.given_market import given_market
from walras.experiments.market_model.scenario import scenario_rng, scenario_settings
from walras.experiments.market_model.words import line, page
from walras.experiments.plan import Extras
from walras.experiments.settings.keywords import ModelSettings
from walras.market import ComputeMarket, Shock, TraceHistory, Turn
from walras.market.collecting import Reporter, collector
from walras.market.compute_market import seed_from

if TYPE_CHECKING:
    from walras.experiments.subjects.subject import Subject

Hook = Callable[[ComputeMarket, Turn], object]


class MarketModel(ComputeMarket):
    """Units trade compute in rounds: a `ComputeMarket` that everything of Mesa can make, reset and run in processes.

    `MarketModel(budget=0.4, mechanism="VCG")` is a market on the default network; with `values` there is no network,
    and it is made at once. `step` plays one round, and `running` becomes False after the last one. A market is reset by
    making it again from the same keywords.

    A network is loaded once per process and set of settings, and held by a cache of the last `MOST_SUBJECTS`, never by
    the model: Mesa 3.3 never frees a model, and a hundred of them must not be a hundred networks in memory. A model
    whose network has left the cache because others were loaded can be looked at, but no longer stepped.

    Args:
        subject: (model, tokenizer, data) or a `Subject` of your own. None: the network, task and data that the settings
            `model`, `task` and `data` name.
        values: what each unit is worth [n], for a market without a network.
        cost: amount of compute that each unit uses [n]; their sum is the whole. None: all the same.
        layers: the layer of each unit [n], rising, or the number of layers. None: one.
        kinds: the kind of each unit [n] by name (`head`, `ffn`, `expert`), or that of all. None: `ffn`.
        noise: where above 0, values are drawn anew in every round, as `GivenValues` says.
        reporters: functions of the model that return a number, by name: columns of `datacollector` beside its own.
        agent_reporters: attributes or functions of an agent, by name of column.
        agents: agent classes of your own by kind of unit.
        hooks: functions of the market and the round in progress, by event (`cleared`).
        shocks: what strikes before some of the rounds.
        history: rounds whose columns `trace` keeps, the last ones; None for all.
        seed: of everything random.
        rng: a seed or a generator, as Mesa hands it on.
        scenario: settings, and perhaps the seed, as attributes of a Mesa scenario (Mesa 3.5 and later).
        kwargs: settings as on the command line, by name or as objects; see `ModelSettings`. Without a `recipe` it is a
            plain market, one that repairs no weights. The name is one by which SolaraViz knows that more is taken.

    Raises:
        InputError: bad settings or data; a repair, which needs a copy of the network that somebody holds; what needs a
            network where values are given.
    """

    def __init__(
        self,
        subject: "Subject | tuple[Any, Any, Any] | None" = None,
        *,
        values: Any = None,
        cost: Any = None,
        layers: Any = None,
        kinds: Any = None,
        noise: float = 0.0,
        reporters: Mapping[str, Reporter] | None = None,
        agent_reporters: Mapping[str, str | Reporter] | None = None,
        agents: Mapping[str, type[UnitAgent]] | None = None,
        hooks: Mapping[str, Hook] | None = None,
        shocks: Sequence[Shock] = (),
        history: int | None = None,
        seed: int | None = None,
        rng: Any = None,
        scenario: Any = None,
        **kwargs: Unpack[ModelSettings],
    ) -> None:
        kept, extras = TraceHistory(history), Extras(agents, shocks, hooks)
        seed = seed_from(seed, scenario_rng(scenario, seed, rng))
        settings = {**scenario_settings(scenario), **kwargs, "seed": seed}
        if values is not None:
            if subject is not None:
                raise InputError("values are given beside a subject; give one of the two")
            made = given_market(values, cost, layers, kinds, noise, settings, extras)
        else:
            made = _of_network(subject, (cost, layers, kinds, noise or None), settings, extras)
        super().__init__(**made)
        if scenario is not None:
            self.scenario = scenario
        self.datacollector = collector(self.calibration.inventory.kinds, reporters, agent_reporters, self._columns)
        self._kept = kept
        self.on("played", kept)
        for event, hook in (hooks or {}).items():
            self.on(event, hook)

    def trace(self) -> pd.DataFrame:
        """One row per round and unit in the columns of a run's trace, as `walras.read_trace` returns them."""
        return self._kept.frame()

    def __repr__(self) -> str:
        """Units, mechanism, budget, round, price and use."""
        return line(self)

    def _repr_html_(self) -> str:
        """What notebooks show: the allocation by layer and kind, and the last round."""
        return page(self)


def _of_network(subject: Any, alone: Sequence[Any], settings: Mapping[str, Any], extras: Extras) -> dict[str, Any]:
    """What the market on a network is made from; a network's room is entered only here, for it takes seconds to load.

    Args:
        subject: as given.
        alone: what belongs to values: cost, layers, kinds and noise.
        settings: of the run.
        extras: agents and shocks.
    """
    for name, given in zip(("cost", "layers", "kinds", "noise"), alone, strict=True):
        if given is not None:
            raise InputError(f"{name} is given without values, which it belongs to; a network has its own")
    from walras.experiments.market_model.subjects import network_market

    return network_market(subject, settings, extras)
