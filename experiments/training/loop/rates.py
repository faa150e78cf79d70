"""Learning rates by step, as shares of their peaks."""

LANDING = 0.3  # of the priced training, in which gates come to rest: prices fall on a target that no longer moves


def weights_factor(step: int, steps: int, warmup: float) -> float:
    """Up linearly in the warm-up, a share of all steps, then down linearly to 0."""
    warm = max(round(warmup * steps), 1)
    return min((step + 1) / warm, (steps - step) / max(steps - warm, 1), 1.0)


def gates_factor(step: int, settles: int, warmup: float) -> float:
    """Up linearly in the warm-up, a share of the priced steps, and down to 0 in the last part, `LANDING`, of them.

    Args:
        step: counted from 0.
        settles: the step in which units settle.
        warmup: as said.
    """
    warm = max(round(warmup * settles), 1)
    return min((step + 1) / warm, (1 - step / max(settles, 1)) / LANDING, 1.0)
