"""Shocks from the text of a setting: units that break, a task that changes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from walras.agents import Calibration
from walras.errors import InputError
from walras.market import Disable, NewTask, Shock

KINDS = "disable:L3.H7+L0.F2@2 or task:sst2@3"


@final
@dataclass(frozen=True)
class PlannedShock:
    """A shock before there is a network: `kind` is disable or task, `what` the units' names or the task's."""

    kind: str
    what: str
    at: int

    def shock(self, calibrated: Callable[[str], Calibration]) -> Shock:
        """For a market; `calibrated` makes the calibration of a task."""
        if self.kind == "disable":
            return Disable(self.at, tuple(self.what.split("+")))
        return NewTask(self.at, calibrated(self.what), self.what)


def find_shocks(text: str | None, rounds: int) -> list[PlannedShock]:
    """Several are separated by blanks.

    Raises:
        InputError: a text that does not read so, or a round that is not played.
    """
    found = []
    for word in (text or "").split():
        head, _, at = word.rpartition("@")
        kind, _, what = head.partition(":")
        if kind not in ("disable", "task") or not what or not re.fullmatch("[0-9]{1,9}", at):
            raise InputError(f"shock is {word!r}; it must read like {KINDS}")
        if not 1 <= int(at) <= rounds:
            raise InputError(f"shock {word!r} strikes before round {at}; there are {rounds} rounds")
        found.append(PlannedShock(kind, what, int(at)))
    return found
