"""The learning rate's schedule, begun anew once units have settled."""

from collections.abc import Callable
from typing import Any

from torch.optim.lr_scheduler import LambdaLR

from walras.errors import InputError

Schedule = Callable[[int], float]


def rewound(schedule: Schedule, at: int, steps: int) -> Schedule:
    """By what a learning rate is multiplied: a schedule up to a step, and from there the whole of it in what is left.

    The smaller network trains at the rates that the dense one had, warm-up included: learning rate rewinding (Renda et
    al. 2020, arXiv 2003.02389), in the steps that there are. Between two steps of the schedule a straight line.

    Args:
        schedule: the factor after so many steps.
        at: steps before units have settled.
        steps: of the whole training.
    """

    def factor(done: int) -> float:  # a function, which schedulers leave out of what they save
        if done < at:
            return schedule(done)
        place = (done - at) * steps / max(steps - at, 1)
        before, after = schedule(int(place)), schedule(int(place) + 1)
        return before + (place - int(place)) * (after - before)

    return factor


def check_rewinds(scheduler: Any) -> None:
    """Refuse a scheduler whose rates are no function of the step.

    Raises:
        InputError: as said.
    """
    if not isinstance(scheduler, LambdaLR):
        raise InputError(
            "rewind=True needs a schedule that is a function of the step, such as linear or cosine; the Trainer has "
            f"{type(scheduler).__name__}"
        )


def rewind(scheduler: LambdaLR, at: int, steps: int) -> None:
    """Let a scheduler begin anew after step `at` of `steps`; rates change at once where it is there already."""
    scheduler.lr_lambdas = [rewound(own, at, steps) for own in scheduler.lr_lambdas]
    if scheduler.last_epoch == at:
        factors = zip(scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
        for group, rate, factor in factors:
            group["lr"] = rate * factor(at)
        scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]
