"""Wall-clock times that can be compared: functions called in turn, so that all meet the same load of the machine."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch

from walras.errors import InputError

Context = Callable[[], AbstractContextManager[None]]


def interleaved(
    functions: Sequence[Callable[[], object]],
    repeats: int,
    contexts: Sequence[Context] | None = None,
) -> list[float]:
    """Seconds of the shortest call of each function, all called in turn `repeats` times.

    Each timed call follows one of the same function that is not timed, so that caches hold what it left there, as
    they do where nothing else runs. The shortest counts, since whatever disturbs a call makes it longer. Where CUDA is
    in use, a call ends when the device has finished its work. Without gradients.

    Args:
        functions: what is timed.
        repeats: timed calls of each.
        contexts: one a function, within which its calls stand; entering and leaving is not timed.

    Raises:
        InputError: `repeats` below 1.
    """
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise InputError(f"repeats = {repeats!r}; valid: a whole number, 1 or more")
    around: Sequence[Context] = contexts or [nullcontext] * len(functions)
    best = [float("inf")] * len(functions)
    with torch.no_grad():
        for _ in range(repeats):
            for i, (function, context) in enumerate(zip(functions, around, strict=True)):
                with context():
                    function()
                    best[i] = min(best[i], _seconds(function))
    return best


def _seconds(function: Callable[[], object]) -> float:
    """Time of one call."""
    _finish()
    start = time.perf_counter()
    function()
    _finish()
    return time.perf_counter() - start


def _finish() -> None:
    """Wait until a GPU has done what it was given; without one in use, nothing."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # it has no types
        torch.cuda.synchronize()
