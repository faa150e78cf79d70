"""Sections of the settings of a training run: the price of compute, the market, the optimiser, the rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from walras.errors import InputError, UnknownNameError
from walras.experiments.registries import registry
from walras.experiments.settings.fields import setting, texts, whole
from walras.parameters import is_own, split_spec

COSTS = ("macs", "literal", "invariant")
PRECISIONS = ("no", "bf16", "fp16")
TAX, CLEARED, CONSTANT = "tax", "cleared", "constant"
EVERY_KIND = "both"
_PLURALS = {"heads": "head", "experts": "expert", "blocks": "block"}


@final
@dataclass(frozen=True)
class EconomySpec:
    """What compute costs while the gates of units are trained."""

    pricing: Any = setting(
        CLEARED, "Source of the price: cleared, shadow-price, dual-ascent, tax, ...; or none.", registry="pricing"
    )
    price: float | None = setting(None, "The tax: units of the loss for the dense model's whole compute.")
    rise: Any = setting(
        CONSTANT, "How a tax comes in: constant, linear, quadratic, cubic, cosine, by-target, even-cost.",
        registry="rise",
    )  # fmt: skip
    cost: str = setting("macs", "What is priced: expected macs, or activations, literal (Eq. 2) or invariant.")
    taxed: str = setting(EVERY_KIND, f"Whose compute is priced: {EVERY_KIND}, or a kind of units: heads, ffn, ...")
    priced: float = setting(0.25, "Share of the steps in which a price is paid; then units are settled and cut out.")
    ascent: float = setting(1.0, "Rate of dual ascent, times the loss that training begins with.")
    gate_logit_range: float = setting(
        20.0, "How far the log-odds of a gate can move while a price is paid; their rate follows from it."
    )
    init_gates_by_value: bool = setting(
        True,
        "Whether gates start in the order of the units' values; else all alike.",
        option="--init-gates-by-value/--init-gates-alike",
    )

    def __post_init__(self) -> None:
        if self.cost not in COSTS:
            raise UnknownNameError("cost", self.cost, COSTS)
        _shares(self, {"priced": 1.0})
        _numbers(self, above=("ascent", "gate_logit_range"))
        if self.price is not None and not 0 <= self.price < math.inf:
            raise InputError(f"price is {self.price!r}; it must be a number of at least 0")
        self._check_agreement()

    @property
    def pricing_text(self) -> str:
        """The pricing by name, with its parameters."""
        return self.pricing if isinstance(self.pricing, str) else str(registry("pricing").spelled(self.pricing))

    @property
    def pricing_name(self) -> str:
        """The same without parameters."""
        return split_spec(self.pricing_text)[0]

    @property
    def kind(self) -> str | None:
        """The kind of units whose compute is priced; None: all of them."""
        return None if self.taxed == EVERY_KIND else _PLURALS.get(self.taxed, self.taxed)

    def _check_agreement(self) -> None:
        """Refuse settings that contradict each other."""
        taxes = self.pricing_name == TAX
        if taxes and self.price is None and "price=" not in self.pricing_text:
            raise InputError("pricing is tax and there is no price; give one: --price 0.1")
        if not taxes and self.price is not None:
            raise InputError(f"price is {self.price:g}, and pricing is {self.pricing_name}, which finds its own")
        if self.rise != CONSTANT and not taxes and not is_own(self.pricing_name):
            raise InputError(f"rise is {self.rise}, and pricing is {self.pricing_name}; only a tax rises")
        if self.cost != "macs" and not taxes:
            raise InputError(f"cost is {self.cost}, whose price is a tax; pricing is {self.pricing_name}")
        if self.cost == "invariant" and self.kind not in (None, "ffn"):
            raise InputError(
                f"cost is invariant, which has no term for {self.taxed}, and taxed is {self.taxed}; use both or ffn"
            )


@final
@dataclass(frozen=True)
class TrainMarketSpec:
    """The market that clears while gates are trained, and what it takes to value units."""

    units: tuple[Any, ...] = setting(
        (), "Kinds of units that trade; several. [default: the finest that the network has]", read=texts,
        registry="unit kind",
    )  # fmt: skip
    block: int = setting(32, "FFN neurons that trade as one unit.")
    mechanism: Any = setting("ShadowPrice", "Rule of a market that clears during training.", registry="mechanism")
    valuation: Any = setting(
        "partial-fisher", "What a unit is worth, when training begins or a market clears.", registry="valuation"
    )
    label_free: bool = setting(True, "Value units without the task's labels.", option="--label-free/--labels")
    sentences: int = setting(512, "Sentences with which units are valued.")
    rounds: int = setting(4, "Clearings of such a market.")
    schedule: Any = setting(
        "geometric", "How its supply shrinks, or FILE.txt with a number per round.", registry="schedule"
    )
    repair: Any = setting(
        "least_squares", "How the weights that stay are repaired when units leave; or none.", registry="repair"
    )

    def __post_init__(self) -> None:
        for name, least in (("block", 1), ("sentences", 2), ("rounds", 1)):
            whole(name, getattr(self, name), least)


@final
@dataclass(frozen=True)
class OptimiserSpec:
    """How weights are trained."""

    epochs: int = setting(3, "Passes over the training rows.")
    rate: float = setting(5e-5, "Learning rate of the weights at its peak.")
    warmup: float = setting(0.1, "Share of the steps in which the rate rises; then it falls linearly to 0.")
    decay: float = setting(0.01, "Weight decay of AdamW.")
    distil: float = setting(0.0, "Weight of the divergence from the dense model's predictions; 0: no distillation.")
    distil_states: float = setting(
        0.0, "Weight of the distance of every layer's states from the dense model's, a share; 0: none is distilled."
    )
    rewind: bool = setting(
        False, "Begin the rate's schedule anew once units have settled.", option="--rewind/--no-rewind"
    )
    precision: str = setting("no", f"Mixed precision: {', '.join(PRECISIONS)}.")

    def __post_init__(self) -> None:
        whole("epochs", self.epochs, 1)
        _shares(self, {"warmup": 1.0})
        _numbers(self, above=("rate",), least=("decay", "distil", "distil_states"))
        if self.precision not in PRECISIONS:
            raise UnknownNameError("precision", self.precision, PRECISIONS)


@final
@dataclass(frozen=True)
class RowsSpec:
    """Which rows are trained on, which choose the weights, and when checkpoints are written."""

    limit: int | None = setting(None, "Training rows at most, chosen at random.")
    held_out: float = setting(0.1, "Share of the training rows (1,000 at most) by which the best weights are chosen.")
    patience: int = setting(4, "Evaluations without gain after which training stops; there are two per epoch.")
    save_every: int = setting(200, "Steps between checkpoints.")

    def __post_init__(self) -> None:
        if self.limit is not None:
            whole("limit", self.limit, 2)
        _shares(self, {"held_out": 0.5})
        whole("patience", self.patience, 1)
        whole("save_every", self.save_every, 1)


def _shares(settings: Any, most: Mapping[str, float]) -> None:
    """Refuse a setting that is no share from 0 to its most."""
    for name, high in most.items():
        if not 0 <= getattr(settings, name) <= high:
            raise InputError(f"{name} is {getattr(settings, name)!r}; it must be a share from 0 to {high:g}")


def _numbers(settings: Any, above: Sequence[str] = (), least: Sequence[str] = ()) -> None:
    """Refuse a setting that is no finite number above 0, or of at least 0."""
    for name in (*above, *least):
        value = getattr(settings, name)
        if not 0 <= value < math.inf or (name in above and not value):
            raise InputError(
                f"{name} is {value!r}; it must be a number {'above' if name in above else 'of at least'} 0"
            )
