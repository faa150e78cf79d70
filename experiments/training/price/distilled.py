"""How far a network in training is from the dense one, collected as it is run."""

from typing import Any, final

import torch
from torch import Tensor, nn

from walras.experiments.training.price.network import Calls
from walras.models.distillation import Distillation
from walras.models.objective import LABELS


@final
class Distilled:
    """Watches a network: every batch that it is trained on, the dense network is run on as well.

    `taken` returns the weighted divergence of what has been run since it was last asked: the mean over these batches.
    """

    def __init__(self, network: nn.Module, dense: nn.Module, weight: float) -> None:
        self._dense, self._weight, self._terms = dense, weight, list[Tensor]()
        self._network, self._calls = network, Calls(network, self._compare)
        self._nothing = torch.zeros((), device=next(network.parameters()).device)

    def taken(self) -> Tensor:
        """The divergence [], times its weight; 0 where nothing has been run, or nothing is distilled."""
        terms, self._terms = self._terms, []
        return self._weight * torch.stack(terms).mean() if terms else self._nothing

    def close(self) -> None:
        """Stop watching."""
        self._terms = []
        self._calls.remove()

    def _compare(self, given: dict[str, Any], outputs: Any) -> None:
        """Run the dense network on what the network was called with."""
        if not (self._network.training and torch.is_grad_enabled()):
            return
        mask = given.get("attention_mask")
        unlabelled = {name: value for name, value in given.items() if name != LABELS}
        with torch.no_grad():
            dense = Distillation.from_outputs(self._dense(**unlabelled), mask)
        self._terms.append(dense.of(outputs, mask))
