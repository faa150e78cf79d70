"""The state of a price as plain data: what checkpoints keep of it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError
from walras.experiments.training.price.economy import Economy
from walras.files.record import Record

_WHERE = "the saved price"


@final
@dataclass(frozen=True)
class SavedPrice:
    """How far a price has come.

    Attributes:
        number: of the next step.
        settings: told as plain data by name.
        priced: in how many steps a price is paid.
        dense: fingerprint of the network before training.
        pricing: its state, plain data.
        keep: units that stay [n], once they have settled.
        surplus: of the last clearing; None where there was none.
        tensors: gates and what their optimizer remembers, by name, in float32.
    """

    number: int
    settings: Mapping[str, Any]
    priced: int
    dense: str
    pricing: Mapping[str, Any]
    surplus: float | None
    keep: Tensor | None
    tensors: Mapping[str, Tensor]

    @staticmethod
    def tensors_of(economy: Economy, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Gates and what their optimizer remembers, copied."""
        logits = economy.gates.logits
        moments = {f"moment {name}": torch.as_tensor(v) for name, v in optimizer.state.get(logits, {}).items()}
        tensors = {"logits": logits, "fixed": economy.gates.fixed, **moments}
        return {name: value.detach().cpu().float().clone() for name, value in tensors.items()}

    def check(self, settings: Mapping[str, Any], priced: int) -> None:
        """Refuse to go on with another price than was begun with.

        Raises:
            InputError: other settings; units that have not settled, and would settle after another number of steps.
        """
        for name, value in settings.items():
            was = self.settings.get(name)
            if was != value:
                raise InputError(f"{name} is {value!r}, and was {was!r} in {_WHERE}; go on with that, or begin anew")
        if self.keep is None and self.priced != priced:
            raise InputError(
                f"a price would be paid in {priced} steps, and is in {self.priced} by {_WHERE}; go on with as many "
                "(steps times priced), or begin anew"
            )

    def give(self, economy: Economy, optimizer: torch.optim.Optimizer) -> None:
        """Bring gates, their price and their optimizer into this state.

        Raises:
            InputError: gates of other units.
        """
        gates = economy.gates
        if self.tensors["logits"].shape != gates.logits.shape:
            n = len(self.tensors["logits"])
            raise InputError(f"the saved price is that of {n} units; this network has {len(gates.logits)}")
        with torch.no_grad():
            gates.logits.copy_(self.tensors["logits"])
            gates.fixed = self.tensors["fixed"].to(gates.fixed)
        moments = {
            name.removeprefix("moment "): tensor.clone().to(gates.logits.device if tensor.ndim else "cpu")
            for name, tensor in self.tensors.items()
            if name.startswith("moment ")
        }
        if moments:
            optimizer.state[gates.logits] = moments
        economy.pricing = economy.pricing.restored(self.pricing)

    def as_plain(self) -> dict[str, Any]:
        """The same as what JSON can hold: numbers of tensors as base64 of their bytes."""
        return {
            "number": self.number, "settings": dict(self.settings), "priced": self.priced, "dense": self.dense,
            "pricing": dict(self.pricing), "surplus": self.surplus,
            "keep": None if self.keep is None else _text(self.keep.numpy()),
            "tensors": {name: _text(tensor.numpy()) for name, tensor in self.tensors.items()},
        }  # fmt: skip

    @staticmethod
    def from_plain(given: Any) -> "SavedPrice":
        """The reverse.

        Raises:
            InputError: something is missing, or of another type.
        """
        told = Record(given, _WHERE)
        tensors = Record(told.content.get("tensors"), f"{_WHERE}: tensors")
        keep = None if told.content.get("keep") is None else _numbers(told, "keep").bool()
        found = {name: _numbers(tensors, name) for name in tensors}
        if missing := {"logits", "fixed"} - found.keys():
            raise InputError(f"{_WHERE}: tensors has no {min(missing)!r}")
        pricing = Record(told.content.get("pricing"), f"{_WHERE}: pricing").content
        settings = Record(told.content.get("settings"), f"{_WHERE}: settings").content
        surplus = None if told.content.get("surplus") is None else told.number("surplus")
        return SavedPrice(
            told.whole("number"), settings, told.whole("priced"), told.text("dense"), pricing, surplus, keep, found,
        )  # fmt: skip


def _text(values: "np.ndarray[Any, Any]") -> list[Any]:
    """Type, shape and numbers of an array, as plain data."""
    little = values.astype(values.dtype.newbyteorder("<"))
    return [little.dtype.str, list(values.shape), base64.b64encode(little.tobytes()).decode("ascii")]


def _numbers(told: Record, name: str) -> Tensor:
    """The reverse."""
    try:
        kind, shape, text = told.items(name)
        if kind not in ("<f4", "|b1"):
            raise ValueError(f"its type is {kind!r}; valid: <f4, |b1")
        values = np.frombuffer(base64.b64decode(text, validate=True), dtype=kind).reshape(shape)
    except (TypeError, ValueError) as error:
        raise InputError(f"{told.where}: {name} is no array: {error}") from error
    return torch.tensor(values.astype(kind[1:]))
