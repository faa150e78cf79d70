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
    warmup: int = 1,
    contexts: Sequence[Context] | None = None,
) -> list[float]:
    """Seconds of the shortest call of each function, all called in turn `repeats` times.

    The shortest counts, since whatever disturbs a call makes it longer. Where CUDA is in use, a call ends when the
    device has finished its work. Without gradients.

    Args:
        functions: what is timed.
        repeats: timed calls of each.
        warmup: calls of each beforehand, which do not count.
        contexts: one a function, within which its calls stand; entering and leaving is not timed.

    Raises:
        InputError: `repeats` below 1 or `warmup` below 0.
    """
    for name, value, least in (("repeats", repeats, 1), ("warmup", warmup, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} = {value!r}; valid: a whole number, {least} or more")
    around: Sequence[Context] = contexts or [nullcontext] * len(functions)
    best = [float("inf")] * len(functions)
    with torch.no_grad():
        for turn in range(warmup + repeats):
            for i, (function, context) in enumerate(zip(functions, around, strict=True)):
                with context():
                    took = _seconds(function)
                if turn >= warmup:
                    best[i] = min(best[i], took)
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
