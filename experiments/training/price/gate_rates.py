"""The rate at which gates move, by step, as a share of its peak."""

LANDING = 0.3  # of the priced training, in which gates come to rest: prices fall on a target that no longer moves
WARMUP = 0.1  # of the priced training, in which the rate rises


def gates_factor(step: int, settles: int) -> float:
    """Up linearly in the warm-up, a share of the priced steps, and down to 0 in the last part, `LANDING`, of them.

    Args:
        step: counted from 0.
        settles: the step in which units settle.
    """
    warm = max(round(WARMUP * settles), 1)
    return min((step + 1) / warm, (1 - step / max(settles, 1)) / LANDING, 1.0)
