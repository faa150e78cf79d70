"""Settings of a training run; checked before anything is loaded."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import yaml

from walras.errors import InputError, UnknownNameError
from walras.experiments.config import setting, typed, whole

COSTS = ("macs", "literal", "invariant")
TAXED = ("both", "heads", "ffn")
PRECISIONS = ("no", "bf16", "fp16")
DEVICES = ("auto", "cpu")


@final
@dataclass(frozen=True)
class TrainConfig:
    """One training run on one task. Every field is a key of a config file and an option."""

    model: str = setting("sentence-transformers/all-MiniLM-L6-v2", "Folder or hub id of a transformer.")
    task: str = setting("pairs", "Task by name, or FILE.py:Class.")
    data: str | None = setting(None, "Folder or file with the task's data.")
    budget: float = setting(0.5, "Share of the dense model's compute that may be used at the end; 1 keeps every unit.")
    pricing: str = setting(
        "cleared", "Source of the price: cleared, shadow-price, dual-ascent, tax, FILE.py:Class; or none."
    )
    price: float | None = setting(None, "The tax: units of the loss for the dense model's whole compute.")
    rise: str = setting("constant", "How a tax comes in: constant, linear or quadratic.")
    mechanism: str = setting("ShadowPrice", "Rule of a market that clears during training, by name, or FILE.py:Class.")
    valuation: str = setting("partial-fisher", "What a unit is worth, when training begins or a market clears.")
    label_free: bool = setting(True, "Value units without the task's labels.")
    values: bool = setting(True, "Whether gates begin in the order of values; else all alike.")
    rounds: int = setting(4, "Clearings of such a market.")
    schedule: str = setting("geometric", "How its supply shrinks: linear, geometric or constant.")
    recipe: str | None = setting(None, "Remove units before training by a recipe of `walras compare`; no price then.")
    cost: str = setting("macs", "What is priced: expected macs, or activations, literal (Eq. 2) or invariant.")
    taxed: str = setting("both", f"Whose compute is priced: {', '.join(TAXED)}.")
    priced: float = setting(0.25, "Share of the steps in which a price is paid; then units are settled and cut out.")
    repair: str = setting("least_squares", "What becomes of the weights when units leave: none, or by name.")
    epochs: int = setting(3, "Passes over the training rows.")
    rate: float = setting(5e-5, "Learning rate of the weights at its peak.")
    travel: float = setting(20.0, "How far a gate's log-odds can go while a price is paid; their rate follows.")
    ascent: float = setting(1.0, "Rate of dual ascent, times the loss that training begins with.")
    warmup: float = setting(0.1, "Share of the steps in which the rate rises; then it falls linearly to 0.")
    decay: float = setting(0.01, "Weight decay of AdamW.")
    distil: float = setting(0.0, "Weight of the divergence from the dense model's predictions; 0: no distillation.")
    held_out: float = setting(0.1, "Share of the training rows (1,000 at most) by which the best weights are chosen.")
    patience: int = setting(4, "Evaluations without gain after which training stops; there are two an epoch.")
    limit: int | None = setting(None, "Training rows at most, chosen at random.")
    block: int = setting(32, "FFN neurons that trade as one unit.")
    length: int = setting(128, "Tokens of a sequence: texts are cut there, and compute is counted for it.")
    sentences: int = setting(512, "Sentences with which units are valued.")
    batch_size: int = setting(32, "Samples a step, over all processes.")
    seed: int = setting(0, "Seed of everything random.")
    device: str = setting("auto", "cpu, or auto: a GPU where there is one.")
    precision: str = setting("no", f"Mixed precision: {', '.join(PRECISIONS)}.")
    save_every: int = setting(200, "Steps between checkpoints.")
    trust_remote_code: bool = setting(False, "Let code that comes with a checkpoint run.")

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("epochs", 1), ("patience", 1), ("block", 1), ("length", 4),
                            ("sentences", 2), ("batch_size", 1), ("seed", 0), ("save_every", 1)):  # fmt: skip
            whole(name, getattr(self, name), least, 2**32 - 1 if name == "seed" else None)
        if self.limit is not None:
            whole("limit", self.limit, 2, None)
        for name, known in (("cost", COSTS), ("taxed", TAXED), ("precision", PRECISIONS), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise UnknownNameError(name, getattr(self, name), known)
        for name, low, high in (("priced", 0.0, 1.0), ("warmup", 0.0, 1.0), ("held_out", 0.0, 0.5)):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a share from {low:g} to {high:g}")
        for name, positive in (("rate", True), ("travel", True), ("ascent", True), ("decay", False),
                               ("distil", False)):  # fmt: skip
            value = getattr(self, name)
            if not 0 <= value < math.inf or (positive and not value):
                raise InputError(f"{name} is {value!r}; it must be a number {'above' if positive else 'of at least'} 0")
        self._check_prices()

    def _check_prices(self) -> None:
        """Refuse settings that contradict each other."""
        if self.recipe is not None and self.pricing == "cleared":  # the default gives way
            object.__setattr__(self, "pricing", "none")
        if self.recipe is not None and self.pricing != "none":
            raise InputError(f"recipe {self.recipe} removes units before training, and {self.pricing} during it")
        if self.price is not None and not 0 <= self.price < math.inf:
            raise InputError(f"price is {self.price!r}; it must be a number of at least 0")
        if self.pricing == "tax" and self.price is None:
            raise InputError("pricing is tax and there is no price; give one: --price 0.1")
        if self.pricing != "tax" and self.price is not None:
            raise InputError(f"price is {self.price:g}, and pricing is {self.pricing}, which finds its own")
        if self.cost != "macs" and self.pricing != "tax":
            raise InputError(f"cost is {self.cost}, whose price is a tax; pricing is {self.pricing}")
        if (self.cost, self.taxed) == ("invariant", "heads"):
            raise InputError("cost is invariant, which has no term for heads, and taxed is heads; use both or ffn")

    @staticmethod
    def of(settings: Mapping[str, Any]) -> "TrainConfig":
        """Settings from a file or the command line.

        Raises:
            InputError, UnknownNameError: a wrong value or key.
        """
        return TrainConfig(**typed(settings, TrainConfig))

    def as_yaml(self) -> str:
        """The settings as a config file."""
        return yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)
