"""How long forward passes through a network and its smaller copy take, side by side."""

from collections.abc import Mapping
from functools import partial

from torch import nn

from walras.experiments.outcome import Timing
from walras.models.resources.latency_setting import sample_batch
from walras.models.resources.timing import interleaved


def forward_times(dense: nn.Module, small: nn.Module, length: int, repeats: Mapping[int, int]) -> dict[str, Timing]:
    """Milliseconds of a forward pass by the sequences in it, both networks called in turn.

    Args:
        dense: the network as it was.
        small: what is left of it.
        length: tokens per sequence.
        repeats: how often each number of sequences is timed.
    """
    found = {}
    for rows, times in repeats.items():
        batch = sample_batch(dense, rows, length)
        seconds = interleaved([partial(dense.eval(), **batch), partial(small, **batch)], times)
        found[str(rows)] = Timing(1e3 * seconds[0], 1e3 * seconds[1])
    return found
