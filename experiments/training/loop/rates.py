"""Learning rates by step, as shares of their peaks."""


def weights_factor(step: int, steps: int, warmup: float) -> float:
    """Up linearly in the warm-up, a share of all steps, then down linearly to 0."""
    warm = max(round(warmup * steps), 1)
    return min((step + 1) / warm, (steps - step) / max(steps - warm, 1), 1.0)
