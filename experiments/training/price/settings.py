"""Settings of a price in anybody's training; checked before a network is touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from walras.errors import InputError, UnknownNameError
from walras.experiments.plan import Plan
from walras.experiments.settings.command_settings import CommandSettings
from walras.experiments.settings.fields import leaf_values, leaves, section, setting, whole
from walras.experiments.settings.names import NONE, told
from walras.experiments.spec import RunSpec
from walras.experiments.training.sections import EconomySpec, TrainMarketSpec
from walras.files.plain_data import parse_json, write_json
from walras.market.pricing import PRICINGS, RISES, Pricing
from walras.models.units import UNIT_KINDS

STIFF = 1000.0
"""Curvature with which dual ascent begins, in rates. AdamW moves gates by the same step at any price, so that a
multiplier alone swings to and fro; with this, simulated gates under noisy losses land within 1 % for budgets of 0.4 to
0.8 and 110 to 800 steps (with 300, one in six does not)."""
_MARKET = ("mechanism", "valuation", "label_free", "rounds", "schedule", "repair", "units", "block", "sentences")


@final
@dataclass(frozen=True)
class PriceSettings(CommandSettings):
    """What compute costs in a training that is not ours. `parse` makes it from whatever is given."""

    budget: float = setting(0.5, "Share of the dense model's compute that may be used at the end; 1 keeps every unit.")
    seed: int = setting(0, "Seed of everything random about the price.")
    distil: float = setting(0.0, "Weight of the divergence from the dense model's predictions; 0: no distillation.")
    distil_states: float = setting(
        0.0, "Weight of the distance of every layer's states from the dense model's, a share; 0: none is distilled."
    )
    length: int | None = setting(
        None, "Tokens of the sequence in which MACs are counted. [default: those of the widest batch]"
    )
    rewind: bool = setting(False, "Whether the learning rate's schedule begins anew once units have settled.")
    cut: bool = setting(True, "Whether units that lost are cut out once units settle; else their gates stay at 0.")
    economy: EconomySpec = section(EconomySpec, "Price of compute")
    market: TrainMarketSpec = section(TrainMarketSpec, "Market and values")

    def __post_init__(self) -> None:
        whole("seed", self.seed, 0, 2**32 - 1)
        for name in ("distil", "distil_states"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a number of at least 0")
        if self.length is not None:
            whole("length", self.length, 1)
        for name in ("rewind", "cut"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be True or False")
        if self.economy.pricing == NONE:
            raise InputError("pricing is none; a price needs one: cleared, shadow-price, dual-ascent, tax, ...")
        if self.economy.cost != "macs":
            raise InputError(f"cost is {self.economy.cost}; only walras train prices activations, and here it is macs")
        check_kind(self.economy)

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values as they are: nothing follows from one for another."""
        return values

    @property
    def distils(self) -> bool:
        """Whether the network is compared with the dense one in every step."""
        return self.distil > 0 or self.distil_states > 0

    def priced_steps(self, steps: int) -> int:
        """In how many of the steps a price is paid: the first ones.

        Raises:
            InputError: no steps, or none that is priced.
        """
        whole("steps", steps, 1)
        found = round(self.economy.priced * steps)
        if found < 1:
            raise InputError(
                f"budget {self.budget:g} cannot be reached: of {steps} steps a share of {self.economy.priced:g} is "
                "priced, which is none; train for longer, or give a larger priced="
            )
        return found

    @cached_property
    def told(self) -> dict[str, Any]:
        """All by name, as plain data; not `priced`, whose number of steps says more."""
        own = leaf_values(self)
        found = {name: told(leaf.field, own[name]) for name, leaf in leaves(type(self)).items() if name != "priced"}
        plain: dict[str, Any] = parse_json(write_json(found))
        return plain

    def plan(self) -> Plan:
        """The market of these settings, with every name resolved.

        Raises:
            InputError, UnknownNameError: whatever is wrong with them.
        """
        own = leaf_values(self)
        given: Mapping[str, Any] = {name: own[name] for name in (*_MARKET, "budget", "seed")}
        found = Plan.from_spec(RunSpec.parse({**given, "recipe": None}))
        self.pricing(found, 1.0)  # whatever loss it will be scaled by, its settings and rule are checked
        return found

    def pricing(self, plan: Plan, loss: float) -> Pricing:
        """The pricing in its first state; `loss` is the one that training begins with."""
        return pricing_of(self.economy, plan, self.budget, loss)


def check_kind(economy: EconomySpec) -> None:
    """Refuse a kind of unit that nobody knows as the one that is taxed.

    Raises:
        UnknownNameError: as said.
    """
    if economy.kind is not None and economy.kind not in UNIT_KINDS:
        raise UnknownNameError("kind of unit that is taxed", economy.taxed, UNIT_KINDS)


def pricing_of(economy: EconomySpec, plan: Plan, budget: float, loss: float) -> Pricing:
    """A pricing in its first state; `loss` is the one that training begins with.

    A class gets what it takes of: the budget, the tax and its rise (to that budget), the supply of every round of
    the market and its mechanism, and a rate and a curvature that grow with the loss.
    """
    rate = economy.ascent * max(loss, 1e-6)
    rise = RISES.make(economy.rise, budget=budget)
    made: Pricing = PRICINGS.make(
        economy.pricing, budget=budget, price=economy.price, rise=rise, rate=rate,
        curvature=STIFF * rate, mechanism=plan.mechanism, supplies=tuple(plan.paths[0]),
    )  # fmt: skip
    return made
