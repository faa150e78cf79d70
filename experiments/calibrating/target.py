"""What a search aims at: `quality>=0.95*dense`, `welfare=3.2`, `used<=0.4`."""

import math
import re
from dataclasses import dataclass
from typing import final

from walras.errors import InputError, UnknownNameError
from walras.experiments.settings.fields import number

OUTPUTS = {
    "quality": "value", "metric": "value", "value": "value", "welfare": "welfare", "revenue": "revenue", "used": "used",
    "price": "price", "macs": "macs", "parameters": "parameters",
}  # fmt: skip
"""Names of figures and the columns of a grid's table that hold them."""
_FORM = re.compile(r"\s*([^<>=]*?)\s*(>=|<=|=)\s*(?:(dense)|([^*]*?)\s*(\*\s*dense)?)\s*")


@final
@dataclass(frozen=True)
class Target:
    """A figure of a run, and what it must come to: a number, or a share of the dense network's metric."""

    output: str
    relation: str  # ">=", "<=" or "="
    amount: float
    of_dense: bool = False

    @staticmethod
    def read(text: str) -> "Target":
        """A target from its text.

        Raises:
            InputError: no target, or no number in it; a share of `dense` of another figure than quality.
            UnknownNameError: a figure that no run has.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise InputError(f"target {text!r} is none; write quality>=0.95*dense, quality=0.8 or used<=0.4")
        name, relation, alone, amount, share = found.groups()
        if name not in OUTPUTS:
            raise UnknownNameError("figure of a target", name, OUTPUTS)
        wanted = 1.0 if alone else number(amount)
        if not isinstance(wanted, float) or not math.isfinite(wanted):
            raise InputError(f"target {text!r} has no number behind {relation}; write {name}{relation}0.8")
        if (alone or share) and OUTPUTS[name] != "value":
            raise InputError(f"target {text!r} is a share of dense, which only quality has; give a number")
        return Target(name, relation, wanted, bool(alone or share))

    @property
    def column(self) -> str:
        """Of a grid's table."""
        return OUTPUTS[self.output]

    def level(self, dense: float) -> float:
        """The number that the figure must come to."""
        return self.amount * dense if self.of_dense else self.amount

    def holds(self, gap: float) -> bool:
        """Whether a figure that is so much above the level will do; to be equal takes a search, and is never exact."""
        return gap >= 0 if self.relation == ">=" else gap <= 0 if self.relation == "<=" else gap == 0

    def __str__(self) -> str:
        return f"{self.output}{self.relation}{self.amount:g}{'*dense' if self.of_dense else ''}"
