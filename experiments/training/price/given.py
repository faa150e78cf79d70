"""What users give a price besides settings: batches on which units are valued, by what, and the loss."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from walras.errors import InputError
from walras.experiments.subjects.objectives import Loss, as_objective
from walras.models.objective import Batch, Objective


@final
@dataclass(frozen=True)
class Given:
    """Checked as far as can be without a network.

    Attributes:
        batches: on which units are valued; none where they are to be drawn.
        loss: a function of a network and a batch, or the number that it begins with.
        objective: by which units are valued; None: how far outputs move, or the network's own loss.
    """

    batches: Sequence[Batch]
    loss: Loss | float | None = None
    objective: Objective | None = None

    @staticmethod
    def of(batches: Any, loss: Any = None, objective: Any = None) -> "Given":
        """What was given.

        Raises:
            InputError: no batches, a loss that is neither a function nor a number, an objective that is no function.
        """
        if not isinstance(batches, Iterable) or isinstance(batches, (str, Mapping)):
            kind = type(batches).__name__
            raise InputError(f"batches is of type {kind}; it must be a list of batches, as the network takes them")
        found = [*batches]
        if not found:
            raise InputError("batches is empty; give a few, on which units are valued")
        for i, batch in enumerate(found):
            if not isinstance(batch, Mapping):
                raise InputError(
                    f"batches[{i}] is {type(batch).__name__}; a batch must be a dict of tensors, as the model takes it"
                )
        return Given(found, checked_loss(loss), None if objective is None else as_objective(objective, "objective"))


def checked_loss(loss: Any) -> Loss | float | None:
    """A loss as it is.

    Raises:
        InputError: neither a function nor a finite number.
    """
    number = isinstance(loss, (int, float)) and not isinstance(loss, bool) and math.isfinite(loss)
    if loss is not None and not number and not callable(loss):
        raise InputError(f"loss is {loss!r}; it must be a function of a model and a batch, or a number")
    found: Loss | float | None = loss
    return found
