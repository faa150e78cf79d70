"""How far a network in training is from the dense one, collected as it is run."""

from typing import Any, final

import torch
from torch import Tensor, nn

from walras.models.distillation import Distillation
from walras.models.objective import LABELS


@final
class Distilled:
    """Watches a network: every batch that it is trained on, the dense network is run on as well.

    `taken` returns the weighted divergence of what has been run since it was last asked: the mean over these batches.
    """

    def __init__(self, network: nn.Module, dense: nn.Module, weight: float) -> None:
        self._dense, self._weight, self._terms = dense, weight, list[Tensor]()
        self._handle = network.register_forward_hook(self._compare, with_kwargs=True) if weight else None
        self._nothing = torch.zeros((), device=next(network.parameters()).device)

    def taken(self) -> Tensor:
        """The divergence [], times its weight; 0 where nothing has been run, or nothing is distilled."""
        terms, self._terms = self._terms, []
        return self._weight * torch.stack(terms).mean() if terms else self._nothing

    def close(self) -> None:
        """Stop watching."""
        self._terms = []
        if self._handle is not None:
            self._handle.remove()

    def _compare(self, network: nn.Module, args: tuple[Any, ...], given: dict[str, Any], outputs: Any) -> None:
        """A hook behind the network."""
        if not (network.training and torch.is_grad_enabled()):
            return
        mask = given.get("attention_mask")
        unlabelled = {name: value for name, value in given.items() if name != LABELS}
        with torch.no_grad():
            dense = Distillation.from_outputs(self._dense(*args, **unlabelled), mask)
        self._terms.append(dense.of(outputs, mask))
